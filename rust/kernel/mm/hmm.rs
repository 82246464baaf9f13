// SPDX-License-Identifier: GPL-2.0

//! Heterogeneous memory management: what a device needs to know of an address space.
//!
//! A device that works on the memory of a process needs to know which page is behind each address,
//! and whether it may be written to. [`Range`] asks the page tables of the CPU, with or without
//! faulting pages in. What it learns is only true until the process changes its memory, so it
//! comes together with the lock of an [interval notifier], validated: while that is held, nothing
//! changes. Before, and after, there is no way to get at it.
//!
//! [`Mirror`] goes one step further and keeps the pages, for a device that is software: it reads
//! and writes the memory of the process, without a reference to any page.
//!
//! ```text
//!  who                        takes                              and gets
//!  ---                        -----                              --------
//!  a driver of hardware       Range and its own notifier         numbers of pages, to translate
//!  a device that is software  Mirror                             pages, to read and write
//! ```
//!
//! C header: [`include/linux/hmm.h`](srctree/include/linux/hmm.h)
//!
//! Reference: <https://docs.kernel.org/mm/hmm.html>
//!
//! [interval notifier]: super::mmu_notifier::interval

use crate::{
    bindings,
    error::to_result,
    mm::{
        mmu_notifier::{
            interval::{
                Notifier,
                Operations, //
            },
            Owner, //
        },
        MmWithUser, //
    },
    page::{
        PAGE_MASK,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::lock::Guard,
    time::{
        msecs_to_jiffies,
        Delta,
        Instant,
        Jiffies,
        Monotonic, //
    }, //
};
use core::{
    marker::PhantomData,
    ops,
    ptr,
    slice, //
};

mod mirror;
pub use self::mirror::{
    Mirror,
    Page,
    PageMut,
    Pages, //
};

/// How long to go on if invalidations keep coming in between, if there is no reason for another
/// time. See [`Range`] for an example.
///
/// Corresponds to the C constant `HMM_RANGE_DEFAULT_TIMEOUT`.
pub const DEFAULT_TIMEOUT: Delta = Delta::from_millis(bindings::HMM_RANGE_DEFAULT_TIMEOUT as i64);

/// What the device wants to do with the pages of a range.
///
/// See [`Range`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read them.
    Read,
    /// Read and write them.
    Write,
}

impl Access {
    /// The flags that ask for it.
    #[inline]
    const fn as_raw(self) -> usize {
        match self {
            Self::Read => REQ_FAULT,
            Self::Write => REQ_FAULT | REQ_WRITE,
        }
    }
}

/// The value of a flag.
// In C it is that of an enumeration, which need not have the type of what it flags.
#[allow(clippy::unnecessary_cast)]
const fn flag(value: bindings::hmm_pfn_flags) -> usize {
    value as usize
}

const VALID: usize = flag(bindings::hmm_pfn_flags_HMM_PFN_VALID);
const WRITE: usize = flag(bindings::hmm_pfn_flags_HMM_PFN_WRITE);
const ERROR: usize = flag(bindings::hmm_pfn_flags_HMM_PFN_ERROR);
const REQ_FAULT: usize = flag(bindings::hmm_pfn_flags_HMM_PFN_REQ_FAULT);
const REQ_WRITE: usize = flag(bindings::hmm_pfn_flags_HMM_PFN_REQ_WRITE);
const FLAGS: usize = flag(bindings::hmm_pfn_flags_HMM_PFN_FLAGS);
const ORDER_SHIFT: usize = flag(bindings::hmm_pfn_flags_HMM_PFN_ORDER_SHIFT);
const ORDER_MASK: usize = 0x1f;

/// The order of a page that one entry of a page middle directory maps.
///
/// See [`Mapping`] for an example.
#[inline]
pub fn pmd_order() -> u32 {
    // SAFETY: It may be called at any time.
    unsafe { bindings::pmd_order() }
}

/// The order of a page that one entry of a page upper directory maps.
///
/// See [`Mapping`] for an example.
#[inline]
pub fn pud_order() -> u32 {
    // SAFETY: It may be called at any time.
    unsafe { bindings::pud_order() }
}

/// Room for what is learned about one page, see [`Range`].
///
/// It has nothing to say for itself: only [`Valid`] shows what is in it, and that only while the
/// lock of the notifier is held.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub struct Slot(c_ulong);

