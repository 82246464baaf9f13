# SPDX-License-Identifier: GPL-2.0
"""Compile each program of tests/ui twice: with `--cfg refused` it must fail with its error, without it must compile.

The program has the expected error in lines `//~ TEXT`.
"""

import re
import shlex
import time

from common import Failure, PROJECT, output
from table import Counts

PROGRAMS = PROJECT / "tests/ui"

# A program is short, and leaves out everything but its subject.
ALLOWED = ["dead_code", "missing_docs", "private_interfaces", "unreachable_code", "unused_imports", "unused_variables"]


def command(obj):
    """Return the command of the kernel's build for a Rust file outside of the kernel crate, without file names."""
    recorded = obj / "lib/tests/rust/.nonblock_kunit_main.o.cmd"
    match = re.match(r"savedcmd_\S+ := (.*?) --out-dir ", recorded.read_text() if recorded.exists() else "")
    if not match:
        raise Failure(f"{recorded} has no command for a Rust file")
    # The kernel's Makefile exports this.
    return ["env", "RUSTC_BOOTSTRAP=1", *shlex.split(match[1]), *(f"-A{lint}" for lint in ALLOWED)]


def wrong(program, words, obj):
    """Yield the problems of a program, and of its twin."""
    expected = re.findall(r"^//~ (.*)$", program.read_text(), re.M)
    target = obj / "ui.o"

    def compile(*cfg):
        return output([*words, *cfg, "--crate-name", program.stem, f"--emit=obj={target}", program], cwd=obj)

    refused, twin = compile("--cfg", "refused"), compile()
    # The compiler breaks long lines.
    message = " ".join(refused.stdout.split())
    problems = [f"the error lacks: {text}" for text in expected if " ".join(text.split()) not in message]
    if not expected:
        problems.append("the program has no expected error (//~ TEXT)")
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
