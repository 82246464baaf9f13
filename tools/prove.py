# SPDX-License-Identifier: GPL-2.0
"""Build and test the prover, which finds out whether a callback can sleep."""

import subprocess

from common import PROJECT, cache, environment

CRATE = PROJECT / "tools/prove"


def cargo(*words):
    """Run cargo on the prover, which needs no crate and so no network."""
    env = environment() | {"CARGO_TARGET_DIR": str(cache() / "tools/prove")}
    command = ["cargo", *words, "--offline", "--locked", "--manifest-path", str(CRATE / "Cargo.toml")]
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
