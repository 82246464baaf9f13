# SPDX-License-Identifier: GPL-2.0
"""Tests of the judge of kernel logs."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from log import announcements, judge  # noqa: E402

BOOT = """\
[    0.000000] Linux version 7.3.4 (nonblock@nonblock) (Debian clang version 19.1.7) #1 SMP PREEMPT_DYNAMIC @0
[    0.704000] Running RCU Tasks Trace wait API self tests
[    1.380035] kmemleak: Kernel memory leak detector initialized (mem pool available: 15643)
[    1.400036] KTAP version 1
[    1.400036] 1..1
[    1.404037]     ok 1 what_a_BUG: is_called
[    1.404037] ok 1 names_do_not_matter
"""

SLEEP = """\
[    2.101000] BUG: sleeping function called from invalid context at kernel/locking/mutex.c:591
[    2.102000] in_atomic(): 0, irqs_disabled(): 0, non_block: 1, pid: 64, name: kunit_try_catch
[    2.103000] preempt_count: 0, expected: 0
[    2.104000] RCU nest depth: 0, expected: 0
[    2.105000] INFO: lockdep is turned off.
[    2.106000] CPU: 1 UID: 0 PID: 64 Comm: kunit_try_catch Tainted: G                 N  7.3.4 #1 PREEMPT
[    2.107000] Call Trace:
[    2.108000]  <TASK>
[    2.109000]  dump_stack_lvl+0x6a/0x90
[    2.110000]  __might_resched+0x1a2/0x1c0
[    2.111000]  ? asm_exc_page_fault+0x26/0x30
[    2.112000] RIP: 0033:0x7f0c1a2b3c4d
[    2.113000]  </TASK>
"""

# UML: no <TASK>, and no stamp without CONFIG_PRINTK_TIME.
SLEEP_UML = """\
BUG: sleeping function called from invalid context at kernel/locking/mutex.c:591
in_atomic(): 0, irqs_disabled(): 0, non_block: 1, pid: 28, name: kunit_try_catch
CPU: 0 UID: 0 PID: 28 Comm: kunit_try_catch Tainted: G                 N  7.3.4 #1 NONE
Call Trace:
 [<600a1b2c>] ? _printk+0x0/0x9b
 [<600212ab>] show_stack+0x110/0x12e
 __might_resched+0x1a2/0x1c0
    ok 3 mutex_is_reported
