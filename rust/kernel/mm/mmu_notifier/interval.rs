// SPDX-License-Identifier: GPL-2.0

//! Interval notifiers.
//!
//! An interval notifier is called for the changes in one range of addresses. It also answers a
//! question that is otherwise hard: a driver that looks up pages of the range has to do so without
//! the lock that protects its page table, because the look-up sleeps and may itself cause an
//! invalidation. By the time it has the lock, are the pages still right? For that the notifier has
//! a sequence count, and a rule: the count is published by invalidations and checked by readers
//! *under one and the same lock*. Here the lock is named once, in [`Operations::lock`], and there
//! is no other way to publish or check than with it:
//!
//! ```text
//!  driver                                        invalidation
//!  ------                                        ------------
//!  let seq = notifier.read_begin();
//!  ...look up pages, may sleep...
//!                                                let (table, done) = op.lock();
//!                                                ...remove the pages from the table...
//!                                                return done;
//!  let Some(table) = seq.lock() else {
//!      // An invalidation came in between: again.
//!  };
//!  ...enter the pages into the table...
//! ```
//!
//! A callback has to return an [`Invalidated`], which it only gets by publishing the invalidation
//! or by saying that it is [`unaffected`](Invalidation::unaffected), and only for the invalidation
//! that it was called for.
//!
//! # Moving a notifier
//!
//! The range of a notifier does not change. To move or resize one, register another that names the
//! same lock, and then drop the old one. Both are called for what their ranges have in common, so
//! that no invalidation is missed, as would be one that came between a removal and a registration.
//!
//! # Removing a notifier from a callback
//!
//! A callback that finds that its notifier is of no more use, because the range was unmapped, can't
//! drop it, because that waits for the callback. It marks it under the lock, and has a [work item]
//! drop it.
//!
//! # Short-lived notifiers
//!
//! A notifier for the duration of a function can live on its stack:
//!
//! ```
//! use core::ops::Range;
//! use kernel::mm::{
//!     mmu_notifier::interval::{
//!         Notifier,
//!         Operations, //
//!     },
//!     MmWithUser, //
//! };
//!
//! /// Calls `f`; whether nothing in the range was invalidated meanwhile.
//! fn is_quiet<T: Operations>(
//!     mm: &MmWithUser,
//!     range: Range<usize>,
//!     data: T,
//!     f: impl FnOnce(),
//! ) -> Result<bool> {
//!     pin_init::stack_try_pin_init! {
//!         let notifier =? Notifier::new(mm, range, Ok(data))
//!     };
//!
//!     let seq = notifier.read_begin();
//!     f();
//!     let guard = seq.lock();
//!     Ok(guard.is_some())
//! }
//! ```
//!
//! [work item]: crate::workqueue::WorkItem
//!
//! # Examples
//!
//! A driver that keeps track of how many pages its device has mapped:
//!
//! ```
//! use kernel::{
//!     mm::{
//!         mmu_notifier::{
//!             interval::{
//!                 Invalidated,
//!                 Invalidation,
//!                 Notifier,
//!                 Operations,
//!                 TryInvalidation, //
//!             },
//!             WouldBlock, //
//!         },
//!         MmWithUser, //
//!     },
//!     new_mutex,
//!     nonblock::NonBlockGuard,
//!     sync::{
//!         lock::mutex::MutexBackend,
//!         Mutex, //
//!     }, //
//! };
//!
//! #[pin_data]
//! struct Mirror {
//!     #[pin]
//!     pages: Mutex<usize>,
//! }
//!
//! impl Operations for Mirror {
//!     type State = usize;
//!     type Backend = MutexBackend;
//!     type Refusal = WouldBlock;
//!
//!     fn lock(&self) -> &Mutex<usize> {
//!         &self.pages
//!     }
//!
//!     fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
//!         let (mut pages, done) = op.lock();
//!         *pages = 0;
//!         done
//!     }
//!
//!     fn try_invalidate<'op>(
//!         &'op self,
//!         op: TryInvalidation<'op, Self>,
//!         _nb: &NonBlockGuard,
//!     ) -> Result<Invalidated<'op>, WouldBlock> {
//!         let (mut pages, done) = op.try_lock()?;
//!         *pages = 0;
//!         Ok(done)
//!     }
//! }
//!
//! fn mirror(mm: &MmWithUser, start: usize, end: usize) -> Result<Pin<KBox<Notifier<Mirror>>>> {
//!     let data = try_pin_init!(Mirror {
//!         pages <- new_mutex!(0),
//!     });
//!
//!     KBox::try_pin_init(Notifier::new(mm, start..end, data), GFP_KERNEL)
//! }
//!
//! fn map_one(notifier: &Notifier<Mirror>) {
//!     loop {
//!         let seq = notifier.read_begin();
//!         // Here the driver looks up the page, which may sleep.
//!         if let Some(mut pages) = seq.lock() {
//!             // No invalidation since `read_begin()`, and none before the lock is released.
//!             *pages += 1;
//!             break;
//!         }
//!     }
//! }
//! # // Doctests run in kernel threads, which have no address space.
//! # if let Some(mm) = kernel::current!().mm() {
//! #     map_one(&*mirror(mm, 0, kernel::page::PAGE_SIZE)?);
//! # }
//! # Ok::<(), Error>(())
//! ```

