// SPDX-License-Identifier: GPL-2.0

//! Tests for lockdep's reports about the callbacks of MMU notifiers.

use super::*;

#[kunit_tests(rust_lockdep_notifiers)]
mod tests {
    use super::{
        reclaim::alloc,
        *, //
    };
    use crate::prelude::interval::*;
    use kernel::{
        alloc::Flags,
        mm::{
            mmu_notifier::{
                interval,
                list,
                Range, //
            },
            reclaim::{
                memalloc_noreclaim,
                might_alloc, //
            }, //
        }, //
    };

    /// Like [`super::check`], with callbacks that depend on whether an invalidation may block.
    fn check(
        headers: &[&CStr],
        detail: &CStr,
        silent: impl FnOnce() -> Result,
        reported: impl FnOnce() -> Result,
    ) -> Result {
        // A lock of a blocking callback is not for a non-blocking one.
        let _exact = kunit::NotTriedFirst::new();

        super::check(headers, detail, silent, reported)
    }

    type Callback = KBox<dyn Fn() + Send + Sync>;

    /// A driver whose callbacks call a function before they publish.
    struct Driver {
        table: Pin<KBox<Mutex<()>>>,
        callback: Callback,
    }

    impl Driver {
        fn new(callback: Callback) -> Result<Self> {
            Ok(Self {
                table: KBox::pin_init(new_mutex!(()), GFP_KERNEL)?,
                callback,
            })
        }
    }

    impl interval::Operations for Driver {
        type State = ();
        type Backend = MutexBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &Mutex<()> {
            &self.table
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            (self.callback)();
            op.lock().1
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, WouldBlock> {
            (self.callback)();
            Ok(op.try_lock()?.1)
        }
    }

    /// The same driver, with callbacks that may allocate.
    struct Noreclaim(Driver);

    impl interval::Operations for Noreclaim {
        type State = ();
        type Backend = MutexBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &Mutex<()> {
            &self.0.table
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            memalloc_noreclaim(|| (self.0.callback)());
            op.lock().1
        }

        fn try_invalidate<'op>(
            &'op self,
            _op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, WouldBlock> {
            Err(WouldBlock)
        }
    }

    const RANGE: core::ops::Range<usize> = PAGE_SIZE..2 * PAGE_SIZE;

    /// Invalidates with a notifier whose callback calls `f`.
    fn in_callback(blockable: bool, f: impl Fn() + Send + Sync + 'static) -> Result {
        called_back(blockable, Driver::new(KBox::new(f, GFP_KERNEL)?)?)
    }

    /// Invalidates a range, which lockdep sees as it does for the core.
    fn annotated(mm: &Mm, addrs: core::ops::Range<usize>, blockable: bool) -> Result {
        // SAFETY: Only lockdep is told of it.
        unsafe { bindings::mmu_notifier_invalidate_map_acquire() };
        let started = if blockable {
            kunit::Invalidation::start(mm, addrs, Event::Clear)
        } else {
            kunit::Invalidation::try_start(mm, addrs, Event::Clear)
        };
        // SAFETY: It was acquired above. The end of the invalidation acquires it once more.
        unsafe { bindings::mmu_notifier_invalidate_map_release() };
        started.map(drop)
    }

    fn called_back<T>(blockable: bool, driver: T) -> Result
    where
        T: interval::Operations,
    {
        let mm = kunit::new_mm()?;
        let notifier = KBox::try_pin_init(Notifier::new(&mm, RANGE, Ok(driver)), GFP_KERNEL)?;
        let result = annotated(&mm, RANGE, blockable);
        drop(notifier);
        result
    }

