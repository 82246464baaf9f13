// SPDX-License-Identifier: GPL-2.0

//! Interval notifiers.
//!
//! An interval notifier is called for the changes in one range of addresses. It also validates
//! pages. A driver must look up pages without the lock of its page table, because the look-up
//! sleeps and may itself cause an invalidation. When the driver takes the lock, an invalidation may
//! have removed the pages. So the notifier has a sequence count, and a rule: invalidations publish
//! the count and readers check it *under one and the same lock*. A driver names this lock once, in
//! [`Operations::lock`], and can publish or check only with the lock:
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
//! A callback must return an [`Invalidated`]. It gets one only by publishing its invalidation, and
//! cannot use the one of another invalidation.
//!
//! # Moving a notifier
//!
//! The range of a notifier does not change. To move or resize a notifier, register another one with
//! the same lock, and then drop the old one. In the other order, you would miss an invalidation
//! between the removal and the registration. Both notifiers are called for the addresses that they
//! have in common.
//!
//! # Removing a notifier from a callback
//!
//! A callback may find that its notifier is useless, for example because the range was unmapped. It
//! cannot drop the notifier, because the drop waits for the callback. Instead, mark the notifier
//! under the lock, and drop it in a [work item].
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
//! /// Calls `f`, and returns whether no invalidation of the range came meanwhile.
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
//! A driver that counts the pages of its device:
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
    Mmap,
    Owner,
    Refusal, //
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
    module::ModuleRef,
    nonblock::NonBlockGuard,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::{
            Backend,
            Lock, //
        }, //
    },
    types::Opaque, //
};
use core::{
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
mod invalidation;
pub use self::invalidation::{
    Invalidated,
    Invalidation,
    Locked,
    Pending,
    TryInvalidation, //
};

mod read;
pub use self::read::{
    Retry,
    Seq,
    Stamp, //
};

mod deferring;
pub use self::deferring::DeferringNotifier;

mod two_pass;
pub use self::two_pass::{
    TwoPass,
    TwoPassNotifier, //
};

/// The callbacks of a [`Notifier`], and the lock that goes with them.
///
/// See the [parent module](super) for the context in which callbacks run. Implementations must
/// write the lifetime `'op` in the signatures, as in the [example](self). It ties the result to the
/// call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no callbacks for an interval notifier",
    label = "has no `mmu_notifier::interval::Operations`",
    note = "the trait `Operations` of list notifiers is another"
)]
pub trait Operations: Send + Sync + Sized + 'static {
    /// The data under the lock, for example the page table of the device.
    type State: Send + 'static;

    /// The kind of lock, such as [`MutexBackend`], [`SpinLockBackend`] or [`RwSemaphoreBackend`].
    ///
    /// Invalidations take a [`RwSemaphore`] for writing, and readers may be validated with
    /// [`Seq::read`].
    ///
    /// [`MutexBackend`]: crate::sync::lock::mutex::MutexBackend
    /// [`RwSemaphoreBackend`]: crate::sync::lock::rwsem::RwSemaphoreBackend
    /// [`SpinLockBackend`]: crate::sync::lock::spinlock::SpinLockBackend
    /// [`RwSemaphore`]: crate::sync::RwSemaphore
    type Backend: Backend + 'static;

    /// The error that [`try_invalidate`](Operations::try_invalidate) may return.
    type Refusal: Refusal;

    /// Returns the lock under which invalidations are published and readers are validated.
    ///
    /// The lock may belong to `self`, or be shared with other notifiers, for example by all
    /// notifiers of a device. It must not be held over an allocation that may reclaim, over an
    /// access to user memory or over [`Notifier::read_begin`].
    ///
    /// The function is called once, before the notifier is registered. With lockdep, the lock is
    /// then taken and released like in a callback.
    fn lock(&self) -> &Lock<Self::State, Self::Backend>;

    /// Returns whether `owner`, on whose behalf pages are migrated or made exclusive, is this
    /// driver.
    ///
    /// A driver is not notified of its own invalidations: neither callback is called, and readers
    /// do not see them. Otherwise a read would fail to validate if the driver migrates a page
    /// meanwhile, or makes it exclusive. See [`Owner::is`].
    ///
    /// It must not sleep. If it is left out, it costs nothing.
    #[inline]
    fn is_own(&self, owner: Owner) -> bool {
        let _ = owner;
        false
    }

    /// Invalidates pages of the notifier's range, which are about to change.
    ///
    /// When it returns, the device must have stopped using the pages in [`Pending::range`]. It may
    /// sleep, with the limitations in the [parent module](super).
    ///
    /// When the address space loses its last user, it is called for the whole address space, with
    /// [`Event::Release`](super::Event::Release). Invalidations may still follow.
    ///
    /// Corresponds to the C callback `invalidate()` for a range that is blockable.
    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op>;

    /// Invalidates pages of the notifier's range, for a caller that cannot wait.
    ///
    /// Like [`invalidate`](Operations::invalidate), but it must not block: it can take a lock only
    /// by a trylock. If it refuses, the caller leaves the pages alone. It may be called again for
    /// the same range.
    ///
    /// Corresponds to the C callback `invalidate()` for a range that is not blockable.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](super::WouldBlock) if the work would block.
    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, Self::Refusal>;
}

