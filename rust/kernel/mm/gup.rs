// SPDX-License-Identifier: GPL-2.0

//! Access to the pages of user memory.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)
//!
//! Reference: <https://docs.kernel.org/core-api/pin_user_pages.html>

use crate::{
    bindings,
    error::to_result,
    mm::MmapReadGuard,
    page::PAGE_SIZE,
    prelude::*, //
};
use core::{
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// A reference to a page of anonymous user memory, to read from.
///
/// The page stays allocated while the reference exists, but the process may lose it at any time,
/// by unmapping it or by getting a copy in its place, and share it with a child by `fork(2)`. A
/// driver that wants to follow has an [MMU notifier](super::mmu_notifier), and drops the reference
/// when that says so. While it does not, the memory cannot be reclaimed.
///
/// Dropping it does not sleep.
///
/// # Invariants
///
/// The pointer is to a valid `struct page`, to which `self` owns a reference that was taken with
/// `FOLL_GET`.
pub struct UserPage(NonNull<bindings::page>);

// SAFETY: A reference to a page may be dropped by any task.
unsafe impl Send for UserPage {}
// SAFETY: Reading a page at the same time as others do is fine.
unsafe impl Sync for UserPage {}

impl UserPage {
    /// Copies bytes from the page, beginning at `offset`, into `buf`.
    ///
    /// The process and others may write to the page at the same time, in which case `buf` may get
    /// any mixture of old and new bytes.
    ///
    /// It does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes are not all within the page.
    pub fn read(&self, offset: usize, buf: &mut [u8]) -> Result {
        // SAFETY: By the type invariant the page is valid.
        unsafe { read_page(self.0, offset, buf) }
    }
}

impl Drop for UserPage {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant `self` owns a reference.
        unsafe { bindings::put_page(self.0.as_ptr()) };
    }
}

/// A reference to a page of anonymous user memory, to read from and write to.
///
/// See [`UserPage`].
///
/// It is a reference and no pin: reclaim does not even ask the notifiers about memory that is
/// pinned, see `shrink_folio_list()`. So nothing keeps the page with the process, and after a
/// `fork(2)` what is written to it may be seen by the child. To write to it is for a driver that
/// has an [MMU notifier](super::mmu_notifier), and has seen under its lock that there was no
/// invalidation since: case 3 of [pin_user_pages()].
///
/// [pin_user_pages()]: https://docs.kernel.org/core-api/pin_user_pages.html
///
/// # Invariants
///
/// The reference was taken with `FOLL_WRITE` and `FOLL_ANON`.
pub struct UserPageMut(UserPage);

impl UserPageMut {
    /// Copies `buf` into the page, beginning at `offset`.
    ///
    /// The process and others may access the page at the same time, in which case they may see any
    /// mixture of old and new bytes.
    ///
    /// The bytes are only seen by the process if it still has the page, and by others that share
    /// it by then, see [`UserPageMut`].
    ///
    /// It does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes are not all within the page.
    pub fn write(&self, offset: usize, buf: &[u8]) -> Result {
        // SAFETY: By the type invariants the page is valid and may be written to.
        unsafe { write_page(self.0 .0, offset, buf) }
    }
}

impl Deref for UserPageMut {
    type Target = UserPage;

    #[inline]
    fn deref(&self) -> &UserPage {
        &self.0
    }
}

/// Copies bytes from `page`, beginning at `offset`, into `buf`.
///
/// # Safety
///
/// `page` must be valid, and have memory that the CPU can access.
pub(super) unsafe fn read_page(
    page: NonNull<bindings::page>,
    offset: usize,
    buf: &mut [u8],
) -> Result {
    check_bounds(offset, buf.len())?;

    // SAFETY: By the caller's contract the page is valid, and the bytes are within it. The copy is
    // done by C code for which user memory may change at any time.
    unsafe {
        bindings::memcpy_from_page(buf.as_mut_ptr().cast(), page.as_ptr(), offset, buf.len())
    };
    Ok(())
}

