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
//! A callback has to return an [`Invalidated`], which it only gets by publishing the invalidation,
//! and only for the invalidation that it was called for.
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
/// See the [parent module](super) for the context in which callbacks run. Their signatures have to
/// be given with the lifetime `'op`, as in the [example](self): it ties what they return to the
/// call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no callbacks for an interval notifier",
    label = "has no `mmu_notifier::interval::Operations`",
    note = "the trait `Operations` of list notifiers is another"
)]
pub trait Operations: Send + Sync + Sized + 'static {
    /// What the lock protects, such as the page table of the device.
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

    /// What [`try_invalidate`](Operations::try_invalidate) may answer.
    type Refusal: Refusal;

    /// The lock under which invalidations are published and readers are validated.
    ///
    /// It may belong to `self`, or be shared with other notifiers, for example by all those of a
    /// device. It must not be held over an allocation that may reclaim, over an access to user
    /// memory or over [`Notifier::read_begin`].
    ///
    /// It is asked for once, before the notifier is registered. With lockdep it is taken and
    /// released then, as a callback would.
    fn lock(&self) -> &Lock<Self::State, Self::Backend>;

    /// Returns whether `owner`, on whose behalf pages are migrated or made exclusive, is this
    /// driver.
    ///
    /// Of the invalidations that it brings about itself a driver is not notified: neither callback
    /// is called, and readers do not see them. Otherwise no read could be validated during which
    /// the driver migrates a page, or makes it exclusive. See [`Owner::is`].
    ///
    /// It must not sleep. It costs nothing where it is left out.
    #[inline]
    fn is_own(&self, owner: Owner) -> bool {
        let _ = owner;
        false
    }

    /// Pages of the notifier's range are about to change.
    ///
    /// When it returns the device must have stopped using those in [`Pending::range`]. It may
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
    /// [`WouldBlock`](super::WouldBlock) if the work could not be done without blocking.
    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, Self::Refusal>;
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
/// - `_module` is a reference to the module of the table of its callbacks.
/// - `lock` is what [`Operations::lock`] returned for `data`, borrowed until `data` is dropped.
// In this order, so that the C object is at the address of the notifier.
#[repr(C)]
#[pin_data(PinnedDrop)]
pub struct Notifier<T: Operations> {
    #[pin]
    inner: Opaque<bindings::mmu_interval_notifier>,
    lock: NonNull<Lock<T::State, T::Backend>>,
    /// Tells its stamps from those of other notifiers, also of one that was at the same address.
    id: u64,
    #[pin]
    data: T,
    // The last field is dropped last, after the destructor of the data.
    _module: ModuleRef,
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

/// Returns the range that a notifier is registered for.
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
    // each callback that asks for its range.
    start..last.wrapping_add(1)
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
    /// - [`EINVAL`] if `range` is empty, or begins behind the part of the address space that the
    ///   process can map: the notifier would never be called. That is so for an address with a tag,
    ///   see [`untagged_addr`](crate::mm::untagged_addr).
    /// - [`ENOMEM`] if there is no memory for the notifiers of the address space.
    /// - [`EINTR`] if a signal is pending for the current task, and this is the first interval
    ///   notifier of the address space.
    /// - [`ENODEV`] if there is no reference to the driver's module; see [`ModuleRef::get`].
    ///
    /// When it fails no callback has run, and none will.
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
                // Behind what the process can map nothing changes. An address with a tag is there.
                if range.is_empty() || range.start >= mm.task_size() {
                    return Err(EINVAL);
                }
            },
            // If a later step fails, what is initialized first is dropped last.
            _module: ModuleRef::get(ptr::from_ref(ops).addr())?,
            data <- data,
            lock: {
                // SAFETY: `data` was initialized just above, is pinned, and there are only shared
                // references to it until it is dropped.
                let data = unsafe { &(*this.as_ptr()).data };
                // INVARIANT: It is a borrow of `data`, which lasts until that is dropped.
                NonNull::from(data.lock())
            },
            // The registration below initializes what is used.
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
        // SAFETY: By the type invariant `inner` is registered.
        unsafe { bounds(self.inner.get()) }
    }

    /// Returns the C object.
    #[cfg(CONFIG_HMM_MIRROR)]
    #[inline]
    pub(in crate::mm) fn as_raw(&self) -> *mut bindings::mmu_interval_notifier {
        self.inner.get()
    }

    /// Takes up a read of the address space that C code began.
    ///
    /// # Safety
    ///
    /// `seq` must come from `mmu_interval_read_begin()` for this notifier.
    #[cfg(CONFIG_HMM_MIRROR)]
    #[inline]
    pub(in crate::mm) unsafe fn seq_from_raw(&self, seq: usize) -> Seq<'_, T> {
        // INVARIANT: By the caller's contract.
        Seq {
            notifier: self,
            seq,
        }
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
