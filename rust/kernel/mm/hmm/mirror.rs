// SPDX-License-Identifier: GPL-2.0

//! A page table for a device that is software.

use super::{
    index,
    Access,
    Entry,
    Range,
    Slot,
    Valid, //
};
use crate::{
    bindings,
    mm::{
        gup::{
            read_page,
            write_page, //
        },
        mmu_notifier::{
            interval::{
                Invalidated,
                Invalidation,
                Notifier,
                Operations,
                TryInvalidation, //
            },
            Owner,
            WouldBlock, //
        },
        Mm,
        MmWithUser, //
    },
    new_mutex,
    nonblock::NonBlockGuard,
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Mutex, //
    },
    time::Delta,
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

#[cfg(CONFIG_DEVICE_PRIVATE)]
use super::{
    check,
    Timeout, //
};
#[cfg(CONFIG_DEVICE_PRIVATE)]
use crate::error::{
    from_err_ptr,
    to_result, //
};

/// The pages of an address space, for a device that reads and writes them with the CPU.
///
/// It has a page table, into which [`fault`](Self::fault) and its relatives enter pages, and from
/// which invalidations of the address space remove them. [`lock`](Self::lock) locks both out, and
/// gives access to what is in the table at that moment.
///
/// No reference is taken to the pages, so that they can be reclaimed and migrated at any time but
/// while the table is locked. That this is safe does not depend on the driver: the callbacks of
/// the notifier are not its own, and so an invalidation is never overlooked, or answered before the
/// pages are removed.
///
/// Dropping it sleeps, see [`Notifier`].
///
/// # Examples
///
/// ```
/// use core::ops::Range;
/// use kernel::{
///     mm::{
///         hmm::{
///             self,
///             Access,
///             Mirror, //
///         },
///         MmWithUser, //
///     },
///     page::{
///         PAGE_MASK,
///         PAGE_SIZE, //
///     }, //
/// };
///
/// /// A mirror of all of an address space.
/// fn mirror(mm: &MmWithUser) -> Result<Pin<KBox<Mirror>>> {
///     KBox::try_pin_init(Mirror::new(mm, 0..usize::MAX & PAGE_MASK), GFP_KERNEL)
/// }
///
/// /// Adds one to the byte at the address `addr`, and returns what it was.
/// fn increment(mirror: &Mirror, addr: usize) -> Result<u8> {
///     // The process may have exited, although the mirror exists.
///     let mm = mirror.mm().mmget_not_zero().ok_or(EFAULT)?;
///     let start = addr & PAGE_MASK;
///
///     loop {
///         if let Some(page) = mirror.lock().page_mut(addr) {
///             let mut byte = [0];
///             page.read(addr - start, &mut byte)?;
///             page.write(addr - start, &[byte[0].wrapping_add(1)])?;
///             return Ok(byte[0]);
///         }
///         mirror.fault_unlocked(
///             &mm,
///             start..start + PAGE_SIZE,
///             Access::Write,
///             Some(hmm::DEFAULT_TIMEOUT),
///         )?;
///     }
/// }
/// # // Doctests run in kernel threads, which have no address space.
/// # if let Some(mm) = kernel::current!().mm() {
/// #     increment(&*mirror(mm)?, PAGE_SIZE)?;
/// # }
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub struct Mirror {
    #[pin]
    notifier: Notifier<Inner>,
}

/// What the notifier of a [`Mirror`] has.
///
/// # Invariants
///
/// An entry of `table` is the page that the address space had at that index when a read of it was
/// validated under the lock. No invalidation of the index was published since, but for those that
/// make the page exclusive to this mirror, and leave it where it is.
///
/// The kernel has the page mapped, as memory: it is neither in memory of a device that the CPU
/// cannot access, nor memory of a device on the bus, nor memory that is secret.
#[pin_data]
struct Inner {
    #[pin]
    table: Mutex<XArray<TableEntry>>,
}

/// What the device may do with a page in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read = 1,
    Write = 2,
    Exclusive = 3,
}

/// A page in the table: its number, and what may be done with it.
///
/// # Invariants
///
/// It is a multiple of four, and not zero.
#[derive(Clone, Copy)]
struct TableEntry(usize);

impl TableEntry {
    const PFN_SHIFT: u32 = 4;
    const KIND_SHIFT: u32 = 2;

