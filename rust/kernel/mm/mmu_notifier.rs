// SPDX-License-Identifier: GPL-2.0

//! MMU notifiers.
//!
//! A driver whose device works on the memory of a process, through page tables of its own, has to
//! let go of a page before the process loses it. MMU notifiers tell the driver when. There are two
//! kinds:
//!
//! - A [`Registration`] is called for every change in an address space.
//! - An [interval notifier](interval::Notifier) is called for changes in one range of addresses,
//!   and comes with a sequence count against which the driver can validate pages that it looked up
//!   without a lock. It may work in [two passes](interval::TwoPass).
//!
//! A driver with one object per process can have the kernel find it again: see [`shared`].
//!
//! # Non-blocking invalidations
//!
//! Usually a callback may sleep, but must not wait for memory: memory is what the invalidation may
//! be about to free. The OOM reaper and [`process_mrelease(2)`] are stricter: with the system out
//! of memory they ask drivers to let go of the memory of a dying process *without blocking*, and
//! pass over memory whose driver refuses.
//!
//! In C that is one callback with a flag and a boolean result. Here it is two callbacks:
//!
//! | Callback                                 | May sleep | May refuse              |
//! |------------------------------------------|-----------|-------------------------|
//! | [`start`], [`invalidate`]                | yes       | no                      |
//! | [`try_start`], [`try_invalidate`]        | no        | if `Refusal` allows it  |
//!
//! The non-blocking ones run in a [non-blocking section](crate::nonblock), so a sleep in them is
//! reported with `CONFIG_DEBUG_ATOMIC_SLEEP`, and are passed the guard of it.
//!
//! # Context of the callbacks
//!
//! Callbacks run in the task that changes the address space, which need not belong to it. The
//! `mmap_lock`, the locks of the reverse mapping and, for a folio that is being reclaimed, its
//! lock may be held. Reclaim calls them, so a callback must not allocate memory in a way that may
//! reclaim, and must not take a lock that is elsewhere held over such an allocation, over an
//! access to user memory, or over [`interval::Notifier::read_begin`]. Lockdep checks all of that
//! through the map that the core holds around invalidations, as soon as each half has been seen
//! once; for the lock of an [interval notifier](interval::Notifier) its registration is enough. The
//! map is not held when an address space is released.
//!
//! Any number of callbacks may run at the same time, also before the constructor of the
//! notifier has returned, and also when the address space has no users any more. So a callback
//! must not drop the last [`MmWithUser`] of the address space; see
//! [`MmWithUser::into_mmput_async`].
//!
//! # Removal
//!
//! Dropping a notifier sleeps until its callbacks have returned. Doing it in one of its own
//! callbacks, or with a lock held that they take, is a deadlock. Lockdep reports it, but for an
//! interval notifier that is dropped when it is told of [`Event::Release`].
//!
//! A notifier that is leaked goes on being called for as long as the address space lives. So a
//! module cannot be unloaded while it has a notifier, leaked or not, and cannot have one before its
//! initialization has succeeded.
//!
//! C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)
//!
//! [`process_mrelease(2)`]: https://man7.org/linux/man-pages/man2/process_mrelease.2.html
//! [`start`]: Operations::start
//! [`try_start`]: Operations::try_start
//! [`invalidate`]: interval::Operations::invalidate
//! [`try_invalidate`]: interval::Operations::try_invalidate

