// SPDX-License-Identifier: GPL-2.0

//! Tests for lockdep's reports about lock maps, non-blocking sections, notifiers and reclaim.
//!
//! After a report lockdep is off until the next boot. So each test has two parts. The part in which
//! nothing must be reported always runs. The other part, which differs from it in one line, only
//! runs in a boot for this test alone, with `kunit.filter_glob=rust_lockdep.NAME`. Each test needs
//! such a boot of its own, and the boot must show a report.

use kernel::prelude::*;

#[kunit_tests(rust_lockdep)]
mod tests {
    use super::*;
    use crate::{
        kmsg::{
            expect,
            provoke,
            Seen,
            MIGHT_SLEEP,
            SCHEDULING, //
        },
        task::{
            wait_until,
            Task, //
        }, //
    };
    use core::convert::Infallible;
    use kernel::{
        alloc::Flags,
        bindings,
        impl_has_work,
        mm::{
            kunit,
            mmu_notifier::{
                interval::{
                    self,
                    Invalidated,
                    Invalidation,
                    Notifier,
                    TryInvalidation, //
                },
                list,
                Event,
                Range,
                WouldBlock, //
            },
            reclaim::{
                fs_reclaim,
                memalloc_noreclaim,
                might_alloc, //
            },
            Mm,
            MmWithUser, //
        },
        new_mutex,
        new_rwsem,
        new_spinlock,
        new_work,
        nonblock::{
            non_block,
            NonBlockGuard, //
        },
        page::PAGE_SIZE,
        static_lock_map,
        sync::{
            aref::ARef,
            lock::{
                mutex::MutexBackend,
                rwsem::RwSemaphoreBackend,
                Backend, //
            },
            lockdep::{
                LockMap,
                WaitType, //
            },
            new_condvar,
            static_lock_class,
            Arc,
            Mutex, //
        },
        time::{
            delay::fsleep,
            Delta, //
        },
        types::Opaque,
        workqueue::{
            self,
            Work,
            WorkItem, //
        }, //
    };

    const CIRCULAR: &CStr = c"WARNING: possible circular locking dependency detected";
    const RECURSIVE: &CStr = c"WARNING: possible recursive locking detected";
    const WAIT_CONTEXT: &CStr = c"[ BUG: Invalid wait context ]";

    /// Returns whether lockdep is on. A report turns it off.
    fn is_on() -> bool {
        // SAFETY: The variable is always there, and every value is valid.
        unsafe { (&raw const bindings::debug_locks).read_volatile() != 0 }
    }

    /// Returns whether the boot is for one test of this suite, which is then the one that runs.
    fn is_alone() -> bool {
        // SAFETY: It may be called at any time.
        let glob = unsafe { bindings::kunit_filter_glob() };
        if glob.is_null() {
            return false;
        }
        // SAFETY: A filter is a string, which is not written to while tests run.
        let glob = unsafe { CStr::from_char_ptr(glob) };
        let test = glob.to_bytes().strip_prefix(b"rust_lockdep.");

        test.is_some_and(|test| !test.iter().any(|byte| b"*?[\\".contains(byte)))
    }

    /// Runs `silent`, in which nothing must be reported, and then `reported` if the test is alone.
    ///
    /// `headers` are the first lines of the expected reports. The first report comes from lockdep,
    /// and one of its lines has to contain `detail`.
    fn check(
        headers: &[&CStr],
        detail: &CStr,
        silent: impl FnOnce() -> Result,
        reported: impl FnOnce() -> Result,
    ) -> Result {
        // A lock of a blocking callback is not for a non-blocking one.
        let _exact = kunit::NotTriedFirst::new();

        verify(is_on(), "lockdep is on before the test")?;
        silent()?;
        verify(is_on(), "lockdep has nothing to report")?;
        if !is_alone() {
            return Ok(());
        }

        let mut done = Ok(());
        let seen = expect(headers, detail, || done = reported());
        done?;
        // A lock can be in several lines of a report.
        let details = seen.details.min(1);
        if (Seen { details, ..seen }) != Seen::ONE {
            pr_err!("expected {:?} of {detail:?}, saw {seen:?}\n", Seen::ONE);
            return Err(EINVAL);
        }
        verify(!is_on(), "lockdep is off after a report")
    }

    /// Asserts `what` outside of a test function.
    fn verify(holds: bool, what: &str) -> Result {
        if holds {
            return Ok(());
        }
        pr_err!("expected, but not so: {what}\n");
        Err(EINVAL)
    }

    /// Creates a lock for each part of a test. Each lock has its own class, so lockdep does not mix
    /// up the two parts.
    macro_rules! two_mutexes {
        () => {
            [
                Arc::pin_init(new_mutex!((), "first"), GFP_KERNEL)?,
                Arc::pin_init(new_mutex!((), "second"), GFP_KERNEL)?,
            ]
        };
    }

