// SPDX-License-Identifier: GPL-2.0

//! Interval notifiers that invalidate refused ranges later.

use super::{
    Notifier,
    Operations,
    Pending, //
};
use crate::{
    bindings,
    container_of,
    mm::{
        mmu_notifier::{
            queue,
            Mmap,
            WouldBlock, //
        },
        MmWithUser,
        MmapWriteLocked, //
    },
    new_spinlock,
    prelude::*,
    static_lock_class,
    sync::{
        SetOnce,
        SpinLock, //
    },
    types::Opaque,
    workqueue::Queue, //
};
use core::{
    ops::{
        self,
        Deref, //
    },
    ptr, //
};

/// An interval notifier that invalidates a refused range later.
///
/// A driver often has to wait before it can give memory back, for example for a lock, a fence or a
/// TLB flush. The OOM reaper cannot wait. So the driver refuses, and the reaper tries again, ten
/// times in a second. With a plain [`Notifier`], the driver is as far from its goal the second time
/// as it was the first time.
///
/// This notifier has a work item. For each range that [`Operations::try_invalidate`] refuses, the
/// work item soon calls [`Operations::invalidate`]. No task waits for the work item, so the
/// callback can wait. The next try of the reaper finds the lock free and the device idle:
///
/// ```text
///  OOM reaper                          work item
///  ----------                          ---------
///  try_invalidate() refuses
///                                      invalidate(): wait for the device, remove the pages
///  (100 ms later)
///  try_invalidate() lets go
/// ```
///
/// While the work item has not finished with a range, the notifier refuses that range by itself. It
/// does not call [`Operations::try_invalidate`], which could find an empty table and assume that
/// the device has stopped.
///
/// The work item invalidates as the core does: readers wait in [`Notifier::read_begin`] until it
/// has finished, and a read that began earlier fails to validate. If a reader enters a page
/// afterwards, the next try of the reaper removes it.
///
/// A refusal allocates no memory, and the work item makes progress when there is none. If several
/// ranges are refused before it begins, it invalidates the smallest range around all of them:
/// invalidating too much only costs faults.
///
/// Dereferences to a [`Notifier`], and is used like one. A type with two passes has only one here.
///
/// Dropping it stops the work item, and waits for it if it runs. Otherwise it is like dropping a
/// [`Notifier`].
///
/// # Examples
///
/// The shortest driver that can be reaped. It has no non-blocking way to stop its device, so it
/// refuses until the work item has removed the pages.
///
/// ```
/// use kernel::{
///     mm::{
///         mmu_notifier::{
///             interval::{
///                 DeferringNotifier,
///                 Invalidated,
///                 Invalidation,
///                 Operations,
///                 TryInvalidation, //
///             },
///             WouldBlock, //
///         },
///         MmWithUser, //
///     },
///     new_mutex,
///     nonblock::NonBlockGuard,
///     sync::{
///         lock::mutex::MutexBackend,
///         Mutex, //
///     }, //
/// };
///
/// #[pin_data]
/// struct Device {
///     /// The number of pages that the device uses.
///     #[pin]
///     pages: Mutex<usize>,
/// }
///
/// /// Waits until the device has stopped.
/// fn stop_device() {}
///
/// impl Operations for Device {
///     type State = usize;
///     type Backend = MutexBackend;
///     type Refusal = WouldBlock;
///
///     fn lock(&self) -> &Mutex<usize> {
///         &self.pages
///     }
///
///     fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
///         let (mut pages, done) = op.lock();
///         stop_device();
///         *pages = 0;
///         done
///     }
///
///     fn try_invalidate<'op>(
///         &'op self,
///         op: TryInvalidation<'op, Self>,
///         _nb: &NonBlockGuard,
///     ) -> Result<Invalidated<'op>, WouldBlock> {
///         let (pages, done) = op.try_lock()?;
///         (*pages == 0).then_some(done).ok_or(WouldBlock)
///     }
/// }
///
/// fn register(mm: &MmWithUser) -> Result<Pin<KBox<DeferringNotifier<Device>>>> {
///     let device = try_pin_init!(Device {
///         pages <- new_mutex!(0),
///     });
///
///     KBox::try_pin_init(DeferringNotifier::new(mm, 0..usize::MAX, device), GFP_KERNEL)
/// }
/// # // Doctests run in kernel threads, which have no address space.
/// # if let Some(mm) = kernel::current!().mm() {
/// #     register(mm)?;
/// # }
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// - `notifier` was registered with the callbacks of `Self::OPS`.
/// - `deferral.notifier` is the C object of `notifier`.
#[pin_data(PinnedDrop)]
pub struct DeferringNotifier<T: Operations<Refusal = WouldBlock>> {
    // The pinned drop stops the work item. After the first field is dropped there are no callbacks.
    #[pin]
    notifier: Notifier<T>,
    #[pin]
    deferral: Deferral,
}