use super::{
    ModuleRef,
    Range,
    Refusal,
    WouldBlock, //
};
use crate::{
    bindings,
    container_of,
    error::to_result,
    mm::{
        Mm,
        MmWithUser,
        MmapWriteLocked, //
    },
    nonblock::{
        non_block,
        NonBlockGuard, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::{
            rwsem::{
                RwSemaphoreBackend,
                RwSemaphoreReadGuard, //
            },
            spinlock::SpinLockBackend,
            Backend,
            Guard,
            Lock, //
        }, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};
use core::{
    marker::PhantomData,
    mem,
    ops::{
        self,
        Deref, //
    },
    ptr::{
        self,
        NonNull, //
    }, //
};

#[cfg(CONFIG_HMM_MIRROR)]
mod hmm;

mod two_pass;
pub use self::two_pass::{
    TwoPass,
    TwoPassNotifier, //
};

/// The callbacks of a [`Notifier`], and the lock that goes with them.
///
/// See the [parent module](super) for the context in which callbacks run. Their signatures have to
/// be given with the lifetime `'op`, as in the [example](self): it ties what they return to the
/// call.
pub trait Operations: Send + Sync + Sized + 'static {
    /// What the lock protects, such as the page table of the device.
    type State: Send + 'static;

    /// The kind of lock, such as [`MutexBackend`], [`SpinLockBackend`] or [`RwSemaphoreBackend`].
    ///
    /// Invalidations take a [`RwSemaphore`] for writing, and readers may be validated with
    /// [`Seq::read`].
    ///
    /// [`MutexBackend`]: crate::sync::lock::mutex::MutexBackend
    /// [`RwSemaphore`]: crate::sync::RwSemaphore
    type Backend: Backend + 'static;

    /// What [`try_invalidate`](Operations::try_invalidate) may answer.
    type Refusal: Refusal;

    /// Whether the callbacks that may sleep run in a [`memalloc_noreclaim`] scope.
    ///
    /// Allocations in them, and in what they call, then take from the reserves instead of
    /// reclaiming, which would call them again. There must be a bound on what is allocated.
    ///
    /// [`memalloc_nofs`] would not do: MMU notifiers are called by reclaim without file systems,
    /// too.
    ///
    /// [`memalloc_nofs`]: crate::mm::reclaim::memalloc_nofs
    /// [`memalloc_noreclaim`]: crate::mm::reclaim::memalloc_noreclaim
    const NORECLAIM: bool = false;

    /// The lock under which invalidations are published and readers are validated.
    ///
    /// It may belong to `self`, or be shared with other notifiers, for example by all those of a
    /// device. It must not be held over an allocation that may reclaim, over an access to user
    /// memory or over [`Notifier::read_begin`].
    ///
    /// It is asked for once, before the notifier is registered. With lockdep it is taken and
    /// released then, as a callback would.
    fn lock(&self) -> &Lock<Self::State, Self::Backend>;

    /// Pages of the notifier's range are about to change.
    ///
    /// When it returns the device must have stopped using those in [`Invalidation::range`]. It may
    /// sleep, with the limitations that the [parent module](super) lists.
    ///
    /// It is called for the whole address space, [`Event::Release`](super::Event::Release), when
    /// that has lost its last user. Invalidations may still follow.
    ///
    /// Corresponds to the C callback `invalidate()` for a range that is blockable.
    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op>;

    /// Pages of the notifier's range are about to change, and the caller cannot wait.
    ///
    /// Like [`invalidate`](Operations::invalidate), but must not block: locks may only be tried
    /// for. If that is not enough to do the work it is refused, and the caller leaves the pages
    /// alone. It may be called again for a range that it was called for already.
    ///
    /// Corresponds to the C callback `invalidate()` for a range that is not blockable.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if the work could not be done without blocking.
    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, Self::Refusal>;
}