impl Slot {
    /// A slot with nothing in it.
    pub const EMPTY: Self = Self(0);
}

/// A range of addresses that a driver wants to know about.
///
/// Corresponds to the C type `struct hmm_range`.
///
/// # Examples
///
/// A driver with a device that can translate addresses:
///
/// ```
/// use kernel::mm::{
///     hmm::{
///         self,
///         Access,
///         Entry,
///         Slot, //
///     },
///     mmu_notifier::interval::{
///         Notifier,
///         Operations, //
///     },
///     MmWithUser, //
/// };
///
/// /// Has the device write to 16 pages from `start` on.
/// fn map<T: Operations>(notifier: &Notifier<T>, mm: &MmWithUser, start: usize) -> Result
/// where
///     T::State: Unpin,
/// {
///     let mut slots = [Slot::EMPTY; 16];
///     let mut valid = hmm::Range::new(start, &mut slots)?.fault_unlocked(
///         notifier,
///         mm,
///         Access::Write,
///         Some(hmm::DEFAULT_TIMEOUT),
///     )?;
///
///     let (table, entries) = valid.split();
///     let table = table.get_mut();
///     for (addr, entry) in entries {
///         if let Entry::Mapped(page) = entry {
///             // Here the driver enters `page` for `addr` into `table`.
/// #           let _ = (&table, addr, page.pfn());
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// # Invariants
///
/// `start` is the start of a page, there is at least one slot, and the range of as many pages does
/// not end behind the last address.
pub struct Range<'a> {
    start: usize,
    slots: &'a mut [Slot],
    owner: *mut c_void,
}

/// What has to be done if an attempt to look up the pages of a range did not fail.
enum Attempt {
    /// They were looked up, and have to be validated.
    Done,
    /// An invalidation came in between.
    Again,
}

impl<'a> Range<'a> {
    /// The range that begins at the address `start` and has as many pages as there are `slots`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if `start` is not the start of a page, if there are no slots, or if the range
    /// ends behind the last address.
    pub fn new(start: usize, slots: &'a mut [Slot]) -> Result<Self> {
        let len = slots.len().checked_mul(PAGE_SIZE).ok_or(EINVAL)?;

        if start & !PAGE_MASK != 0 || len == 0 || start.checked_add(len).is_none() {
            return Err(EINVAL);
        }
        // INVARIANT: It was just checked.
        Ok(Self {
            start,
            slots,
            owner: ptr::null_mut(),
        })
    }

    /// Leaves pages where they are that are in memory of a device, if `object` owns that memory.
    ///
    /// Without it pages that are in memory of a device that the CPU cannot access are faulted back,
    /// or left out by [`snapshot`](Self::snapshot). The driver names the owner by the address of
    /// `object`, which has to have a size, see [`Owner`].
    ///
    /// Corresponds to `dev_private_owner` in C.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::hmm::{
    ///     self,
    ///     Slot, //
    /// };
    ///
    /// /// A range in which pages that are in the memory of `device` stay there.
    /// fn range<'a, D>(
    ///     start: usize,
    ///     slots: &'a mut [Slot],
    ///     device: &'a D,
    /// ) -> Result<hmm::Range<'a>> {
    ///     Ok(hmm::Range::new(start, slots)?.owner(device))
    /// }
    /// ```
    #[inline]
    pub fn owner<D>(mut self, object: &'a D) -> Self {
        self.owner = ptr::without_provenance_mut(Owner::of(object).0);
        self
    }

