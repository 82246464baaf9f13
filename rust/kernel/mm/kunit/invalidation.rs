// SPDX-License-Identifier: GPL-2.0

//! Invalidations by a test.

use crate::{
    bindings,
    error::to_result,
    mm::{
        mmu_notifier::Event,
        Mm, //
    },
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    ops::Range,
    ptr, //
};

/// Invalidates a range, as a change of its memory does. Callbacks may sleep.
///
/// It is for [`Event::Clear`]; see [`Invalidation::start`] for other events.
///
/// # Errors
///
/// Those of [`Invalidation::start`].
///
/// # Examples
///
/// See [`try_invalidate`].
pub fn invalidate(mm: &Mm, addrs: Range<usize>) -> Result {
    Invalidation::start(mm, addrs, Event::Clear).map(drop)
}

/// Invalidates a range without blocking, as the OOM reaper does.
///
/// # Errors
///
/// Those of [`Invalidation::try_start`]: [`EAGAIN`] if a notifier refused.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{
///         kunit::{
///             invalidate,
///             try_invalidate,
///             TestMm, //
///         },
///         mmu_notifier::{
///             list::{
///                 Notifier,
///                 Operations, //
///             },
///             Range,
///             WouldBlock, //
///         }, //
///     },
///     new_mutex,
///     nonblock::NonBlockGuard,
///     page::PAGE_SIZE,
///     sync::Mutex, //
/// };
///
/// /// The driver to be tested.
/// #[pin_data]
/// struct Driver {
///     #[pin]
///     used_pages: Mutex<usize>,
/// }
///
/// #[vtable]
/// impl Operations for Driver {
///     type Refusal = WouldBlock;
///
///     fn start(&self, _range: Range<'_>) {
///         *self.used_pages.lock() = 0;
///     }
///
///     fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
///         *self.used_pages.try_lock().ok_or(WouldBlock)? = 0;
///         Ok(())
///     }
/// }
///
/// let mm = TestMm::attach()?;
/// let init = try_pin_init!(Driver {
///     used_pages <- new_mutex!(1),
/// });
/// let driver: Pin<KBox<Notifier<Driver>>> =
///     KBox::try_pin_init(Notifier::new(&mm, init), GFP_KERNEL)?;
///
/// // The driver is busy.
/// let held = driver.used_pages.lock();
/// let refused = try_invalidate(&mm, 0..PAGE_SIZE);
/// let kept = *held;
/// drop(held);
///
/// let reaped = try_invalidate(&mm, 0..PAGE_SIZE);
/// let after_reaper = *driver.used_pages.lock();
/// *driver.used_pages.lock() = 1;
/// let unmapped = invalidate(&mm, 0..PAGE_SIZE);
/// let after_unmap = *driver.used_pages.lock();
/// drop(driver);
///
/// assert_eq!((refused, kept), (Err(EAGAIN), 1));
/// assert_eq!((reaped, after_reaper), (Ok(()), 0));
/// assert_eq!((unmapped, after_unmap), (Ok(()), 0));
/// # Ok::<(), Error>(())
/// ```
pub fn try_invalidate(mm: &Mm, addrs: Range<usize>) -> Result {
    Invalidation::try_start(mm, addrs, Event::Clear).map(drop)
}

/// An invalidation that has begun, and ends when this is dropped.
///
/// It changes no memory. Lockdep does not see its start as an invalidation, so a test can hold a
/// lock of the callbacks.
///
/// No `mmap_lock` is held, as it is for a change by the kernel. So do not register a list notifier
/// meanwhile: it would be called for the end, and not for the start. If this is leaked then readers
/// and removals of interval notifiers wait forever.
///
/// Corresponds to the C type `struct mmu_notifier_range`.
///
/// # Examples
///
/// A driver must not use pages that it looked up before the end of an invalidation:
///
/// ```
/// use kernel::mm::{
///     kunit::Invalidation,
///     mmu_notifier::{
///         interval::{
///             Notifier,
///             Operations, //
///         },
///         Event, //
///     }, //
/// };
///
/// /// Returns whether a reader collides with an invalidation that begins after the look-up.
/// fn collides<T: Operations>(notifier: &Notifier<T>) -> Result<bool> {
///     let seq = notifier.read_begin();
///     let _munmap = Invalidation::start(notifier.mm(), notifier.range(), Event::Unmap)?;
///
///     Ok(seq.check_retry())
/// }
/// ```
///
/// # Invariants
///
/// The start of `range` was called for `mm`, and has not been followed by its end.
#[must_use = "the invalidation ends immediately when it is unused"]
pub struct Invalidation<'a> {
    range: bindings::mmu_notifier_range,
    mm: PhantomData<&'a Mm>,
    _nts: NotThreadSafe,
}