/// Evidence that an invalidation was dealt with.
///
/// The lifetime is that of one call of a callback, and is invariant, so that the evidence of one
/// call does not do for another.
#[must_use = "the callback has to return it"]
pub struct Invalidated<'op>(PhantomData<fn(&'op ()) -> &'op ()>);

/// The lock of a notifier, held, and the evidence that an invalidation was published under it.
pub type Locked<'op, T> = (
    Guard<'op, <T as Operations>::State, <T as Operations>::Backend>,
    Invalidated<'op>,
);

/// An invalidation that has not been dealt with yet, and may wait.
///
/// See [`Operations::invalidate`].
///
/// # Examples
///
/// ```
/// use kernel::mm::mmu_notifier::{
///     interval::{
///         Invalidated,
///         Invalidation,
///         Operations, //
///     },
///     Event, //
/// };
///
/// /// Deals with an invalidation, unless `device` brought it about.
/// fn invalidate<'op, T: Operations, D>(
///     op: Invalidation<'op, T>,
///     device: &D,
///     remove: impl FnOnce(&T::State),
/// ) -> Invalidated<'op> {
///     match op.range().event() {
///         Event::Migrate(owner) if owner.is(device) => op.unaffected(),
///         _ => {
///             let (state, done) = op.lock();
///             remove(&state);
///             done
///         }
///     }
/// }
/// ```
#[must_use = "an invalidation has to be dealt with"]
pub struct Invalidation<'op, T: Operations>(Pending<'op, T>);

/// An invalidation that has not been dealt with yet, and must not wait.
///
/// See [`Operations::try_invalidate`].
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
/// /// Deals with an invalidation if the lock is free and the device idle.
/// fn try_invalidate<'op, T: Operations>(
///     op: TryInvalidation<'op, T>,
///     is_idle: impl FnOnce(&T::State) -> bool,
/// ) -> Result<Invalidated<'op>, WouldBlock> {
///     let (state, done) = op.try_lock()?;
///     is_idle(&state).then_some(done).ok_or(WouldBlock)
/// }
/// ```
#[must_use = "an invalidation has to be dealt with"]
pub struct TryInvalidation<'op, T: Operations>(Pending<'op, T>);

/// What [`Invalidation`] and [`TryInvalidation`] have in common.
///
/// # Invariants
///
/// `notifier` is registered, or is being registered, and the core is calling it for `range` with
/// the sequence number `seq`.
struct Pending<'op, T: Operations> {
    notifier: &'op Notifier<T>,
    range: Range<'op>,
    seq: usize,
    _invariant: PhantomData<fn(&'op ()) -> &'op ()>,
}

impl<'op, T: Operations> Pending<'op, T> {
    /// # Safety
    ///
    /// `interval_sub` must be the `inner` of a [`Notifier<T>`] that is registered or is being
    /// registered, and that the core is calling for `range` with the sequence number `seq`. All of
    /// that must hold for `'op`.
    #[inline]
    unsafe fn from_raw(
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

    /// Has the driver deal with an invalidation that may wait.
    #[inline]
    fn invalidate(self) {
        let Invalidated(_) = super::run(T::NORECLAIM, || {
            self.notifier.data.invalidate(Invalidation(self))
        });
    }

    /// Has the driver deal with an invalidation that must not wait; whether it did.
    #[inline]
    fn try_invalidate(self) -> bool {
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
        // What `mmu_interval_set_seq()` does, which is to be called with the lock of the notifier
        // held: the callers have just taken the guard from `Notifier::user_lock()`. The write is
        // volatile because `mmu_interval_read_begin()` reads it without that lock.
        //
        // SAFETY: By the type invariants the notifier is registered, and the core is calling it
        // with this sequence number.
        unsafe { (&raw mut (*self.notifier.inner.get()).invalidate_seq).write_volatile(self.seq) };

        Invalidated(PhantomData)
    }
}

impl<'op, T: Operations> Invalidation<'op, T> {
    /// The range that is invalidated.
    ///
    /// It overlaps that of the notifier, but may be larger. See [`Range::clip`].
    #[inline]
    pub fn range(&self) -> Range<'op> {
        self.0.range
    }