/// A notifier for changes in a range of addresses.
///
/// It keeps the address space's `struct mm_struct`, but not its users: the address space is torn
/// down as if there was no notifier.
///
/// Dereferences to the data of the driver.
///
/// Dropping it sleeps until its callbacks have returned, and until its invalidations have ended.
/// The device must have stopped using the memory by then: after the drop, no callback reports a
/// change, and the data is dropped last.
///
/// # Invariants
///
/// - `inner` was registered with `mmu_interval_notifier_insert()` or its `_locked` variant, and
///   is not removed before `self` is dropped.
/// - `_module` is a reference to the module of the table of its callbacks.
/// - [`Operations::lock`] returned `lock` for `data`, borrowed until `data` is dropped.
// The order puts the C object at the address of the notifier.
#[repr(C)]
#[pin_data(PinnedDrop)]
pub struct Notifier<T: Operations> {
    #[pin]
    inner: Opaque<bindings::mmu_interval_notifier>,
    lock: NonNull<Lock<T::State, T::Backend>>,
    /// Distinguishes its stamps from the stamps of other notifiers, even of one at the same
    /// address.
    id: u64,
    #[pin]
    data: T,
    // The last field is dropped last, after the destructor of the data.
    _module: ModuleRef,
}

/// Shows lockdep that callbacks take `lock`, before any callback does.
#[cfg(CONFIG_PROVE_LOCKING)]
fn prime<S, B: Backend>(lock: &Lock<S, B>) {
    invalidate_map(true);
    drop(lock.lock());
    invalidate_map(false);
}

/// Acquires or releases the map that the core holds around callbacks.
///
/// The map is not exported to modules, so this function must not be inlined into them.
#[cfg(CONFIG_PROVE_LOCKING)]
#[inline(never)]
fn invalidate_map(acquire: bool) {
    // SAFETY: It only changes the state of lockdep, and `prime` releases the map after it acquired
    // it.
    unsafe {
        if acquire {
            bindings::mmu_notifier_invalidate_map_acquire()
        } else {
            bindings::mmu_notifier_invalidate_map_release()
        }
    };
}

/// Returns the range of a notifier.
///
/// # Safety
///
/// `inner` must be registered, or be being registered and called by the core.
#[inline]
unsafe fn bounds(inner: *const bindings::mmu_interval_notifier) -> ops::Range<usize> {
    // SAFETY: By the caller's contract the range is set and does not change.
    let node = unsafe { &raw const (*inner).interval_tree };
    // SAFETY: As above. The core does not write to these two fields.
    let (start, last) = unsafe { ((*node).start, (*node).last) };

    // `last` was calculated from an exclusive end, so this does not wrap. A check would be part of
    // each callback that uses its range.
    start..last.wrapping_add(1)
}