    #[inline]
    const fn new(pfn: usize, kind: Kind) -> Self {
        // INVARIANT: No `Kind` is zero, and there are no bits below it.
        Self(pfn << Self::PFN_SHIFT | (kind as usize) << Self::KIND_SHIFT)
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

impl Operations for Inner {
    type State = XArray<TableEntry>;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<XArray<TableEntry>> {
        &self.table
    }

    // Otherwise no read during which a page is made exclusive could be validated.
    fn is_own(&self, owner: Owner) -> bool {
        owner.is(self)
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let pages = op.pages();
        let (table, done) = op.lock();
        remove(&table, pages);
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let pages = op.pages();
        let (table, done) = op.try_lock()?;
        remove(&table, pages);
        Ok(done)
    }
}

/// Removes pages, by their numbers. There may be much less than that.
fn remove(table: &XArray<TableEntry>, pages: ops::Range<usize>) {
    let mut next = pages.start;

    loop {
        // It is a spinlock, and so not held for the whole loop.
        let mut entries = table.lock();
        let index = match entries.find_next(next) {
            Some((index, _)) if index < pages.end => index,
            _ => break,
        };
        entries.remove(index);
        next = index + 1;
    }
}

/// Calls `f` for parts of `range`, each with as many pages as are looked up at once.
fn for_each_part(range: ops::Range<usize>, mut f: impl FnMut(Range<'_>) -> Result) -> Result {
    if range.end & !PAGE_MASK != 0 {
        return Err(EINVAL);
    }

    let mut slots = [Slot::EMPTY; 32];
    let mut start = range.start;
    while start < range.end {
        let len = index(range.end - start).min(slots.len());
        f(Range::new(start, &mut slots[..len])?)?;
        start += len * PAGE_SIZE;
    }
    Ok(())
}

/// Enters pages into the table. They were faulted in, and no owner of device memory was named.
fn enter(mut valid: Valid<'_, Inner>) -> Result {
    let (table, entries) = valid.split();
    let mut table = table.lock();

    for (addr, entry) in entries {
        let Entry::Mapped(page) = entry else {
            return Err(EFAULT);
        };
        // SAFETY: It is the number of a page that has a `struct page`, or else there would be no
        // entry, and the address space has the page while the lock is held.
        let (present, on_the_bus) = unsafe {
            let page = bindings::pfn_to_page(page.pfn());
            (
                bindings::kernel_page_present(page),
                bindings::is_pci_p2pdma_page(page),
            )
        };
        if !present || on_the_bus {
            return Err(EFAULT);
        }
        let kind = if page.is_writable() {
            Kind::Write
        } else {
            Kind::Read
        };
        // Callbacks take the lock that is held, so the allocation must not reclaim.
        //
        // INVARIANT: The read is validated, and the lock held. Whether the kernel has a page
        // mapped, and as what, does not change while a process has it.
        table.store(index(addr), TableEntry::new(page.pfn(), kind), GFP_ATOMIC)?;
    }
    Ok(())
}

impl Mirror {
    /// Creates a mirror of `range` of `mm`, with no pages in its table.
    ///
    /// `range` is in bytes. It sleeps and may take the `mmap_lock` of `mm`.
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::new`].
    pub fn new<'a>(mm: &'a MmWithUser, range: ops::Range<usize>) -> impl PinInit<Self, Error> + 'a {
        // INVARIANT: The table is empty.
        let inner = try_pin_init!(Inner {
            table <- new_mutex!(XArray::new(AllocKind::Alloc)),
        }? Error);

        try_pin_init!(Self {
            notifier <- Notifier::new(mm, range, inner),
        }? Error)
    }

    /// The address space that is mirrored.
    ///
    /// It may have lost its users; see [`Mm::mmget_not_zero`].
    #[inline]
    pub fn mm(&self) -> &Mm {
        self.notifier.mm()
    }

    /// Locks the table, and so the pages that are in it.
    ///
    /// Invalidations wait meanwhile, or are refused if they must not wait. So it must not be held
    /// over an allocation that may reclaim, over an access to user memory or over
    /// [`fault`](Self::fault) and its relatives.
    ///
    /// It sleeps.
    #[inline]
    pub fn lock(&self) -> Pages<'_> {
        Pages(self.notifier.table.lock())
    }

    /// Enters the pages of `range` into the table, and faults them in where they are not there for
    /// the `access`.
    ///
    /// `range` is in bytes, and consists of whole pages. When it returns, invalidations may have
    /// removed some of them already.
    ///
    /// See [`Range::fault`] for what it waits for. `timeout` is for each part of the range that is
    /// looked up at once.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `range` does not start and end with a page, or is not in that of the mirror,
    ///   or if `mm` is another address space.
    /// - [`ENOMEM`] if there is no memory for the table.
    /// - [`EFAULT`] if the kernel must not access the memory either, see `memfd_secret(2)`, or if
    ///   it is that of a PCI device, which is not to be accessed like memory.
    /// - Those of [`Range::fault`].
    pub fn fault(
        &self,
        mm: &MmWithUser,
        range: ops::Range<usize>,
        access: Access,
        timeout: Delta,
    ) -> Result {
        for_each_part(range, |part| {
            enter(part.fault(&self.notifier, mm, access, timeout)?)
        })
    }

    /// Enters the pages of `range` into the table, and faults them in where they are not there for
    /// the `access`; waits for whoever handles a fault.
    ///
    /// Like [`fault`](Self::fault), see [`Range::fault_unlocked`] for the difference.
    ///
    /// # Errors
    ///
    /// Those of [`fault`](Self::fault) and [`Range::fault_unlocked`].
    pub fn fault_unlocked(
        &self,
        mm: &MmWithUser,
        range: ops::Range<usize>,
        access: Access,
        timeout: Option<Delta>,
    ) -> Result {
        for_each_part(range, |part| {
            enter(part.fault_unlocked(&self.notifier, mm, access, timeout)?)
        })
    }

    /// Takes the page at the address `addr` away from the CPU, and enters it into the table.
    ///
    /// If the process accesses the page, or a driver does so for it, it faults, and the page is
    /// removed from the table before the access goes on. So while the table is locked, nobody
    /// else reads or writes the page, and what the device does is atomic for the process. (Who
    /// has a reference to the page, for example for direct I/O, is not kept from using it.)
    ///
    /// The table that it returns has the page. It sleeps, and takes the `mmap_lock` of `mm`.
    ///
    /// Equivalent to the C function `make_device_exclusive()`, and the loop around it that its
    /// documentation asks for.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the page is not in the range of the mirror, or if `mm` is another address
    ///   space.
    /// - [`EBUSY`] if the range was invalidated again and again for longer than `timeout`.
    /// - [`EFAULT`] if there is no memory at the address, or the process may not write to it.
    /// - [`EOPNOTSUPP`] if the memory is not anonymous, or in a huge page of `hugetlbfs`.
    /// - [`EINTR`] if the current task is being killed.
    /// - [`ENOMEM`] if there is no memory for the page or the table.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         hmm::{
    ///             self,
    ///             Mirror, //
    ///         },
    ///         MmWithUser, //
    ///     },
    ///     page::PAGE_MASK, //
    /// };
    ///
    /// /// Exchanges the byte at the address `addr`, in one go for the process.
    /// fn exchange(mirror: &Mirror, mm: &MmWithUser, addr: usize, new: u8) -> Result<u8> {
    ///     let pages = mirror.make_exclusive(mm, addr, hmm::DEFAULT_TIMEOUT)?;
    ///     let page = pages.page_mut(addr).ok_or(EFAULT)?;
    ///     let mut old = [0];
    ///
    ///     page.read(addr & !PAGE_MASK, &mut old)?;
    ///     page.write(addr & !PAGE_MASK, &[new])?;
    ///     Ok(old[0])
    /// }
    /// ```
    #[cfg(CONFIG_DEVICE_PRIVATE)]
    #[doc(alias = "make_device_exclusive")]
    pub fn make_exclusive(
        &self,
        mm: &MmWithUser,
        addr: usize,
        timeout: Delta,
    ) -> Result<Pages<'_>> {
        let start = addr & PAGE_MASK;
        let end = start.checked_add(PAGE_SIZE).ok_or(EINVAL)?;
        check(&self.notifier, mm, &(start..end))?;

        // The address by which the callback knows its own doing.
        let owner: &Inner = &self.notifier;
        let mut timeout = Timeout::new(Some(timeout));
        loop {
            let seq = self.notifier.read_begin();
            let page = ExclusivePage::new(mm, start, owner)?;

            if let Some(table) = seq.lock() {
                // INVARIANT: The read is validated, and the lock held. Only anonymous memory is
                // made exclusive, which is not secret, and what was in memory of a device is
                // faulted back before.
                let entry = TableEntry::new(page.pfn(), Kind::Exclusive);
                table.lock().store(index(start), entry, GFP_ATOMIC)?;
                return Ok(Pages(table));
            }
            drop(page);
            timeout.check()?;
            // If the page was exclusive already, it was faulted back before it was made exclusive
            // again: that is what came in between, and would each time. Do it ahead of the read.
            let mmap = mm.mmap_read_lock();
            // SAFETY: The address space has users, and its mmap lock is held, which is not released
            // in between, as there is no room to say so.
            to_result(unsafe {
                bindings::fixup_user_fault(
                    mm.as_raw(),
                    start,
                    bindings::fault_flag_FAULT_FLAG_WRITE,
                    ptr::null_mut(),
                )
            })?;
            drop(mmap);
        }
    }
}

/// A page that was made exclusive, and remains so while this exists.
///
/// # Invariants
///
/// `page` is a page of `folio`, which is locked, and to which `self` owns a reference.
#[cfg(CONFIG_DEVICE_PRIVATE)]
struct ExclusivePage {
    page: *mut bindings::page,
    folio: *mut bindings::folio,
}

#[cfg(CONFIG_DEVICE_PRIVATE)]
impl ExclusivePage {
    fn new(mm: &MmWithUser, addr: usize, owner: &Inner) -> Result<Self> {
        let mut folio = ptr::null_mut();
        let mmap = mm.mmap_read_lock();
        // SAFETY: The address space has users, and its mmap lock is held. The owner is only
        // compared.
        let page = from_err_ptr(unsafe {
            bindings::make_device_exclusive(
                mm.as_raw(),
                addr,
                ptr::from_ref(owner).cast_mut().cast(),
                &mut folio,
            )
        })?;
        drop(mmap);

        // INVARIANT: `make_device_exclusive()` returns with the folio locked and referenced.
        Ok(Self { page, folio })
    }

    #[inline]
    fn pfn(&self) -> usize {
        // SAFETY: By the type invariant the page is valid.
        unsafe { bindings::page_to_pfn(self.page) }
    }
}

#[cfg(CONFIG_DEVICE_PRIVATE)]
impl Drop for ExclusivePage {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the folio is locked.
        unsafe { bindings::folio_unlock(self.folio) };
        // SAFETY: By the type invariant `self` owns a reference.
        unsafe { bindings::folio_put(self.folio) };
    }
}

/// The table of a [`Mirror`], locked. See there for an example.
///
/// Addresses need not be those of the start of a page.
#[must_use = "if unused, the lock will be immediately unlocked"]
pub struct Pages<'a>(Guard<'a, XArray<TableEntry>, MutexBackend>);

