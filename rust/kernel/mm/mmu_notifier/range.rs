// SPDX-License-Identifier: GPL-2.0

//! What an invalidation is about.

use crate::{
    bindings,
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    types::Opaque, //
};
use core::{
    ops,
    ptr, //
};

/// The range of addresses that an invalidation is about.
///
/// Only exists while the callback runs that it is passed to.
///
/// Corresponds to the C type `struct mmu_notifier_range`.
///
/// # Examples
///
/// ```
/// use core::ops;
/// use kernel::mm::mmu_notifier::{
///     Event,
///     Range, //
/// };
///
/// /// Returns whether all of `buffer` is unmapped.
/// fn is_unmapped(range: Range<'_>, buffer: &ops::Range<usize>) -> bool {
///     range.event() == Event::Unmap && range.start() <= buffer.start && buffer.end <= range.end()
/// }
///
/// /// The number of bytes of `buffer` that are affected.
/// fn affected(range: Range<'_>, buffer: &ops::Range<usize>) -> usize {
///     range.clip(buffer).len()
/// }
/// ```
///
/// # Invariants
///
/// The `struct mmu_notifier_range` is initialized, but for `owner`, which is only initialized if
/// `event` is `MMU_NOTIFY_MIGRATE` or `MMU_NOTIFY_EXCLUSIVE`. For `'a` it is not written to.
#[derive(Clone, Copy)]
pub struct Range<'a>(&'a Opaque<bindings::mmu_notifier_range>);

impl<'a> Range<'a> {
    /// Creates a range from what the C side passes to a callback.
    ///
    /// # Safety
    ///
    /// For `'a`, `ptr` must point to the range of an invalidation that is taking place.
    #[inline]
    pub(super) unsafe fn from_raw(ptr: *const bindings::mmu_notifier_range) -> Self {
        // CAST: `Opaque` is transparent.
        //
        // INVARIANT: The core initializes a range with `mmu_notifier_range_init()`, or with
        // `mmu_notifier_range_init_owner()` for the two events that have an owner, and does not
        // change it while callbacks run.
        //
        // SAFETY: By the caller's contract the pointer is valid for `'a`.
        Self(unsafe { &*ptr.cast() })
    }

    /// The first address of the range.
    #[inline]
    pub fn start(&self) -> usize {
        // SAFETY: By the type invariant `start` is initialized and not written to.
        unsafe { (*self.0.get()).start }
    }

    /// The end of the range: the first address behind it.
    ///
    /// It is [`usize::MAX`] for the whole address space, see [`Event::Release`].
    #[inline]
    pub fn end(&self) -> usize {
        // SAFETY: By the type invariant `end` is initialized and not written to.
        unsafe { (*self.0.get()).end }
    }

    /// Returns the part of the range that is within `bounds`.
    ///
    /// If the two have nothing in common it is empty, and still lies within `bounds`.
    #[inline]
    pub fn clip(&self, bounds: &ops::Range<usize>) -> ops::Range<usize> {
        // Within the bounds even if the range is not, so that a table may be indexed with it.
        let start = self.start().max(bounds.start).min(bounds.end);
        let end = self.end().min(bounds.end).max(start);

        start..end
    }

    /// Whether the range and `bounds` have an address in common.
    #[inline]
    pub fn overlaps(&self, bounds: &ops::Range<usize>) -> bool {
        !self.clip(bounds).is_empty()
    }

    /// The pages of `bounds` that the range touches, as numbers of pages: addresses divided by
    /// [`PAGE_SIZE`].
    ///
    /// A page that only lies in the range, or in `bounds`, in part is one of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::ops;
    /// use kernel::{
    ///     mm::mmu_notifier::Range,
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// /// Stops using the pages of `bounds`, of which `table` has one entry each.
    /// fn invalidate(table: &mut [usize], bounds: &ops::Range<usize>, range: Range<'_>) {
    ///     let first = bounds.start / PAGE_SIZE;
    ///
    ///     if range.overlaps(bounds) {
    ///         for page in range.pages(bounds) {
    ///             table[page - first] = 0;
    ///         }
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn pages(&self, bounds: &ops::Range<usize>) -> ops::Range<usize> {
        let part = self.clip(bounds);
        let first = part.start / PAGE_SIZE;

        if part.is_empty() {
            return first..first;
        }
        first..part.end.div_ceil(PAGE_SIZE)
    }

