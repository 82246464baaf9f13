// SPDX-License-Identifier: GPL-2.0

//! User memory for tests.

use core::ptr;
use kernel::{
    bindings,
    error::to_result,
    mm::MmWithUser,
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};

// As on every architecture that supports Rust; the bindings do not have them.
pub(crate) const PROT_READ: usize = 1;
pub(crate) const PROT_WRITE: usize = 2;
const MREMAP_MAYMOVE: usize = 1;
const MREMAP_FIXED: usize = 2;
const MADV_DONTNEED: c_int = 4;
#[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
const MADV_HUGEPAGE: c_int = 14;
const MAP_PRIVATE: usize = 0x02;
const MAP_FIXED: usize = 0x10;
const MAP_ANONYMOUS: usize = 0x20;

/// Gives the current test an address space, which lasts as long as its task.
pub(crate) fn attach_mm() -> Result<ARef<MmWithUser>> {
    // SAFETY: Tests run in a kernel thread of their own, which may be given an address space.
    to_result(unsafe { bindings::kunit_attach_mm() })?;

    Ok(kernel::current!().mm().ok_or(EINVAL)?.into())
}

/// Maps `len` bytes of private anonymous memory into the address space of the test.
pub(crate) fn mmap(len: usize, prot: usize) -> Result<usize> {
    vm_mmap(0, len, prot, 0)
}

/// Maps `len` bytes at `addr`, if that is possible.
pub(crate) fn mmap_at(addr: usize, len: usize, prot: usize) -> Result {
    vm_mmap(addr, len, prot, MAP_FIXED).map(|_addr| ())
}

fn vm_mmap(addr: usize, len: usize, prot: usize, flags: usize) -> Result<usize> {
    let flags = flags | MAP_PRIVATE | MAP_ANONYMOUS;
    // SAFETY: The current task has an address space, see `attach_mm()`.
    let addr = unsafe { bindings::vm_mmap(ptr::null_mut(), addr, len, prot, flags, 0) };

    // Errors are addresses in the last page.
    if addr > usize::MAX - PAGE_SIZE {
        return Err(ENOMEM);
    }
    Ok(addr)
}

/// Unmaps a range of the address space of the test.
pub(crate) fn munmap(addr: usize, len: usize) -> Result {
    // SAFETY: The current task has an address space, see `attach_mm()`.
    to_result(unsafe { bindings::vm_munmap(addr, len) })
}

/// Creates an address space that is torn down when the returned reference is dropped.
pub(crate) fn new_mm() -> Result<ARef<MmWithUser>> {
    // SAFETY: It may be called at any time.
    let mm = ptr::NonNull::new(unsafe { bindings::mm_alloc() }).ok_or(ENOMEM)?;
    // A process can map all of it. Otherwise `execve(2)` sets it.
    //
    // SAFETY: Nobody else has the address space yet.
    unsafe { (*mm.as_ptr()).__bindgen_anon_1.task_size = usize::MAX };
    // SAFETY: `mm_alloc()` returns an address space with one user, which is handed on.
    Ok(unsafe { ARef::from_raw(mm.cast()) })
}

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
}

fn checked(ret: c_long) -> Result {
    // Negative ones are errors, and so within the range of an `int`.
    to_result(if ret < 0 { ret as c_int } else { 0 })
}

/// `mprotect(2)`.
pub(crate) fn mprotect(addr: usize, len: usize, prot: usize) -> Result {
    // SAFETY: The current task has an address space, see `attach_mm()`.
    checked(unsafe { nonblock_kunit_mprotect(addr, len, prot) })
}

/// `mremap(2)` of a range to another of the same size.
pub(crate) fn mremap(from: usize, len: usize, to: usize) -> Result {
    let flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    // SAFETY: As above.
    checked(unsafe { nonblock_kunit_mremap(from, len, len, flags, to) })
}

/// `madvise(2)` with `MADV_DONTNEED`.
pub(crate) fn dontneed(addr: usize, len: usize) -> Result {
    // SAFETY: As above.
    checked(unsafe { nonblock_kunit_madvise(addr, len, MADV_DONTNEED) })
}

/// `madvise(2)` with `MADV_HUGEPAGE`, after huge pages were allowed.
#[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
pub(crate) fn hugepage(addr: usize, len: usize) -> Result {
    // SAFETY: It may be called at any time.
    unsafe { nonblock_kunit_allow_huge_pages() };
    // SAFETY: The current task has an address space, see `attach_mm()`.
    checked(unsafe { nonblock_kunit_madvise(addr, len, MADV_HUGEPAGE) })
}

/// `fork(2)`; the child exits at once.
pub(crate) fn fork() -> Result {
    // SAFETY: As above.
    checked(unsafe { nonblock_kunit_fork() })
}

/// Writes to a page, as its process does.
pub(crate) fn touch(mm: &MmWithUser, addr: usize) -> Result {
    write(mm, addr, &[1])
}

/// Writes to memory, as its process does.
pub(crate) fn write(mm: &MmWithUser, addr: usize, bytes: &[u8]) -> Result {
    let ptr = bytes.as_ptr().cast_mut();
    access(mm, addr, ptr, bytes.len(), bindings::FOLL_WRITE)
}

/// Reads memory, as its process does. Where there is none yet, it gets zeroes that are shared.
pub(crate) fn read(mm: &MmWithUser, addr: usize, bytes: &mut [u8]) -> Result {
    access(mm, addr, bytes.as_mut_ptr(), bytes.len(), 0)
}

fn access(mm: &MmWithUser, addr: usize, ptr: *mut u8, len: usize, flags: c_uint) -> Result {
    // SAFETY: The address space has users. `ptr` is for `len` bytes, and they are only written to
    // without `FOLL_WRITE`.
    let done =
        unsafe { bindings::access_remote_vm(mm.as_raw(), addr, ptr.cast(), len as c_int, flags) };

    if done as usize != len {
        return Err(EFAULT);
    }
    Ok(())
}

/// Returns the page frame number of a page that the test has, if it is there.
pub(crate) fn pfn(addr: usize) -> Option<usize> {
    // SAFETY: The current task has an address space, see `attach_mm()`.
    usize::try_from(unsafe { nonblock_kunit_pfn(addr) }).ok()
}

/// Returns how many references there are to a page that the test has, if it is there.
pub(crate) fn page_refs(addr: usize) -> Option<usize> {
    // SAFETY: As above.
    usize::try_from(unsafe { nonblock_kunit_page_refs(addr) }).ok()
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
