# SPDX-License-Identifier: GPL-2.0
"""Compile tests/ui/*.rs, each twice: with `--cfg refused` it must not compile and say what it should, without it must.

The message is in the program, in lines `//~ TEXT`.
"""

import re
import shlex
import time

from common import Failure, PROJECT, output
from table import Counts

PROGRAMS = PROJECT / "tests/ui"

# A program is short, and has only what it is about.
ALLOWED = ["dead_code", "missing_docs", "private_interfaces", "unreachable_code", "unused_imports", "unused_variables"]


def command(obj):
    """How the kernel's build compiles a Rust file outside of the kernel crate, up to the file's own names."""
    recorded = obj / "lib/tests/rust/.nonblock_kunit_main.o.cmd"
    match = re.match(r"savedcmd_\S+ := (.*?) --out-dir ", recorded.read_text() if recorded.exists() else "")
    if not match:
        raise Failure(f"{recorded} does not say how a Rust file is compiled")
    # As the kernel's Makefile exports it.
    return ["env", "RUSTC_BOOTSTRAP=1", *shlex.split(match[1]), *(f"-A{lint}" for lint in ALLOWED)]


def wrong(program, words, obj):
    """What is wrong with a program, and with its twin."""
    expected = re.findall(r"^//~ (.*)$", program.read_text(), re.M)
    target = obj / "ui.o"

    def compile(*cfg):
        return output([*words, *cfg, "--crate-name", program.stem, f"--emit=obj={target}", program], cwd=obj)

    refused, twin = compile("--cfg", "refused"), compile()
    # The compiler breaks long lines.
    message = " ".join(refused.stdout.split())
    problems = [f"does not say: {text}" for text in expected if " ".join(text.split()) not in message]
    if not expected:
        problems.append("does not say what is expected (//~ TEXT)")
    if not refused.returncode:
        problems = ["compiles"]
    if problems:
        yield f"{program.stem}: {'; '.join(problems)}\n{refused.stdout}"
    if twin.returncode or twin.stdout:
        yield f"{program.stem}: the twin does not compile silently:\n{twin.stdout}"


def ui(table, obj):
    start = time.monotonic()
    words = command(obj)
    programs = sorted(PROGRAMS.glob("*.rs"))
    problems = [problem for program in programs for problem in wrong(program, words, obj)]
    counts = Counts(2 * len(programs) - len(problems), len(problems))
    table.row("ui", counts, time.monotonic() - start, "\n".join(problems))
