// SPDX-License-Identifier: GPL-2.0

//! List notifiers.
//!
//! A list notifier is called for every change in an address space. It has no sequence count, and
//! does not report the end of an invalidation unless it has an [`end`](Operations::end). So a
//! driver that looks up pages uses an [interval notifier](super::interval), even for a whole
//! address space.

use super::{
    private,
    Mmap,
    Range,
    Refusal, //
};
use crate::{
    bindings,
    container_of,
    error::{
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    mm::{
        Mm,
        MmWithUser,
        MmapWriteLocked, //
    },
    module::ModuleRef,
    nonblock::{
        non_block,
        NonBlockGuard, //
    },
    prelude::*,
    types::Opaque, //
};
use core::{
    ops::{
        self,
        Deref, //
    },
    ptr, //
};

/// The callbacks of a [`Notifier`].
///
/// A callback that is left out costs nothing. See the [parent module](super) for the context in
/// which they run.
///
/// Implementations must have `start` and `try_start` or neither, and no `end` without them: the
/// pages are freed by the time that `end` is called. A notifier with an `end` cannot refuse: after
/// a refusal the core calls the ends of all notifiers that have one, and no `end` knows which start
/// refused. A notifier with `arch_invalidate` has neither `start` nor `end`. The compiler checks
/// all of these rules.
#[vtable]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no callbacks for a list notifier",
    label = "has no `mmu_notifier::list::Operations`",
    note = "the trait `Operations` of interval notifiers is another"
)]
pub trait Operations: Send + Sync + Sized + 'static {
    /// The error that [`try_start`](Operations::try_start) may return.
    type Refusal: Refusal;

    /// Checks the callbacks of an implementation, when it is compiled.
    const VTABLE_CHECK: () = {
        assert!(
            Self::HAS_START == Self::HAS_TRY_START,
            "`start` and `try_start` go together: every invalidation needs an answer, \
             whether the caller can wait or not"
        );
        assert!(
            !(Self::HAS_END && <Self::Refusal as private::Refusal>::POSSIBLE),
            "a notifier with `end` cannot refuse an invalidation: \
             use `type Refusal = Infallible`"
        );
        assert!(
            !(Self::HAS_ARCH_INVALIDATE && (Self::HAS_START || Self::HAS_END)),
            "`arch_invalidate` takes the place of `start` and `end`"
        );
        assert!(
            Self::HAS_START || !Self::HAS_END,
            "`end` without `start`: the pages are freed by the time that `end` is called"
        );
    };

    /// Releases the memory, because the address space or the notifier goes away.
    ///
    /// When it returns, the device must not use the memory any more: the pages are then freed. It
    /// may sleep.
    ///
    /// It is called when the last user of the address space is gone, and when the [`Notifier`] is
    /// dropped earlier. If the two happen at the same time, it is called **twice, possibly at the
    /// same time**.
    ///
    /// Called by the C functions `exit_mmap()` and `mmu_notifier_unregister()`.
    fn release(&self) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Starts an invalidation of `range`, whose mapping is about to change.
    ///
    /// When it returns, the device must have stopped using the pages of the range, and must not
    /// start again before the matching [`end`](Operations::end). It may sleep, with the limitations
    /// in the [parent module](super).
    ///
    /// Corresponds to `invalidate_range_start` of a range that is blockable.
    fn start(&self, range: Range<'_>) {
        let _ = range;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Starts an invalidation of `range`, for a caller that cannot wait.
    ///
    /// Like [`start`](Operations::start), but it must not block: it can take a lock only by a
    /// trylock. If it refuses, the caller leaves the memory alone.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](super::WouldBlock) if the work would block.
    ///
    /// Corresponds to `invalidate_range_start` of a range that is not blockable.
    fn try_start(&self, range: Range<'_>, nb: &NonBlockGuard) -> Result<(), Self::Refusal> {
        let _ = (range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Ends an invalidation of `range`, whose mapping has changed.
    ///
    /// It is called for every [`start`](Operations::start) and
    /// [`try_start`](Operations::try_start), even if another notifier refused and the change did
    /// not take place. But it is **not** called if the notifier is dropped in between. So keep a
    /// count of starts and ends in the data of the notifier, or correct the count when the notifier
    /// is dropped. Starts and ends of several ranges overlap.
    ///
    /// It is called after blocking and non-blocking starts alike, so it must not block.
    ///
    /// Corresponds to `invalidate_range_end`.
    fn end(&self, range: Range<'_>, nb: &NonBlockGuard) {
        let _ = (range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns whether the device has used the memory in `range` since the last call, and clears
    /// this state.
    ///
    /// The device must drop its cached copy of this state.
    ///
    /// It may be called with the page table lock held, so it must not block.
    ///
    /// Corresponds to `clear_flush_young`.
    fn clear_flush_young(&self, range: ops::Range<usize>, nb: &NonBlockGuard) -> bool {
        let _ = (range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Like [`clear_flush_young`](Operations::clear_flush_young), but the device may keep its
    /// cached copy.
    ///
    /// Corresponds to `clear_young`.
    fn clear_young(&self, range: ops::Range<usize>, nb: &NonBlockGuard) -> bool {
        let _ = (range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns whether the device has used the page at `addr`, without clearing this state.
    ///
    /// It may be called with the page table lock held, so it must not block.
    ///
    /// Corresponds to `test_young`.
    fn test_young(&self, addr: usize, nb: &NonBlockGuard) -> bool {
        let _ = (addr, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Flushes the device's TLB for `range`, like the TLBs of the CPUs.
    ///
    /// It is only for a device that walks the page tables of the CPU, instead of `start` and `end`.
    /// When it returns, the device must not use cached entries of these page tables.
    ///
    /// The range may be within the kernel's addresses, and ends with [`usize::MAX`] if its end is
    /// unknown. The address space may have no users.
    ///
    /// It is called with the page table lock held, so it must not block.
    ///
    /// Corresponds to `arch_invalidate_secondary_tlbs`.
    fn arch_invalidate(&self, range: ops::Range<usize>, nb: &NonBlockGuard) {
        let _ = (range, nb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A notifier for every change in an address space.
///
/// It keeps the address space's `struct mm_struct`, but not its users: the address space is torn
/// down as if there was no notifier, after [`Operations::release`].
///
/// Dereferences to the data of the driver.
///
/// Dropping it sleeps until the callbacks have returned. The device must have stopped using the
/// memory by then, at the latest in [`Operations::release`]: after the drop, no callback reports a
/// change, and the data is dropped last.
///
/// # Invariants
///
/// - `subscription` was registered with `mmu_notifier_register()` or `__mmu_notifier_register()`,
///   and is not unregistered before `self` is dropped.
/// - `_module` is a reference to the module of the table of its callbacks.
///
/// # Examples
///
/// ```
/// use core::convert::Infallible;
/// use kernel::{
///     mm::{
///         mmu_notifier::{
///             list::{
///                 Notifier,
///                 Operations, //
///             },
///             Range, //
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
/// /// Counts the invalidated bytes of an address space.
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
/// fn watch(mm: &MmWithUser) -> Result<Pin<KBox<Notifier<Counter>>>> {
///     KBox::try_pin_init(Notifier::new(mm, Ok(Counter(Atomic::new(0)))), GFP_KERNEL)
/// }
/// # // Doctests run in kernel threads, which have no address space.
/// # if let Some(mm) = kernel::current!().mm() {
/// #     watch(mm)?;
/// # }
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub struct Notifier<T: Operations> {
    #[pin]
    subscription: Subscription<T>,
    // The last field is dropped last, after the destructor of the data.
    _module: ModuleRef,
}

/// The C object of a list notifier, with the data of its callbacks.
#[pin_data]
pub(super) struct Subscription<T: Operations> {
    #[pin]
    pub(super) inner: Opaque<bindings::mmu_notifier>,
    #[pin]
    pub(super) data: T,
}

// SAFETY: A notifier may be unregistered by any task, and `T: Send`.
unsafe impl<T: Operations> Send for Subscription<T> {}
// SAFETY: A shared reference only gives access to `data`, with `T: Sync`, and the mm of `inner`,
// which does not change while it is registered.
unsafe impl<T: Operations> Sync for Subscription<T> {}

/// Returns a callback, if the driver has one.
const fn callback<F: Copy>(has: bool, callback: F) -> Option<F> {
    if has {
        Some(callback)
    } else {
        None
    }
}

impl<T: Operations> Subscription<T> {
    pub(super) const OPS: bindings::mmu_notifier_ops = {
        // Again, for an implementation with generic parameters.
        const { T::VTABLE_CHECK };

        bindings::mmu_notifier_ops {
            release: callback(T::HAS_RELEASE, Self::release),
            invalidate_range_start: callback(T::HAS_START, Self::invalidate_range_start),
            invalidate_range_end: callback(T::HAS_END, Self::invalidate_range_end),
            clear_flush_young: callback(T::HAS_CLEAR_FLUSH_YOUNG, Self::clear_flush_young),
            clear_young: callback(T::HAS_CLEAR_YOUNG, Self::clear_young),
            test_young: callback(T::HAS_TEST_YOUNG, Self::test_young),
            arch_invalidate_secondary_tlbs: callback(
                T::HAS_ARCH_INVALIDATE,
                Self::arch_invalidate_secondary_tlbs,
            ),
            ..pin_init::zeroed()
        }
    };

    /// Initializes a notifier with the callbacks `ops`, but does not register it.
    pub(super) fn new(
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
    pub(super) unsafe fn from_inner(inner: *mut bindings::mmu_notifier) -> *const Self {
        // SAFETY: By the caller's contract.
        unsafe { container_of!(Opaque::cast_from(inner), Self, inner) }
    }

    /// # Safety
    ///
    /// `inner` must be the one of a `Self` that is registered, or is being registered or
    /// unregistered, and is valid for `'a`.
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
        _mm: *mut bindings::mm_struct,
    ) {
        // SAFETY: By the caller's contract.
        let data = unsafe { Self::data(subscription) };

        data.release();
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
            data.start(range);
            return 0;
        }

        match non_block(|nb| data.try_start(range, nb)) {
            Ok(()) => 0,
            // The only possible refusal means `WouldBlock`.
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
    /// `subscription` must be the `inner` of a `Self` that is registered, for the duration of
    /// the call.
    unsafe extern "C" fn clear_flush_young(
        subscription: *mut bindings::mmu_notifier,
        _mm: *mut bindings::mm_struct,
        start: usize,
        end: usize,
    ) -> bool {
        // SAFETY: By the caller's contract.
        let data = unsafe { Self::data(subscription) };

        non_block(|nb| data.clear_flush_young(start..end, nb))
    }

    /// # Safety
    ///
    /// As for [`Self::clear_flush_young`].
    unsafe extern "C" fn clear_young(
        subscription: *mut bindings::mmu_notifier,
        _mm: *mut bindings::mm_struct,
        start: usize,
        end: usize,
    ) -> bool {
        // SAFETY: By the caller's contract.
        let data = unsafe { Self::data(subscription) };

        non_block(|nb| data.clear_young(start..end, nb))
    }

    /// # Safety
    ///
    /// As for [`Self::clear_flush_young`].
    unsafe extern "C" fn test_young(
        subscription: *mut bindings::mmu_notifier,
        _mm: *mut bindings::mm_struct,
        addr: usize,
    ) -> bool {
        // SAFETY: By the caller's contract.
        let data = unsafe { Self::data(subscription) };

        non_block(|nb| data.test_young(addr, nb))
    }

    /// # Safety
    ///
    /// As for [`Self::clear_flush_young`].
    unsafe extern "C" fn arch_invalidate_secondary_tlbs(
        subscription: *mut bindings::mmu_notifier,
        _mm: *mut bindings::mm_struct,
        start: usize,
        end: usize,
    ) {
        // SAFETY: By the caller's contract.
        let data = unsafe { Self::data(subscription) };

        non_block(|nb| data.arch_invalidate(start..end, nb));
    }
}

impl<T: Operations> Notifier<T> {
    /// Registers a notifier for all of `mm`.
    ///
    /// It sleeps and takes the `mmap_lock` of `mm`. Callers must hold neither this lock nor a lock
    /// of the callbacks. The callbacks may run before it returns.
    ///
    /// `data` is an initializer from `try_pin_init!`, or `Ok(value)` for a value that can be moved.
    ///
    /// Equivalent to the C function `mmu_notifier_register()`.
    ///
    /// # Errors
    ///
    /// - The error of `data`.
    /// - [`ENOMEM`] if there is no memory for the notifiers of the address space.
    /// - [`EINTR`] if a signal is pending for the current task.
    /// - [`ENODEV`] if there is no reference to the driver's module; see [`ModuleRef::get`].
    ///
    /// If it fails, no callback has run, and none will.
    pub fn new<'a>(
        mm: &'a MmWithUser,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        Self::init(Mmap::Unlocked(mm), data)
    }

    /// Registers a notifier for an address space whose `mmap_lock` is held for writing.
    ///
    /// Like [`Notifier::new`], for example for a driver's `mmap` callback.
    ///
    /// Equivalent to the C function `__mmu_notifier_register()`.
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::new`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     mmu_notifier::list::{
    ///         Notifier,
    ///         Operations, //
    ///     },
    ///     MmapWriteLocked, //
    /// };
    ///
    /// fn register<T: Operations>(
    ///     mmap: &MmapWriteLocked,
    ///     driver: T,
    /// ) -> Result<Pin<KBox<Notifier<T>>>> {
    ///     KBox::try_pin_init(Notifier::new_locked(mmap, Ok(driver)), GFP_KERNEL)
    /// }
    /// ```
    pub fn new_locked<'a>(
        mmap: &'a MmapWriteLocked,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        Self::init(Mmap::Locked(mmap), data)
    }

    fn init<'a>(
        mmap: Mmap<'a>,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        let ops = const { &Subscription::<T>::OPS };
        let mm = mmap.mm();

        // INVARIANT: If the initializer succeeds, it was registered in its last step. The pinned
        // drop below is the only one that unregisters it.
        try_pin_init!(&this in Self {
            // If a later step fails, the field initialized first is dropped last.
            _module: ModuleRef::get(ptr::from_ref(ops).addr())?,
            subscription <- Subscription::new(ops, data),
            _: {
                // SAFETY: `this` is valid, and the field is in bounds of it.
                let inner = unsafe { &raw const (*this.as_ptr()).subscription.inner };
                let inner = Opaque::cast_into(inner);
                // SAFETY:
                // - `inner` is initialized, and stays where it is until it is unregistered,
                //   because it is pinned and the pinned drop unregisters it.
                // - `mm` has users for the duration of the call.
                // - If the mmap lock has to be held, it is by `mmap`.
                // - All fields of `Self` are initialized, so the callbacks may run at once.
                to_result(unsafe {
                    match mmap {
                        Mmap::Unlocked(_) => bindings::mmu_notifier_register(inner, mm.as_raw()),
                        Mmap::Locked(_) => bindings::__mmu_notifier_register(inner, mm.as_raw()),
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
    /// use kernel::mm::mmu_notifier::list::{
    ///     Notifier,
    ///     Operations, //
    /// };
    ///
    /// /// Returns whether the process of the notifier still runs.
    /// fn is_alive<T: Operations>(registration: &Notifier<T>) -> bool {
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
impl<T: Operations> PinnedDrop for Notifier<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: `self` is not moved out of.
        let this: *mut Self = unsafe { self.get_unchecked_mut() };
        // The pointer is derived from that to all of `self`, because the C side passes it on to
        // `Subscription::release`, which goes back from it to `data`.
        //
        // SAFETY: `this` is valid, and the field is in bounds of it.
        let inner = Opaque::cast_into(unsafe { &raw const (*this).subscription.inner });
        // SAFETY: By the type invariant it is registered, so its `mm` is set and kept by the
        // registration. The call waits for all callbacks, so none uses `self` afterwards.
        unsafe { bindings::mmu_notifier_unregister(inner, (*inner).mm) };
    }
}

impl<T: Operations> Deref for Notifier<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.subscription.data
    }
}
