# SPDX-License-Identifier: GPL-2.0
"""Read the results of `make bench` from the logs of its kernels, and calculate the costs."""

import dataclasses
import re
import typing

# The kernels, as in build.CONFIGS. The first two count instructions, with the C helpers inlined into Rust or called.
# The third takes the time.
INLINED, CALLED, TIME = "bench", "bench-calls", "bench-uml"

COST = re.compile(r"cost: table=(\w+) case=(\w+) bytes=(\d+) hits=(\d+) others=(\d+) who=(\w+) batch=(\d+) "
                  r"q1=(\d+) median=(\d+) q3=(\d+)")
SIZE = re.compile(r"size: who=(\w+) (.*)")
# The output of oom_story, and the number of pages that the reaper drops for it.
REAP = re.compile(r"who=(\w+)\n# story .* cycles=(\d+)")
REAP_PAGES = 8192

# In nanoseconds: a clock may have steps of 10, and is read twice for the case and twice for the loop around it.
STEPS = 40


class Case(typing.NamedTuple):
    """A measurement: its operation, the size of the memory, and the numbers of notifiers in it and elsewhere."""
    table: str
    name: str
    bytes: int
    hits: int
    others: int

    def __str__(self):
        return self.name + (f", {self.others:,} others" if self.others else "")


@dataclasses.dataclass
class Cost:
    """The cost of a case in C and in Rust, and with empty callbacks, which is the core.

    For callbacks C and Rust are without the core, unless it is a time. `spread` is the larger one's, in parts of its
    cost.
    """
    core: float
    c: float
    rust: float
    spread: float

    @property
    def ratio(self):
        """Return Rust/C, or None if it costs nothing in either. A cost of zero in C counts as one."""
        return self.rust / (self.c or 1) if self.rust or self.c else None


def cost(case, kernel, quartiles, batch):
    """Return the Cost of a case, from {language: its three quartiles} for one time out of a batch."""
    loop = quartiles["loop"][1] if "loop" in quartiles else 0
    medians = {who: median - loop for who, (_, median, _) in quartiles.items()}
    spread = max(max(quartiles[who][2] - quartiles[who][0], STEPS / batch) / max(medians[who], 1)
                 for who in ("c", "rust"))
    core = medians.get("core", 0)
    without = core if case.table == "callbacks" and kernel != TIME else 0
    return Cost(core, medians["c"] - without, medians["rust"] - without, spread)


def costs(text, kernel):
    """Return the costs in the log of a kernel: {Case: Cost}."""
    quartiles, batches = {}, {}
    for table, name, size, hits, others, who, batch, *cycles in COST.findall(text):
        case = Case(table, name, int(size), int(hits), int(others))
        quartiles.setdefault(case, {})[who] = [int(n) / int(batch) for n in cycles]
        batches[case] = int(batch)
    reap = Case("operations", "mirror_reap", REAP_PAGES * 4096, 1, 0)
    for who in sorted({who for who, _ in REAP.findall(text)}):
        cycles = sorted(int(cycles) / REAP_PAGES for name, cycles in REAP.findall(text) if name == who)
        quartiles.setdefault(reap, {})[who] = [cycles[len(cycles) * i // 4] for i in (1, 2, 3)]
        batches[reap] = REAP_PAGES
    return {case: cost(case, kernel, quartiles[case], batches[case]) for case in quartiles}


def sizes(text):
    """Return the bytes of a registration: {kind: {language: bytes}}."""
    kinds = {}
    for who, line in SIZE.findall(text):
        for kind, size in re.findall(r"(\w+)=(\d+)", line):
            kinds.setdefault(kind, {})[who] = int(size)
    return kinds
