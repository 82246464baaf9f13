// SPDX-License-Identifier: GPL-2.0

//! The page table of a mirror, and the pages in it.

use super::Mapping;
use crate::{
    bindings,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::lock::{
        mutex::MutexBackend,
        Guard, //
    },
    types::ForeignOwnable,
    xarray::{
        AllocKind,
        XArray, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::{
        self,
        Deref, //
    },
    ptr::{
        self,
        NonNull, //
    }, //
};

/// Returns the number of the page of `addr`.
#[inline]
pub(super) const fn index(addr: usize) -> usize {
    addr >> PAGE_SHIFT
}

/// The pages of a device, by their numbers in the address space.
///
/// # Invariants
///
/// An entry is the page of the address space at its index when a read was validated under the lock
/// of the table. No invalidation of the index was published since, except for those that make the
/// page exclusive to the device, and leave the page in its place.
///
/// The kernel has the page mapped, as memory: it is neither device memory that the CPU cannot
/// access, nor memory of a device on the bus, nor secret memory.
///
/// `len` is the number of entries.
#[pin_data]
pub(super) struct Table {
    #[pin]
    entries: XArray<TableEntry>,
    len: usize,
}

/// The access of the device to a page in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read = 1,
    Write = 2,
    Exclusive = 3,
}

/// A page in the table: its number, and its access.
///
/// # Invariants
///
/// It is a multiple of four, and not zero.
#[derive(Clone, Copy)]
pub(super) struct TableEntry(usize);

/// Returns whether a page is from `memfd_secret(2)`, and so not mapped by the kernel.
///
/// # Safety
///
/// `page` must be valid, and mapped by a process, which keeps its `mapping`.
// The C function uses a symbol that is not exported to modules, so this must not be inlined.
#[inline(never)]
unsafe fn is_secret(page: *const bindings::page) -> bool {
    // SAFETY: By the caller's contract.
    unsafe { bindings::page_is_secretmem(page) }
}

impl TableEntry {
    const PFN_SHIFT: u32 = 4;
    const KIND_SHIFT: u32 = 2;

    #[inline]
    pub(super) const fn new(pfn: usize, kind: Kind) -> Self {
        // INVARIANT: No `Kind` is zero, and there are no bits below it.
        Self(pfn << Self::PFN_SHIFT | (kind as usize) << Self::KIND_SHIFT)
    }

    /// Returns the entry for a page that was faulted in, and not left in memory of a device.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if the kernel must not access the page like memory.
    #[inline]
    fn from_mapping(mapping: Mapping<'_>) -> Result<Self> {
        let page = mapping.page().ok_or(EFAULT)?.as_ptr();

        // SAFETY: `page` is valid while the lock is held. A process has it mapped.
        if unsafe { bindings::is_pci_p2pdma_page(page) || is_secret(page) } {
            return Err(EFAULT);
        }
        let kind = if mapping.is_writable() {
            Kind::Write
        } else {
            Kind::Read
        };
        Ok(Self::new(mapping.pfn(), kind))
    }

    #[inline]
    const fn pfn(self) -> usize {
        self.0 >> Self::PFN_SHIFT
    }

    #[inline]
    const fn is(self, kind: Kind) -> bool {
        (self.0 >> Self::KIND_SHIFT) & 3 == kind as usize
    }
}

// SAFETY: By the type invariant it is not null as a pointer, and aligned as `FOREIGN_ALIGN` says.
unsafe impl ForeignOwnable for TableEntry {
    // That an `XArray` takes it for a pointer.
    const FOREIGN_ALIGN: usize = 4;

    type Borrowed<'a> = Self;
    type BorrowedMut<'a> = Self;

    #[inline]
    fn into_foreign(self) -> *mut c_void {
        ptr::without_provenance_mut(self.0)
    }