/// The number of notifiers that were ever created.
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
    /// `range` is in bytes, and need not be aligned or mapped. `data` is an initializer from
    /// `try_pin_init!`, or `Ok(value)` for a value that can be moved.
    ///
    /// It sleeps and may take the `mmap_lock` of `mm`. Callers must hold neither this lock nor a
    /// lock of the callbacks. The callbacks may run before it returns.
    ///
    /// Equivalent to the C function `mmu_interval_notifier_insert()`.
    ///
    /// # Errors
    ///
    /// - The error of `data`.
    /// - [`EINVAL`] if `range` is empty, or begins behind the part of the address space that the
    ///   process can map: the notifier would never be called. An address with a tag is an example,
    ///   see [`untagged_addr`](crate::mm::untagged_addr).
    /// - [`ENOMEM`] if there is no memory for the notifiers of the address space.
    /// - [`EINTR`] if a signal is pending for the current task, and this is the first interval
    ///   notifier of the address space.
    /// - [`ENODEV`] if there is no reference to the driver's module; see [`ModuleRef::get`].
    ///
    /// If it fails, no callback has run, and none will.
    pub fn new<'a>(
        mm: &'a MmWithUser,
        range: ops::Range<usize>,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        // SAFETY: `OPS` is for a `Self`.
        unsafe { Self::init(Mmap::Unlocked(mm), range, const { &Self::OPS }, data) }
    }

    /// Registers a notifier for a range of an address space whose `mmap_lock` is held for writing.
    ///
    /// Like [`Notifier::new`], for example for a driver's `mmap` callback. Its vma returns the
    /// proof that the lock is held: [`VmaNew::mmap_locked`](crate::mm::virt::VmaNew::mmap_locked).
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
        // SAFETY: `OPS` is for a `Self`.
        unsafe { Self::init(Mmap::Locked(mmap), range, const { &Self::OPS }, data) }
    }

    /// # Safety
    ///
    /// It must be sound to call `ops` for a `Self` that the initializer initializes, from when all
    /// of its fields are initialized.
    unsafe fn init<'a>(
        mmap: Mmap<'a>,
        range: ops::Range<usize>,
        ops: &'static bindings::mmu_interval_notifier_ops,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        let mm = mmap.mm();

        // INVARIANT: If the initializer succeeds, `inner` was registered in its last step. The
        // pinned drop below is the only one that removes it.
        try_pin_init!(&this in Self {
            _: {
                // Behind the addresses that the process can map, nothing changes. An address with a
                // tag is there.
                if range.is_empty() || range.start >= mm.task_size() {
                    return Err(EINVAL);
                }
            },
            // If a later step fails, the field initialized first is dropped last.
            _module: ModuleRef::get(ptr::from_ref(ops).addr())?,
            data <- data,
            lock: {
                // SAFETY: `data` was initialized just above, is pinned, and there are only shared
                // references to it until it is dropped.
                let data = unsafe { &(*this.as_ptr()).data };
                // INVARIANT: It is a borrow of `data`, which lasts until that is dropped.
                NonNull::from(data.lock())
            },
            // The registration below initializes the fields that are used.
            inner <- Opaque::uninit(),
            id: NOTIFIERS.fetch_add(1, Relaxed),
            _: {
                // SAFETY: `this` is valid.
                let inner = unsafe { Self::raw_inner(this.as_ptr()) };
                let len = range.end - range.start;
                #[cfg(CONFIG_PROVE_LOCKING)]
                // SAFETY: It was set above, and is borrowed from `data`, which is initialized.
                prime(unsafe { (*this.as_ptr()).lock.as_ref() });
                // SAFETY:
                // - `inner` is pinned, and the pinned drop removes it.
                // - `mm` has users for the duration of the call.
                // - If the mmap lock has to be held, it is by `mmap`.
                // - All fields of `Self` are initialized, so that by this function's contract the
                //   callbacks may run at once.
                to_result(unsafe {
                    match mmap {
                        Mmap::Unlocked(_) => bindings::mmu_interval_notifier_insert(
                            inner,
                            mm.as_raw(),
                            range.start,
                            len,
                            ops,
                        ),
                        Mmap::Locked(_) => bindings::mmu_interval_notifier_insert_locked(
                            inner,
                            mm.as_raw(),
                            range.start,
                            len,
                            ops,
                        ),
                    }
                })?;
            },
        }? Error)
    }

    /// Returns the address space of the notifier.
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
    /// /// Looks up pages on behalf of the process, even in another task.
    /// fn look_up<T: Operations>(notifier: &Notifier<T>) -> Result {
    ///     // The process may have exited, although the notifier exists.
    ///     let mm = notifier.mm().mmget_not_zero().ok_or(EFAULT)?;
    ///     // If it has exited, putting this calls the callbacks, so it must not happen with their
    ///     // lock held.
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

    /// Returns the range of the notifier, in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::mmu_notifier::interval::{
    ///     Notifier,
    ///     Operations, //
    /// };
    ///
    /// /// Returns whether the notifier is called for changes of all of a buffer.
    /// fn covers<T: Operations>(notifier: &Notifier<T>, addr: usize, len: usize) -> bool {
    ///     let range = notifier.range();
    ///     addr >= range.start && addr <= range.end && len <= range.end - addr
    /// }
    /// ```
    #[inline]
    pub fn range(&self) -> ops::Range<usize> {
        // SAFETY: By the type invariant `inner` is registered.
        unsafe { bounds(self.inner.get()) }
    }

    /// Begins to read the address space.
    ///
    /// Pages that are looked up from here on are valid under the lock, if [`Seq::lock`] returns the
    /// lock.
    ///
    /// It sleeps while an invalidation of the notifier is in progress. Callers must not call it in
    /// a callback, nor hold a lock of the callbacks.
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

    /// Continues a read of the address space that began earlier.
    ///
    /// The result is equivalent to the [`Seq`] that `stamp` came from: pages that were looked up
    /// since that read began are valid if they are validated now. Other reads may have come in
    /// between.
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

    /// Returns the address of the C object, which need not be initialized.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    #[inline]
    unsafe fn raw_inner(this: *const Self) -> *mut bindings::mmu_interval_notifier {
        // SAFETY: By the caller's contract the field is in bounds of it.
        Opaque::cast_into(unsafe { &raw const (*this).inner })
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

        if pending.is_own() {
            return true;
        }
        if pending.is_blockable() {
            pending.invalidate();
            return true;
        }
        pending.try_invalidate()
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for Notifier<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant `inner` is registered. The call waits for all callbacks, so
        // that none uses `self` afterwards.
        unsafe { bindings::mmu_interval_notifier_remove(self.inner.get()) };
    }
}

impl<T: Operations> Deref for Notifier<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.data
    }
}