use crate::{
    bindings,
    container_of,
    error::{
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    mm::{
        reclaim::memalloc_noreclaim,
        Mm,
        MmWithUser,
        MmapWriteLocked, //
    },
    nonblock::{
        non_block,
        NonBlockGuard, //
    },
    prelude::*,
    sync::rcu,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};
use core::{
    convert::Infallible,
    mem,
    ops::{
        self,
        Deref, //
    },
    ptr, //
};

pub mod interval;
pub mod shared;

mod range;
pub use self::range::{
    Event,
    Owner,
    Range, //
};

/// The answer of a non-blocking callback that would have had to block.
///
/// The caller then leaves the memory alone. The OOM reaper tries again, ten times in all and
/// 100 ms apart, before it gives up on the process.
///
/// Corresponds to `-EAGAIN` of `invalidate_range_start`, and to `false` of an interval notifier's
/// `invalidate`.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::mmu_notifier::WouldBlock,
///     nonblock::NonBlockGuard,
///     sync::Mutex, //
/// };
///
/// /// Forgets all pages of a device, if that does not take waiting for a lock.
/// fn try_forget(pages: &Mutex<usize>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
///     *pages.try_lock().ok_or(WouldBlock)? = 0;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WouldBlock;

/// What a non-blocking callback may answer instead of doing its work.
///
/// It is either [`WouldBlock`], or [`Infallible`] for a driver that never has to block and so can
/// always let go.
#[diagnostic::on_unimplemented(
    message = "a non-blocking callback cannot answer `{Self}`",
    label = "neither `WouldBlock` nor `Infallible`",
    note = "the only failure that the core can deal with is that the callback would block"
)]
pub trait Refusal: private::Refusal {}

impl Refusal for WouldBlock {}
impl Refusal for Infallible {}

mod private {
    /// Seals [`super::Refusal`].
    pub trait Refusal {
        /// Whether there is a value of the type.
        const POSSIBLE: bool;
    }

    impl Refusal for super::WouldBlock {
        const POSSIBLE: bool = true;
    }

    impl Refusal for core::convert::Infallible {
        const POSSIBLE: bool = false;
    }
}

/// Runs a callback that may sleep, in a [`memalloc_noreclaim`] scope if `noreclaim` is set, which
/// is a constant.
#[inline(always)]
fn run<R>(noreclaim: bool, f: impl FnOnce() -> R) -> R {
    if noreclaim {
        memalloc_noreclaim(f)
    } else {
        f()
    }
}

