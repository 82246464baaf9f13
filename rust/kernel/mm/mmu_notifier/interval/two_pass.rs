// SPDX-License-Identifier: GPL-2.0

//! Interval notifiers with two passes.

use super::{
    Invalidated,
    Invalidation,
    Notifier,
    Operations,
    Pending, //
};
use crate::{
    bindings,
    container_of,
    mm::{
        mmu_notifier::Mmap,
        MmWithUser,
        MmapWriteLocked, //
    },
    prelude::*,
    sync::atomic::{
        Acquire,
        AtomicFlag,
        Relaxed,
        Release, //
    },
    types::Opaque, //
};
use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    ops::{
        self,
        Deref, //
    }, //
};

/// The callbacks of a notifier that invalidates in two passes.
///
/// If one change in an address space concerns many notifiers, the core calls [`start`] of all of
/// them, and then [`finish`] of all of them. A driver may have to wait for its device, for example
/// until a TLB is flushed. It gives the order in the first pass and waits in the second. So it
/// waits once, instead of once for each notifier.
///
/// Only invalidations that may wait have two passes. For the others, [`Operations::try_invalidate`]
/// is called.
///
/// Corresponds to `invalidate_start` and `invalidate_finish` of the C type
/// `struct mmu_interval_notifier_ops`.
///
/// [`start`]: TwoPass::start
/// [`finish`]: TwoPass::finish
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::mmu_notifier::{
///         interval::{
///             Invalidated,
///             Invalidation,
///             Operations,
///             TryInvalidation,
///             TwoPass, //
///         },
///         WouldBlock, //
///     },
///     nonblock::NonBlockGuard,
///     sync::{
///         lock::mutex::MutexBackend,
///         Mutex, //
///     }, //
/// };
///
/// #[pin_data]
/// struct Mirror {
///     #[pin]
///     pages: Mutex<usize>,
/// }
///
/// /// An order to flush the TLB of the device.
/// struct Flush;
///
/// impl Flush {
///     /// Waits until the device has carried the order out.
///     fn wait(self) {}
/// }
///
/// impl Operations for Mirror {
/// #    type State = usize;
/// #    type Backend = MutexBackend;
/// #    type Refusal = WouldBlock;
/// #
/// #    fn lock(&self) -> &Mutex<usize> {
/// #        &self.pages
/// #    }
/// #
/// #    fn try_invalidate<'op>(
/// #        &'op self,
/// #        _op: TryInvalidation<'op, Self>,
/// #        _nb: &NonBlockGuard,
/// #    ) -> Result<Invalidated<'op>, WouldBlock> {
/// #        Err(WouldBlock)
/// #    }
/// #
///     fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
///         let (done, flush) = self.start(op);
///         flush.map(Flush::wait);
///         done
///     }
///     // ...
/// }
///
/// impl TwoPass for Mirror {
///     type Token = Flush;
///
///     fn start<'op>(&'op self, op: Invalidation<'op, Self>) -> (Invalidated<'op>, Option<Flush>) {
///         let (mut pages, done) = op.lock();
///         if *pages == 0 {
///             return (done, None);
///         }
///         *pages = 0;
///         (done, Some(Flush))
///     }
///
///     fn finish(&self, flush: Flush) {
///         flush.wait();
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no callbacks for a notifier with two passes",
    label = "has no `mmu_notifier::interval::TwoPass`"
)]
pub trait TwoPass: Operations {
    /// The token that the first pass leaves for the second.
    type Token: 'static;