impl Pages<'_> {
    /// The page at the address `addr`, to read from.
    ///
    /// Returns [`None`] if it is not in the table.
    #[inline]
    pub fn page(&self, addr: usize) -> Option<Page<'_>> {
        self.get(addr).map(|(page, _)| page)
    }

    /// The page at the address `addr`, to read from and write to.
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

    /// Whether the page at the address `addr` is in the table, and is exclusive to the device.
    ///
    /// See `Mirror::make_exclusive()`, which there is with `CONFIG_DEVICE_PRIVATE`.
    #[inline]
    pub fn is_exclusive(&self, addr: usize) -> bool {
        self.get(addr)
            .is_some_and(|(_, entry)| entry.is(Kind::Exclusive))
    }

    #[inline]
    fn get(&self, addr: usize) -> Option<(Page<'_>, TableEntry)> {
        let entry = self.0.lock().get(index(addr))?;
        // SAFETY: By the invariant of `Inner` it is the number of a page that the address space
        // has, and so of one that has a `struct page`.
        let page = unsafe { NonNull::new_unchecked(bindings::pfn_to_page(entry.pfn())) };

        // INVARIANT: By the invariant of `Inner` the address space has had the page since the read
        // was validated. It only loses it in an invalidation that was published, and for that the
        // lock is needed, which is held while `self` is borrowed.
        Some((Page(page, PhantomData), entry))
    }
}

