// SPDX-License-Identifier: GPL-2.0

//! Reads of the address space, and their validation.

use super::{
    Notifier,
    Operations, //
};
#[cfg(CONFIG_LOCKDEP)]
use crate::sync::atomic::{
    AtomicFlag,
    Relaxed, //
};
use crate::{
    prelude::*,
    sync::lock::{
        rwsem::{
            RwSemaphoreBackend,
            RwSemaphoreReadGuard, //
        },
        Guard,
        Lock, //
    }, //
};
use core::ptr;

/// The error of a read that an invalidation overtook.
///
/// The driver must repeat the whole read, beginning with [`Notifier::read_begin`].
///
/// See [`Seq::validate`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry;

/// A read of the address space that has begun.
///
/// See [`Notifier::read_begin`].
///
/// # Examples
///
/// ```
/// use kernel::mm::mmu_notifier::interval::{
///     Notifier,
///     Operations, //
/// };
///
/// /// Looks up pages one by one, and calls `f` when all of them are valid.
/// fn with_pages<T: Operations>(
///     notifier: &Notifier<T>,
///     look_up: impl Fn(usize) -> Result,
///     pages: usize,
///     f: impl FnOnce(&T::State),
/// ) -> Result {
///     'again: loop {
///         let seq = notifier.read_begin();
///         for page in 0..pages {
///             look_up(page)?;
///             // There is no use in looking up the rest.
///             if seq.check_retry() {
///                 continue 'again;
///             }
///         }
///         if let Some(state) = seq.lock() {
///             f(&state);
///             return Ok(());
///         }
///     }
/// }
/// ```
///
/// # Invariants
///
/// `mmu_interval_read_begin()` returned `seq` for `notifier`.
#[must_use = "what was read is only valid under the lock that `Seq::lock` returns"]
pub struct Seq<'a, T: Operations> {
    pub(super) notifier: &'a Notifier<T>,
    pub(super) seq: usize,
}

/// The time at which a read of the address space began, to be stored.
///
/// A driver may store pages, and check much later whether they are still valid. It stores a stamp
/// with the pages, and [`Notifier::resume`] turns the stamp into a [`Seq`] again.
///
/// Two stamps of one notifier are equal if no invalidation was published in between.
///
/// It may outlive its notifier, but is useless then: it is never valid for another notifier.
///
/// # Examples
///
/// ```
/// use kernel::mm::mmu_notifier::interval::{
///     Notifier,
///     Operations,
///     Stamp, //
/// };
///
/// /// Memory that is looked up once, and then used until it is invalidated.
/// struct Buffer {
///     /// When the pages were looked up, if they were.
///     looked_up: Option<Stamp>,
/// }
///
/// impl Buffer {
///     /// Looks up the pages, unless those that there are may still be valid.
///     fn prepare<T: Operations>(&mut self, notifier: &Notifier<T>) {
///         let now = notifier.read_begin().stamp();
///         if self.looked_up != Some(now) {
///             // Here the driver looks up the pages.
///             self.looked_up = Some(now);
///         }
///     }
///
///     /// Has the device use the pages, if they still are valid.
///     fn submit<T: Operations>(&self, notifier: &Notifier<T>, f: impl FnOnce(&T::State)) -> bool {
///         let seq = self.looked_up.and_then(|stamp| notifier.resume(stamp));
///         let Some(state) = seq.and_then(|seq| seq.lock()) else {
///             return false;
///         };
///         f(&state);
///         true
///     }
/// }
/// ```
///
/// # Invariants
///
/// `mmu_interval_read_begin()` returned `seq` for the notifier with the number `notifier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub(super) notifier: u64,
    pub(super) seq: usize,
}

impl<'a, T: Operations> Seq<'a, T> {
    /// Returns the time at which the read began, to be stored.
    #[inline]
    pub fn stamp(&self) -> Stamp {
        // INVARIANT: By the type invariant.
        Stamp {
            notifier: self.notifier.id,
            seq: self.seq,
        }
    }

    /// Takes the lock, and validates the read.
    ///
    /// Returns [`None`], with the lock released, if an invalidation came in between. Callers must
    /// then repeat the whole read, beginning with [`Notifier::read_begin`].
    ///
    /// The pages stay valid for as long as the lock is held, because invalidations need the lock.
    /// Store the pages in the state of the lock, where later invalidations find them.
    ///
    /// It sleeps if taking the lock sleeps.
    #[doc(alias = "mmu_interval_read_retry")]
    #[must_use = "if unused, the lock will be immediately unlocked"]
    #[inline]
    pub fn lock(self) -> Option<Guard<'a, T::State, T::Backend>> {
        let guard = self.notifier.user_lock().lock();