"""

# arm64: no <TASK>, and a small letter.
SLEEP_ARM64 = """\
[    2.101000] BUG: sleeping function called from invalid context at kernel/locking/mutex.c:591
[    2.102000] in_atomic(): 0, irqs_disabled(): 0, non_block: 1, pid: 64, name: kunit_try_catch
[    2.103000] CPU: 1 UID: 0 PID: 64 Comm: kunit_try_catch Tainted: G                 N  7.3.4 #1 PREEMPT
[    2.104000] Hardware name: linux,dummy-virt (DT)
[    2.105000] Call trace:
[    2.106000]  show_stack+0x18/0x24 (C)
[    2.107000]  __might_resched+0x1a2/0x1c0
[    2.108000]     ok 3 mutex_is_reported
"""

WARN = """\
[    3.201000] ------------[ cut here ]------------
[    3.202000] mmu notifier refused a blockable range
[    3.203000] WARNING: mm/mmu_notifier.c:512 at __mmu_notifier_invalidate_range_start+0x10/0x20, CPU#0: oom/71
[    3.204000] Modules linked in: rust_mmu_mirror
[    3.205000] CPU: 0 UID: 0 PID: 71 Comm: oom Not tainted 7.3.4 #1 PREEMPT
[    3.206000] RIP: 0010:__mmu_notifier_invalidate_range_start+0x10/0x20
[    3.207000] Call Trace:
[    3.208000]  <TASK>
[    3.209000]  unmap_vmas+0x100/0x200
[    3.210000]  </TASK>
[    3.211000] irq event stamp: 1234
[    3.212000] ---[ end trace 0000000000000000 ]---
"""

LOCKDEP = """\
[    4.301000] =============================
[    4.302000] [ BUG: Invalid wait context ]
[    4.303000] 7.3.4 #1 Tainted: G                 N
[    4.304000] -----------------------------
[    4.305000] kunit_try_catch/70 is trying to lock:
[    4.306000] ffff888004a1b2c8 (&m->lock){+.+.}-{4:4}, at: mutex_lock_nested+0x1b/0x30
[    4.307000] other info that might help us debug this:
[    4.308000] stack backtrace:
[    4.309000] CPU: 0 UID: 0 PID: 70 Comm: kunit_try_catch Tainted: G                 N  7.3.4 #1 PREEMPT
[    4.310000] Call Trace:
[    4.311000]  <TASK>
[    4.312000]  __lock_acquire+0xa2b/0x2a10
[    4.313000]  </TASK>
"""

OOPS = """\
[    5.401000] BUG: kernel NULL pointer dereference, address: 0000000000000008
[    5.402000] #PF: supervisor read access in kernel mode
[    5.403000] Oops: Oops: 0000 [#1] SMP
[    5.404000] Call Trace:
[    5.405000]  <TASK>
[    5.406000]  mirror_read+0x10/0x20
[    5.407000]  </TASK>
[    5.408000] ---[ end trace 0000000000000000 ]---
"""

HUNG = """\
[   61.501000] INFO: task hog:93 blocked for more than 30 seconds.
[   61.502000]       Tainted: G                 N  7.3.4 #1
[   61.503000] "echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
[   61.504000] task:hog             state:D stack:0     pid:93    tgid:93    ppid:1
[   61.505000] Call Trace:
[   61.506000]  <TASK>
[   61.507000]  schedule+0x2e/0x90
[   61.508000]  </TASK>
"""

OOM_KILL = """\
[    6.601000] hog invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=1000
[    6.602000] CPU: 1 UID: 0 PID: 99 Comm: hog Not tainted 7.3.4 #1 PREEMPT
[    6.603000] Call Trace:
[    6.604000]  <TASK>
[    6.605000]  dump_header+0x5a/0x300
[    6.606000]  </TASK>
[    6.607000] Mem-Info:
[    6.608000] Out of memory: Killed process 99 (hog) total-vm:204800kB, anon-rss:160000kB, file-rss:0kB
[    6.609000] oom_reaper: reaped process 99 (hog), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB
"""


def window(body, *texts):
    begin = "".join(f"[    1.500000] nonblock: expect-report: {text}\n" for text in texts)
    return begin + body + "[    9.900000] nonblock: expect-report: end\n"


class Judge(unittest.TestCase):
    def assert_clean(self, log):
        self.assertEqual(judge(log), [])

    def assert_one(self, log, *texts):
        problems = judge(log)
        self.assertEqual(len(problems), 1, problems)
        for text in texts:
            self.assertIn(text, problems[0])

    def test_quiet_log_is_clean(self):
        self.assert_clean(BOOT)

    def test_oom_kill_is_no_report(self):
        self.assert_clean(BOOT + OOM_KILL)

    def test_unexpected_report_fails_with_its_lines(self):
        self.assert_one(BOOT + SLEEP, "unexpected", "mutex.c:591", "non_block: 1", "__might_resched+0x1a2/0x1c0")

    def test_each_kind_counts_once(self):
        for report in (SLEEP, SLEEP_UML, SLEEP_ARM64, WARN, LOCKDEP, OOPS, HUNG):
            with self.subTest(report.splitlines()[0]):
                self.assert_one(BOOT + report + BOOT)

    def test_reports_in_a_row_count_each(self):
        self.assertEqual(len(judge(SLEEP + WARN + LOCKDEP + SLEEP_UML + SLEEP_ARM64 + OOPS)), 6)

    def test_report_inside_another_counts(self):
        middle = SLEEP.index("[    2.105000]")
        self.assertEqual(len(judge(SLEEP[:middle] + LOCKDEP + SLEEP[middle:])), 2)

    def test_one_line_reports(self):
        for line in ("[    1.0] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
                     "[    1.0] kmemleak: Kernel memory leak detector disabled",
                     "[    1.0] hog[71]: segfault at 0 ip 0000000000401136 sp 00007ffd error 6 in hog",
                     "[    1.0] INFO: lockdep is turned off.",
                     "Segmentation fault"):
            with self.subTest(line):
                self.assert_one(BOOT + line + "\n" + BOOT, line.split("] ")[-1])

    def test_call_trace_without_a_report_fails(self):
        self.assert_one(BOOT + SLEEP[SLEEP.index("[    2.106000]"):], "Call Trace:")
        self.assert_one(BOOT + SLEEP_ARM64[SLEEP_ARM64.index("[    2.105000]"):], "Call trace:")

    def test_call_trace_after_a_finished_report_fails(self):
        self.assertEqual(len(judge(OOM_KILL + SLEEP[SLEEP.index("[    2.106000]"):])), 1)

    def test_announced_report_is_clean(self):
        for report, text in ((SLEEP, "BUG: sleeping function called from invalid context at kernel/locking/mutex.c"),
                             (SLEEP_UML, "BUG: sleeping function"), (LOCKDEP, "[ BUG: Invalid wait context ]"),
                             (WARN, "WARNING: mm/mmu_notifier.c"), (WARN, "refused a blockable range"),
                             (HUNG, "INFO: task hog"), (OOPS, "NULL pointer dereference")):
            with self.subTest(text):
                self.assert_clean(BOOT + window(report, f"1 {text}") + BOOT)

    def test_line_that_is_written_twice_counts_once(self):
        log = BOOT + window(SLEEP, "1 BUG: sleeping")
        for words in ("expect-report: 1 BUG", "BUG: sleeping function"):
            with self.subTest(words):
                cut = log.index(words) + len(words)
                line = log.rindex("\n", 0, cut) + 1
                self.assert_clean(log[:cut] + "\n** replaying previous printk message **\n" + log[line:])

    def test_count_too_low_fails(self):
        self.assert_one(window(SLEEP, "2 BUG: sleeping"), "expected 2", "saw 1")
        self.assert_one(window("", "1 BUG: sleeping"), "expected 1", "saw 0")

    def test_count_too_high_fails(self):
        self.assert_one(window(SLEEP + SLEEP, "1 BUG: sleeping"), "expected 1", "saw 2")

    def test_other_report_inside_the_window_fails(self):
        self.assert_one(window(SLEEP + WARN, "1 BUG: sleeping"), "unexpected", "mm/mmu_notifier.c:512")

    def test_header_decides_not_the_body(self):
        problems = judge(window(SLEEP, "1 non_block: 1"))
        self.assertEqual(len(problems), 2, problems)

    def test_report_outside_the_window_fails(self):
        self.assert_one(window(SLEEP, "1 BUG: sleeping") + SLEEP, "unexpected")
        self.assert_one(SLEEP + window(SLEEP, "1 BUG: sleeping"), "unexpected")

    def test_two_announcements_at_once(self):
        self.assert_clean(window(SLEEP + LOCKDEP, "1 BUG: sleeping", "1 Invalid wait context"))
        self.assert_one(window(SLEEP, "1 BUG: sleeping", "1 Invalid wait context"), "Invalid wait context", "saw 0")

    def test_end_closes_the_window_for_the_next(self):
        self.assert_clean(window(SLEEP, "1 BUG: sleeping") + window(WARN, "1 WARNING: "))

    def test_window_left_open_fails(self):
        self.assert_one("expect-report: 1 BUG: sleeping\n" + SLEEP, "not ended")

    def test_malformed_announcements_fail(self):
        for text in ("0 BUG: sleeping", "BUG: sleeping", "1", "-1 BUG", "end"):
            with self.subTest(text):
                self.assert_one(f"[    1.0] nonblock: expect-report: {text}\n", "not an announcement")

    def test_announcements_are_listed(self):
        self.assertEqual(announcements(window(SLEEP, "1 BUG: sleeping")), ["1 BUG: sleeping"])
        self.assertEqual(announcements(SLEEP), [])