    /// Looks up the pages that there are, and changes nothing.
    ///
    /// It takes the `mmap_lock` of `mm`, and sleeps: neither may that be held, nor the lock of
    /// `notifier`, which is held by what it returns.
    ///
    /// Equivalent to the C function `hmm_range_fault()` without `HMM_PFN_REQ_FAULT`, and the loop
    /// around it that its documentation asks for.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not in that of `notifier`, or if that is for another address
    ///   space than `mm`.
    /// - [`EBUSY`] if the range was invalidated again and again for longer than `timeout`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     hmm::{
    ///         self,
    ///         Entry,
    ///         Slot, //
    ///     },
    ///     mmu_notifier::interval::{
    ///         Notifier,
    ///         Operations, //
    ///     },
    ///     MmWithUser, //
    /// };
    ///
    /// /// Whether there is a page at the address `addr`.
    /// fn is_mapped<T: Operations>(
    ///     notifier: &Notifier<T>,
    ///     mm: &MmWithUser,
    ///     addr: usize,
    /// ) -> Result<bool> {
    ///     let mut slot = [Slot::EMPTY];
    ///     let range = hmm::Range::new(addr, &mut slot)?;
    ///     let mut valid = range.snapshot(notifier, mm, hmm::DEFAULT_TIMEOUT)?;
    ///
    ///     let (_, mut entries) = valid.split();
    ///     Ok(entries.all(|(_, entry)| matches!(entry, Entry::Mapped(_))))
    /// }
    /// ```
    #[doc(alias = "hmm_range_fault")]
    #[inline]
    pub fn snapshot<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        mm: &'a MmWithUser,
        timeout: Delta,
    ) -> Result<Valid<'a, T>> {
        self.look_up_mmap_locked(notifier, mm, 0, timeout)
    }

    /// Looks up the pages, and faults them in where they are not there for the `access`.
    ///
    /// It holds the `mmap_lock` of `mm` while it faults. So it does not do for memory whose faults
    /// are handled by the process itself, see `userfaultfd(2)`; new drivers should prefer
    /// [`fault_unlocked`](Self::fault_unlocked).
    ///
    /// It sleeps, and neither may the `mmap_lock` of `mm` be held, nor the lock of `notifier`,
    /// which is held by what it returns. All entries are [`Entry::Mapped`] then, and
    /// [writable](Mapping::is_writable) if that was asked for.
    ///
    /// Equivalent to the C function `hmm_range_fault()`, and the loop around it that its
    /// documentation asks for.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not in that of `notifier`, or if that is for another address
    ///   space than `mm`.
    /// - [`EBUSY`] if the range was invalidated again and again for longer than `timeout`.
    /// - [`EFAULT`] if there is no memory in all of the range, if it may not be read, or if a fault
    ///   was not handled.
    /// - [`EPERM`] if it may not be written to, but should.
    /// - [`ENOMEM`] if there is no memory for a page.
    /// - `EHWPOISON` if a page is broken.
    #[doc(alias = "hmm_range_fault")]
    #[inline]
    pub fn fault<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        mm: &'a MmWithUser,
        access: Access,
        timeout: Delta,
    ) -> Result<Valid<'a, T>> {
        self.look_up_mmap_locked(notifier, mm, access.as_raw(), timeout)
    }

    /// Looks up the pages, and faults them in where they are not there for the `access`; waits for
    /// whoever handles a fault.
    ///
    /// Like [`fault`](Self::fault), but the `mmap_lock` is released for faults that take long. If
    /// there is no `timeout` it goes on for ever, or until the current task is killed.
    ///
    /// Equivalent to the C function `hmm_range_fault_unlocked_timeout()`, and the loop around it.
    ///
    /// # Errors
    ///
    /// Those of [`fault`](Self::fault), and
    ///
    /// - [`EINTR`] if the current task is being killed.
    /// - [`EFAULT`] if the OOM reaper has taken memory of the process.
    #[doc(alias = "hmm_range_fault_unlocked_timeout")]
    pub fn fault_unlocked<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        mm: &'a MmWithUser,
        access: Access,
        timeout: Option<Delta>,
    ) -> Result<Valid<'a, T>> {
        let jiffies = timeout.map_or(0, to_jiffies);

        let attempt = |range: &mut bindings::hmm_range| {
            // SAFETY: `look_up()` passes a valid range in an address space with users.
            to_result(unsafe { bindings::hmm_range_fault_unlocked_timeout(range, jiffies) })?;
            Ok(Attempt::Done)
        };

        // SAFETY: `hmm_range_fault_unlocked_timeout()` sets the sequence number before it looks
        // anything up.
        unsafe { self.look_up(notifier, mm, access.as_raw(), timeout, attempt) }
    }

    /// Looks up the pages with the `mmap_lock` held.
    fn look_up_mmap_locked<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        mm: &'a MmWithUser,
        flags: usize,
        timeout: Delta,
    ) -> Result<Valid<'a, T>> {
        let attempt = |range: &mut bindings::hmm_range| {
            // SAFETY: `look_up()` passes the notifier, which is registered.
            range.notifier_seq = unsafe { bindings::mmu_interval_read_begin(range.notifier) };
            let _mmap = mm.mmap_read_lock();

            // SAFETY: `look_up()` passes a valid range in an address space with users, whose mmap
            // lock is held.
            match to_result(unsafe { bindings::hmm_range_fault(range) }) {
                Ok(()) => Ok(Attempt::Done),
                Err(EBUSY) => Ok(Attempt::Again),
                Err(error) => Err(error),
            }
        };

        // SAFETY: The closure sets the sequence number before it looks anything up.
        unsafe { self.look_up(notifier, mm, flags, Some(timeout), attempt) }
    }

    /// Looks up the pages with `attempt`, until no invalidation comes in between.
    ///
    /// # Safety
    ///
    /// `attempt` is called with a `struct hmm_range` that is valid and is for pages of `mm`. If it
    /// returns [`Attempt::Done`] then it must have set `notifier_seq` to what
    /// `mmu_interval_read_begin()` returned for `notifier`, and after that have looked up all of
    /// the pages. It must not write to another field.
    unsafe fn look_up<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        mm: &'a MmWithUser,
        flags: usize,
        timeout: Option<Delta>,
        mut attempt: impl FnMut(&mut bindings::hmm_range) -> Result<Attempt>,
    ) -> Result<Valid<'a, T>> {
        // OVERFLOW: There is none by the type invariant.
        let bytes = self.start..self.start + self.slots.len() * PAGE_SIZE;
        check(notifier, mm, &bytes)?;

        let mut range = bindings::hmm_range {
            notifier: notifier.as_raw(),
            notifier_seq: 0,
            start: bytes.start,
            end: bytes.end,
            // CAST: `Slot` is transparent.
            hmm_pfns: self.slots.as_mut_ptr().cast(),
            default_flags: flags,
            pfn_flags_mask: 0,
            dev_private_owner: self.owner,
        };
        let mut timeout = Timeout::new(timeout);

        loop {
            if let Attempt::Done = attempt(&mut range)? {
                // SAFETY: By the contract of this function the number is from
                // `mmu_interval_read_begin()` for `notifier`.
                let seq = unsafe { notifier.seq_from_raw(range.notifier_seq) };

                if let Some(guard) = seq.lock() {
                    // INVARIANT: By the contract of this function the slots are about the pages
                    // since the read began that was just validated.
                    return Ok(Valid {
                        guard,
                        start: self.start,
                        slots: self.slots,
                    });
                }
            }

            timeout.check()?;
        }
    }
}

