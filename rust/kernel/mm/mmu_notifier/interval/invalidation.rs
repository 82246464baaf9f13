// SPDX-License-Identifier: GPL-2.0

//! Invalidations: the tokens that callbacks get, and the evidence that they return.

use super::{
    super::{
        Event,
        Range,
        WouldBlock, //
    },
    bounds,
    Notifier,
    Operations, //
};
use crate::{
    bindings,
    nonblock::non_block,
    page::PAGE_SIZE,
    prelude::*,
    sync::lock::{
        spinlock::SpinLockBackend,
        Guard, //
    },
    types::Opaque, //
};
use core::{
    marker::PhantomData,
    ops::{
        self,
        Deref, //
    }, //
};

/// Evidence that an invalidation was handled.
///
/// The lifetime is one call of a callback. It is invariant, so the evidence of one call is not
/// accepted from another.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::mmu_notifier::interval::{
///         Invalidated,
///         Invalidation,
///         Operations, //
///     },
///     sync::lock::mutex::MutexBackend, //
/// };
///
/// /// Counts the invalidated bytes.
/// fn invalidate<'op, T>(op: Invalidation<'op, T>) -> Invalidated<'op>
/// where
///     T: Operations<State = usize, Backend = MutexBackend>,
/// {
///     let (mut bytes, done) = op.lock();
///
///     *bytes = bytes.saturating_add(done.range().len());
///     done
/// }
/// ```
#[must_use = "the callback has to return it"]
pub struct Invalidated<'op>(Part<'op>);

impl Invalidated<'_> {
    /// Returns the invalidated part of the notifier's range, in bytes.
    ///
    /// Like [`Pending::range`], for use under the lock. A result from before the lock is wasted if
    /// the lock is not free, and needs a register while it is taken.
    #[inline]
    pub fn range(&self) -> ops::Range<usize> {
        self.0.range()
    }

    /// Returns the invalidated pages of the notifier's range.
    ///
    /// Like [`Pending::pages`], for use under the lock.
    #[inline]
    pub fn pages(&self) -> ops::Range<usize> {
        self.0.pages()
    }
}

/// The invalidated part of a notifier's range.
///
/// # Invariants
///
/// `notifier` is registered, or is being registered, and the core is calling it for `range`.
#[derive(Clone, Copy)]
struct Part<'op> {
    notifier: &'op Opaque<bindings::mmu_interval_notifier>,
    range: Range<'op>,
    _invariant: PhantomData<fn(&'op ()) -> &'op ()>,
}

// SAFETY: The fields that are read of the two do not change for `'op`, and may be read by any task.
unsafe impl Send for Part<'_> {}
// SAFETY: As above.
unsafe impl Sync for Part<'_> {}

impl Part<'_> {
    #[inline]
    fn range(self) -> ops::Range<usize> {
        // SAFETY: By the type invariant the notifier has its range.
        let bounds = unsafe { bounds(self.notifier.get()) };

        // By the type invariant the two have an address in common, so both ends lie within the
        // bounds, and `Range::clip()` would check too much.
        self.range.start().max(bounds.start)..self.range.end().min(bounds.end)
    }

    #[inline]
    fn pages(self) -> ops::Range<usize> {
        let range = self.range();

        range.start / PAGE_SIZE..range.end.div_ceil(PAGE_SIZE)
    }
}

/// The lock of a notifier, held, and the evidence that an invalidation was published under it.
pub type Locked<'op, T> = (
    Guard<'op, <T as Operations>::State, <T as Operations>::Backend>,
    Invalidated<'op>,
);