/// Copies `buf` into `page`, beginning at `offset`.
///
/// # Safety
///
/// As for [`read_page`], and it must be allowed to write to the page.
pub(super) unsafe fn write_page(
    page: NonNull<bindings::page>,
    offset: usize,
    buf: &[u8],
) -> Result {
    check_bounds(offset, buf.len())?;

    // SAFETY: As above, and the page may be written to.
    unsafe { bindings::memcpy_to_page(page.as_ptr(), offset, buf.as_ptr().cast(), buf.len()) };
    Ok(())
}

fn check_bounds(offset: usize, len: usize) -> Result {
    match offset.checked_add(len) {
        Some(end) if end <= PAGE_SIZE => Ok(()),
        _ => Err(EINVAL),
    }
}

impl MmapReadGuard<'_> {
    /// Gets a reference to the page at the address `addr`, and faults it in if necessary.
    ///
    /// Only anonymous memory, the private mapping of no file, is accepted: writing to pages of a
    /// file takes more than a reference to them. If the page is only there for reading, for
    /// example because it is shared with another process since a `fork(2)`, the reference is to
    /// the shared page.
    ///
    /// It sleeps.
    ///
    /// Equivalent to the C function `get_user_pages_remote()` with `FOLL_ANON`.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if there is no anonymous memory at the address, or the process may not read it.
    /// - [`EINTR`] if the current task is being killed.
    /// - [`ENOMEM`] if there is no memory for the page.
    /// - `EHWPOISON` if the page is broken.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::MmWithUser,
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// /// Reads a byte of the address space.
    /// fn peek(mm: &MmWithUser, addr: usize) -> Result<u8> {
    ///     let page = mm.mmap_read_lock().get_user_page(addr)?;
    ///     let mut byte = [0];
    ///     page.read(addr % PAGE_SIZE, &mut byte)?;
    ///     Ok(byte[0])
    /// }
    /// # // Doctests run in kernel threads, which have no address space.
    /// # if let Some(mm) = kernel::current!().mm() {
    /// #     peek(mm, PAGE_SIZE)?;
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "get_user_pages_remote")]
    pub fn get_user_page(&self, addr: usize) -> Result<UserPage> {
        self.get_user_page_raw(addr, 0)
    }

    /// Gets a reference to the page at the address `addr`, to write to.
    ///
    /// Like [`get_user_page`](Self::get_user_page), but the process gets a page of its own if it
    /// does not have one yet, and the page is marked as written to.
    ///
    /// # Errors
    ///
    /// Those of [`get_user_page`](Self::get_user_page), and [`EFAULT`] if the process may not write
    /// to the page.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::MmWithUser,
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// /// Writes a byte of the address space.
    /// fn poke(mm: &MmWithUser, addr: usize, byte: u8) -> Result {
    ///     let page = mm.mmap_read_lock().get_user_page_mut(addr)?;
    ///     page.write(addr % PAGE_SIZE, &[byte])
    /// }
    /// # // Doctests run in kernel threads, which have no address space.
    /// # if let Some(mm) = kernel::current!().mm() {
    /// #     poke(mm, PAGE_SIZE, 1)?;
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "get_user_pages_remote")]
    pub fn get_user_page_mut(&self, addr: usize) -> Result<UserPageMut> {
        // INVARIANT: `get_user_page_raw()` adds `FOLL_ANON`.
        Ok(UserPageMut(
            self.get_user_page_raw(addr, bindings::FOLL_WRITE)?,
        ))
    }

    fn get_user_page_raw(&self, addr: usize, flags: c_uint) -> Result<UserPage> {
        let mut page = ptr::null_mut();
        // SAFETY: By the type invariants the mmap lock of `self.mm` is held, and it has users.
        // `page` has room for the one page that is asked for. Without `locked` the mmap lock is not
        // released in between.
        let ret = unsafe {
            bindings::get_user_pages_remote(
                self.mm.as_raw(),
                addr,
                1,
                flags | bindings::FOLL_ANON,
                &mut page,
                ptr::null_mut(),
            )
        };
        to_result(ret as c_int)?;

        // INVARIANT: `get_user_pages_remote()` adds `FOLL_GET` if it is passed an array of pages.
        Ok(UserPage(NonNull::new(page).ok_or(EFAULT)?))
    }
}
