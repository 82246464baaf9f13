// SPDX-License-Identifier: GPL-2.0

//! The result of a look-up for each page of a range.

use super::Access;
use crate::{
    bindings,
    page::PAGE_SIZE,
    prelude::*, //
};
use core::{
    iter::Peekable,
    marker::PhantomData,
    ops,
    ptr::NonNull,
    slice, //
};

/// The value of a flag.
// In C it is a value of an enumeration, which may have another type than the field with the flags.
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

impl Access {
    /// Returns the flags of a request for the access.
    #[inline]
    pub(super) const fn as_raw(self) -> usize {
        match self {
            Self::Read => REQ_FAULT,
            Self::Write => REQ_FAULT | REQ_WRITE,
        }
    }
}

/// Returns the order of a page that one entry of a page middle directory maps.
///
/// See [`Mapping::order`] for an example.
#[inline]
pub fn pmd_order() -> u32 {
    // SAFETY: It may be called at any time.
    unsafe { bindings::pmd_order() }
}

/// Returns the order of a page that one entry of a page upper directory maps.
///
/// See [`Mapping::order`] for an example.
#[inline]
pub fn pud_order() -> u32 {
    // SAFETY: It may be called at any time.
    unsafe { bindings::pud_order() }
}

/// Room for the result of a look-up for one page; see [`Request`](super::Request).
///
/// Its contents cannot be read: only [`Valid`](super::Valid) gives access to them, while the lock
/// of the notifier is held.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Slot(c_ulong);

impl Slot {
    /// A slot with nothing in it.
    pub const EMPTY: Self = Self(0);
}

/// The entries of a range, each with its address, while the lock of the notifier is held.
///
/// See [`Valid::split`](super::Valid::split). A driver that only needs the present pages uses
/// [`runs`](Self::runs).
pub struct Entries<'a> {
    /// The address of the next one.
    addr: usize,
    slots: slice::Iter<'a, Slot>,
}

impl<'a> Entries<'a> {
    /// Returns the entries for the pages from `start` on, which must not end behind the last
    /// address.
    #[inline]
    pub(super) fn new(start: usize, slots: &'a [Slot]) -> Self {
        Self {
            addr: start,
            slots: slots.iter(),
        }
    }

    /// Returns the present pages in runs: pages that are next to each other both in the address
    /// space and in memory, and have the same access.
    ///
    /// A run is never larger than the range of the request, even if the range begins or ends in the
    /// middle of a huge page. So a driver can map each run in one piece.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::hmm::Entries,
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// /// Calls `map` with an address, a page frame number and a number of bytes for each piece of
    /// /// memory that the device can map in one piece.
    /// fn map_writable(
    ///     entries: Entries<'_>,
    ///     mut map: impl FnMut(usize, usize, usize) -> Result,
    /// ) -> Result {
    ///     for run in entries.runs().filter(|run| run.is_writable()) {
    ///         map(run.addrs().start, run.pfn(), run.addrs().len())?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn runs(self) -> Runs<'a> {
        Runs(self.peekable())
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (usize, Entry<'a>);

    // If it is optimized before it is inlined, the result goes through memory.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let slot = self.slots.next()?;
        let addr = self.addr;

        // OVERFLOW: There is none by the contract of `Entries::new()`.
        self.addr += PAGE_SIZE;
        Some((addr, Entry::from_raw(slot.0)))
    }
}

/// The pages of a range in runs, while the lock of the notifier is held.
///
/// See [`Entries::runs`].
pub struct Runs<'a>(Peekable<Entries<'a>>);

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let (start, first) = self.0.find_map(|(addr, entry)| match entry {
            Entry::Mapped(page) => Some((addr, page)),
            _ => None,
        })?;
        // OVERFLOW: There is none by the contract of `Entries::new()`.
        let mut end = start + PAGE_SIZE;
        let mut last = first;

        while let Some((_, Entry::Mapped(page))) = self
            .0
            .next_if(|(_, entry)| matches!(entry, Entry::Mapped(page) if page.continues(last)))
        {
            // OVERFLOW: As above.
            end += PAGE_SIZE;
            last = page;
        }
        Some(Run {
            addrs: start..end,
            first,
        })
    }
}

/// Pages that are next to each other both in the address space and in memory, and have the same
/// access, while the lock of the notifier is held.
///
/// All of it is memory of the system, or all of it is memory of the same device.
///
/// See [`Entries::runs`] for an example.
pub struct Run<'a> {
    addrs: ops::Range<usize>,
    first: Mapping<'a>,
}