/// The callbacks of a [`Registration`].
///
/// Each callback that is left out costs nothing. See the [module](self) for the context in which
/// they run.
///
/// Implementations must have `start` and `try_start` or neither. A notifier with an `end` cannot
/// refuse: after a refusal the core calls the ends of all notifiers that have one, and none of them
/// can tell whose start it was that refused. And one with `arch_invalidate` has neither `start` nor
/// `end`. All of that is checked when the driver is compiled.
#[vtable]
pub trait Operations: Send + Sync + Sized + 'static {
    /// What [`try_start`](Operations::try_start) may answer.
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
    const NORECLAIM: bool = false;

    /// The address space is going away, or the notifier is being removed.
    ///
    /// The device must not use the memory from here on: its pages are freed when the callback has
    /// returned. It may sleep.
    ///
    /// It is called when the last user of the address space is gone, and when the [`Registration`]
    /// is dropped before that. If the two happen at the same time it is called **twice, possibly
    /// at the same time**.
    ///
    /// Called by the C functions `exit_mmap()` and `mmu_notifier_unregister()`.
    fn release(&self, mm: &Mm) {
        let _ = mm;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The mapping of `range` is about to change.
    ///
    /// When it returns the device must have stopped using the pages of the range, and must not
    /// start again before the matching [`end`](Operations::end). It may sleep, with the
    /// limitations that the [module](self) lists.
    ///
    /// Corresponds to `invalidate_range_start` of a range that is blockable.
    fn start(&self, range: Range<'_>) {
        let _ = range;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The mapping of `range` is about to change, and the caller cannot wait.
    ///
    /// Like [`start`](Operations::start), but must not block: locks may only be tried for. If that
    /// is not enough to do the work it is refused, and the caller leaves the memory alone.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if the work could not be done without blocking.
    ///
    /// Corresponds to `invalidate_range_start` of a range that is not blockable.
    fn try_start(&self, range: Range<'_>, nb: &NonBlockGuard) -> Result<(), Self::Refusal> {
        let _ = (range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The mapping of `range` has changed.
    ///
    /// It is called for every [`start`](Operations::start) and
    /// [`try_start`](Operations::try_start), also if another notifier refused and the change did
    /// not take place, but **not** if the registration is dropped in between: what counts starts
    /// against ends belongs into the data of the registration, which goes with it, or has to be put
    /// right when that is dropped. Starts and ends of several ranges overlap.
    ///
    /// It is called after blocking and non-blocking starts alike, so it must not block.
    ///
    /// Corresponds to `invalidate_range_end`.
    fn end(&self, range: Range<'_>, nb: &NonBlockGuard) {
        let _ = (range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Whether the device has used the memory in `range` since it was last asked, and forget it.
    ///
    /// The device must not go on using what it cached of the answer.
    ///
    /// It may be called with the page table lock held, so it must not block.
    ///
    /// Corresponds to `clear_flush_young`.
    fn clear_flush_young(&self, mm: &Mm, range: ops::Range<usize>, nb: &NonBlockGuard) -> bool {
        let _ = (mm, range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Like [`clear_flush_young`](Operations::clear_flush_young), but the device may go on using
    /// what it cached.
    ///
    /// Corresponds to `clear_young`.
    fn clear_young(&self, mm: &Mm, range: ops::Range<usize>, nb: &NonBlockGuard) -> bool {
        let _ = (mm, range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Whether the device has used the page at `addr`, without forgetting it.
    ///
    /// It may be called with the page table lock held, so it must not block.
    ///
    /// Corresponds to `test_young`.
    fn test_young(&self, mm: &Mm, addr: usize, nb: &NonBlockGuard) -> bool {
        let _ = (mm, addr, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The CPUs' TLBs are flushed for `range`.
    ///
    /// Only for a device that walks the page tables of the CPU, instead of `start` and `end`. When
    /// it returns the device must not use what it cached of them.
    ///
    /// The range may be within the kernel's addresses, and ends with [`usize::MAX`] if there is no
    /// telling where. The address space may have no users.
    ///
    /// It is called with the page table lock held, so it must not block.
    ///
    /// Corresponds to `arch_invalidate_secondary_tlbs`.
    fn arch_invalidate(&self, mm: &Mm, range: ops::Range<usize>, nb: &NonBlockGuard) {
        let _ = (mm, range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A notifier for every change in an address space.
///
/// It keeps the address space's `struct mm_struct`, but not its users: the address space is
/// torn down as if the notifier was not there, after [`Operations::release`].
///
/// Dereferences to the data that it was created with.
///
/// Dropping it sleeps until the callbacks have returned. The device must have stopped using the
/// memory before, which it can be made to in [`Operations::release`]: the data is dropped at last,
/// when nobody tells it about changes any more.
///
/// # Invariants
///
/// - `subscription` was registered with `mmu_notifier_register()` or `__mmu_notifier_register()`,
///   and is not unregistered before `self` is dropped.
/// - `self` owns what `ModuleRef::get` returned for the table of its callbacks.
///
/// # Examples
///
/// ```
/// use core::convert::Infallible;
/// use kernel::{
///     mm::{
///         mmu_notifier::{
///             Operations,
///             Range,
///             Registration, //
///         },
///         MmWithUser, //
///     },
///     nonblock::NonBlockGuard,
///     sync::atomic::{
///         Atomic,
///         Relaxed, //
///     }, //
/// };
///
/// /// Counts the bytes that are invalidated in an address space.
/// struct Counter(Atomic<usize>);
///
/// impl Counter {
///     fn count(&self, range: Range<'_>) {
///         self.0.fetch_add(range.end() - range.start(), Relaxed);
///     }
/// }
///
/// #[vtable]
/// impl Operations for Counter {
///     // Counting does not block, so there is nothing to refuse.
///     type Refusal = Infallible;
///
///     fn start(&self, range: Range<'_>) {
///         self.count(range);
///     }
///
///     fn try_start(&self, range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
///         self.count(range);
///         Ok(())
///     }
/// }
///
/// fn watch(mm: &MmWithUser) -> Result<Pin<KBox<Registration<Counter>>>> {
///     KBox::try_pin_init(Registration::new(mm, Ok(Counter(Atomic::new(0)))), GFP_KERNEL)
/// }
/// # // Doctests run in kernel threads, which have no address space.
/// # if let Some(mm) = kernel::current!().mm() {
/// #     watch(mm)?;
/// # }
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub struct Registration<T: Operations> {
    #[pin]
    subscription: Subscription<T>,
}

/// A list notifier as the C side knows it, with the data that its callbacks are for.
#[pin_data]
struct Subscription<T: Operations> {
    #[pin]
    inner: Opaque<bindings::mmu_notifier>,
    #[pin]
    data: T,
}

// SAFETY: A notifier may be unregistered by any task, and `T: Send`.
unsafe impl<T: Operations> Send for Subscription<T> {}
// SAFETY: The only things that a shared reference gives access to are `data`, with `T: Sync`, and
// the mm of `inner`, which does not change while it is registered.
unsafe impl<T: Operations> Sync for Subscription<T> {}

impl<T: Operations> Subscription<T> {
    const OPS: bindings::mmu_notifier_ops = {
        assert!(
            T::HAS_START == T::HAS_TRY_START,
            "`start` and `try_start` go together: every invalidation needs an answer, \
             whether the caller can wait or not"
        );
        assert!(
            !(T::HAS_END && <T::Refusal as private::Refusal>::POSSIBLE),
            "a notifier with `end` cannot refuse an invalidation: \
             use `type Refusal = Infallible`"
        );
        assert!(
            !(T::HAS_ARCH_INVALIDATE && (T::HAS_START || T::HAS_END)),
            "`arch_invalidate` takes the place of `start` and `end`"
        );

        bindings::mmu_notifier_ops {
            release: if T::HAS_RELEASE {
                Some(Self::release)
            } else {
                None
            },
            invalidate_range_start: if T::HAS_START {
                Some(Self::invalidate_range_start)
            } else {
                None
            },
            invalidate_range_end: if T::HAS_END {
                Some(Self::invalidate_range_end)
            } else {
                None
            },
            clear_flush_young: if T::HAS_CLEAR_FLUSH_YOUNG {
                Some(Self::clear_flush_young)
            } else {
                None
            },
            clear_young: if T::HAS_CLEAR_YOUNG {
                Some(Self::clear_young)
            } else {
                None
            },
            test_young: if T::HAS_TEST_YOUNG {
                Some(Self::test_young)
            } else {
                None
            },
            arch_invalidate_secondary_tlbs: if T::HAS_ARCH_INVALIDATE {
                Some(Self::arch_invalidate_secondary_tlbs)
            } else {
                None
            },
            ..pin_init::zeroed()
        }
    };

    /// Initializes a notifier with the callbacks `ops`, but does not register it.
    fn new(
        ops: &'static bindings::mmu_notifier_ops,
        data: impl PinInit<T, Error>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            data <- data,
            inner <- Opaque::ffi_init(|inner: *mut bindings::mmu_notifier| {
                let init = bindings::mmu_notifier {
                    ops,
                    ..pin_init::zeroed()
                };
                // SAFETY: `inner` is valid for writes.
                unsafe { inner.write(init) };
            }),
        }? Error)
    }

    /// # Safety
    ///
    /// `inner` must be that of a `Self`.
    #[inline]
    unsafe fn from_inner(inner: *mut bindings::mmu_notifier) -> *const Self {
        // SAFETY: By the caller's contract.
        unsafe { container_of!(Opaque::cast_from(inner), Self, inner) }
    }

    /// # Safety
    ///
    /// `inner` must be that of a `Self` that is registered, or is being registered or unregistered,
    /// and that is valid for `'a`.
    #[inline]
    unsafe fn data<'a>(inner: *mut bindings::mmu_notifier) -> &'a T {
        // SAFETY: By the caller's contract it is that of a valid `Self`. Only shared references to
        // `data` exist until it is unregistered.
        unsafe { &(*Self::from_inner(inner)).data }
    }

    /// # Safety
    ///
    /// `subscription` must be the `inner` of a `Self` that is registered or is being unregistered,
    /// and `mm` a valid `struct mm_struct`, both for the duration of the call.
    unsafe extern "C" fn release(
        subscription: *mut bindings::mmu_notifier,
        mm: *mut bindings::mm_struct,
    ) {
        // SAFETY: By the caller's contract.
        let data = unsafe { Self::data(subscription) };
        // SAFETY: By the caller's contract.
        let mm = unsafe { Mm::from_raw(mm) };

        run(T::NORECLAIM, || data.release(mm));
    }

    /// # Safety
    ///
    /// `subscription` must be the `inner` of a `Self` that is registered, and `range` the range of
    /// an invalidation, both for the duration of the call.
    unsafe extern "C" fn invalidate_range_start(
        subscription: *mut bindings::mmu_notifier,
        range: *const bindings::mmu_notifier_range,
    ) -> c_int {
        // SAFETY: By the caller's contract.
        let data = unsafe { Self::data(subscription) };
        // SAFETY: By the caller's contract.
        let range = unsafe { Range::from_raw(range) };

        if range.is_blockable() {
            run(T::NORECLAIM, || data.start(range));
            return 0;
        }

        match non_block(|nb| data.try_start(range, nb)) {
            Ok(()) => 0,
            // Whatever refusal is possible means `WouldBlock`.
            Err(_) => EAGAIN.to_errno(),
        }
    }

    /// # Safety
    ///
    /// As for [`Self::invalidate_range_start`].
    unsafe extern "C" fn invalidate_range_end(
        subscription: *mut bindings::mmu_notifier,
        range: *const bindings::mmu_notifier_range,
    ) {
        // SAFETY: By the caller's contract.
        let data = unsafe { Self::data(subscription) };
        // SAFETY: By the caller's contract.
        let range = unsafe { Range::from_raw(range) };

        non_block(|nb| data.end(range, nb));
    }

    /// # Safety
    ///
    /// `subscription` must be the `inner` of a `Self` that is registered, and `mm` a valid
    /// `struct mm_struct`, both for the duration of the call.
    unsafe extern "C" fn clear_flush_young(
        subscription: *mut bindings::mmu_notifier,
        mm: *mut bindings::mm_struct,
        start: usize,
        end: usize,
    ) -> bool {
        // SAFETY: By the caller's contract.
        let (data, mm) = unsafe { (Self::data(subscription), Mm::from_raw(mm)) };

        non_block(|nb| data.clear_flush_young(mm, start..end, nb))
    }

    /// # Safety
    ///
    /// As for [`Self::clear_flush_young`].
    unsafe extern "C" fn clear_young(
        subscription: *mut bindings::mmu_notifier,
        mm: *mut bindings::mm_struct,
        start: usize,
        end: usize,
    ) -> bool {
        // SAFETY: By the caller's contract.
        let (data, mm) = unsafe { (Self::data(subscription), Mm::from_raw(mm)) };

        non_block(|nb| data.clear_young(mm, start..end, nb))
    }

    /// # Safety
    ///
    /// As for [`Self::clear_flush_young`].
    unsafe extern "C" fn test_young(
        subscription: *mut bindings::mmu_notifier,
        mm: *mut bindings::mm_struct,
        addr: usize,
    ) -> bool {
        // SAFETY: By the caller's contract.
        let (data, mm) = unsafe { (Self::data(subscription), Mm::from_raw(mm)) };

        non_block(|nb| data.test_young(mm, addr, nb))
    }

    /// # Safety
    ///
    /// As for [`Self::clear_flush_young`].
    unsafe extern "C" fn arch_invalidate_secondary_tlbs(
        subscription: *mut bindings::mmu_notifier,
        mm: *mut bindings::mm_struct,
        start: usize,
        end: usize,
    ) {
        // SAFETY: By the caller's contract.
        let (data, mm) = unsafe { (Self::data(subscription), Mm::from_raw(mm)) };

        non_block(|nb| data.arch_invalidate(mm, start..end, nb));
    }
}

impl<T: Operations> Registration<T> {
    /// Registers a notifier for all of `mm`.
    ///
    /// It sleeps and takes the `mmap_lock` of `mm`, so neither that lock nor one that the callbacks
    /// take may be held. The callbacks may run before it returns.
    ///
    /// `data` is what `try_pin_init!` gives, or `Ok(value)` for a value that can be moved.
    ///
    /// Equivalent to the C function `mmu_notifier_register()`.
    ///
    /// # Errors
    ///
    /// - The error of `data`.
    /// - [`ENOMEM`] if there is no memory for the notifiers of the address space.
    /// - [`EINTR`] if a signal is pending for the current task.
    /// - [`ENODEV`] if the driver's module is being loaded or unloaded.
    ///
    /// When it fails no callback has run, and none will.
    pub fn new<'a>(
        mm: &'a MmWithUser,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        // SAFETY: The mmap lock is not said to be held.
        unsafe { Self::init::<false>(mm, data) }
    }

    /// Registers a notifier for an address space whose `mmap_lock` is held for writing.
    ///
    /// Like [`Registration::new`], for example for a driver's `mmap` callback.
    ///
    /// Equivalent to the C function `__mmu_notifier_register()`.
    ///
    /// # Errors
    ///
    /// Those of [`Registration::new`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     mmu_notifier::{
    ///         Operations,
    ///         Registration, //
    ///     },
    ///     MmapWriteLocked, //
    /// };
    ///
    /// fn register<T: Operations>(
    ///     mmap: &MmapWriteLocked,
    ///     driver: T,
    /// ) -> Result<Pin<KBox<Registration<T>>>> {
    ///     KBox::try_pin_init(Registration::new_locked(mmap, Ok(driver)), GFP_KERNEL)
    /// }
    /// ```
    pub fn new_locked<'a>(
        mmap: &'a MmapWriteLocked,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        // SAFETY: The lock is held for as long as the initializer borrows the guard.
        unsafe { Self::init::<true>(mmap.mm(), data) }
    }

    /// # Safety
    ///
    /// If `LOCKED`, the current task must hold the `mmap_lock` of `mm` for writing for `'a`.
    unsafe fn init<'a, const LOCKED: bool>(
        mm: &'a MmWithUser,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        let ops = const { &Subscription::<T>::OPS };
        // Another task may not hold the lock.
        let task = NotThreadSafe;

        // INVARIANT: If the initializer succeeds, it was registered in its last step, and has the
        // reference to the module. The pinned drop below is the only one that unregisters it.
        try_pin_init!(&this in Self {
            subscription <- Subscription::new(ops, data),
            _: {
                let _task: NotThreadSafe = task;
                let module = ModuleRef::get(ptr::from_ref(ops).addr())?;
                // SAFETY: `this` is valid, and the field is in bounds of it.
                let inner = unsafe { &raw const (*this.as_ptr()).subscription.inner };
                let inner = Opaque::cast_into(inner);
                // SAFETY:
                // - `inner` is initialized, and stays where it is until it is unregistered,
                //   because it is pinned and the pinned drop unregisters it.
                // - `mm` has users for the duration of the call.
                // - If the mmap lock has to be held, it is by this function's contract.
                // - All fields of `Self` are initialized, so the callbacks may run at once.
                to_result(unsafe {
                    if LOCKED {
                        bindings::__mmu_notifier_register(inner, mm.as_raw())
                    } else {
                        bindings::mmu_notifier_register(inner, mm.as_raw())
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
    /// use kernel::mm::mmu_notifier::{
    ///     Operations,
    ///     Registration, //
    /// };
    ///
    /// /// Whether the process that the notifier was registered for still runs.
    /// fn is_alive<T: Operations>(registration: &Registration<T>) -> bool {
    ///     registration.mm().mmget_not_zero().is_some()
    /// }
    /// ```
    #[inline]
    pub fn mm(&self) -> &Mm {
        // SAFETY: By the type invariant it is registered, so its `mm` is set, does not change, and
        // is kept by the registration for as long as `self` is borrowed.
        unsafe { Mm::from_raw((*self.subscription.inner.get()).mm) }
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: `self` is not moved out of.
        let this: *mut Self = unsafe { self.get_unchecked_mut() };
        // The pointer is derived from that to all of `self`, because the C side passes it on to
        // `Subscription::release`, which goes back from it to `data`.
        //
        // SAFETY: `this` is valid, and the field is in bounds of it.
        let inner = Opaque::cast_into(unsafe { &raw const (*this).subscription.inner });
        // SAFETY: By the type invariants it is registered, so that it has its table, and `self`
        // owns the reference, which is not used again.
        let module = unsafe { ModuleRef::from_leaked((*inner).ops.addr()) };

        // SAFETY: By the type invariant it is registered, so its `mm` is set and kept by the
        // registration. The call waits for all callbacks, so that none uses `self` afterwards.
        unsafe { bindings::mmu_notifier_unregister(inner, (*inner).mm) };
        drop(module);
    }
}

impl<T: Operations> Deref for Registration<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.subscription.data
    }
}

/// A reference to the module that the callbacks of a notifier are in, if they are in one.
///
/// It goes by an address, that of the table of the callbacks or of one of them, and not by the
/// `OwnerModule` of the driver: this code is generic, and may be compiled into another module than
/// that of the type that it is for.
///
/// # Invariants
///
/// It owns a reference to the module, unless that is null.
struct ModuleRef(*mut bindings::module);

impl ModuleRef {
    /// What there is for an address that is in no module.
    // INVARIANT: It is null.
    const NONE: Self = Self(ptr::null_mut());

    /// Takes a reference to the module that `addr` is in.
    ///
    /// Fails with [`ENODEV`] if the module is being loaded or unloaded. One that is being loaded
    /// would go away, in spite of all references, if its initialization failed.
    // The C functions are not exported to modules, and so this must not be inlined into them.
    #[inline(never)]
    fn get(addr: usize) -> Result<Self> {
        if is_built_in(addr) {
            return Ok(Self::NONE);
        }
        let rcu = rcu::read_lock();
        let module = module_of(addr, &rcu);

        // SAFETY: The module is not freed before the end of the RCU read-side critical section.
        if !module.is_null() && unsafe { bindings::module_is_coming(module) } {
            return Err(ENODEV);
        }
        // SAFETY: As above. There may be none.
        if !unsafe { bindings::try_module_get(module) } {
            return Err(ENODEV);
        }
        // INVARIANT: The reference was just taken.
        Ok(Self(module))
    }

    /// Takes back a reference that was leaked.
    ///
    /// # Safety
    ///
    /// [`ModuleRef::get`] must have returned it for `addr`, or for an address in the same module,
    /// and this must be called once.
    // As above.
    #[inline(never)]
    unsafe fn from_leaked(addr: usize) -> Self {
        if is_built_in(addr) {
            return Self::NONE;
        }

        // INVARIANT: By the caller's contract there is the reference, and so the module has not
        // changed since.
        Self(module_of(addr, &rcu::read_lock()))
    }
}

impl Drop for ModuleRef {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: By the type invariant `self` owns a reference.
            unsafe { bindings::module_put(self.0) };
        }
    }
}

/// Whether `addr` is in the kernel itself, as far as that is quick to see.
#[inline]
fn is_built_in(addr: usize) -> bool {
    // SAFETY: It may be called with any address.
    unsafe { bindings::is_kernel_rodata(addr) }
}

/// The module that has the address `addr`, or null. It is not freed before the end of the RCU
/// read-side critical section.
fn module_of(addr: usize, _rcu: &rcu::Guard) -> *mut bindings::module {
    #[cfg(CONFIG_MODULES)]
    {
        // SAFETY: This is in an RCU read-side critical section.
        unsafe { bindings::__module_address(addr) }
    }
    #[cfg(not(CONFIG_MODULES))]
    {
        let _ = addr;
        ptr::null_mut()
    }
}