    /// Takes the lock, and publishes the invalidation to readers.
    ///
    /// The pages have to be removed before the lock is released.
    #[doc(alias = "mmu_interval_set_seq")]
    #[inline]
    pub fn lock(self) -> Locked<'op, T> {
        let guard = self.0.notifier.user_lock().lock();
        let done = self.0.publish(&guard);

        (guard, done)
    }

    /// Declares that the device uses none of the pages, and need not be kept from using them.
    ///
    /// Readers do not see the invalidation. So this is only right for an invalidation that the
    /// driver itself brought about, see [`Event::Migrate`](super::Event::Migrate), or for one that
    /// does not change the pages as far as the driver is concerned.
    #[inline]
    pub fn unaffected(self) -> Invalidated<'op> {
        Invalidated(PhantomData)
    }
}

impl<'op, T: Operations> TryInvalidation<'op, T> {
    /// The range that is invalidated.
    ///
    /// It overlaps that of the notifier, but may be larger. See [`Range::clip`].
    #[inline]
    pub fn range(&self) -> Range<'op> {
        self.0.range
    }

    /// Takes the lock if it is free, and then publishes the invalidation to readers.
    ///
    /// The pages have to be removed before the lock is released.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if somebody holds the lock. The invalidation is not published then, and can
    /// only be refused.
    #[doc(alias = "mmu_interval_set_seq")]
    #[inline]
    pub fn try_lock(self) -> Result<Locked<'op, T>, WouldBlock> {
        let guard = self.0.notifier.user_lock().try_lock().ok_or(WouldBlock)?;
        let done = self.0.publish(&guard);

        Ok((guard, done))
    }

    /// Declares that the device uses none of the pages, and need not be kept from using them.
    ///
    /// See [`Invalidation::unaffected`].
    #[inline]
    pub fn unaffected(self) -> Invalidated<'op> {
        Invalidated(PhantomData)
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

/// A notifier for changes in a range of addresses.
///
/// It keeps the address space's `struct mm_struct`, but not its users: the address space is torn
/// down as if the notifier was not there.
///
/// Dereferences to the data that it was created with.
///
/// Dropping it sleeps until its callbacks have returned, and until an invalidation that it takes
/// part in is over. The device must have stopped using the memory before: the data is dropped at
/// last, when nobody tells it about changes any more.
///
/// # Invariants
///
/// - `inner` was registered with `mmu_interval_notifier_insert()` or its `_locked` variant, and
///   is not removed before `self` is dropped.
/// - `self` owns what `ModuleRef::get` returned for the table of its callbacks.
/// - `lock` is what [`Operations::lock`] returned for `data`, borrowed until `data` is dropped.
#[pin_data(PinnedDrop)]
pub struct Notifier<T: Operations> {
    #[pin]
    inner: Opaque<bindings::mmu_interval_notifier>,
    lock: NonNull<Lock<T::State, T::Backend>>,
    /// Tells its stamps from those of other notifiers, also of one that was at the same address.
    id: u64,
    #[pin]
    data: T,
}

/// Tells lockdep that callbacks take `lock`, so that it need not wait for one to.
#[cfg(CONFIG_PROVE_LOCKING)]
fn prime<S, B: Backend>(lock: &Lock<S, B>) {
    invalidate_map(true);
    drop(lock.lock());
    invalidate_map(false);
}

