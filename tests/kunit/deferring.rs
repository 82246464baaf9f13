// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::mm::mmu_notifier::interval::DeferringNotifier`.

use crate::prelude::*;

#[kunit_tests(rust_mmu_deferring_notifier)]
mod tests {
    use super::*;
    use crate::prelude::interval::*;
    use core::ops::Range;
    use kernel::mm::mmu_notifier::interval::DeferringNotifier;

    /// The common part of the drivers of a test. Callbacks record, the test asserts.
    #[pin_data]
    struct Shared {
        /// The number of pages that the device uses.
        #[pin]
        pages: Mutex<usize>,
        blocking: Atomic<i32>,
        nonblocking: Atomic<i32>,
        dropped: Atomic<i32>,
        /// The range of the last blocking invalidation.
        range: [Atomic<usize>; 2],
        /// The work of the device before it stops, if it is slow.
        #[pin]
        stopped: Completion,
        waits: Atomic<bool>,
        waiting: Atomic<bool>,
    }

    impl Shared {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    pages <- new_mutex!(0),
                    blocking: Atomic::new(0),
                    nonblocking: Atomic::new(0),
                    dropped: Atomic::new(0),
                    range: [Atomic::new(0), Atomic::new(0)],
                    stopped <- Completion::new(),
                    waits: Atomic::new(false),
                    waiting: Atomic::new(false),
                }),
                GFP_KERNEL,
            )
        }

        fn register(
            self: &Arc<Self>,
            mm: &MmWithUser,
        ) -> Result<Pin<KBox<DeferringNotifier<Driver>>>> {
            let init = DeferringNotifier::new(mm, ALL, Ok(Driver(self.clone())));
            KBox::try_pin_init(init, GFP_KERNEL)
        }

        fn calls(&self) -> [i32; 2] {
            [self.blocking.load(Relaxed), self.nonblocking.load(Relaxed)]
        }

        fn range(&self) -> Range<usize> {
            self.range[0].load(Relaxed)..self.range[1].load(Relaxed)
        }

        /// Waits until the work item has called the driver `n` times.
        fn wait_for(&self, n: i32) -> bool {
            wait_until(|| self.blocking.load(Acquire) >= n && !self.waiting.load(Acquire))
        }
    }

    /// A driver that refuses until its pages are gone already.
    struct Driver(Arc<Shared>);

    impl Operations for Driver {
        type State = usize;
        type Backend = MutexBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &Mutex<usize> {
            &self.0.pages
        }

        fn is_own(&self, owner: Owner) -> bool {
            owner.is(&*self.0)
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            let range = op.range();
            self.0.range[0].store(range.start, Relaxed);
            self.0.range[1].store(range.end, Relaxed);
            self.0.waiting.store(true, Relaxed);
            // Pairs with `wait_for()`: a call that is counted waits until it has ended.
            self.0.blocking.fetch_add(1, Release);
            let done = {
                let (mut pages, done) = op.lock();
                *pages = 0;
                done
            };
            // The table is empty, but the device has not stopped.
            if self.0.waits.load(Relaxed) {
                self.0.stopped.wait_for_completion();
            }
            // Pairs with `wait_for()`, which sees all of the call.
            self.0.waiting.store(false, Release);
            done
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, WouldBlock> {
            self.0.nonblocking.fetch_add(1, Relaxed);
            let (pages, done) = op.try_lock()?;
            (*pages == 0).then_some(done).ok_or(WouldBlock)
        }
    }

    impl Drop for Driver {
        fn drop(&mut self) {
            self.0.dropped.fetch_add(1, Relaxed);
        }
    }

    const ALL: Range<usize> = PAGE_SIZE..9 * PAGE_SIZE;

    fn page(n: usize) -> usize {
        n * PAGE_SIZE
    }

    /// Tries like the OOM reaper, without its pauses, until the driver succeeds.
    fn reap(mm: &MmWithUser, start: usize, end: usize) -> bool {
        wait_until(|| kunit::try_invalidate(mm, start..end).is_ok())
    }

    #[test]
    fn refusal_is_made_good() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;
        *shared.pages.lock() = 3;

        let refused = kunit::try_invalidate(&mm, page(2)..page(4));
        let called = shared.wait_for(1);
        let range = shared.range();
        let reaped = reap(&mm, page(2), page(4));
        let blocking = shared.calls()[0];
        drop(notifier);

        assert_eq!(refused, Err(EAGAIN));
        assert!(called);
        assert_eq!(range, page(2)..page(4));
        assert!(reaped);
        // Once is enough.
        assert_eq!(blocking, 1);
        assert_eq!(shared.dropped.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn nothing_is_deferred_that_was_not_refused() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;

        // There are no pages.
        let reaped = kunit::try_invalidate(&mm, page(2)..page(4));
        let blocking = kunit::invalidate(&mm, page(2)..page(4));
        // Outside of the range.
        let outside = kunit::try_invalidate(&mm, page(9)..page(10));
        // Stops the work item, if it was queued.
        drop(notifier);

        assert_eq!(reaped, Ok(()));
        assert_eq!(blocking, Ok(()));
        assert_eq!(outside, Ok(()));
        assert_eq!(shared.calls(), [1, 1]);
        Ok(())
    }

    #[test]
    fn own_invalidations_are_passed_over() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;
        let event = Event::Migrate(Owner::of(&*shared));
        *shared.pages.lock() = 3;

        let blocking = kunit::Invalidation::start(&mm, page(2)..page(4), event).map(drop);
        let nonblocking = kunit::Invalidation::try_start(&mm, page(2)..page(4), event).map(drop);
        // Stops the work item, if it was queued.
        drop(notifier);

        assert_eq!([blocking, nonblocking], [Ok(()); 2]);
        assert_eq!(shared.calls(), [0, 0]);
        Ok(())
    }

    #[test]
    fn held_lock_is_waited_for() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;

        let held = shared.pages.lock();
        let refused = kunit::try_invalidate(&mm, page(1)..page(2));
        let waits = wait_until(|| shared.waiting.load(Relaxed));
        let again = kunit::try_invalidate(&mm, page(1)..page(2));
        drop(held);
        let reaped = reap(&mm, page(1), page(2));
        drop(notifier);

        assert_eq!(refused, Err(EAGAIN));
        assert!(waits);
        assert_eq!(again, Err(EAGAIN));
        assert!(reaped);
        assert_eq!(shared.calls()[0], 1);
        Ok(())
    }

    #[test]
    fn range_is_refused_until_the_work_is_done() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;
        *shared.pages.lock() = 1;
        shared.waits.store(true, Relaxed);

        let refused = kunit::try_invalidate(&mm, page(2)..page(4));
        let empty = wait_until(|| {
            shared.waiting.load(Relaxed) && shared.pages.try_lock().is_some_and(|pages| *pages == 0)
        });
        let called = shared.calls()[1];
        // The table is empty, so the driver would succeed.
        let inside = kunit::try_invalidate(&mm, page(3)..page(4));
        let overlapping = kunit::try_invalidate(&mm, page(3)..page(5));
        // The range that was refused just now must wait for the first one.
        let queued = kunit::try_invalidate(&mm, page(4)..page(5));
        let not_called = shared.calls()[1] == called;
        // The work item has nothing to do with these, and the driver is called.
        let before = kunit::try_invalidate(&mm, page(1)..page(2));
        let behind = kunit::try_invalidate(&mm, page(5)..page(6));
        shared.waits.store(false, Relaxed);
        shared.stopped.complete_all();
        let called_again = shared.wait_for(2);
        let range = shared.range();
        let reaped = reap(&mm, page(2), page(5));
        let blocking = shared.calls()[0];
        drop(notifier);

        assert_eq!(refused, Err(EAGAIN));
        assert!(empty);
        assert_eq!(inside, Err(EAGAIN));
        assert_eq!(overlapping, Err(EAGAIN));
        assert_eq!(queued, Err(EAGAIN));
        assert!(not_called);
        assert_eq!([before, behind], [Ok(()); 2]);
        assert!(called_again);
        assert!(reaped);
        // The range inside needed no second time, the overlapping one did.
        assert_eq!(blocking, 2);
        assert_eq!(range, page(3)..page(5));
        Ok(())
    }

    #[test]
    fn several_refused_ranges_are_one() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;
        shared.waits.store(true, Relaxed);

        // The first keeps the work item busy.
        *shared.pages.lock() = 1;
        let first = kunit::try_invalidate(&mm, page(1)..page(2));
        let busy = wait_until(|| shared.waiting.load(Relaxed));
        *shared.pages.lock() = 1;
        let second = kunit::try_invalidate(&mm, page(6)..page(7));
        let third = kunit::try_invalidate(&mm, page(3)..page(4));
        shared.waits.store(false, Relaxed);
        shared.stopped.complete_all();
        let called = shared.wait_for(2);
        let range = shared.range();
        drop(notifier);

        assert_eq!([first, second, third], [Err(EAGAIN); 3]);
        assert!(busy);
        assert!(called);
        assert_eq!(range, page(3)..page(7));
        assert_eq!(shared.calls()[0], 2);
        Ok(())
    }

    #[test]
    fn work_item_publishes() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;

        let seq = notifier.read_begin();
        let held = shared.pages.lock();
        // It cannot publish, as the lock is held.
        let refused = kunit::try_invalidate(&mm, page(2)..page(4));
        let unaware = seq.check_retry();
        drop(held);
        let called = shared.wait_for(1);
        let stale = seq.lock().is_none();
        let valid = notifier.read_begin().lock().is_some();
        drop(notifier);

        assert_eq!(refused, Err(EAGAIN));
        assert!(!unaware);
        assert!(called);
        assert!(stale);
        assert!(valid);
        Ok(())
    }

    #[test]
    fn readers_wait_for_the_work_item() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let init = DeferringNotifier::new(&mm, ALL, Ok(Driver(shared.clone())));
        let notifier = Arc::pin_init(init, GFP_KERNEL)?;
        *shared.pages.lock() = 1;
        shared.waits.store(true, Relaxed);

        let refused = kunit::try_invalidate(&mm, page(2)..page(4));
        let busy = wait_until(|| {
            shared.waiting.load(Relaxed) && shared.pages.try_lock().is_some_and(|pages| *pages == 0)
        });
        // Before the read, during it, after it: before the device had stopped, or later.
        let state = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let (reader, its_state) = (notifier.clone(), state.clone());
        let task = Task::run(move || {
            its_state.store(1, Relaxed);
            let _ = reader.read_begin();
            let early = reader.0.waiting.load(Relaxed);
            its_state.store(if early { 2 } else { 3 }, Relaxed);
        })?;
        let began = wait_until(|| state.load(Relaxed) != 0);
        fsleep(Delta::from_millis(10));
        let waits = state.load(Relaxed);
        shared.waits.store(false, Relaxed);
        shared.stopped.complete_all();
        task.wait();
        drop(notifier);

        assert_eq!(refused, Err(EAGAIN));
        assert!(busy);
        assert!(began);
        assert_eq!(waits, 1);
        assert_eq!(state.load(Relaxed), 3);
        Ok(())
    }

    #[test]
    fn drop_waits_for_the_work_item() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;
        *shared.pages.lock() = 1;
        shared.waits.store(true, Relaxed);

        let refused = kunit::try_invalidate(&mm, page(2)..page(4));
        let busy = wait_until(|| shared.waiting.load(Relaxed));
        let task = Task::run(move || drop(notifier))?;
        // It has to wait: the callback uses the data.
        let early = shared.dropped.load(Relaxed);
        shared.stopped.complete_all();
        task.wait();

        assert_eq!(refused, Err(EAGAIN));
        assert!(busy);
        assert_eq!(early, 0);
        assert_eq!(shared.dropped.load(Relaxed), 1);
        assert_eq!(shared.calls()[0], 1);
        Ok(())
    }

    #[test]
    fn drop_stops_the_work_item() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;
        *shared.pages.lock() = 1;

        let refused = kunit::try_invalidate(&mm, page(2)..page(4));
        drop(notifier);
        let calls = shared.calls();
        // Time for a work item that was not stopped.
        fsleep(Delta::from_millis(20));

        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(shared.dropped.load(Relaxed), 1);
        assert_eq!(shared.calls(), calls);
        Ok(())
    }

    // The work item has been stopped, and the core still calls the notifier.
    #[test]
    fn nothing_is_deferred_while_it_is_removed() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;
        *shared.pages.lock() = 1;

        // The core removes no notifier meanwhile.
        let other = kunit::Invalidation::start(&mm, page(1)..page(2), Event::Clear)?;
        *shared.pages.lock() = 1;
        let task = Task::run_until_it_sleeps(move || drop(notifier));
        let refused = kunit::try_invalidate(&mm, page(2)..page(4));
        let calls = shared.calls();
        // Time for a work item that was queued.
        fsleep(Delta::from_millis(20));
        let calls_later = shared.calls();
        drop(other);
        task?.wait();

        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(calls, [1, 1]);
        assert_eq!(calls_later, calls);
        assert_eq!(shared.dropped.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn address_space_may_go_meanwhile() -> Result {
        let mm = kunit::new_mm()?;
        let shared = Shared::new()?;
        let notifier = shared.register(&mm)?;
        *shared.pages.lock() = 1;
        shared.waits.store(true, Relaxed);

        let refused = kunit::try_invalidate(&mm, page(2)..page(4));
        let busy = wait_until(|| shared.waiting.load(Relaxed));
        // The release of the address space calls the driver as well, which must not wait.
        shared.waits.store(false, Relaxed);
        drop(mm);
        let released = wait_until(|| shared.blocking.load(Relaxed) == 2);
        shared.stopped.complete_all();
        drop(notifier);

        assert_eq!(refused, Err(EAGAIN));
        assert!(busy);
        assert!(released);
        assert_eq!(shared.dropped.load(Relaxed), 1);
        Ok(())
    }
}