    #[inline]
    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // INVARIANT: By the caller's contract it is from `into_foreign()`.
        Self(ptr.addr())
    }

    #[inline]
    unsafe fn borrow<'a>(ptr: *mut c_void) -> Self::Borrowed<'a> {
        // INVARIANT: As above.
        Self(ptr.addr())
    }

    #[inline]
    unsafe fn borrow_mut<'a>(ptr: *mut c_void) -> Self::BorrowedMut<'a> {
        // INVARIANT: As above.
        Self(ptr.addr())
    }
}

impl Table {
    /// Creates a table with no pages in it.
    pub(super) fn new() -> impl PinInit<Self> {
        // INVARIANT: There are no entries.
        pin_init!(Self {
            entries <- XArray::new(AllocKind::Alloc),
            len: 0,
        })
    }

    /// Enters a page that was faulted in. No owner of device memory was named.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`] if the kernel must not access the page like memory.
    /// - [`ENOMEM`] if there is no memory for the table.
    #[inline]
    pub(super) fn enter(self: Pin<&mut Self>, addr: usize, page: Mapping<'_>) -> Result {
        // INVARIANT: The page can only be used while the read is valid and the lock is held. While
        // a process has the page, the kernel does not change its own mapping of the page.
        self.store(addr, TableEntry::from_mapping(page)?)
    }

    /// Enters a page. The caller is responsible for the invariant.
    #[inline]
    pub(super) fn store(self: Pin<&mut Self>, addr: usize, entry: TableEntry) -> Result {
        let this = self.project();

        // Callbacks take the lock that is held, so the allocation must not reclaim.
        let old = this.entries.lock().store(index(addr), entry, GFP_ATOMIC)?;
        // INVARIANT: There is one more, unless it replaced another.
        *this.len += usize::from(old.is_none());
        Ok(())
    }

    /// Removes pages, by their numbers, and returns the number of removed pages, which may be far
    /// smaller.
    pub(super) fn remove(self: Pin<&mut Self>, pages: ops::Range<usize>) -> usize {
        let this = self.project();
        let mut removed = 0;
        let mut next = pages.start;

        loop {
            // It is a spinlock, and so not held for the whole loop.
            let mut entries = this.entries.lock();
            let index = match entries.find_next(next) {
                Some((index, _)) if index < pages.end => index,
                _ => break,
            };
            entries.remove(index);
            removed += 1;
            next = index + 1;
        }
        // INVARIANT: Each of them was counted.
        *this.len -= removed;
        removed
    }
}

/// The table of a [`Mirror`](super::Mirror), locked. See there for an example.
///
/// Addresses need not be those of the start of a page.
#[must_use = "if unused, the lock will be immediately unlocked"]
pub struct Pages<'a>(pub(super) Guard<'a, Table, MutexBackend>);

impl Pages<'_> {
    /// Returns the page at the address `addr`, to read from.
    ///
    /// Returns [`None`] if it is not in the table.
    #[inline]
    pub fn page(&self, addr: usize) -> Option<Page<'_>> {
        self.get(addr).map(|(page, _)| page)
    }

    /// Returns the page at the address `addr`, to read from and write to.
    ///
    /// Returns [`None`] if it is not in the table, or if it may only be read.
    #[inline]
    pub fn page_mut(&self, addr: usize) -> Option<PageMut<'_>> {
        match self.get(addr)? {
            (_, entry) if entry.is(Kind::Read) => None,
            // INVARIANT: The device may write to pages of the other kinds.
            (page, _) => Some(PageMut(page)),
        }
    }

    /// Returns whether the page at the address `addr` is in the table, and is exclusive to the
    /// device.
    ///
    /// See [`Mirror::make_exclusive`](super::Mirror::make_exclusive).
    #[inline]
    pub fn is_exclusive(&self, addr: usize) -> bool {
        self.get(addr)
            .is_some_and(|(_, entry)| entry.is(Kind::Exclusive))
    }

    /// Returns the number of pages that are in the table.
    #[inline]
    pub fn count(&self) -> usize {
        self.0.len
    }

    #[inline]
    fn get(&self, addr: usize) -> Option<(Page<'_>, TableEntry)> {
        // SAFETY: Entries are stored and removed through a `Pin<&mut Table>`, and there is none
        // while `self` is borrowed.
        let entry = unsafe { self.0.entries.get_unlocked(index(addr)) }?;
        // SAFETY: By the invariant of `Table` it is the number of a page that the address space
        // has. It has a `struct page`, or it would not have been entered.
        let page = unsafe { NonNull::new_unchecked(bindings::pfn_to_page(entry.pfn())) };

        // INVARIANT: By the invariant of `Table` the address space has had the page since the read
        // was validated. It only loses the page in a published invalidation. An invalidation needs
        // the lock to publish, and the lock is held while `self` is borrowed.
        Some((Page(page, PhantomData), entry))
    }
}

