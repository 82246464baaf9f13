// SPDX-License-Identifier: GPL-2.0

//! System calls, signals and pages of the current test, which has to have attached its
//! [`TestMm`](kernel::mm::kunit::TestMm).

use crate::prelude::*;
use kernel::{
    bindings,
    error::to_result, //
};

extern "C" {
    fn nonblock_kunit_signal_begin();
    fn nonblock_kunit_signal_end();
    fn nonblock_kunit_kill_begin();
    fn nonblock_kunit_kill_end();
    fn nonblock_kunit_mprotect(addr: usize, len: usize, prot: usize) -> c_long;
    fn nonblock_kunit_mremap(
        addr: usize,
        old_len: usize,
        new_len: usize,
        flags: usize,
        new_addr: usize,
    ) -> c_long;
    fn nonblock_kunit_madvise(addr: usize, len: usize, advice: c_int) -> c_long;
    fn nonblock_kunit_fork() -> c_long;
    fn nonblock_kunit_pfn(addr: usize) -> c_long;
    fn nonblock_kunit_page_refs(addr: usize) -> c_long;
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    fn nonblock_kunit_allow_huge_pages();
    #[cfg(CONFIG_DEVICE_PRIVATE)]
    fn nonblock_kunit_device_memory_create(owner: *mut c_void) -> c_int;
    #[cfg(CONFIG_DEVICE_PRIVATE)]
    fn nonblock_kunit_device_memory_destroy();
    #[cfg(CONFIG_DEVICE_PRIVATE)]
    fn nonblock_kunit_device_memory_take(addr: usize, second: bool) -> c_int;
}

fn checked(ret: c_long) -> Result {
    // Negative ones are errors, and so within the range of an `int`.
    to_result(if ret < 0 { ret as c_int } else { 0 })
}

/// `mprotect(2)`.
pub(crate) fn mprotect(addr: usize, len: usize, prot: usize) -> Result {
    // SAFETY: The current task is that of the test, which has an address space.
    checked(unsafe { nonblock_kunit_mprotect(addr, len, prot) })
}

/// `mremap(2)` of a range to another of the same size.
pub(crate) fn mremap(from: usize, len: usize, to: usize) -> Result {
    let flags = (bindings::MREMAP_MAYMOVE | bindings::MREMAP_FIXED) as usize;
    // SAFETY: As above.
    checked(unsafe { nonblock_kunit_mremap(from, len, len, flags, to) })
}

/// `madvise(2)` with `MADV_DONTNEED`.
pub(crate) fn dontneed(addr: usize, len: usize) -> Result {
    // SAFETY: As above.
    checked(unsafe { nonblock_kunit_madvise(addr, len, bindings::MADV_DONTNEED as c_int) })
}

/// `madvise(2)` with `MADV_HUGEPAGE`, after huge pages were allowed.
#[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
pub(crate) fn hugepage(addr: usize, len: usize) -> Result {
    // SAFETY: It may be called at any time.
    unsafe { nonblock_kunit_allow_huge_pages() };
    // SAFETY: The current task is that of the test, which has an address space.
    checked(unsafe { nonblock_kunit_madvise(addr, len, bindings::MADV_HUGEPAGE as c_int) })
}

/// `fork(2)`; the child exits immediately.
pub(crate) fn fork() -> Result {
    // SAFETY: As above.
    checked(unsafe { nonblock_kunit_fork() })
}

/// Returns the page frame number of a page that the test has, if it is there.
pub(crate) fn pfn(addr: usize) -> Option<usize> {
    // SAFETY: The current task is that of the test, which has an address space.
    usize::try_from(unsafe { nonblock_kunit_pfn(addr) }).ok()
}

/// Returns how many references there are to a page that the test has, if it is there.
pub(crate) fn page_refs(addr: usize) -> Option<usize> {
    // SAFETY: As above.
    usize::try_from(unsafe { nonblock_kunit_page_refs(addr) }).ok()
}

/// Runs `f` while the two pages from `addr` on, which the test has written to, are in memory of a
/// device that `owner` stands for, and unmaps them.
///
/// They are next to each other there, in two memories.
#[cfg(CONFIG_DEVICE_PRIVATE)]
pub(crate) fn in_device_memory<D, R>(
    mm: &TestMm,
    addr: usize,
    owner: &D,
    f: impl FnOnce() -> R,
) -> Result<R> {
    let owner = core::ptr::from_ref(owner).cast_mut().cast();
    let take = |second| {
        let addr = addr + usize::from(second) * PAGE_SIZE;
        // SAFETY: The current task is that of the test, and there is the memory.
        to_result(unsafe { nonblock_kunit_device_memory_take(addr, second) })
    };

    // SAFETY: Only one test at a time does this. The owner is only compared.
    to_result(unsafe { nonblock_kunit_device_memory_create(owner) })?;
    let ret = take(false).and_then(|()| take(true)).map(|()| f());
    let unmapped = mm.munmap(addr, 2 * PAGE_SIZE);
    // SAFETY: The pages, the only ones, were unmapped.
    unsafe { nonblock_kunit_device_memory_destroy() };
    unmapped.and(ret)
}

/// Runs `f` while a signal is pending for the current task.
pub(crate) fn with_signal_pending<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: The current task is that of the test, which has no signals of its own.
    unsafe { nonblock_kunit_signal_begin() };
    let ret = f();
    // SAFETY: As above.
    unsafe { nonblock_kunit_signal_end() };
    ret
}

/// Runs `f` while the current task is being killed.
pub(crate) fn while_killed<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: The current task is that of the test, which has no signals of its own.
    unsafe { nonblock_kunit_kill_begin() };
    let ret = f();
    // SAFETY: As above.
    unsafe { nonblock_kunit_kill_end() };
    ret
}