/// Whether `bytes` are in the range of `notifier`, and that is for `mm`.
fn check<T: Operations>(
    notifier: &Notifier<T>,
    mm: &MmWithUser,
    bytes: &ops::Range<usize>,
) -> Result {
    let allowed = notifier.range();

    if bytes.start < allowed.start
        || bytes.end > allowed.end
        || !ptr::eq(notifier.mm().as_raw(), mm.as_raw())
    {
        return Err(EINVAL);
    }
    Ok(())
}

/// How long to go on.
struct Timeout {
    limit: Option<Delta>,
    /// When it was asked for the first time.
    began: Option<Instant<Monotonic>>,
}

impl Timeout {
    #[inline]
    fn new(limit: Option<Delta>) -> Self {
        Self { limit, began: None }
    }

    /// Asks whether to try again.
    ///
    /// The first try does not count: it may have waited for a fault.
    fn check(&mut self) -> Result {
        let began = *self.began.get_or_insert_with(Instant::now);

        if self.limit.is_some_and(|limit| began.elapsed() >= limit) {
            return Err(EBUSY);
        }
        Ok(())
    }
}

/// At least one, as none means that there is no limit.
fn to_jiffies(timeout: Delta) -> Jiffies {
    let msecs = timeout.as_millis_ceil().clamp(0, i64::from(i32::MAX));

    // CAST: It was just limited to what fits.
    msecs_to_jiffies(msecs as u32).max(1)
}

