# SPDX-License-Identifier: GPL-2.0
"""Look at the instructions in object files."""

import re

from common import Failure, output

# Its functions do nothing but begin and end one thing each, which may compile to nothing.
PROBE = "lib/tests/rust/nonblock_probe.o"
# It calls MMU notifiers, and with the debug options tries, counts and times that. Tracepoints stay, behind static keys.
CORE = "mm/mmu_notifier.o"


def functions(file, names):
    """Return the instructions of the functions with such names in an object file, as objdump lists them."""
    result = output(["llvm-objdump", "-d", "-r", "--no-show-raw-insn", "--no-leading-addr", file])
    if result.returncode:
        raise Failure(f"no object code in {file}:\n{result.stdout}")
    instructions = {}
    for function, body in re.findall(rf"^(?:[0-9a-f]+ )?<({names})>:\n((?:.+\n?)*)", result.stdout, re.M):
        lines = [" ".join(line.split()) for line in body.splitlines()]
        # The instructions after the last return are padding.
        while lines and re.match(r"(nop|int3|xchgw %ax, %ax|cs nop)", lines[-1]):
            lines.pop()
        instructions[function] = lines
    return instructions


def length(lines):
    return sum(not line.startswith("R_X86_64") and not re.match(r"[0-9a-f]+: R_X86_64", line) for line in lines)


def calls(lines):
    """Return whether the function calls another one, even as its last jump; the return thunk does not count."""
    return any("R_X86_64" in line and "__x86_return_thunk" not in line for line in lines) or \
        any(line.startswith("call") for line in lines)


def listing(instructions):
    return "\n".join(f"{function}:\n" + "\n".join(f"    {line}" for line in lines)
                     for function, lines in instructions.items())


def text_size(file):
    """Return the bytes of instructions in an object file."""
    return sum(map(int, re.findall(r"^\.text\S* +(\d+)", output(["llvm-size", "-A", file]).stdout, re.M)))


def probe_functions(tree, name):
    """Return the functions of the probe in configuration `name`, with their instructions."""
    probes = functions(tree.root / name / PROBE, r"probe_\w+")
    if len(probes) != 6:
        raise Failure(f"{name}: {len(probes)} functions in {PROBE}, expected 6")
    return probes


def nothing_left(tree, name):
    """Check that the probe's functions are as long as the one without a section, and list them."""
    probes = probe_functions(tree, name)
    if len({length(lines) for lines in probes.values()}) != 1:
        raise Failure(f"{name}: a section does not compile to nothing:\n{listing(probes)}")
    return listing(probes)


def debugging(tree, name):
    """Return the functions for debugging that CORE calls in configuration `name`."""
    result = output(["llvm-nm", "--undefined-only", tree.root / name / CORE])
    if result.returncode:
        raise Failure(f"no symbols in {CORE}:\n{result.stdout}")
    return re.findall(r" U (\w*(?:mn_debug|non_block)\w*)$", result.stdout, re.M)