    /// Starts to invalidate pages of the notifier's range.
    ///
    /// Like [`Operations::invalidate`], but the device may continue to use the pages until
    /// [`finish`](TwoPass::finish) has returned. `finish` is called with the token. Without a token
    /// it is not called, and this callback must do all of the work.
    ///
    /// It may sleep, but should not: the second pass is for waiting.
    ///
    /// It is not called if the notifier is between the two passes of another invalidation.
    /// [`Operations::invalidate`] is then called instead, because there is no memory for a second
    /// token.
    fn start<'op>(
        &'op self,
        op: Invalidation<'op, Self>,
    ) -> (Invalidated<'op>, Option<Self::Token>);

    /// Finishes the invalidation, after the first pass of all notifiers that it concerns.
    ///
    /// When it returns, the device must have stopped using the pages. Until then no reader gets
    /// beyond [`Notifier::read_begin`].
    ///
    /// It is called by the task that called [`start`](TwoPass::start), in the same context, and
    /// may sleep. The lock is not held.
    fn finish(&self, token: Self::Token);
}

/// An interval notifier with two passes.
///
/// Dereferences to a [`Notifier`], and is used like one.
///
/// It has the memory of a [`Notifier`], and of one token.
///
/// # Examples
///
/// ```
/// use core::ops::Range;
/// use kernel::mm::{
///     mmu_notifier::interval::{
///         TwoPass,
///         TwoPassNotifier, //
///     },
///     MmWithUser, //
/// };
///
/// fn register<T: TwoPass>(
///     mm: &MmWithUser,
///     range: Range<usize>,
///     data: T,
/// ) -> Result<Pin<KBox<TwoPassNotifier<T>>>> {
///     KBox::try_pin_init(TwoPassNotifier::new(mm, range, Ok(data)), GFP_KERNEL)
/// }
///
/// fn is_valid<T: TwoPass>(notifier: &TwoPassNotifier<T>) -> bool {
///     notifier.read_begin().lock().is_some()
/// }
/// ```
///
/// # Invariants
///
/// `notifier` was registered with the callbacks of `Self::OPS`.
#[pin_data]
pub struct TwoPassNotifier<T: TwoPass> {
    // The first field is dropped first: after that there are no callbacks.
    #[pin]
    notifier: Notifier<T>,
    #[pin]
    pass: Pass<T::Token>,
}

// SAFETY: A `Notifier` is `Send`, and no token is left when there are no callbacks.
unsafe impl<T: TwoPass> Send for TwoPassNotifier<T> {}
// SAFETY: A `Notifier` is `Sync`. `pass` is only used by callbacks, and a token by the task that
// created it.
unsafe impl<T: TwoPass> Sync for TwoPassNotifier<T> {}

/// The state between the two passes of an invalidation.
///
/// # Invariants
///
/// - While `is_free` is not set, `finish` and `token` belong to the invalidation that cleared it.
/// - `token` is initialized from when that gives `finish` to the core until the core calls back.
#[pin_data]
struct Pass<K> {
    is_free: AtomicFlag,
    #[pin]
    finish: Opaque<bindings::mmu_interval_notifier_finish>,
    token: UnsafeCell<MaybeUninit<K>>,
}

impl<K> Pass<K> {
    fn new() -> impl PinInit<Self> {
        // INVARIANT: It is free.
        pin_init!(Self {
            is_free: AtomicFlag::new(true),
            finish <- Opaque::uninit(),
            token: UnsafeCell::new(MaybeUninit::uninit()),
        })
    }
}

impl<T: TwoPass> TwoPassNotifier<T> {
    const OPS: bindings::mmu_interval_notifier_ops = bindings::mmu_interval_notifier_ops {
        invalidate_start: Some(Self::invalidate_start),
        invalidate_finish: Some(Self::invalidate_finish),
        ..pin_init::zeroed()
    };