    /// Why the range is invalidated.
    #[inline]
    pub fn event(&self) -> Event {
        // SAFETY: By the type invariant `event` is initialized and not written to.
        let event = unsafe { (*self.0.get()).event };
        let owner = || {
            // SAFETY: `owner` is only called below for the two events for which, by the type
            // invariant, it is initialized.
            Owner(unsafe { (*self.0.get()).owner }.addr())
        };

        match event {
            bindings::mmu_notifier_event_MMU_NOTIFY_UNMAP => Event::Unmap,
            bindings::mmu_notifier_event_MMU_NOTIFY_CLEAR => Event::Clear,
            bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_VMA => Event::ProtectionVma,
            bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_PAGE => Event::ProtectionPage,
            bindings::mmu_notifier_event_MMU_NOTIFY_SOFT_DIRTY => Event::SoftDirty,
            bindings::mmu_notifier_event_MMU_NOTIFY_RELEASE => Event::Release,
            bindings::mmu_notifier_event_MMU_NOTIFY_MIGRATE => Event::Migrate(owner()),
            bindings::mmu_notifier_event_MMU_NOTIFY_EXCLUSIVE => Event::Exclusive(owner()),
            other => Event::Other(other),
        }
    }

    /// Returns on whose behalf the range is invalidated, for the events that have an owner.
    #[inline]
    pub(super) fn owner(&self) -> Option<Owner> {
        match self.event() {
            Event::Migrate(owner) | Event::Exclusive(owner) => Some(owner),
            _ => None,
        }
    }

    /// Returns whether the caller can wait.
    ///
    /// Equivalent to the C function `mmu_notifier_range_blockable()`.
    #[inline]
    pub(super) fn is_blockable(&self) -> bool {
        // SAFETY: By the type invariant `flags` is initialized and not written to.
        let flags = unsafe { (*self.0.get()).flags };

        flags & bindings::MMU_NOTIFIER_RANGE_BLOCKABLE != 0
    }
}

impl From<Range<'_>> for ops::Range<usize> {
    #[inline]
    fn from(range: Range<'_>) -> Self {
        range.start()..range.end()
    }
}

impl fmt::Debug for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:#x}..{:#x} {:?}",
            self.start(),
            self.end(),
            self.event()
        )
    }
}

/// Why a range is invalidated.
///
/// A driver may treat every event like [`Event::Clear`], or like [`Event::Unmap`] if it also wants
/// to get rid of what it knows about the range.
///
/// Corresponds to the C type `enum mmu_notifier_event`.
///
/// # Examples
///
/// ```
/// use kernel::mm::mmu_notifier::Event;
///
/// struct Device {
///     id: u32,
/// }
///
/// /// Whether the driver of `device` is itself migrating the pages, and so knows about it.
/// fn is_own_migration(event: Event, device: &Device) -> bool {
///     matches!(event, Event::Migrate(owner) if owner.is(device))
/// }
///
/// assert!(!is_own_migration(Event::Clear, &Device { id: 0 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The range is unmapped, by `munmap(2)` or `mremap(2)`.
    Unmap,
    /// Page table entries are cleared; the memory stays mapped and may be faulted in again.
    ///
    /// All non-blocking invalidations are of this kind.
    Clear,
    /// The protection of the range changes, and that of its mapping with it, by `mprotect(2)`.
    ProtectionVma,
    /// The protection of pages changes, but not that of their mapping, for example because they
    /// become copy-on-write.
    ProtectionPage,
    /// Page table entries are write-protected in order to see which pages are written to.
    SoftDirty,
    /// The address space has lost its last user and is torn down.
    ///
    /// Only interval notifiers get this event, for the range `0..usize::MAX`.
    Release,
    /// Pages are migrated to or from memory of a device.
    Migrate(Owner),
    /// Pages are made exclusive to a device.
    Exclusive(Owner),
    /// An event that this abstraction does not know.
    Other(c_uint),
}

/// On whose behalf pages are migrated or made exclusive.
///
/// It tells a driver its own doing from that of another. See [`Event`] for an example.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Owner(pub(in crate::mm) usize);

impl Owner {
    /// Returns the owner that is named by the address of `object`.
    ///
    /// That has to be a type with a size, as others do not have an address of their own.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::mmu_notifier::Owner;
    ///
    /// let (device, other) = (0_u32, 0_u32);
    ///
    /// assert!(Owner::of(&device).is(&device));
    /// assert!(!Owner::of(&device).is(&other));
    /// ```
    #[inline]
    pub fn of<T>(object: &T) -> Self {
        const {
            assert!(
                size_of::<T>() != 0,
                "an object without a size has no address of its own"
            )
        };
        Self(ptr::from_ref(object).addr())
    }

    /// Whether this is the owner that the driver named by the address of `object`, for example as
    /// the owner of its device memory.
    #[inline]
    pub fn is<T>(&self, object: &T) -> bool {
        *self == Self::of(object)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the address, which is nobody's business in a log.
        f.write_str("Owner(..)")
    }
}