/// What is true of a range while the lock of a notifier is held.
///
/// See [`Range`] for an example.
///
/// # Invariants
///
/// `guard` holds the lock of a notifier. `slots` say what `hmm_range_fault()` learned about the
/// pages from `start` on, since a read of the address space that was validated under that lock.
/// `start` and `slots` are those of a [`Range`].
#[must_use = "if unused, the lock will be immediately unlocked"]
pub struct Valid<'a, T: Operations> {
    guard: Guard<'a, T::State, T::Backend>,
    start: usize,
    slots: &'a [Slot],
}

impl<T: Operations> Valid<'_, T> {
    /// What the lock protects, and the entries of the range with their addresses.
    ///
    /// The entries can only be used while the lock is held. To be found by invalidations that come
    /// later, what is made of them has to be stored in what the lock protects.
    #[inline]
    pub fn split(&mut self) -> (Pin<&mut T::State>, Entries<'_>) {
        let entries = Entries {
            addr: self.start,
            slots: self.slots.iter(),
        };

        (self.guard.as_mut(), entries)
    }
}

/// The entries of a range, each with its address, while the lock of the notifier is held.
///
/// See [`Valid::split`].
#[derive(Clone)]
pub struct Entries<'a> {
    /// The address of the next one.
    addr: usize,
    slots: slice::Iter<'a, Slot>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (usize, Entry<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let slot = self.slots.next()?;
        let addr = self.addr;

        // OVERFLOW: There is none by the invariant of the `Range` that it is from.
        self.addr += PAGE_SIZE;
        Some((addr, Entry::from_raw(slot.0)))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }
}

impl ExactSizeIterator for Entries<'_> {}

/// What is known about one page, while the lock of the notifier is held.
///
/// See [`Range`] for an example.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// There is no page yet, or none that may be accessed. A fault may change that.
    Empty,
    /// There cannot be a page: the memory is not mapped, may not be read, or has no `struct page`.
    Error,
    /// There is a page, and it may be read.
    Mapped(Mapping<'a>),
}

impl Entry<'_> {
    #[inline]
    fn from_raw(raw: usize) -> Self {
        if raw & ERROR != 0 {
            Self::Error
        } else if raw & VALID == 0 {
            Self::Empty
        } else {
            Self::Mapped(Mapping(raw, PhantomData))
        }
    }
}

/// A page that an address space has at an address, while the lock of the notifier is held.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::hmm::{
///         pmd_order,
///         Mapping, //
///     },
///     page::PAGE_SIZE, //
/// };
///
/// /// The number of bytes from `page` on that the device can map in one piece, without the
/// /// process having to have a page of its own first.
/// fn contiguous(page: Mapping<'_>) -> usize {
///     if page.is_zero() || !page.is_writable() {
///         return 0;
///     }
///     // The CPU may have mapped more of it at once than the device can.
///     let pages = 1 << page.order().min(pmd_order());
///     (pages - page.pfn() % pages) * PAGE_SIZE
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Mapping<'a>(usize, PhantomData<&'a ()>);

impl Mapping<'_> {
    /// The number of the page: its physical address divided by [`PAGE_SIZE`].
    ///
    /// It may be used after the lock is released, but then stands for another page at any time.
    #[doc(alias = "hmm_pfn_to_phys")]
    #[inline]
    pub fn pfn(&self) -> usize {
        self.0 & !FLAGS
    }

    /// Whether the page may be written to.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.0 & WRITE != 0
    }

    /// The order of the page that the CPU has mapped: it has `1 << order` times [`PAGE_SIZE`].
    ///
    /// It starts at a multiple of its size, which may be outside of the range, and all of it has
    /// the same access. [`pmd_order`] and [`pud_order`] are common ones.
    #[doc(alias = "hmm_pfn_to_map_order")]
    #[inline]
    pub fn order(&self) -> u32 {
        // CAST: The mask has few bits.
        ((self.0 >> ORDER_SHIFT) & ORDER_MASK) as u32
    }

    /// Whether it is the page of zeroes that many processes share.
    #[doc(alias = "is_zero_pfn")]
    #[inline]
    pub fn is_zero(&self) -> bool {
        // SAFETY: It may be called with any number.
        unsafe { bindings::is_zero_pfn(self.pfn()) }
    }
}

/// The number of the page that `addr` is in.
#[inline]
const fn index(addr: usize) -> usize {
    addr >> PAGE_SHIFT
}
