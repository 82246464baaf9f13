// SPDX-License-Identifier: GPL-2.0

//! The range of an invalidation, and its reason.

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

/// The range of addresses of an invalidation.
///
/// It exists only while its callback runs.
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
/// /// Returns the number of affected bytes of `buffer`.
/// fn affected(range: Range<'_>, buffer: &ops::Range<usize>) -> usize {
///     range.clip(buffer).len()
/// }
/// ```
///
/// # Invariants
///
/// The `struct mmu_notifier_range` is initialized, except for `owner`. The `owner` is initialized
/// if `event` is `MMU_NOTIFY_MIGRATE` or `MMU_NOTIFY_EXCLUSIVE`. For `'a` the range is not written
/// to.
#[derive(Clone, Copy)]
pub struct Range<'a>(&'a Opaque<bindings::mmu_notifier_range>);

impl<'a> Range<'a> {
    /// Creates a range from the C object that a callback gets.
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

    /// Returns the first address of the range.
    #[inline]
    pub fn start(&self) -> usize {
        // SAFETY: By the type invariant `start` is initialized and not written to.
        unsafe { (*self.0.get()).start }
    }

    /// Returns the end of the range: the first address behind it.
    ///
    /// It is [`usize::MAX`] for the whole address space, see [`Event::Release`].
    #[inline]
    pub fn end(&self) -> usize {
        // SAFETY: By the type invariant `end` is initialized and not written to.
        unsafe { (*self.0.get()).end }
    }

    /// Returns the part of the range within `bounds`.
    ///
    /// If the two have no address in common, the part is empty, and still lies within `bounds`.
    #[inline]
    pub fn clip(&self, bounds: &ops::Range<usize>) -> ops::Range<usize> {
        // The result is within the bounds even if the range is not, so it can index a table.
        let start = self.start().max(bounds.start).min(bounds.end);
        let end = self.end().min(bounds.end).max(start);

        start..end
    }

    /// Returns whether the range and `bounds` have an address in common.
    #[inline]
    pub fn overlaps(&self, bounds: &ops::Range<usize>) -> bool {
        !self.clip(bounds).is_empty()
    }

    /// Returns the pages of `bounds` that the range touches, as page numbers: addresses divided by
    /// [`PAGE_SIZE`].
    ///
    /// They include a page that is only partly in the range or in `bounds`.
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
    /// /// Stops using the pages of `bounds`; `table` has one entry for each.
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

    /// Returns the reason of the invalidation.
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

/// The reason of an invalidation.
///
/// A driver may treat every event like [`Event::Clear`]. At [`Event::Unmap`] it can also free its
/// own data about the range.
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
/// /// Returns whether the driver of `device` itself migrates the pages.
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
    /// All non-blocking invalidations are of this kind, except with `CONFIG_DEBUG_MMU_NOTIFIER`.
    Clear,
    /// The protection of the range and of its mapping changes, by `mprotect(2)`.
    ProtectionVma,
    /// The protection of pages changes, but their mapping does not, for example because they become
    /// copy-on-write.
    ProtectionPage,
    /// Page table entries are write-protected, to detect writes to pages.
    SoftDirty,
    /// The address space has lost its last user and is torn down.
    ///
    /// Only interval notifiers get this event, for the range `0..usize::MAX`.
    Release,
    /// Pages are migrated to or from device memory.
    Migrate(Owner),
    /// Pages are made exclusive to a device.
    Exclusive(Owner),
    /// An event unknown to this abstraction.
    Other(c_uint),
}

/// The owner of an invalidation, which migrates pages or makes them exclusive.
///
/// With the owner, a driver recognizes its own invalidations. See [`Event`] for an example.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Owner(pub(in crate::mm) usize);

impl Owner {
    /// Returns the owner with the address of `object`.
    ///
    /// The object must have a size, because others do not have an address of their own.
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

    /// Returns whether this is the owner with the address of `object`. For example, `object` may be
    /// the owner of the driver's device memory.
    #[inline]
    pub fn is<T>(&self, object: &T) -> bool {
        *self == Self::of(object)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A log must not contain the address.
        f.write_str("Owner(..)")
    }
}