impl<'a> Invalidation<'a> {
    /// Begins to invalidate a range, as a change of its memory does. Callbacks may sleep.
    ///
    /// Equivalent to the C function `mmu_notifier_invalidate_range_start()`, and its end to
    /// `mmu_notifier_invalidate_range_end()`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is empty, or if the address space never had a notifier.
    ///
    /// # Examples
    ///
    /// See [`Invalidation`].
    pub fn start(mm: &'a Mm, addrs: Range<usize>, event: Event) -> Result<Self> {
        Self::new(mm, addrs, event, bindings::MMU_NOTIFIER_RANGE_BLOCKABLE)
    }

    /// Begins to invalidate a range without blocking, as the OOM reaper does.
    ///
    /// The kernel only does that for [`Event::Clear`].
    ///
    /// Equivalent to the C function `mmu_notifier_invalidate_range_start_nonblock()`, and its
    /// end to `mmu_notifier_invalidate_range_end()`.
    ///
    /// # Errors
    ///
    /// - [`EAGAIN`] if a notifier refused. There is no end then.
    /// - [`EINVAL`] if the range is empty, or if the address space never had a notifier.
    ///
    /// # Examples
    ///
    /// See [`try_invalidate`], which is the same for [`Event::Clear`] with an end.
    pub fn try_start(mm: &'a Mm, addrs: Range<usize>, event: Event) -> Result<Self> {
        Self::new(mm, addrs, event, 0)
    }

    fn new(mm: &'a Mm, addrs: Range<usize>, event: Event, flags: c_uint) -> Result<Self> {
        // SAFETY: `mm` is valid, and its notifiers are only ever set once.
        let notifiers = unsafe { (*mm.as_raw()).__bindgen_anon_1.notifier_subscriptions };
        if notifiers.is_null() || addrs.is_empty() {
            return Err(EINVAL);
        }

        let (event, owner) = to_raw(event);
        let mut range = bindings::mmu_notifier_range {
            mm: mm.as_raw(),
            start: addrs.start,
            end: addrs.end,
            flags,
            event,
            owner: ptr::without_provenance_mut(owner),
        };
        // SAFETY: The range is initialized, and its address space has notifiers.
        let ret = unsafe { bindings::__mmu_notifier_invalidate_range_start(&mut range) };
        // If callbacks may sleep, the core has warned of one that fails, and expects an end.
        if flags & bindings::MMU_NOTIFIER_RANGE_BLOCKABLE == 0 {
            to_result(ret)?;
        }

        // INVARIANT: The call above was the start. It did not end the invalidation itself, which
        // it does only if it returns an error and callbacks must not sleep.
        Ok(Self {
            range,
            mm: PhantomData,
            _nts: NotThreadSafe,
        })
    }
}

impl Drop for Invalidation<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the invalidation has begun, and the address space has
        // notifiers. It is borrowed for as long as `self` lives.
        unsafe { bindings::__mmu_notifier_invalidate_range_end(&mut self.range) };
    }
}

/// Returns the event and the owner that the core passes to callbacks.
fn to_raw(event: Event) -> (c_uint, usize) {
    match event {
        Event::Unmap => (bindings::mmu_notifier_event_MMU_NOTIFY_UNMAP, 0),
        Event::Clear => (bindings::mmu_notifier_event_MMU_NOTIFY_CLEAR, 0),
        Event::ProtectionVma => (bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_VMA, 0),
        Event::ProtectionPage => (bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_PAGE, 0),
        Event::SoftDirty => (bindings::mmu_notifier_event_MMU_NOTIFY_SOFT_DIRTY, 0),
        Event::Release => (bindings::mmu_notifier_event_MMU_NOTIFY_RELEASE, 0),
        Event::Migrate(owner) => (bindings::mmu_notifier_event_MMU_NOTIFY_MIGRATE, owner.0),
        Event::Exclusive(owner) => (bindings::mmu_notifier_event_MMU_NOTIFY_EXCLUSIVE, owner.0),
        Event::Other(event) => (event, 0),
    }
}