/// The work item that invalidates refused ranges.
///
/// It does not depend on the driver, so its function is in the kernel itself. The text of a module
/// only runs in the callbacks, for which the notifier has a reference to the module.
///
/// # Invariants
///
/// - `work` is initialized with [`Deferral::run`].
/// - While `work` is queued or runs, `notifier` is registered.
#[pin_data]
struct Deferral {
    #[pin]
    work: Opaque<bindings::work_struct>,
    notifier: *mut bindings::mmu_interval_notifier,
    #[pin]
    refused: SpinLock<Refused>,
}

/// The ranges of the work item.
struct Refused {
    /// The range that was refused since the work item began.
    waiting: Option<ops::Range<usize>>,
    /// The range that the work item invalidates.
    running: Option<ops::Range<usize>>,
    /// Whether the notifier is being dropped.
    stopped: bool,
}

// SAFETY: The work item and the spinlock may be used by any task. `notifier` is only used by the
// work item, which may run anywhere.
unsafe impl Send for Deferral {}
// SAFETY: As above.
unsafe impl Sync for Deferral {}

impl Deferral {
    fn new(notifier: *mut bindings::mmu_interval_notifier) -> impl PinInit<Self> {
        let name = c"mmu_notifier_deferral";

        // INVARIANT: It is not queued.
        pin_init!(Self {
            work <- Opaque::ffi_init(|work: *mut bindings::work_struct| {
                // SAFETY: `work` is valid for writes and pinned, and the name and key are static.
                unsafe {
                    bindings::init_work_with_key(
                        work,
                        Some(Self::run),
                        false,
                        name.as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    )
                };
            }),
            notifier,
            refused <- new_spinlock!(Refused {
                waiting: None,
                running: None,
                stopped: false,
            }),
        })
    }

    /// Returns whether the work item has not finished with part of `range`.
    #[inline]
    fn is_outstanding(&self, range: &ops::Range<usize>) -> bool {
        let overlaps =
            |other: &ops::Range<usize>| range.start < other.end && other.start < range.end;
        let refused = self.refused.lock();

        refused.waiting.as_ref().is_some_and(overlaps)
            || refused.running.as_ref().is_some_and(overlaps)
    }

    /// Queues the work item to invalidate `range`, which was refused.
    ///
    /// It does not sleep.
    ///
    /// # Safety
    ///
    /// The notifier must be registered, and be removed only after [`Deferral::stop`].
    unsafe fn defer(&self, range: ops::Range<usize>) {
        let mut refused = self.refused.lock();

        if refused.stopped {
            return;
        }
        // The range of the running work item needs no second time. If pages are entered behind it,
        // the next try finds them, and is refused again.
        let covers =
            |other: &ops::Range<usize>| other.start <= range.start && range.end <= other.end;
        if refused.running.as_ref().is_some_and(covers) {
            return;
        }
        refused.waiting = Some(match refused.waiting.take() {
            Some(other) => range.start.min(other.start)..range.end.max(other.end),
            None => range,
        });
        // The lock prevents queueing after `stop()`. If the work item is queued already, it has not
        // taken the range yet. The registration created the queue.
        if let Some(queue) = QUEUE.copy() {
            // CAST: `Queue` is transparent.
            let queue = ptr::from_ref(queue).cast_mut().cast();
            // INVARIANT: By the caller's contract the notifier is registered.
            //
            // SAFETY: The queue is never destroyed. By the type invariant the work item is
            // initialized. It is pinned, and stopped before it is dropped.
            unsafe {
                bindings::queue_work_on(
                    bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                    queue,
                    self.work.get(),
                )
            };
        }
    }