/// Acquires or releases the map that the core holds around callbacks.
///
/// It is not exported to modules, and so neither inlined into them.
#[cfg(CONFIG_PROVE_LOCKING)]
#[inline(never)]
fn invalidate_map(acquire: bool) {
    // SAFETY: Only lockdep is told of it, and `prime` releases what it has acquired.
    unsafe {
        if acquire {
            bindings::mmu_notifier_invalidate_map_acquire()
        } else {
            bindings::mmu_notifier_invalidate_map_release()
        }
    };
}

/// The number of notifiers that there have been.
static NOTIFIERS: Atomic<u64> = Atomic::new(0);

// SAFETY: A notifier may be removed by any task, `T: Send`, and `lock` is only borrowed from `data`
// and is `Sync` because `State: Send`.
unsafe impl<T: Operations> Send for Notifier<T> {}
// SAFETY: What a shared reference gives access to is `data`, with `T: Sync`, the lock, which is
// `Sync` because `State: Send`, the mm of `inner`, which does not change while it is registered,
// and the sequence count, which the core and the lock protect.
unsafe impl<T: Operations> Sync for Notifier<T> {}

impl<T: Operations> Notifier<T> {
    const OPS: bindings::mmu_interval_notifier_ops = bindings::mmu_interval_notifier_ops {
        invalidate: Some(Self::invalidate),
        ..pin_init::zeroed()
    };

