# SPDX-License-Identifier: GPL-2.0
"""Count test results in KTAP, with the kernel's own kunit.py."""

import json
import re

from common import output
from table import Counts


def count(tree, log):
    """Count the test cases in the file `log`; the Counts, and the failed ones with their lines as text."""
    results = log.with_suffix(".json")
    results.unlink(missing_ok=True)
    parse = output(["python3", "tools/testing/kunit/kunit.py", "parse", "--failed", f"--json={results}", log],
                   cwd=tree.src)
    if not results.exists():
        return Counts(failed=1), parse.stdout
    cases = json.loads(results.read_text())["misc"]
    # An error in the KTAP itself, such as a missing result, need not be a failed test case.
    failed = cases["failed"] + cases["crashed"] or min(cases["errors"], 1)
    return Counts(cases["passed"], failed, cases["skipped"]), failures(parse.stdout)


def failures(text):
    """What kunit.py prints about failed test cases, without its clock, rulers and summary."""
    lines = [re.sub(r"^\[\d\d:\d\d:\d\d\] ", "", line) for line in text.splitlines()]
    return "\n".join(line for line in lines if line and not re.match(r"={60}|Testing complete|Test results stored", line))


def listed(text, suite):
    """The test cases of `suite` in the log of a boot with kunit.action=list."""
    return re.findall(rf"^(?:\[ *[\d.]+\] )?{suite}\.(\w+)\r?$", text, re.M)


def plan_problem(text):
    """What is wrong with the plan at the top level of KTAP `text`, which kunit.py lets pass."""
    plan = re.search(r"^1\.\.(\d+)", text, re.M)
    results = re.findall(r"^(?:not )?ok \d+", text, re.M)
    if not plan:
        return "no KTAP plan"
    if len(results) != int(plan[1]):
        return f"{plan[1]} tests planned, {len(results)} run"
    return None