        // SAFETY: The lock was taken just above.
        unsafe { self.is_valid() }.then_some(guard)
    }

    /// Validates the read under the lock of the notifier, which is held already.
    ///
    /// This is for several notifiers with one lock: take the lock with the [`Seq::lock`] of one
    /// notifier, and validate the others under it. That one guard then protects all of them.
    ///
    /// It does not sleep.
    ///
    /// # Errors
    ///
    /// [`Retry`] if an invalidation came in between, or if `guard` belongs to another lock. The
    /// latter is a mistake of the driver, and another try fails, too. With `CONFIG_LOCKDEP` it is
    /// reported.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::mmu_notifier::interval::{
    ///     Notifier,
    ///     Operations, //
    /// };
    ///
    /// /// Calls `f` when the reads of both notifiers are valid.
    /// fn with_both<T: Operations>(a: &Notifier<T>, b: &Notifier<T>, f: impl FnOnce(&mut T::State))
    /// where
    ///     T::State: Unpin,
    /// {
    ///     loop {
    ///         let (seq_a, seq_b) = (a.read_begin(), b.read_begin());
    ///         // Here the driver looks up pages.
    ///         let Some(mut state) = seq_a.lock() else {
    ///             continue;
    ///         };
    ///         if seq_b.validate(&state).is_ok() {
    ///             return f(&mut state);
    ///         }
    ///     }
    /// }
    /// ```
    #[doc(alias = "mmu_interval_read_retry")]
    #[inline]
    pub fn validate(self, guard: &Guard<'_, T::State, T::Backend>) -> Result<(), Retry> {
        // SAFETY: `guard` holds its lock.
        unsafe { self.validate_locked(guard.lock_ref()) }
    }

    /// # Safety
    ///
    /// `lock` must be held, at least for reading.
    #[inline]
    unsafe fn validate_locked(self, lock: &Lock<T::State, T::Backend>) -> Result<(), Retry> {
        if !ptr::eq(lock, self.notifier.user_lock()) {
            #[cfg(CONFIG_LOCKDEP)]
            report_other_lock();
            return Err(Retry);
        }

        // SAFETY: The lock is held, and is that of the notifier, as was just checked.
        unsafe { self.is_valid() }.then_some(()).ok_or(Retry)
    }

    /// # Safety
    ///
    /// The lock of the notifier must be held, at least for reading.
    #[inline]
    unsafe fn is_valid(&self) -> bool {
        // The check of `mmu_interval_read_retry()`.
        //
        // SAFETY: By the type invariant of `Notifier` it is registered. By the caller's contract
        // the lock is held under which the number is written.
        unsafe { (*self.notifier.inner.get()).invalidate_seq == self.seq }
    }

    /// Returns whether the read is known to be invalid, without the lock.
    ///
    /// `true` means that [`Seq::lock`] would return [`None`], so callers can begin the read again.
    /// `false` means nothing.
    ///
    /// It does not sleep.
    #[doc(alias = "mmu_interval_check_retry")]
    #[inline]
    pub fn check_retry(&self) -> bool {
        // The check of `mmu_interval_check_retry()`. The read is volatile because callbacks may
        // write at the same time.
        //
        // SAFETY: By the type invariant of `Notifier` it is registered.
        let seq =
            unsafe { (&raw const (*self.notifier.inner.get()).invalidate_seq).read_volatile() };

        seq != self.seq
    }
}

impl<'a, T: Operations<Backend = RwSemaphoreBackend>> Seq<'a, T>
where
    T::State: Sync,
{
    /// Takes the lock for reading, and validates the read.
    ///
    /// Like [`Seq::lock`], for drivers that use the pages more often than they change the state of
    /// the lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::mmu_notifier::interval::{
    ///         Notifier,
    ///         Operations, //
    ///     },
    ///     sync::lock::rwsem::RwSemaphoreBackend, //
    /// };
    ///
    /// /// Calls `f` when the reads of both notifiers are valid. Other readers may do the same at
    /// /// the same time.
    /// fn with_both<T>(a: &Notifier<T>, b: &Notifier<T>, f: impl FnOnce(&T::State))
    /// where
    ///     T: Operations<Backend = RwSemaphoreBackend, State: Sync>,
    /// {
    ///     loop {
    ///         let (seq_a, seq_b) = (a.read_begin(), b.read_begin());
    ///         // Here the driver looks up pages.
    ///         let Some(state) = seq_a.read() else {
    ///             continue;
    ///         };
    ///         if seq_b.validate_read(&state).is_ok() {
    ///             return f(&state);
    ///         }
    ///     }
    /// }
    /// ```
    #[doc(alias = "mmu_interval_read_retry")]
    #[must_use = "if unused, the lock will be immediately unlocked"]
    #[inline]
    pub fn read(self) -> Option<RwSemaphoreReadGuard<'a, T::State>> {
        let guard = self.notifier.user_lock().read();

        // SAFETY: The lock was taken for reading just above.
        unsafe { self.is_valid() }.then_some(guard)
    }

    /// Validates the read under the lock of the notifier, which is held for reading already.
    ///
    /// Like [`Seq::validate`].
    ///
    /// # Errors
    ///
    /// Those of [`Seq::validate`].
    #[doc(alias = "mmu_interval_read_retry")]
    #[inline]
    pub fn validate_read(self, guard: &RwSemaphoreReadGuard<'_, T::State>) -> Result<(), Retry> {
        // SAFETY: `guard` holds its lock for reading.
        unsafe { self.validate_locked(guard.lock_ref()) }
    }
}

/// Reports a driver that validates a read under another lock than the notifier's.
///
/// Once is enough: the driver tries again, and fails again.
#[cfg(CONFIG_LOCKDEP)]
#[cold]
fn report_other_lock() {
    static REPORTED: AtomicFlag = AtomicFlag::new(false);

    if !REPORTED.xchg(true, Relaxed) {
        crate::warn_on!(true);
    }
}