    /// Registers a notifier for `range` of `mm`.
    ///
    /// `range` is in bytes, and need not be aligned or mapped. `data` is what `try_pin_init!`
    /// gives, or `Ok(value)` for a value that can be moved.
    ///
    /// It sleeps and may take the `mmap_lock` of `mm`, so neither that lock nor one that the
    /// callbacks take may be held. The callbacks may run before it returns.
    ///
    /// Equivalent to the C function `mmu_interval_notifier_insert()`.
    ///
    /// # Errors
    ///
    /// - The error of `data`.
    /// - [`EINVAL`] if `range` is empty.
    /// - [`ENOMEM`] if there is no memory for the notifiers of the address space.
    /// - [`EINTR`] if a signal is pending for the current task, and this is the first interval
    ///   notifier of the address space.
    /// - [`ENODEV`] if the driver's module is being loaded or unloaded.
    ///
    /// When it fails no callback has run, and none will.
    pub fn new<'a>(
        mm: &'a MmWithUser,
        range: ops::Range<usize>,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        // SAFETY: The mmap lock is not said to be held, and `OPS` is for a `Self`.
        unsafe { Self::init::<false>(mm, range, const { &Self::OPS }, data) }
    }

    /// Registers a notifier for a range of an address space whose `mmap_lock` is held for writing.
    ///
    /// Like [`Notifier::new`], for example for a driver's `mmap` callback, whose vma has the proof
    /// that it is: [`VmaNew::mmap_locked`](crate::mm::virt::VmaNew::mmap_locked).
    ///
    /// Equivalent to the C function `mmu_interval_notifier_insert_locked()`.
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::new`].
    ///
    /// # Examples
    ///
    /// ```
    /// use core::ops::Range;
    /// use kernel::mm::{
    ///     mmu_notifier::interval::{
    ///         Notifier,
    ///         Operations, //
    ///     },
    ///     MmapWriteLocked, //
    /// };
    ///
    /// fn register<T: Operations>(
    ///     mmap: &MmapWriteLocked,
    ///     range: Range<usize>,
    ///     data: T,
    /// ) -> Result<Pin<KBox<Notifier<T>>>> {
    ///     KBox::try_pin_init(Notifier::new_locked(mmap, range, Ok(data)), GFP_KERNEL)
    /// }
    /// ```
    pub fn new_locked<'a>(
        mmap: &'a MmapWriteLocked,
        range: ops::Range<usize>,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        // SAFETY: The lock is held for as long as the initializer borrows the guard, and `OPS` is
        // for a `Self`.
        unsafe { Self::init::<true>(mmap.mm(), range, const { &Self::OPS }, data) }
    }

    /// # Safety
    ///
    /// - If `LOCKED`, the current task must hold the `mmap_lock` of `mm` for writing for `'a`.
    /// - It must be sound to call `ops` for a `Self` that the initializer initializes, from when
    ///   all of its fields are initialized.
    unsafe fn init<'a, const LOCKED: bool>(
        mm: &'a MmWithUser,
        range: ops::Range<usize>,
        ops: &'static bindings::mmu_interval_notifier_ops,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        // Another task may not hold the lock.
        let task = NotThreadSafe;

        // INVARIANT: If the initializer succeeds, `inner` was registered in its last step, and has
        // the reference to the module. The pinned drop below is the only one that removes it.
        try_pin_init!(&this in Self {
            data <- data,
            lock: {
                // SAFETY: `data` was initialized just above, is pinned, and there are only shared
                // references to it until it is dropped.
                let data = unsafe { &(*this.as_ptr()).data };
                // INVARIANT: It is a borrow of `data`, which lasts until that is dropped.
                NonNull::from(data.lock())
            },
            inner <- Opaque::zeroed(),
            id: NOTIFIERS.fetch_add(1, Relaxed),
            _: {
                if range.is_empty() {
                    return Err(EINVAL);
                }
                let _task: NotThreadSafe = task;
                let module = ModuleRef::get(ptr::from_ref(ops).addr())?;

                // SAFETY: `this` is valid, and the field is in bounds of it.
                let inner = Opaque::cast_into(unsafe { &raw const (*this.as_ptr()).inner });
                let len = range.end - range.start;
                #[cfg(CONFIG_PROVE_LOCKING)]
                // SAFETY: It was set above, and is borrowed from `data`, which is initialized.
                prime(unsafe { (*this.as_ptr()).lock.as_ref() });
                // SAFETY:
                // - `inner` is pinned, and the pinned drop removes it.
                // - `mm` has users for the duration of the call.
                // - If the mmap lock has to be held, it is by this function's contract.
                // - All fields of `Self` are initialized, so that by this function's contract the
                //   callbacks may run at once.
                to_result(unsafe {
                    if LOCKED {
                        bindings::mmu_interval_notifier_insert_locked(
                            inner,
                            mm.as_raw(),
                            range.start,
                            len,
                            ops,
                        )
                    } else {
                        bindings::mmu_interval_notifier_insert(
                            inner,
                            mm.as_raw(),
                            range.start,
                            len,
                            ops,
                        )
                    }
                })?;
                // It is that of `Self` from now on.
                mem::forget(module);
            },
        }? Error)
    }

    /// The address space that the notifier is registered for.
    ///
    /// It may have lost its users; see [`Mm::mmget_not_zero`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     mmu_notifier::interval::{
    ///         Notifier,
    ///         Operations, //
    ///     },
    ///     MmWithUser, //
    /// };
    ///
    /// /// Looks up pages on behalf of the process, also in another task.
    /// fn look_up<T: Operations>(notifier: &Notifier<T>) -> Result {
    ///     // The process may have exited, although the notifier exists.
    ///     let mm = notifier.mm().mmget_not_zero().ok_or(EFAULT)?;
    ///     // If it has when this is put, the callbacks are called: not with their lock held.
    ///     let mm = MmWithUser::into_mmput_async(mm);
    ///     let _seq = notifier.read_begin();
    ///     let _mmap = mm.mmap_read_lock();
    ///     // Here the driver looks up the pages.
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn mm(&self) -> &Mm {
        // SAFETY: By the type invariant `inner` is registered, so its `mm` is set, does not change,
        // and is kept by the registration for as long as `self` is borrowed.
        unsafe { Mm::from_raw((*self.inner.get()).mm) }
    }

    /// The range that the notifier is registered for, in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::mmu_notifier::interval::{
    ///     Notifier,
    ///     Operations, //
    /// };
    ///
    /// /// Whether the notifier is called for changes of all of a buffer.
    /// fn covers<T: Operations>(notifier: &Notifier<T>, addr: usize, len: usize) -> bool {
    ///     let range = notifier.range();
    ///     addr >= range.start && addr <= range.end && len <= range.end - addr
    /// }
    /// ```
    #[inline]
    pub fn range(&self) -> ops::Range<usize> {
        // SAFETY: By the type invariant `inner` is registered, so the range is set and does not
        // change.
        let node = unsafe { &raw const (*self.inner.get()).interval_tree };
        // SAFETY: As above. The core does not write to these two fields.
        let (start, last) = unsafe { ((*node).start, (*node).last) };

        // OVERFLOW: `last` was calculated from an exclusive end.
        start..last + 1
    }

    /// Begins to read the address space.
    ///
    /// What is looked up from here on is valid under the lock that [`Seq::lock`] returns, if it
    /// returns it.
    ///
    /// It sleeps while an invalidation of the notifier is in progress, so it must not be called
    /// in a callback, nor with a lock held that callbacks take.
    ///
    /// Equivalent to the C function [`mmu_interval_read_begin()`].
    ///
    /// [`mmu_interval_read_begin()`]: srctree/mm/mmu_notifier.c
    #[doc(alias = "mmu_interval_read_begin")]
    #[inline]
    pub fn read_begin(&self) -> Seq<'_, T> {
        // INVARIANT: The sequence number is from `mmu_interval_read_begin()`.
        Seq {
            // SAFETY: By the type invariant `inner` is registered.
            seq: unsafe { bindings::mmu_interval_read_begin(self.inner.get()) },
            notifier: self,
        }
    }

    /// Takes up a read of the address space that began earlier.
    ///
    /// The result is worth what the [`Seq`] was that `stamp` is from: whatever was looked up since
    /// *that* began is valid if it is validated now. There may have been others in between.
    ///
    /// Returns [`None`] if `stamp` is from another notifier.
    ///
    /// It does not sleep.
    #[inline]
    pub fn resume(&self, stamp: Stamp) -> Option<Seq<'_, T>> {
        // INVARIANT: By the type invariant of `Stamp` the sequence number is that of a read of the
        // notifier with its number, which is this one.
        (stamp.notifier == self.id).then_some(Seq {
            notifier: self,
            seq: stamp.seq,
        })
    }

    /// The lock that the C side calls `user_lock`.
    #[inline]
    fn user_lock(&self) -> &Lock<T::State, T::Backend> {
        // SAFETY: By the type invariant the lock is borrowed from `data`, which lives for as long
        // as `self` is borrowed.
        unsafe { self.lock.as_ref() }
    }

    /// # Safety
    ///
    /// `inner` must be that of a `Self`.
    #[inline]
    unsafe fn from_inner(inner: *mut bindings::mmu_interval_notifier) -> *const Self {
        // SAFETY: By the caller's contract.
        unsafe { container_of!(Opaque::cast_from(inner), Self, inner) }
    }

    /// # Safety
    ///
    /// As for [`Pending::from_raw`], for the duration of the call.
    unsafe extern "C" fn invalidate(
        interval_sub: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        seq: usize,
    ) -> bool {
        // SAFETY: By the caller's contract.
        let pending = unsafe { Pending::<T>::from_raw(interval_sub, range, seq) };

        if pending.range.is_blockable() {
            pending.invalidate();
            return true;
        }
        pending.try_invalidate()
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for Notifier<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants `inner` is registered, so that it has its table, and
        // `self` owns the reference, which is not used again.
        let module = unsafe { ModuleRef::from_leaked((*self.inner.get()).ops.addr()) };

        // SAFETY: By the type invariant `inner` is registered. The call waits for all callbacks, so
        // that none uses `self` afterwards.
        unsafe { bindings::mmu_interval_notifier_remove(self.inner.get()) };
        drop(module);
    }
}