    fn alloc(flags: Flags) -> Result {
        drop(KBox::new(0_u64, flags)?);
        Ok(())
    }

    #[test]
    fn allocation_in_reclaim() -> Result {
        check(
            &[RECURSIVE],
            c"(fs_reclaim){",
            || fs_reclaim(GFP_KERNEL, || alloc(GFP_NOFS)),
            || fs_reclaim(GFP_KERNEL, || alloc(GFP_KERNEL)),
        )
    }

    #[test]
    fn lock_held_over_allocation_and_taken_in_reclaim() -> Result {
        let [silent, reported] = two_mutexes!();
        let allocate = |lock: &Arc<Mutex<()>>| -> Result {
            let lock = lock.clone();
            let other = Task::run(move || {
                let _guard = lock.lock();
                let _ = alloc(GFP_KERNEL);
            });
            other.map(Task::wait)
        };

        check(
            &[CIRCULAR],
            c"(fs_reclaim){",
            || {
                allocate(&silent)?;
                fs_reclaim(GFP_KERNEL, || drop(silent.try_lock()));
                Ok(())
            },
            || {
                allocate(&reported)?;
                fs_reclaim(GFP_KERNEL, || drop(reported.lock()));
                Ok(())
            },
        )
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

    #[test]
    fn free_mutex_in_section() -> Result {
        let free = KBox::pin_init(new_mutex!(()), GFP_KERNEL)?;
        let spin = KBox::pin_init(new_spinlock!(()), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            // The address is in the function that began the section, and not in a helper.
            c"(non_block){.+.+}-{3:3}, at: _R",
            || {
                non_block(|_| drop((spin.lock(), free.try_lock())));
                Ok(())
            },
            || {
                non_block(|_| drop((spin.lock(), free.lock())));
                Ok(())
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

    static_lock_map! {
        /// The completion of a device.
        static ANSWER: LockMap = "answer", Unchecked;
    }

    /// Locks `lock` in the code that completes the device.
    fn answer(lock: &Mutex<()>) {
        let _answer = ANSWER.acquire();
        drop(lock.lock());
    }

    #[test]
    fn wait_for_a_map_with_a_lock_held() -> Result {
        let [silent, reported] = two_mutexes!();

        check(
            &[CIRCULAR],
            c"(answer){+.+.}-{0:0}, at: _R",
            || {
                drop(silent.lock());
                ANSWER.might_acquire();
                answer(&silent);
                Ok(())
            },
            || {
                let guard = reported.lock();
                ANSWER.might_acquire();
                drop(guard);
                answer(&reported);
                Ok(())
            },
        )
    }

    #[test]
    fn map_tried_for_with_a_lock_held() -> Result {
        let [silent, reported] = two_mutexes!();

        check(
            &[CIRCULAR],
            c"(answer){+.+.}-{0:0}, at: _R",
            || {
                answer(&silent);
                let _guard = silent.lock();
                drop(ANSWER.acquire_try());
                Ok(())
            },
            || {
                answer(&reported);
                let _guard = reported.lock();
                drop(ANSWER.acquire());
                Ok(())
            },
        )
    }

    static_lock_map! {
        /// A section that waits for raw spinlocks only.
        static FAST: LockMap = "fast", Spin;
    }

    /// Checks that a spinlock must not be waited for with `map` held.
    fn spinlock_in(map: &LockMap, detail: &CStr) -> Result {
        let spin = KBox::pin_init(new_spinlock!(()), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT],
            detail,
            || {
                let _map = map.acquire_try();
                drop(spin.try_lock());
                Ok(())
            },
            || {
                let _map = map.acquire_try();
                // A spinlock sleeps with PREEMPT_RT.
                drop(spin.lock());
                Ok(())
            },
        )
    }

    #[test]
    fn map_with_a_wait_type() -> Result {
        spinlock_in(&FAST, c"(fast){+.+.}-{2:2}, at: _R")
    }

    #[test]
    fn pinned_map_with_a_wait_type() -> Result {
        let map = LockMap::new(c"pinned", static_lock_class!(), WaitType::Spin);
        let map = KBox::pin_init(map, GFP_KERNEL)?;

        spinlock_in(&map, c"(pinned){+.+.}-{2:2}, at: _R")
    }

    static_lock_map! {
        /// A wait that sleeps.
        static SLEEP: LockMap = "sleep", Sleep;
    }

    #[test]
    fn map_that_sleeps_in_section() -> Result {
        check(
            &[WAIT_CONTEXT],
            c"(sleep){+.+.}-{4:4}, at: _R",
            || {
                SLEEP.might_acquire();
                non_block(|_| {
                    drop(SLEEP.acquire_try());
                    // The type of this map is unchecked.
                    ANSWER.might_acquire();
                });
                Ok(())
            },
            || {
                non_block(|_| SLEEP.might_acquire());
                Ok(())
            },
        )
    }

    static_lock_map! {
        /// A map with the type of a section, which is waited for.
        static WAITED_FOR: LockMap = "waited_for", Config;
    }

    #[test]
    fn section_begun_where_only_raw_spinlocks_are_waited_for() -> Result {
        check(
            &[WAIT_CONTEXT],
            c"(waited_for){+.+.}-{3:3}, at: _R",
            || {
                WAITED_FOR.might_acquire();
                let _fast = FAST.acquire_try();
                non_block(|_| ());
                Ok(())
            },
            || {
                let _fast = FAST.acquire_try();
                WAITED_FOR.might_acquire();
                Ok(())
            },
        )
    }

    #[test]
    fn assert_held_warns() {
        let header = c"WARNING: rust/helpers/lockdep.c:";
        let held = ANSWER.acquire();
        // A warning fails the run here, because nothing announces it.
        ANSWER.assert_held();
        drop(held);
        let seen = provoke(header, header, || ANSWER.assert_held());

        assert_eq!(seen, Seen::ONE);
    }

    #[test]
    fn semaphore_in_section() -> Result {
        let sem = KBox::pin_init(new_rwsem!((), "semaphore"), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            c"(semaphore){++++}-{4:4}, at: ",
            || {
                drop(sem.read());
                drop(sem.lock());
                non_block(|_| drop(sem.try_lock()));
                Ok(())
            },
            || {
                non_block(|_| drop(sem.read()));
                Ok(())
            },
        )
    }

    #[test]
    fn semaphore_written_in_section() -> Result {
        let sem = KBox::pin_init(new_rwsem!((), "semaphore"), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            c"(semaphore){+.+.}-{4:4}, at: ",
            || {
                drop(sem.lock());
                non_block(|_| drop(sem.try_lock()));
                Ok(())
            },
            || {
                non_block(|_| drop(sem.lock()));
                Ok(())
            },
        )
    }

    #[test]
    fn semaphore_read_twice() -> Result {
        let sem = KBox::pin_init(new_rwsem!((), "semaphore"), GFP_KERNEL)?;

        check(
            &[RECURSIVE],
            c"(semaphore){.+.+}-{4:4}, at: ",
            || {
                drop(sem.read());
                drop(sem.read());
                Ok(())
            },
            || {
                drop((sem.read(), sem.read()));
                Ok(())
            },
        )
    }

    // The guard of a writer asserts this. Holding the semaphore for reading is not enough.
    #[test]
    fn semaphore_assertion_warns() -> Result {
        let name = c"semaphore";
        let key = static_lock_class!();
        let init = Opaque::ffi_init(|sem| {
            // SAFETY: The memory is valid for writes, and the name and the key are `'static`.
            unsafe { RwSemaphoreBackend::init(sem, name.as_char_ptr(), key.as_ptr()) }
        });
        let sem = KBox::pin_init(init, GFP_KERNEL)?;
        // SAFETY: The semaphore is initialized above.
        let assert_is_held = || unsafe { RwSemaphoreBackend::assert_is_held(sem.get()) };

        // A warning fails the run here, because nothing announces it.
        // SAFETY: The semaphore is initialized above, and free.
        unsafe {
            bindings::down_write(sem.get());
            assert_is_held();
            bindings::up_write(sem.get());
            bindings::down_read(sem.get());
        }
        let header = c"WARNING: rust/helpers/rwsem.c:";
        let seen = provoke(header, header, assert_is_held);
        // SAFETY: The semaphore is held for reading.
        unsafe { bindings::up_read(sem.get()) };

        assert_eq!(seen, Seen::ONE);
        Ok(())
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
    fn last_user_dropped_in_section() -> Result {
        let mm = [kunit::new_mm()?, kunit::new_mm()?];
        let [silent, reported] = mm;

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            c"(non_block){",
            || {
                non_block(|_| drop(MmWithUser::into_mmput_async(silent)));
                Ok(())
            },
            || {
                non_block(|_| drop(reported));
                Ok(())
            },
        )
    }

    #[test]
    fn workqueue_flushed_in_section() -> Result {
        // SAFETY: The workqueue is always there.
        let flush = || unsafe { bindings::__flush_workqueue(bindings::system_percpu_wq) };

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            c"(non_block){",
            || {
                flush();
                Ok(())
            },
            || {
                non_block(|_| flush());
                Ok(())
            },
        )
    }

    #[test]
    fn condvar_in_section() -> Result {
        let mutex = KBox::pin_init(new_mutex!(()), GFP_KERNEL)?;
        let condvar = KBox::pin_init(new_condvar!(), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT, SCHEDULING, MIGHT_SLEEP],
            c"(non_block){",
            || {
                let mut guard = mutex.lock();
                drop(condvar.wait_interruptible_timeout(&mut guard, 1));
                Ok(())
            },
            || {
                let mut guard = mutex.lock();
                non_block(|_| drop(condvar.wait_interruptible_timeout(&mut guard, 1)));
                Ok(())
            },
        )
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
