// SPDX-License-Identifier: GPL-2.0

//! User memory for KUnit tests, and its invalidation.
//!
//! A KUnit test runs in a kernel thread, which has no memory of user space. A driver that works on
//! the memory of a process can be tested with:
//!
//! - [`TestMm`], the address space of the current test, in which it maps and unmaps memory;
//! - [`read()`] and [`write()`], which access memory as its process does;
//! - [`new_mm`], another address space, which ends when the test wants it to;
//! - [`invalidate`] and [`try_invalidate`], which call the MMU notifiers of an address space, the
//!   second one like the OOM reaper; [`Invalidation`] is in between its start and its end;
//! - [`NotTriedFirst`], for a test that depends on which callbacks are called.
//!
//! All functions may sleep. They take the `mmap_lock` of the address space, except those that
//! invalidate, which take no lock. Addresses and sizes are in bytes.
//!
//! A KUnit assertion that fails ends the task of the test, without running destructors. So a test
//! must not assert in a callback, nor while a notifier lives on its stack. Callbacks record their
//! results, and the test asserts after it dropped the notifier.
//!
//! The module is there with `CONFIG_KUNIT=y` and `CONFIG_MMU`.
//!
//! C headers: [`include/kunit/test.h`](srctree/include/kunit/test.h),
//! [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)

use super::MmWithUser;
use crate::{
    bindings,
    error::to_result,
    prelude::*,
    sync::aref::ARef,
    types::NotThreadSafe, //
};
use core::{
    ops::Deref,
    ptr, //
};

#[cfg(CONFIG_MMU_NOTIFIER)]
mod invalidation;
#[cfg(CONFIG_MMU_NOTIFIER)]
pub use self::invalidation::{
    invalidate,
    try_invalidate,
    Invalidation, //
};

#[cfg(CONFIG_MMU_NOTIFIER)]
mod try_first;
#[cfg(CONFIG_MMU_NOTIFIER)]
pub use self::try_first::NotTriedFirst;

/// A protection of memory that can be read; see [`TestMm::mmap`].
pub const PROT_READ: usize = bindings::PROT_READ as usize;

/// A protection of memory that can be written to; see [`TestMm::mmap`].
pub const PROT_WRITE: usize = bindings::PROT_WRITE as usize;

/// The address space of the current test.
///
/// It lasts as long as the task of the test. The test has this memory like a process, for example
/// for a driver that uses the address space of the current task.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::kunit::{
///         read,
///         write,
///         TestMm,
///         PROT_READ,
///         PROT_WRITE, //
///     },
///     page::PAGE_SIZE, //
/// };
///
/// let mm = TestMm::attach()?;
/// let addr = mm.mmap(2 * PAGE_SIZE, PROT_READ | PROT_WRITE)?;
///
/// write(&mm, addr, b"data")?;
/// mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
///
/// let mut data = [0; 4];
/// read(&mm, addr, &mut data)?;
/// assert_eq!(&data, b"data");
/// assert_eq!(read(&mm, addr + PAGE_SIZE, &mut data), Err(EFAULT));
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `mm` is the address space of the task that has the value.
pub struct TestMm {
    mm: ARef<MmWithUser>,
    // Other tasks do not have the address space.
    _nts: NotThreadSafe,
}

impl TestMm {
    /// Gives the current test an address space, or returns the one that it has already.
    ///
    /// Equivalent to the C function `kunit_attach_mm()`.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the current task does not run a test.
    /// - [`ENOMEM`] if there is no memory for the address space.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     current,
    ///     mm::kunit::TestMm, //
    /// };
    ///
    /// let mm = TestMm::attach()?;
    ///
    /// assert!(core::ptr::eq(&*mm, current!().mm().ok_or(EINVAL)?));
    /// assert!(core::ptr::eq(&*mm, &*TestMm::attach()?));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn attach() -> Result<Self> {
        // SAFETY: It may be called at any time.
        if unsafe { bindings::kunit_get_current_test() }.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: The current task runs a test, so it is a kernel thread that KUnit created for
        // it, and that may be given an address space.
        to_result(unsafe { bindings::kunit_attach_mm() })?;