    #[test]
    fn lock_held_over_allocation_and_taken_in_callback() -> Result {
        let [silent, reported] = two_mutexes!();
        let hold_over = |lock: &Arc<Mutex<()>>, flags| -> Result {
            let _guard = lock.lock();
            alloc(flags)
        };
        let take = |lock: &Arc<Mutex<()>>| {
            let lock = lock.clone();
            in_callback(true, move || drop(lock.lock()))
        };

        check(
            &[CIRCULAR],
            c"(mmu_notifier_invalidate_range_start){",
            || {
                hold_over(&silent, GFP_NOWAIT)?;
                take(&silent)
            },
            || {
                // Reclaim without file systems calls notifiers, too.
                hold_over(&reported, GFP_NOFS)?;
                take(&reported)
            },
        )
    }

    #[test]
    fn lock_held_over_allocation_and_tried_in_nonblocking_callback() -> Result {
        let [silent, reported] = two_mutexes!();
        let hold_over = |lock: &Arc<Mutex<()>>| -> Result {
            let _guard = lock.lock();
            alloc(GFP_NOFS)
        };

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            c"(non_block){",
            || {
                hold_over(&silent)?;
                let lock = silent.clone();
                in_callback(false, move || drop(lock.try_lock()))
            },
            || {
                hold_over(&reported)?;
                let lock = reported.clone();
                in_callback(false, move || drop(lock.lock()))
            },
        )
    }

    /// A list notifier whose callback calls a function.
    struct Listener(Callback);

    #[vtable]
    impl list::Operations for Listener {
        type Refusal = Infallible;

        fn start(&self, _range: Range<'_>) {
            (self.0)();
        }

        fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
            Ok(())
        }
    }

    /// A place for a notifier that drops itself.
    #[pin_data]
    struct Slot<T> {
        #[pin]
        notifier: Mutex<Option<Pin<KBox<T>>>>,
        #[pin]
        work: Work<Slot<T>>,
    }

    impl_has_work! {
        impl{T: Send + 'static} HasWork<Slot<T>> for Slot<T> { self.work }
    }

    impl<T: Send + 'static> WorkItem for Slot<T> {
        type Pointer = Arc<Self>;

        fn run(slot: Arc<Self>) {
            slot.empty();
        }
    }

    impl<T: Send + 'static> Slot<T> {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    notifier <- new_mutex!(None),
                    work <- new_work!(),
                }),
                GFP_KERNEL,
            )
        }

        fn empty(&self) {
            let notifier = self.notifier.lock().take();
            drop(notifier);
        }
    }

    /// Puts a notifier into a slot, and invalidates in another task. The callback of the notifier
    /// empties the slot, either itself or in a work item.
    ///
    /// A callback that empties the slot itself does not return.
    fn dropped_in_callback<T: Send + 'static>(
        in_own_task: bool,
        new: impl FnOnce(&MmWithUser, Callback) -> Result<Pin<KBox<T>>>,
    ) -> Result {
        let mm = kunit::new_mm()?;
        let slot = Slot::new()?;
        let emptied = slot.clone();
        let callback = move || {
            if in_own_task {
                emptied.empty();
            } else {
                // The work item runs once even if it is queued twice.
                let _ = workqueue::system_unbound().enqueue(emptied.clone());
            }
        };
        *slot.notifier.lock() = Some(new(&mm, KBox::new(callback, GFP_KERNEL)?)?);

        let invalidated = ARef::<Mm>::from(&**mm);
        let task = Task::run(move || {
            let _ = annotated(&invalidated, RANGE, true);
        })?;
        if in_own_task {
            // The report comes before the wait, and takes a while to print.
            let reported = wait_until(|| !is_on());
            fsleep(Delta::from_millis(500));
            // The callback is still in it.
            core::mem::forget(mm);
            return if reported { Ok(()) } else { Err(ETIMEDOUT) };
        }
        task.wait();
        let gone = wait_until(|| slot.notifier.lock().is_none());
        if gone {
            Ok(())
        } else {
            Err(ETIMEDOUT)
        }
    }

    #[test]
    fn list_notifier_dropped_in_its_callback() -> Result {
        let new = |mm: &MmWithUser, callback| {
            KBox::try_pin_init(list::Notifier::new(mm, Ok(Listener(callback))), GFP_KERNEL)
        };

        check(
            &[RECURSIVE],
            c"(srcu){",
            || dropped_in_callback(false, new),
            || dropped_in_callback(true, new),
        )
    }

    #[test]
    fn interval_notifier_dropped_in_its_callback() -> Result {
        let new = |mm: &MmWithUser, callback: Callback| {
            let driver = Driver::new(callback)?;
            KBox::try_pin_init(Notifier::new(mm, RANGE, Ok(driver)), GFP_KERNEL)
        };

        check(
            &[RECURSIVE],
            c"(mmu_notifier_invalidate_range_start){",
            || dropped_in_callback(false, new),
            || dropped_in_callback(true, new),
        )
    }

    /// Creates a notifier that does nothing, and whose lock has its own class.
    macro_rules! quiet_notifier {
        ($mm:expr, $name:literal) => {{
            let driver = Driver {
                table: KBox::pin_init(new_mutex!((), $name), GFP_KERNEL)?,
                callback: KBox::new(|| (), GFP_KERNEL)?,
            };
            KBox::try_pin_init(Notifier::new($mm, RANGE, Ok(driver)), GFP_KERNEL)?
        }};
    }

    #[test]
    fn lock_held_over_read_begin() -> Result {
        let mm = kunit::new_mm()?;
        let silent = quiet_notifier!(&mm, "silent");
        let reported = quiet_notifier!(&mm, "reported");

        let result = check(
            &[CIRCULAR],
            c"(mmu_notifier_invalidate_range_start){",
            || {
                let seq = silent.read_begin();
                let _guard = silent.table.lock();
                drop(seq);
                Ok(())
            },
            || {
                let _guard = reported.table.lock();
                let _ = reported.read_begin();
                Ok(())
            },
        );
        drop(silent);
        drop(reported);
        result
    }

    #[test]
    fn registration_is_enough() -> Result {
        let mm = kunit::new_mm()?;
        let silent = quiet_notifier!(&mm, "silent");

        check(
            &[CIRCULAR],
            c"(mmu_notifier_invalidate_range_start){",
            || {
                let _guard = silent.table.lock();
                alloc(GFP_NOWAIT)
            },
            || {
                // No invalidation has run yet.
                let reported = quiet_notifier!(&mm, "reported");
                let _guard = reported.table.lock();
                alloc(GFP_KERNEL)
            },
        )
    }

    /// Checks that lockdep reports an allocation with `flags`, which reclaim, in a callback that
    /// may sleep.
    fn alloc_in_callback(flags: Flags, header: &CStr) -> Result {
        check(
            &[header],
            c"(mmu_notifier_invalidate_range_start){",
            || in_callback(true, || might_alloc(GFP_NOWAIT)),
            move || in_callback(true, move || might_alloc(flags)),
        )
    }

    #[test]
    fn gfp_kernel_in_callback() -> Result {
        // The first report is about the map of `fs_reclaim`, because it calls notifiers.
        alloc_in_callback(GFP_KERNEL, CIRCULAR)
    }

    #[test]
    fn gfp_nofs_in_callback() -> Result {
        alloc_in_callback(GFP_NOFS, RECURSIVE)
    }

    #[test]
    fn gfp_noio_in_callback() -> Result {
        alloc_in_callback(GFP_NOIO, RECURSIVE)
    }

    #[test]
    fn noreclaim_callbacks_may_allocate() -> Result {
        let driver = || Driver::new(KBox::new(|| might_alloc(GFP_KERNEL), GFP_KERNEL)?);

        check(
            &[CIRCULAR],
            c"(mmu_notifier_invalidate_range_start){",
            || called_back(true, Noreclaim(driver()?)),
            || called_back(true, driver()?),
        )
    }
}