/// An invalidation that has not been handled yet, and may wait.
///
/// Dereferences to [`Pending`], which has its range and event. See [`Operations::invalidate`].
///
/// # Examples
///
/// ```
/// use kernel::mm::mmu_notifier::interval::{
///     Invalidated,
///     Invalidation,
///     Operations, //
/// };
///
/// /// Removes the pages of an invalidation from the page table of a device.
/// fn invalidate<'op, T: Operations>(
///     op: Invalidation<'op, T>,
///     remove: impl Fn(&T::State, usize),
/// ) -> Invalidated<'op> {
///     let pages = op.pages();
///     let (state, done) = op.lock();
///
///     for page in pages {
///         remove(&state, page);
///     }
///     done
/// }
/// ```
#[must_use = "an invalidation has to be dealt with"]
pub struct Invalidation<'op, T: Operations>(pub(super) Pending<'op, T>);

/// An invalidation that has not been handled yet, and must not wait.
///
/// Dereferences to [`Pending`], which has its range and event. See [`Operations::try_invalidate`].
///
/// # Examples
///
/// ```
/// use kernel::mm::mmu_notifier::{
///     interval::{
///         Invalidated,
///         Operations,
///         TryInvalidation, //
///     },
///     WouldBlock, //
/// };
///
/// /// Handles an invalidation if the lock is free and the device idle.
/// fn try_invalidate<'op, T: Operations>(
///     op: TryInvalidation<'op, T>,
///     is_idle: impl FnOnce(&T::State) -> bool,
/// ) -> Result<Invalidated<'op>, WouldBlock> {
///     let (state, done) = op.try_lock()?;
///     // A refusal is allowed even here: readers have to look up again, which does no harm.
///     is_idle(&state).then_some(done).ok_or(WouldBlock)
/// }
/// ```
#[must_use = "an invalidation has to be dealt with"]
pub struct TryInvalidation<'op, T: Operations>(pub(super) Pending<'op, T>);

impl<'op, T: Operations> Deref for Invalidation<'op, T> {
    type Target = Pending<'op, T>;

    #[inline]
    fn deref(&self) -> &Pending<'op, T> {
        &self.0
    }
}

impl<'op, T: Operations> Deref for TryInvalidation<'op, T> {
    type Target = Pending<'op, T>;

    #[inline]
    fn deref(&self) -> &Pending<'op, T> {
        &self.0
    }
}

/// The common part of [`Invalidation`] and [`TryInvalidation`]: the range, and the reason.
///
/// # Examples
///
/// ```
/// use kernel::mm::mmu_notifier::{
///     interval::{
///         Operations,
///         Pending, //
///     },
///     Event, //
/// };
///
/// /// Returns whether all of the notifier's range is unmapped, and the notifier can be dropped
/// /// soon.
/// fn is_gone<T: Operations>(op: &Pending<'_, T>, len: usize) -> bool {
///     op.event() == Event::Unmap && op.range().len() == len
/// }
/// ```
///
/// # Invariants
///
/// `notifier` is registered, or is being registered, and the core is calling it for `range` with
/// the sequence number `seq`.
pub struct Pending<'op, T: Operations> {
    pub(super) notifier: &'op Notifier<T>,
    range: Range<'op>,
    seq: usize,
    _invariant: PhantomData<fn(&'op ()) -> &'op ()>,
}

impl<'op, T: Operations> Pending<'op, T> {
    /// # Safety
    ///
    /// `interval_sub` must be the `inner` of a [`Notifier<T>`] that is registered or is being
    /// registered, and the core must be calling it for `range` with the sequence number `seq`. All
    /// of this must hold for `'op`.
    #[inline]
    pub(super) unsafe fn from_raw(
        interval_sub: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        seq: usize,
    ) -> Self {
        // INVARIANT: By the caller's contract.
        Self {
            // SAFETY: By the caller's contract. The fields are initialized before it is registered,
            // and there are only shared references to it until it is removed.
            notifier: unsafe { &*Notifier::from_inner(interval_sub) },
            // SAFETY: By the caller's contract.
            range: unsafe { Range::from_raw(range) },
            seq,
            _invariant: PhantomData,
        }
    }

    /// Returns the invalidated part of the notifier's range, in bytes.
    ///
    /// It is never empty, and lies within [`Notifier::range`], so callers need not clip it.
    #[inline]
    pub fn range(&self) -> ops::Range<usize> {
        self.part().range()
    }

