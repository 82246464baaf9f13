// SPDX-License-Identifier: GPL-2.0

//! Pages that only the device may access.

use super::{
    mirror::{
        Device,
        Mirror, //
    },
    request::{
        mm_for,
        Timeout, //
    },
    table::{
        Kind,
        Pages,
        TableEntry, //
    }, //
};
#[cfg(CONFIG_DEVICE_PRIVATE)]
use crate::error::from_err_ptr;
use crate::{
    bindings,
    error::to_result,
    mm::MmWithUser,
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    time::Delta, //
};
use core::ptr;

impl<D: Device> Mirror<D> {
    /// Takes the page at the address `addr` away from the CPU, and enters it into the table.
    ///
    /// If the process accesses the page, or a driver does so for it, the access faults, and the
    /// page is removed from the table before the access continues. So while the table is locked,
    /// only the device reads or writes the page, and its operations are atomic for the process. One
    /// exception is a driver with a reference to the page, for example for direct I/O.
    ///
    /// The table that it returns has the page. It sleeps, and takes the `mmap_lock` of the address
    /// space.
    ///
    /// Equivalent to the C function `make_device_exclusive()`, and the loop that its documentation
    /// requires.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the page is not in the range of the mirror, or is behind the part of the
    ///   address space that the process can map.
    /// - [`EBUSY`] if the range was invalidated again and again for longer than `timeout`.
    /// - [`EFAULT`] if there is no memory at the address, if the process may not write to it, or if
    ///   the process has exited.
    /// - [`EOPNOTSUPP`] if the memory is not anonymous, or in a huge page of `hugetlbfs`, or
    ///   without `CONFIG_DEVICE_PRIVATE`.
    /// - [`EINTR`] if the current task is being killed.
    /// - [`ENOMEM`] if there is no memory for the page or the table.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::hmm::{
    ///         self,
    ///         Mirror, //
    ///     },
    ///     page::PAGE_MASK, //
    /// };
    ///
    /// /// Exchanges the byte at the address `addr`, atomically for the process.
    /// fn exchange(mirror: &Mirror, addr: usize, new: u8) -> Result<u8> {
    ///     let pages = mirror.make_exclusive(addr, hmm::DEFAULT_TIMEOUT)?;
    ///     let page = pages.page_mut(addr).ok_or(EFAULT)?;
    ///     let mut old = [0];
    ///
    ///     page.read(addr & !PAGE_MASK, &mut old)?;
    ///     page.write(addr & !PAGE_MASK, &[new])?;
    ///     Ok(old[0])
    /// }
    /// ```
    #[doc(alias = "make_device_exclusive")]
    pub fn make_exclusive(&self, addr: usize, timeout: Delta) -> Result<Pages<'_>> {
        let start = addr & PAGE_MASK;
        let end = start.checked_add(PAGE_SIZE).ok_or(EINVAL)?;
        // It is put with the lock held, so not by `mmput()`, which would call us.
        let mm = mm_for(&self.notifier, &(start..end))?;

        // The callback recognizes its own invalidations by this address.
        let owner = ptr::from_ref(&*self.notifier).cast_mut().cast();
        let mut timeout = Timeout::new(Some(timeout));
        loop {
            let seq = self.notifier.read_begin();
            let page = ExclusivePage::new(&mm, start, owner)?;

            if let Some(mut table) = seq.lock() {
                // INVARIANT: The read is validated, and the lock held. Only anonymous memory is
                // made exclusive, and it is not secret. Pages in device memory are faulted back
                // before.
                let entry = TableEntry::new(page.pfn(), Kind::Exclusive);
                table.as_mut().store(start, entry)?;
                return Ok(Pages(table));
            }
            drop(page);
            timeout.check()?;
            // If the page was exclusive already, it was faulted back before it was made exclusive
            // again. This invalidation came in between, and would come each time. So fault the page
            // back ahead of the read.
            fault_back(&mm, start)?;
        }
    }
}

/// Faults in the page at the address `addr` for writing, like an access of the process.
fn fault_back(mm: &MmWithUser, addr: usize) -> Result {
    let _mmap = mm.mmap_read_lock();

    // SAFETY: The address space has users, and its mmap lock is held. The lock is not released in
    // between, because the argument for that is null.
    to_result(unsafe {
        bindings::fixup_user_fault(
            mm.as_raw(),
            addr,
            bindings::fault_flag_FAULT_FLAG_WRITE,
            ptr::null_mut(),
        )
    })
}

/// A page that was made exclusive, and remains so while this exists.
///
/// # Invariants
///
/// `page` is a page of `folio`, which is locked, and to which `self` owns a reference.
struct ExclusivePage {
    page: *mut bindings::page,
    folio: *mut bindings::folio,
}

impl ExclusivePage {
    /// Makes the page at the address `addr` exclusive, on behalf of `owner`, which is only
    /// compared.
    #[cfg(CONFIG_DEVICE_PRIVATE)]
    fn new(mm: &MmWithUser, addr: usize, owner: *mut c_void) -> Result<Self> {
        let mut folio = ptr::null_mut();
        let mmap = mm.mmap_read_lock();
        // SAFETY: The address space has users, and its mmap lock is held. The owner is only
        // compared.
        let page = from_err_ptr(unsafe {
            bindings::make_device_exclusive(mm.as_raw(), addr, owner, &mut folio)
        })?;
        drop(mmap);

        // INVARIANT: `make_device_exclusive()` returns with the folio locked and referenced.
        Ok(Self { page, folio })
    }

    #[cfg(not(CONFIG_DEVICE_PRIVATE))]
    fn new(_mm: &MmWithUser, _addr: usize, _owner: *mut c_void) -> Result<Self> {
        Err(EOPNOTSUPP)
    }

    #[inline]
    fn pfn(&self) -> usize {
        // SAFETY: By the type invariant the page is valid.
        unsafe { bindings::page_to_pfn(self.page) }
    }
}

impl Drop for ExclusivePage {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the folio is locked.
        unsafe { bindings::folio_unlock(self.folio) };
        // SAFETY: By the type invariant `self` owns a reference.
        unsafe { bindings::folio_put(self.folio) };
    }
}