/// A page of user memory, to read from, while the table of its [`Mirror`] is locked.
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
    /// The process and others may write to the page at the same time, in which case `buf` may get
    /// any mixture of old and new bytes.
    ///
    /// It does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes are not all within the page.
    #[inline]
    pub fn read(&self, offset: usize, buf: &mut [u8]) -> Result {
        // SAFETY: By the type invariant the page is valid, and can be accessed.
        unsafe { read_page(self.0, offset, buf) }
    }
}

/// A page of user memory, to read from and write to, while the table of its [`Mirror`] is locked.
///
/// See there for an example.
///
/// # Invariants
///
/// The address space has the page mapped for writing, or gave it to the device for that.
pub struct PageMut<'a>(Page<'a>);

impl PageMut<'_> {
    /// Copies `buf` into the page, beginning at `offset`, and marks it as dirty.
    ///
    /// The process and others may access the page at the same time, in which case they may see any
    /// mixture of old and new bytes.
    ///
    /// It does not sleep.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the bytes are not all within the page.
    #[inline]
    pub fn write(&self, offset: usize, buf: &[u8]) -> Result {
        let page = self.0 .0;

        // SAFETY: By the type invariants the page is valid, and may be written to.
        unsafe { write_page(page, offset, buf)? };
        // The process may be allowed to write to a page to which it has not written yet: one that
        // was swapped in for a read, or whose content it has given up (`MADV_FREE`). Reclaim takes
        // such a page as it is on the disk, or for empty.
        //
        // SAFETY: The page is valid. It is neither truncated nor written back meanwhile: both begin
        // with an invalidation, for which the lock is needed.
        unsafe { bindings::set_page_dirty(page.as_ptr()) };
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