    /// Registers a notifier for `range` of `mm`.
    ///
    /// Like [`Notifier::new`].
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::new`].
    pub fn new<'a>(
        mm: &'a MmWithUser,
        range: ops::Range<usize>,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        Self::init(Mmap::Unlocked(mm), range, data)
    }

    /// Registers a notifier for a range of an address space whose `mmap_lock` is held for writing.
    ///
    /// Like [`Notifier::new_locked`].
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::new`].
    pub fn new_locked<'a>(
        mmap: &'a MmapWriteLocked,
        range: ops::Range<usize>,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        Self::init(Mmap::Locked(mmap), range, data)
    }

    fn init<'a>(
        mmap: Mmap<'a>,
        range: ops::Range<usize>,
        data: impl PinInit<T, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        // SAFETY: It is used below for the `notifier` of a `Self`, after all other fields.
        let notifier = unsafe { Notifier::init(mmap, range, const { &Self::OPS }, data) };

        // INVARIANT: `notifier` is registered with `OPS`.
        try_pin_init!(Self {
            pass <- Pass::new(),
            notifier <- notifier,
        }? Error)
    }

    /// # Safety
    ///
    /// `interval_sub` must be the `inner` of the `notifier` of a `Self` that is registered or is
    /// being registered, for `'a`.
    #[inline]
    unsafe fn from_inner<'a>(interval_sub: *mut bindings::mmu_interval_notifier) -> &'a Self {
        // SAFETY: By the caller's contract `interval_sub` is the `inner` of a `Notifier`.
        let notifier = unsafe { Notifier::<T>::from_inner(interval_sub) };

        // SAFETY: By the caller's contract it is the `notifier` of a `Self`, whose fields are
        // initialized before it is registered, and to which there are only shared references until
        // it is removed.
        unsafe { &*container_of!(notifier, Self, notifier) }
    }

    /// # Safety
    ///
    /// - `interval_sub`, `range` and `seq` must be as for [`Pending::from_raw`], for the duration
    ///   of the call, and the notifier that of a `Self`.
    /// - `finish` must be valid for a write. If it is written to, [`Self::invalidate_finish`] must
    ///   be called before the invalidation ends, by the same task.
    unsafe extern "C" fn invalidate_start(
        interval_sub: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        seq: usize,
        finish: *mut *mut bindings::mmu_interval_notifier_finish,
    ) -> bool {
        // SAFETY: By the caller's contract.
        let this = unsafe { Self::from_inner(interval_sub) };
        // SAFETY: By the caller's contract.
        let pending = unsafe { Pending::<T>::from_raw(interval_sub, range, seq) };

        if pending.is_own() {
            return true;
        }
        if !pending.is_blockable() {
            return pending.try_invalidate();
        }

        // INVARIANT: From here on `finish` and `token` belong to this invalidation.
        if !this.pass.is_free.xchg(false, Acquire) {
            pending.invalidate();
            return true;
        }

        let (_, token): (Invalidated<'_>, _) = this.notifier.data.start(Invalidation(pending));
        match token {
            Some(token) => {
                // SAFETY: By the type invariant of `Pass` the token belongs to this invalidation.
                unsafe { (*this.pass.token.get()).write(token) };
                // INVARIANT: The token is initialized.
                //
                // SAFETY: By the caller's contract.
                unsafe { finish.write(this.pass.finish.get()) };
            }
            // INVARIANT: They no longer belong to this invalidation.
            None => this.pass.is_free.store(true, Relaxed),
        }
        true
    }

    /// # Safety
    ///
    /// `finish` must be what [`Self::invalidate_start`] wrote, with its `notifier` set to the one
    /// of that call, whose invalidation has not ended. This must be called once for each write, and
    /// `finish` not be used afterwards.
    unsafe extern "C" fn invalidate_finish(finish: *mut bindings::mmu_interval_notifier_finish) {
        // SAFETY: By the caller's contract `finish` is valid, and its `notifier` is registered,
        // because a removal waits until the invalidation has ended.
        let this = unsafe { Self::from_inner((*finish).notifier) };
        // SAFETY: By the type invariant of `Pass` the token is initialized, and belongs to this
        // invalidation, which does not use it again.
        let token = unsafe { (*this.pass.token.get()).assume_init_read() };
        // INVARIANT: They no longer belong to this invalidation.
        this.pass.is_free.store(true, Release);

        this.notifier.data.finish(token);
    }
}

impl<T: TwoPass> Deref for TwoPassNotifier<T> {
    type Target = Notifier<T>;

    #[inline]
    fn deref(&self) -> &Notifier<T> {
        &self.notifier
    }
}