impl<T: Operations> Deref for Notifier<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.data
    }
}

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
/// /// Looks up pages one by one, and calls `f` when those that were looked up are valid.
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
    notifier: &'a Notifier<T>,
    seq: usize,
}

/// When a read of the address space began, to be kept.
///
/// A driver that stores the pages that it looked up, and wants to know much later whether they are
/// still valid, stores a stamp with them. [`Notifier::resume`] makes a [`Seq`] of it again.
///
/// Two stamps of one notifier are equal if no invalidation was published in between.
///
/// It outlives its notifier, and then is of no use: it is never taken for that of another.
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
    notifier: u64,
    seq: usize,
}

impl<'a, T: Operations> Seq<'a, T> {
    /// When the read began, to be kept.
    #[inline]
    pub fn stamp(&self) -> Stamp {
        // INVARIANT: By the type invariant.
        Stamp {
            notifier: self.notifier.id,
            seq: self.seq,
        }
    }

    /// Takes the lock, and validates what was read.
    ///
    /// Returns [`None`], with the lock released, if an invalidation came in between. Then the
    /// whole read has to be done again, beginning with [`Notifier::read_begin`].
    ///
    /// What was read stays valid for as long as the lock is held, because invalidations need the
    /// lock, and to be found by those that come later it has to be stored in the state that the
    /// lock protects.
    ///
    /// It sleeps if taking the lock does.
    #[doc(alias = "mmu_interval_read_retry")]
    #[must_use = "if unused, the lock will be immediately unlocked"]
    #[inline]
    pub fn lock(self) -> Option<Guard<'a, T::State, T::Backend>> {
        let guard = self.notifier.user_lock().lock();