        // INVARIANT: The task keeps its address space until it exits, and `Self` is not `Send`.
        Ok(Self {
            mm: crate::current!().mm().ok_or(EINVAL)?.into(),
            _nts: NotThreadSafe,
        })
    }

    /// Maps private anonymous memory, and returns its address.
    ///
    /// `len` is rounded up to whole pages. `prot` is made of [`PROT_READ`] and [`PROT_WRITE`], or
    /// 0. The memory stays mapped until the end of the test, if it is not unmapped.
    ///
    /// Equivalent to the C function `vm_mmap()`.
    ///
    /// # Errors
    ///
    /// Those of `mmap(2)`, for example [`EINVAL`] for no bytes at all.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::{mm::kunit::*, page::PAGE_SIZE};
    /// let mm = TestMm::attach()?;
    /// let addr = mm.mmap(1, PROT_READ)?;
    ///
    /// assert_eq!(read(&mm, addr, &mut [0; 8]), Ok(()));
    /// assert_eq!(mm.mmap(0, PROT_READ), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mmap(&self, len: usize, prot: usize) -> Result<usize> {
        self.vm_mmap(0, len, prot, 0)
    }

    /// Maps private anonymous memory at `addr`, in place of memory that is mapped there.
    ///
    /// `addr` is the address of a page. Otherwise like [`TestMm::mmap`], and `mmap(2)` with
    /// `MAP_FIXED`.
    ///
    /// # Errors
    ///
    /// Those of `mmap(2)`, for example [`ENOMEM`] if the range does not end within the address
    /// space.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::{mm::kunit::*, page::PAGE_SIZE};
    /// let mm = TestMm::attach()?;
    /// let addr = mm.mmap(2 * PAGE_SIZE, PROT_READ)?;
    ///
    /// mm.munmap(addr, PAGE_SIZE)?;
    /// mm.mmap_at(addr, PAGE_SIZE, PROT_READ)?;
    /// assert_eq!(read(&mm, addr, &mut [0]), Ok(()));
    /// assert_eq!(mm.mmap_at(mm.task_size(), PAGE_SIZE, PROT_READ), Err(ENOMEM));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn mmap_at(&self, addr: usize, len: usize, prot: usize) -> Result {
        self.vm_mmap(addr, len, prot, bindings::MAP_FIXED)?;
        Ok(())
    }

    fn vm_mmap(&self, addr: usize, len: usize, prot: usize, flags: u32) -> Result<usize> {
        let flags = (bindings::MAP_PRIVATE | bindings::MAP_ANONYMOUS | flags) as usize;
        // SAFETY: By the type invariant the current task has an address space.
        let addr = unsafe { bindings::vm_mmap(ptr::null_mut(), addr, len, prot, flags, 0) };

        if addr >= (-(bindings::MAX_ERRNO as isize)) as usize {
            return Err(Error::from_errno(addr as c_int));
        }
        Ok(addr)
    }

    /// Unmaps a range, which calls the MMU notifiers of the address space.
    ///
    /// `addr` is the address of a page, and `len` is rounded up to whole pages. Memory that is not
    /// mapped is passed over.
    ///
    /// Equivalent to the C function `vm_munmap()`.
    ///
    /// # Errors
    ///
    /// Those of `munmap(2)`, for example [`EINVAL`] for a range from within a page.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::mm::kunit::*;
    /// let mm = TestMm::attach()?;
    /// let addr = mm.mmap(1, PROT_READ)?;
    ///
    /// mm.munmap(addr, 1)?;
    /// assert_eq!(read(&mm, addr, &mut [0]), Err(EFAULT));
    /// assert_eq!(mm.munmap(addr + 1, 1), Err(EINVAL));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn munmap(&self, addr: usize, len: usize) -> Result {
        // SAFETY: By the type invariant the current task has an address space.
        to_result(unsafe { bindings::vm_munmap(addr, len) })
    }
}

impl Deref for TestMm {
    type Target = MmWithUser;

    #[inline]
    fn deref(&self) -> &MmWithUser {
        &self.mm
    }
}