    /// Returns the invalidated pages of the notifier's range, as page numbers: addresses divided by
    /// [`PAGE_SIZE`].
    ///
    /// They include a page that is only partly invalidated.
    #[inline]
    pub fn pages(&self) -> ops::Range<usize> {
        self.part().pages()
    }

    /// Returns why the range is invalidated.
    #[inline]
    pub fn event(&self) -> Event {
        self.range.event()
    }

    /// Returns the range of the invalidation itself, which may be larger than the notifier's range.
    #[inline]
    pub fn unclipped_range(&self) -> Range<'op> {
        self.range
    }

    /// Returns whether the caller can wait.
    #[inline]
    pub(super) fn is_blockable(&self) -> bool {
        self.range.is_blockable()
    }

    /// Returns whether the driver caused the invalidation.
    #[inline]
    pub(super) fn is_own(&self) -> bool {
        match self.event() {
            Event::Migrate(owner) | Event::Exclusive(owner) => self.notifier.data.is_own(owner),
            _ => false,
        }
    }

    /// Returns the invalidated part of the notifier's range.
    #[inline]
    fn part(&self) -> Part<'op> {
        // INVARIANT: By the type invariant.
        Part {
            notifier: &self.notifier.inner,
            range: self.range,
            _invariant: PhantomData,
        }
    }

    /// Calls the driver for an invalidation that may wait.
    #[inline]
    pub(super) fn invalidate(self) {
        let _: Invalidated<'_> = self.notifier.data.invalidate(Invalidation(self));
    }

    /// Calls the driver for an invalidation that must not wait, and returns whether it succeeded.
    #[inline]
    pub(super) fn try_invalidate(self) -> bool {
        non_block(|nb| {
            self.notifier
                .data
                .try_invalidate(TryInvalidation(self), nb)
                .is_ok()
        })
    }

    /// Publishes the invalidation to readers.
    #[inline]
    fn publish(self, _guard: &Guard<'op, T::State, T::Backend>) -> Invalidated<'op> {
        // The write of `mmu_interval_set_seq()`, which needs the lock of the notifier: the callers
        // have just taken the guard from `Notifier::user_lock()`. The write is volatile because
        // `mmu_interval_read_begin()` reads the number without this lock.
        //
        // SAFETY: By the type invariants the notifier is registered, and the core is calling it
        // with this sequence number.
        unsafe { (&raw mut (*self.notifier.inner.get()).invalidate_seq).write_volatile(self.seq) };

        Invalidated(self.part())
    }
}

impl<'op, T: Operations> Invalidation<'op, T> {
    /// Takes the lock, and publishes the invalidation to readers.
    ///
    /// Callers must remove the pages before they release the lock.
    #[doc(alias = "mmu_interval_set_seq")]
    #[inline]
    pub fn lock(self) -> Locked<'op, T> {
        let guard = self.0.notifier.user_lock().lock();
        let done = self.0.publish(&guard);

        (guard, done)
    }
}

impl<'op, T: Operations> TryInvalidation<'op, T> {
    /// Takes the lock if it is free, and then publishes the invalidation to readers.
    ///
    /// Callers must remove the pages before they release the lock.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if the lock is held. The invalidation is then not published, and callers can
    /// only refuse it.
    #[doc(alias = "mmu_interval_set_seq")]
    #[inline]
    pub fn try_lock(self) -> Result<Locked<'op, T>, WouldBlock> {
        let guard = self.0.notifier.user_lock().try_lock().ok_or(WouldBlock)?;
        let done = self.0.publish(&guard);

        Ok((guard, done))
    }
}

impl<'op, T: Operations<Backend = SpinLockBackend>> TryInvalidation<'op, T> {
    /// Takes the lock, and publishes the invalidation to readers.
    ///
    /// Only for spinlocks, which do not sleep.
    #[doc(alias = "mmu_interval_set_seq")]
    #[inline]
    pub fn lock(self) -> Locked<'op, T> {
        Invalidation(self.0).lock()
    }
}