    /// Stops the work item for good, and waits for it if it runs.
    fn stop(&self) {
        self.refused.lock().stopped = true;
        // SAFETY: By the type invariant the work item is initialized.
        unsafe { bindings::cancel_work_sync(self.work.get()) };
    }

    /// # Safety
    ///
    /// `work` must be the `work` of a `Self`, and have been queued.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: By the caller's contract. It is not dropped before this has returned, because
        // `stop()` waits.
        let this = unsafe { &*container_of!(Opaque::cast_from(work), Self, work) };
        let mut refused = this.refused.lock();
        let Some(range) = refused.waiting.take() else {
            return;
        };
        refused.running = Some(range.clone());
        drop(refused);

        // SAFETY: By the type invariant the notifier is registered, as the work item runs. This is
        // a context that may sleep.
        unsafe {
            bindings::mmu_interval_notifier_invalidate(this.notifier, range.start, range.end)
        };
        this.refused.lock().running = None;
    }
}

/// The workqueue of all notifiers. It makes progress without memory.
static QUEUE: SetOnce<&'static Queue> = SetOnce::new();

impl<T: Operations<Refusal = WouldBlock>> DeferringNotifier<T> {
    const OPS: bindings::mmu_interval_notifier_ops = bindings::mmu_interval_notifier_ops {
        invalidate: Some(Self::invalidate),
        ..pin_init::zeroed()
    };

    /// Registers a notifier for `range` of `mm`.
    ///
    /// Like [`Notifier::new`].
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::new`], and [`ENOMEM`] if there is no memory for the workqueue.
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
    /// Those of [`DeferringNotifier::new`].
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

        // INVARIANT: `notifier` is registered with `OPS`, and `deferral` has the address that its C
        // object is going to have.
        try_pin_init!(&this in Self {
            _: {
                queue::get_or_create(
                    &QUEUE,
                    c"mmu_notifier",
                    bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_MEM_RECLAIM,
                )?;
            },
            deferral <- Deferral::new(
                // SAFETY: `this` is valid, and the field is in bounds of it.
                unsafe { Notifier::raw_inner(&raw const (*this.as_ptr()).notifier) },
            ),
            notifier <- notifier,
        }? Error)
    }

    /// # Safety
    ///
    /// As for [`Pending::from_raw`], for the duration of the call, and the notifier must be that of
    /// a `Self`.
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

        // SAFETY: By the caller's contract `pending.notifier` is the `notifier` of a `Self`,
        // whose fields are initialized before it is registered, and to which there are only shared
        // references until it is removed.
        let deferral =
            unsafe { &(*container_of!(ptr::from_ref(pending.notifier), Self, notifier)).deferral };
        let range = pending.range();
        if !deferral.is_outstanding(&range) && pending.try_invalidate() {
            return true;
        }
        // SAFETY: The core calls the notifier, so that it is registered or about to be. It is
        // removed when the field is dropped, which is after the pinned drop.
        unsafe { deferral.defer(range) };
        false
    }
}

#[pinned_drop]
impl<T: Operations<Refusal = WouldBlock>> PinnedDrop for DeferringNotifier<T> {
    fn drop(self: Pin<&mut Self>) {
        self.deferral.stop();
    }
}

impl<T: Operations<Refusal = WouldBlock>> Deref for DeferringNotifier<T> {
    type Target = Notifier<T>;

    #[inline]
    fn deref(&self) -> &Notifier<T> {
        &self.notifier
    }
}