/// Reads memory, as a process does. Memory that was never written to is zero.
///
/// Equivalent to the C function `access_remote_vm()`.
///
/// # Errors
///
/// [`EFAULT`] if some of the memory is not mapped, or cannot be read. `bytes` then has the part
/// before it.
///
/// # Examples
///
/// ```
/// # use kernel::mm::kunit::*;
/// let mm = TestMm::attach()?;
/// let mut bytes = [1; 8];
///
/// read(&mm, mm.mmap(1, PROT_READ)?, &mut bytes)?;
/// assert_eq!(bytes, [0; 8]);
/// assert_eq!(read(&mm, mm.mmap(1, 0)?, &mut bytes), Err(EFAULT));
/// # Ok::<(), Error>(())
/// ```
pub fn read(mm: &MmWithUser, addr: usize, bytes: &mut [u8]) -> Result {
    // SAFETY: `bytes` is valid for writes of its length.
    unsafe { access(mm, addr, bytes.as_mut_ptr(), bytes.len(), 0) }
}

/// Writes to memory like a process, so the memory gets its own page.
///
/// Equivalent to the C function `access_remote_vm()`.
///
/// # Errors
///
/// [`EFAULT`] if some of the memory is not mapped, or cannot be written to. The part before it is
/// written then.
///
/// # Examples
///
/// ```
/// # use kernel::mm::kunit::*;
/// let mm = TestMm::attach()?;
///
/// write(&mm, mm.mmap(1, PROT_READ | PROT_WRITE)?, b"data")?;
/// assert_eq!(write(&mm, mm.mmap(1, PROT_READ)?, b"data"), Err(EFAULT));
/// # Ok::<(), Error>(())
/// ```
pub fn write(mm: &MmWithUser, addr: usize, bytes: &[u8]) -> Result {
    let ptr = bytes.as_ptr().cast_mut();

    // SAFETY: `bytes` is valid for reads of its length, and is not written to with
    // `FOLL_WRITE`.
    unsafe { access(mm, addr, ptr, bytes.len(), bindings::FOLL_WRITE) }
}

/// # Safety
///
/// `ptr` must be valid for reads of `len` bytes, and without `FOLL_WRITE` for writes.
unsafe fn access(mm: &MmWithUser, addr: usize, ptr: *mut u8, len: usize, flags: c_uint) -> Result {
    let len = c_int::try_from(len)?;
    // SAFETY: The address space has users, and `ptr` is valid by the caller's contract.
    let done = unsafe { bindings::access_remote_vm(mm.as_raw(), addr, ptr.cast(), len, flags) };

    if done != len {
        return Err(EFAULT);
    }
    Ok(())
}

/// Creates an empty address space without a task.
///
/// The process that it stands for exits when the last reference is dropped: MMU notifiers are
/// released then. Nothing can be mapped into it, but its notifiers can be called with
/// [`invalidate`].
///
/// Equivalent to the C function `mm_alloc()`, with the size of a process.
///
/// # Errors
///
/// Those of [`TestMm::attach`].
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{
///         kunit::new_mm,
///         Mm, //
///     },
///     sync::aref::ARef, //
/// };
///
/// let user = new_mm()?;
/// let mm = ARef::<Mm>::from(&**user);
/// assert!(mm.mmget_not_zero().is_some());
///
/// drop(user);
/// assert!(mm.mmget_not_zero().is_none());
/// # Ok::<(), Error>(())
/// ```
pub fn new_mm() -> Result<ARef<MmWithUser>> {
    let task_size = TestMm::attach()?.task_size();
    // SAFETY: It may be called at any time.
    let mm = ptr::NonNull::new(unsafe { bindings::mm_alloc() }).ok_or(ENOMEM)?;

    // Otherwise `execve(2)` sets it.
    //
    // SAFETY: There is no other reference to the address space yet.
    unsafe { (*mm.as_ptr()).__bindgen_anon_1.task_size = task_size };
    // SAFETY: `mm_alloc()` returns an address space with one user, which is handed on.
    Ok(unsafe { ARef::from_raw(mm.cast()) })
}