/// A page of user memory, to read from, while the table of its [`Mirror`](super::Mirror) is locked.
///
/// See there for an example.
///
/// # Invariants
///
/// For `'a`, the pointer is to the `struct page` of a page that an address space has mapped, and
/// the kernel too.
pub struct Page<'a>(NonNull<bindings::page>, PhantomData<&'a ()>);

impl Page<'_> {
    /// Copies bytes from the page, beginning at `offset`, into `buf`.
    ///
    /// The process and others may write to the page at the same time. Then `buf` gets any mixture
    /// of old and new bytes.
    ///
    /// It does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes are not all within the page.
    pub fn read(&self, offset: usize, buf: &mut [u8]) -> Result {
        check_bounds(offset, buf.len())?;

        // SAFETY: By the type invariant the page is valid and can be accessed. The bytes are within
        // it, as was just checked, and `buf` has room for them. The C function allows that they are
        // written at the same time.
        unsafe {
            bindings::memcpy_from_shared_page(
                buf.as_mut_ptr().cast(),
                self.0.as_ptr(),
                offset,
                buf.len(),
            )
        };
        Ok(())
    }
}

/// A page of user memory, to read from and write to, while the table of its
/// [`Mirror`](super::Mirror) is locked.
///
/// See there for an example.
///
/// # Invariants
///
/// The address space has the page mapped for writing, or gave it to the device for that.
pub struct PageMut<'a>(Page<'a>);

impl PageMut<'_> {
    /// Copies `buf` into the page, beginning at `offset`, and marks the page as dirty.
    ///
    /// The process and others may access the page at the same time. Then they see any mixture of
    /// old and new bytes.
    ///
    /// It does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes are not all within the page.
    pub fn write(&self, offset: usize, buf: &[u8]) -> Result {
        check_bounds(offset, buf.len())?;
        let page = self.0 .0.as_ptr();

        // SAFETY: By the type invariants the page is valid, and may be written to. The bytes are
        // within it, as was just checked. The C function allows that they are accessed at the same
        // time.
        unsafe {
            bindings::memcpy_to_shared_page(page, offset, buf.as_ptr().cast(), buf.len());
        }
        // The process may be allowed to write to a page to which it has not written yet: one that
        // was swapped in for a read, or whose content it has given up (`MADV_FREE`). Reclaim would
        // use the copy on the disk, or treat the page as empty.
        //
        // SAFETY: The page is valid. It is neither truncated nor written back meanwhile: both begin
        // with an invalidation, which needs the lock.
        unsafe { bindings::set_page_dirty(page) };
        Ok(())
    }
}

impl<'a> Deref for PageMut<'a> {
    type Target = Page<'a>;

    #[inline]
    fn deref(&self) -> &Page<'a> {
        &self.0
    }
}

/// Fails unless `len` bytes, beginning at `offset`, are all within a page.
#[inline]
fn check_bounds(offset: usize, len: usize) -> Result {
    match offset.checked_add(len) {
        Some(end) if end <= PAGE_SIZE => Ok(()),
        _ => Err(EINVAL),
    }
}