impl Run<'_> {
    /// Returns the addresses of the pages in the address space.
    #[inline]
    pub fn addrs(&self) -> ops::Range<usize> {
        self.addrs.clone()
    }

    /// Returns the page frame number of the first page. The others follow.
    ///
    /// See [`Mapping::pfn`].
    #[inline]
    pub fn pfn(&self) -> usize {
        self.first.pfn()
    }

    /// Returns whether the pages may be written to.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.first.is_writable()
    }
}

/// The result for one page, while the lock of the notifier is held.
///
/// # Examples
///
/// ```
/// use kernel::mm::hmm::{
///     Entries,
///     Entry, //
/// };
///
/// /// Returns the address of the first page that the device cannot use, and no fault will help.
/// fn first_error(mut entries: Entries<'_>) -> Option<usize> {
///     entries
///         .find(|(_, entry)| matches!(entry, Entry::Error))
///         .map(|(addr, _)| addr)
/// }
/// ```
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

/// The page of an address space at an address, while the lock of the notifier is held.
///
/// See [`Entry`].
#[derive(Clone, Copy, Debug)]
pub struct Mapping<'a>(usize, PhantomData<&'a ()>);

impl Mapping<'_> {
    /// Returns the page frame number: the physical address divided by [`PAGE_SIZE`].
    ///
    /// You may use it after the lock is released, but the page may then change at any time.
    #[doc(alias = "hmm_pfn_to_phys")]
    #[inline]
    pub fn pfn(&self) -> usize {
        self.0 & !FLAGS
    }

    /// Returns whether the page may be written to.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.0 & WRITE != 0
    }

    /// Returns the order of the page that the CPU has mapped: it has `1 << order` times
    /// [`PAGE_SIZE`] bytes.
    ///
    /// This page may begin before the range of the request, and end behind it. To map memory in
    /// large pieces, see [`Entries::runs`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::hmm::{
    ///     pmd_order,
    ///     pud_order,
    ///     Mapping, //
    /// };
    ///
    /// /// Returns whether the CPU needs no table of pages for the page.
    /// fn is_huge(page: Mapping<'_>) -> bool {
    ///     page.order() == pmd_order() || page.order() == pud_order()
    /// }
    /// ```
    #[doc(alias = "hmm_pfn_to_map_order")]
    #[inline]
    pub fn order(&self) -> u32 {
        // CAST: The mask has few bits.
        ((self.0 >> ORDER_SHIFT) & ORDER_MASK) as u32
    }

    /// Returns whether the page is the page of zeroes that all processes share, or part of the
    /// huge one.
    #[doc(alias = "is_zero_pfn")]
    #[doc(alias = "is_huge_zero_pfn")]
    // The C functions use symbols that are not exported to modules, so this must not be inlined.
    #[inline(never)]
    pub fn is_zero(&self) -> bool {
        // SAFETY: They may be called with any number.
        unsafe { bindings::is_zero_pfn(self.pfn()) || bindings::is_huge_zero_pfn(self.pfn()) }
    }

    /// Returns the `struct page` of the page, if there is one.
    ///
    /// The pointer is valid while the lock is held.
    #[inline]
    pub(super) fn page(&self) -> Option<NonNull<bindings::page>> {
        // SAFETY: It may be called with any number.
        if !unsafe { bindings::pfn_valid(self.pfn()) } {
            return None;
        }
        // SAFETY: The number has a `struct page`, as was just checked.
        NonNull::new(unsafe { bindings::pfn_to_page(self.pfn()) })
    }

    /// Returns whether the page is behind `last` in memory, and the device may treat both alike.
    fn continues(&self, last: Mapping<'_>) -> bool {
        self.pfn() == last.pfn() + 1
            && self.is_writable() == last.is_writable()
            && (self.is_inside() || self.is_same_memory(last))
    }

    /// Returns whether the page is not the first one of a mapping of the CPU.
    #[inline]
    fn is_inside(&self) -> bool {
        self.pfn() & ((1 << self.order()) - 1) != 0
    }

    /// Returns whether the page belongs to the same device as `other`, or if neither belongs to
    /// one.
    ///
    /// Memory of two devices may lie next to each other, but has to be translated differently.
    fn is_same_memory(&self, other: Mapping<'_>) -> bool {
        let (Some(page), Some(other)) = (self.page(), other.page()) else {
            return false;
        };
        // SAFETY: Both pointers are valid while the lock is held.
        unsafe { bindings::zone_device_pages_have_same_pgmap(page.as_ptr(), other.as_ptr()) }
    }
}

#[kunit_tests(rust_mm_hmm_entry)]
mod tests {
    use super::*;

    // The core reports memory without a `struct page` as an error, so no look-up returns any.
    #[test]
    fn page_needs_a_struct_page() {
        let last = Mapping(VALID | !FLAGS, PhantomData);

        assert!(last.page().is_none());
    }
}
