# SPDX-License-Identifier: GPL-2.0
"""Find a driver in the reports of the kernel: the file and line, and names as they are written."""

import re

from common import PROJECT, output

# The addresses of a call trace are those to return to; that of RIP, or on arm64 of pc, is where it is. A "?" is what
# the stack had before.
FRAME = re.compile(r"(?<!\? )(?<![\w.$])(?P<rip>RIP: \w+:|pc : )?(?P<function>[\w.$]+)\+0x(?P<offset>[0-9a-f]+)/0x[0-9a-f]+ \[(?P<module>\w+)")


def place(tree, modules, text, binutils=""):
    """The file and line of a driver in a report, "function [module]" without debug information, or None.

    `modules` are the files of the driver by the name of the module, and `binutils` the prefix of the names of the
    tools for them.
    """
    # Above the call trace are locks.
    traced = re.search(r"(Call [Tt]race:|RIP: |\bpc : )(.|\n)*", text)
    for frame in FRAME.finditer(traced[0] if traced else text):
        file = modules.get(frame["module"])
        if not file:
            continue
        # The call is before the address to return to.
        offset = int(frame["offset"], 16) - (0 if frame["rip"] else 1)
        # Without its size, to which the kernel adds the padding of a function of C.
        result = output(["env", f"CROSS_COMPILE={binutils}", tree.src / "scripts/faddr2line", file,
                         f"{frame['function']}+{offset:#x}"])
        lines = re.findall(r"\bat (\S+:\d+)", result.stdout)
        own = [line.removeprefix(f"{tree.src}/").removeprefix(f"{PROJECT}/") for line in lines if not is_shared(line)]
        return own[0] if own else f"{readable(frame['function'])} [{frame['module']}]"
    return None


def is_shared(line):
    """Whether a line is not the driver's, but inlined from a header or from another crate."""
    return bool(re.search(r"(^|/)(include|rust/(kernel|bindings|pin-init))/|^/rustc/|/library/|\?\?", line))


def readable(frame):
    """A line of a call trace with the names of Rust as they are written."""
    symbol = frame.split("+")[0]
    plain = output(["c++filt", symbol]).stdout.strip()
    # A crate's name has its hash behind it.
    return frame.replace(symbol, re.sub(r"\[[0-9a-f]+\]", "", plain))