        // SAFETY: The lock was taken just above.
        unsafe { self.is_valid() }.then_some(guard)
    }

    /// Validates what was read, under the lock of the notifier, which is held already.
    ///
    /// This is for several notifiers that share their lock: take it with the [`Seq::lock`] of one
    /// of them, and validate the others under it. What is true of that guard is then true of all.
    ///
    /// Returns `false` if an invalidation came in between, or if `guard` is that of another lock.
    ///
    /// It does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::mmu_notifier::interval::{
    ///     Notifier,
    ///     Operations, //
    /// };
    ///
    /// /// Calls `f` when what was looked up in the ranges of both notifiers is valid.
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
    ///         if seq_b.validate(&state) {
    ///             return f(&mut state);
    ///         }
    ///     }
    /// }
    /// ```
    #[doc(alias = "mmu_interval_read_retry")]
    #[must_use = "what was read is only valid if this says so"]
    #[inline]
    pub fn validate(self, guard: &Guard<'_, T::State, T::Backend>) -> bool {
        // SAFETY: `guard` holds its lock.
        unsafe { self.validate_locked(guard.lock_ref()) }
    }

    /// # Safety
    ///
    /// `lock` must be held, at least for reading.
    #[inline]
    unsafe fn validate_locked(self, lock: &Lock<T::State, T::Backend>) -> bool {
        if !ptr::eq(lock, self.notifier.user_lock()) {
            return false;
        }

        // SAFETY: The lock is held, and is that of the notifier, as was just checked.
        unsafe { self.is_valid() }
    }

    /// # Safety
    ///
    /// The lock of the notifier must be held, at least for reading.
    #[inline]
    unsafe fn is_valid(&self) -> bool {
        // What `mmu_interval_read_retry()` asks.
        //
        // SAFETY: By the type invariant of `Notifier` it is registered. By the caller's contract
        // the lock is held under which the number is written.
        unsafe { (*self.notifier.inner.get()).invalidate_seq == self.seq }
    }

    /// Whether what was read is known to have been invalidated, as far as that can be seen without
    /// the lock.
    ///
    /// `true` means that [`Seq::lock`] would return [`None`], so that the read may as well be begun
    /// again. `false` means nothing.
    ///
    /// It does not sleep.
    #[doc(alias = "mmu_interval_check_retry")]
    #[inline]
    pub fn check_retry(&self) -> bool {
        // What `mmu_interval_check_retry()` asks. The read is volatile because callbacks may write
        // at the same time.
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
    /// Takes the lock for reading, and validates what was read.
    ///
    /// Like [`Seq::lock`], for drivers that use what they looked up more often than they change
    /// the state that the lock protects.
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
    /// /// Calls `f` when what was looked up in the ranges of both notifiers is valid. Others may
    /// /// do the same at the same time.
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
    ///         if seq_b.validate_read(&state) {
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

    /// Validates what was read, under the lock of the notifier, which is held for reading already.
    ///
    /// Like [`Seq::validate`].
    #[doc(alias = "mmu_interval_read_retry")]
    #[must_use = "what was read is only valid if this says so"]
    #[inline]
    pub fn validate_read(self, guard: &RwSemaphoreReadGuard<'_, T::State>) -> bool {
        // SAFETY: `guard` holds its lock for reading.
        unsafe { self.validate_locked(guard.lock_ref()) }
    }
}
