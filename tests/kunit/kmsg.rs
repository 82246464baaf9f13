// SPDX-License-Identifier: GPL-2.0

//! Reports in the kernel log that a test provokes.

use kernel::{
    prelude::*,
    task::Task,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// The reports in the kernel log.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) headers: c_uint,
    pub(crate) details: c_uint,
    pub(crate) others: c_uint,
}

impl Seen {
    /// The one expected report, with its detail.
    pub(crate) const ONE: Self = Self {
        headers: 1,
        details: 1,
        others: 0,
    };

    /// Nothing at all.
    pub(crate) const NONE: Self = Self {
        headers: 0,
        details: 0,
        others: 0,
    };
}

extern "C" {
    fn nonblock_kunit_log_end() -> u64;
    fn nonblock_kunit_log_since(start: u64, header: *const c_char, detail: *const c_char) -> Seen;
}

/// The first line of the report of a function that may sleep.
pub(crate) const MIGHT_SLEEP: &CStr = c"BUG: sleeping function called from invalid context at ";

/// The first line of the report of a task that does sleep.
pub(crate) const SCHEDULING: &CStr = c"BUG: scheduling in a non-blocking section: ";

/// Runs `f`, and returns the reports of the log meanwhile.
pub(crate) fn watch(header: &CStr, detail: &CStr, f: impl FnOnce()) -> Seen {
    // SAFETY: It may be called at any time.
    let start = unsafe { nonblock_kunit_log_end() };
    f();
    // SAFETY: The strings live until the end of the function.
    unsafe { nonblock_kunit_log_since(start, header.as_char_ptr(), detail.as_char_ptr()) }
}

/// Runs `f`, which provokes one report, and announces the report in the log.
pub(crate) fn provoke(header: &CStr, detail: &CStr, f: impl FnOnce()) -> Seen {
    expect(&[header], detail, f)
}

/// Like [`provoke`], for several reports of one thing; the reports of the first of them.
pub(crate) fn expect(headers: &[&CStr], detail: &CStr, f: impl FnOnce()) -> Seen {
    // `__might_resched()` reports once per second for the whole system.
    fsleep(Delta::from_millis(1100));
    for header in headers {
        pr_info!("expect-report: 1 {header}\n");
    }
    let mut seen = watch(headers[0], detail, f);
    pr_info!("expect-report: end\n");

    // The judge of the log counts those.
    seen.others = seen.others.saturating_sub(headers.len() as c_uint - 1);
    seen
}

/// Runs `f`, in which nothing must be reported, and then provokes the report, in order to see that
/// it would have been seen.
///
/// Returns the reports of the two.
pub(crate) fn silent(f: impl FnOnce()) -> (Seen, Seen) {
    // If `f` is reported after all, then within the second the control is not.
    fsleep(Delta::from_millis(1100));
    let silence = watch(MIGHT_SLEEP, SCHEDULING, f);

    pr_info!("expect-report: 1 {MIGHT_SLEEP}\n");
    let control = watch(MIGHT_SLEEP, c"non_block: 1,", || {
        kernel::nonblock::non_block(|_| kernel::task::might_sleep())
    });
    pr_info!("expect-report: end\n");

    (silence, control)
}

/// The number of non-blocking sections that the current task is in.
pub(crate) fn sections() -> c_int {
    let task = Task::current_raw();
    // SAFETY: It is the current task, and only that one writes the field.
    unsafe { (*task).non_block_count }
}
