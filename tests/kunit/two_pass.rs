// SPDX-License-Identifier: GPL-2.0

//! Tests for interval notifiers with two passes.

use crate::prelude::*;

#[kunit_tests(rust_mmu_interval_two_pass)]
mod tests {
    use super::*;
    use crate::{
        invalidate,
        prelude::interval::*, //
    };
    use kernel::mm::mmu_notifier::interval::{
        TwoPass,
        TwoPassNotifier, //
    };

    /// The calls of callbacks in their order: the number of the notifier, and the callback.
    #[pin_data]
    struct Calls {
        /// Also the lock of all notifiers.
        #[pin]
        calls: Mutex<KVec<(u32, Call)>>,
        /// Tokens that exist.
        tokens: Atomic<i32>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Call {
        Start,
        Finish,
        Invalidate,
        TryInvalidate,
    }
    use Call::*;

    impl Calls {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    calls <- new_mutex!(KVec::new()),
                    tokens: Atomic::new(0),
                }),
                GFP_KERNEL,
            )
        }

        /// Returns the calls since the last time.
        fn take(&self) -> KVec<(u32, Call)> {
            core::mem::take(&mut *self.calls.lock())
        }
    }

    /// An invalidation of `notifier` that was started and not finished.
    struct Token {
        notifier: u32,
        calls: Arc<Calls>,
    }

    impl Token {
        fn new(mirror: &Mirror) -> Self {
            mirror.calls.tokens.fetch_add(1, Relaxed);
            Self {
                notifier: mirror.number,
                calls: mirror.calls.clone(),
            }
        }
    }

    impl Drop for Token {
        fn drop(&mut self) {
            self.calls.tokens.fetch_sub(1, Relaxed);
        }
    }

    struct Mirror {
        number: u32,
        calls: Arc<Calls>,
        /// Called by `start`, when the notifiers before this one are between their passes.
        during_start: Option<Arc<dyn Fn() + Send + Sync>>,
        /// Whether an invalidation has a second pass.
        second_pass: bool,
        sections: Atomic<i32>,
    }

    /// Remembers a call. Callbacks must not allocate in a way that may reclaim.
    fn push(calls: &mut KVec<(u32, Call)>, number: u32, call: Call) {
        // A missing call makes the test fail.
        let _ = calls.push((number, call), GFP_NOWAIT);
    }

    impl Operations for Mirror {
        type State = KVec<(u32, Call)>;
        type Backend = MutexBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &Mutex<KVec<(u32, Call)>> {
            &self.calls.calls
        }

        fn is_own(&self, owner: Owner) -> bool {
            owner.is(&*self.calls)
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            let (mut calls, done) = op.lock();
            push(&mut calls, self.number, Invalidate);
            done
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, WouldBlock> {
            self.sections.store(sections(), Relaxed);
            let (mut calls, done) = op.try_lock()?;
            push(&mut calls, self.number, TryInvalidate);
            Ok(done)
        }
    }

    impl TwoPass for Mirror {
        type Token = Token;

        fn start<'op>(&'op self, op: Invalidation<'op, Self>) -> (Invalidated<'op>, Option<Token>) {
            if let Some(f) = &self.during_start {
                f();
            }

            let (mut calls, done) = op.lock();
            push(&mut calls, self.number, Start);
            (done, self.second_pass.then(|| Token::new(self)))
        }

        fn finish(&self, token: Token) {
            self.sections.store(sections(), Relaxed);
            // The token is the one of this notifier, or it is not recorded.
            if token.notifier == self.number {
                push(&mut self.calls.calls.lock(), self.number, Finish);
            }
        }
    }

    fn mirror(number: u32, calls: &Arc<Calls>) -> Mirror {
        Mirror {
            number,
            calls: calls.clone(),
            during_start: None,
            second_pass: true,
            sections: Atomic::new(-1),
        }
    }

    fn register(
        mm: &MmWithUser,
        range: ops::Range<usize>,
        mirror: Mirror,
    ) -> Result<Pin<KBox<TwoPassNotifier<Mirror>>>> {
        KBox::try_pin_init(TwoPassNotifier::new(mm, range, Ok(mirror)), GFP_KERNEL)
    }

    #[test]
    fn all_start_before_any_finishes() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(3 * PAGE_SIZE, PROT_READ)?;
        let calls = Calls::new()?;
        let page = |n| addr + n * PAGE_SIZE..addr + (n + 1) * PAGE_SIZE;
        let notifiers = [
            register(&mm, page(0), mirror(0, &calls))?,
            register(&mm, page(1), mirror(1, &calls))?,
        ];

        let seq = notifiers[0].read_begin();
        mm.munmap(addr, PAGE_SIZE)?;
        let one = calls.take();
        let collided = seq.lock().is_none();
        mm.munmap(addr, 3 * PAGE_SIZE)?;
        let both = calls.take();
        // The storage for the token can be used again.
        let again = kunit::invalidate(&mm, addr..addr + PAGE_SIZE);
        let once_more = calls.take();
        let in_section = notifiers[0].sections.load(Relaxed);
        let same_mm = core::ptr::eq(notifiers[0].mm().as_raw(), mm.as_raw());
        drop(notifiers);

        assert_eq!(one[..], [(0, Start), (0, Finish)]);
        assert!(collided);
        assert_eq!(both[..], [(0, Start), (1, Start), (0, Finish), (1, Finish)]);
        assert_eq!(again, Ok(()));
        assert_eq!(once_more[..], [(0, Start), (0, Finish)]);
        // Both passes may sleep.
        assert_eq!(in_section, 0);
        assert_eq!(calls.tokens.load(Relaxed), 0);
        assert!(same_mm);
        Ok(())
    }

    #[test]
    fn read_is_validated_under_the_lock() -> Result {
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier = Arc::pin_init(
            TwoPassNotifier::new(&mm, range.clone(), Ok(mirror(0, &calls))),
            GFP_KERNEL,
        )?;
        let stamp = notifier.read_begin().stamp();
        let reader = notifier.clone();
        let lock = move || reader.resume(stamp).and_then(|seq| seq.lock()).is_some();

        let quiet = lock();
        let behind = invalidate::before_reader(&mm, range, calls.calls.lock(), lock)?;
        drop(notifier);

        assert!(quiet);
        assert!(!behind);
        assert_eq!(calls.take()[..], [(0, Start), (0, Finish)]);
        Ok(())
    }

    #[test]
    fn own_invalidations_have_no_pass() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier = register(&mm, range.clone(), mirror(0, &calls))?;
        // Returns whether reads are still valid after invalidations by `owner`, blocking and not.
        let after = |owner: &Calls| -> Result<[bool; 2]> {
            let event = Event::Migrate(Owner::of(owner));
            let seq = notifier.read_begin();
            drop(kunit::Invalidation::start(&mm, range.clone(), event)?);
            let blocking = seq.lock().is_some();
            let seq = notifier.read_begin();
            drop(kunit::Invalidation::try_start(&mm, range.clone(), event)?);
            Ok([blocking, seq.lock().is_some()])
        };
        let other = Calls::new()?;

        let own = after(&calls)?;
        let own_calls = calls.take();
        let foreign = after(&other)?;
        let foreign_calls = calls.take();
        drop(notifier);

        assert_eq!(own, [true; 2]);
        assert!(own_calls.is_empty());
        assert_eq!(foreign, [false; 2]);
        assert_eq!(
            foreign_calls[..],
            [(0, Start), (0, Finish), (0, TryInvalidate)]
        );
        Ok(())
    }

    #[test]
    fn nonblocking_has_one_pass() -> Result {
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier = register(&mm, range.clone(), mirror(0, &calls))?;

        let done = kunit::try_invalidate(&mm, range.clone());
        let called = calls.take();
        let in_section = notifier.sections.load(Relaxed);
        let held = calls.calls.lock();
        let refused = kunit::try_invalidate(&mm, range.clone());
        drop(held);
        drop(notifier);

        assert_eq!(done, Ok(()));
        assert_eq!(called[..], [(0, TryInvalidate)]);
        // That of the core, and ours.
        assert_eq!(in_section, 2);
        assert_eq!(refused, Err(EAGAIN));
        assert!(calls.take().is_empty());
        Ok(())
    }

    // As in the work item that makes a refusal good.
    #[test]
    fn one_notifier_is_invalidated() -> Result {
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifiers = [
            register(&mm, range.clone(), mirror(0, &calls))?,
            register(&mm, range.clone(), mirror(1, &calls))?,
        ];

        let seqs = [notifiers[0].read_begin(), notifiers[1].read_begin()];
        invalidate::one(&notifiers[0], range);
        let valid = seqs.map(|seq| seq.lock().is_some());
        let called = calls.take();
        drop(notifiers);

        assert_eq!(valid, [false, true]);
        assert_eq!(called[..], [(0, Start), (0, Finish)]);
        assert_eq!(calls.tokens.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn without_a_token_there_is_no_second_pass() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let mut mirror = mirror(0, &calls);
        mirror.second_pass = false;
        let notifier = register(&mm, range.clone(), mirror)?;

        let done = [
            kunit::invalidate(&mm, range.clone()),
            kunit::invalidate(&mm, range.clone()),
        ];
        drop(notifier);

        assert_eq!(done, [Ok(()), Ok(())]);
        assert_eq!(calls.take()[..], [(0, Start), (0, Start)]);
        Ok(())
    }

    #[test]
    fn between_the_passes_there_is_one_pass() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let page = |n| n * PAGE_SIZE..(n + 1) * PAGE_SIZE;
        let first = register(&mm, page(1), mirror(1, &calls))?;
        let other = ARef::<Mm>::from(&**mm);
        let mut second = mirror(2, &calls);
        second.during_start = Some(Arc::new(
            move || {
                let mm = other.clone();
                let task = Task::run(move || {
                    let _ = kunit::invalidate(&mm, PAGE_SIZE..2 * PAGE_SIZE);
                });
                // If it can't be run, then there is no call of it.
                let _ = task.map(Task::wait);
            },
            GFP_KERNEL,
        )?);
        let second = register(&mm, page(2), second)?;

        let done = kunit::invalidate(&mm, PAGE_SIZE..3 * PAGE_SIZE);
        drop(second);
        drop(first);

        assert_eq!(done, Ok(()));
        assert_eq!(
            calls.take()[..],
            [
                (1, Start),
                (1, Invalidate),
                (2, Start),
                (1, Finish),
                (2, Finish)
            ]
        );
        assert_eq!(calls.tokens.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn readers_wait_for_the_second_pass() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let page = |n| n * PAGE_SIZE..(n + 1) * PAGE_SIZE;
        let first = Arc::pin_init(
            TwoPassNotifier::new(&mm, page(1), Ok(mirror(1, &calls))),
            GFP_KERNEL,
        )?;
        let reader = first.clone();
        // Returns whether the reader had begun: before the second pass, and at last.
        let begun = Arc::new([Atomic::new(0), Atomic::new(0)], GFP_KERNEL)?;
        let seen = begun.clone();

        let mut second = mirror(2, &calls);
        second.during_start = Some(Arc::new(
            move || {
                let (reader, begun) = (reader.clone(), seen.clone());
                let _ = Task::run(move || {
                    let _ = reader.read_begin();
                    begun[1].store(1, Relaxed);
                });
                // Time enough for it, if nothing kept it.
                fsleep(Delta::from_millis(50));
                seen[0].store(seen[1].load(Relaxed), Relaxed);
            },
            GFP_KERNEL,
        )?);
        let second = register(&mm, page(2), second)?;

        let done = kunit::invalidate(&mm, PAGE_SIZE..3 * PAGE_SIZE);
        let began = wait_until(|| begun[1].load(Relaxed) == 1);
        drop(second);
        drop(first);

        assert_eq!(done, Ok(()));
        assert_eq!(begun[0].load(Relaxed), 0);
        assert!(began);
        Ok(())
    }

    #[test]
    fn last_user_releases_in_two_passes() -> Result {
        let mm = kunit::new_mm()?;
        let calls = Calls::new()?;
        let notifier = register(&mm, PAGE_SIZE..2 * PAGE_SIZE, mirror(0, &calls))?;

        drop(mm);
        drop(notifier);

        assert_eq!(calls.take()[..], [(0, Start), (0, Finish)]);
        assert_eq!(calls.tokens.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn registered_under_the_mmap_lock() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let calls = Calls::new()?;

        let mmap = mm.mmap_write_lock();
        let notifier: Result<Pin<KBox<TwoPassNotifier<Mirror>>>> = KBox::try_pin_init(
            TwoPassNotifier::new_locked(&mmap, addr..addr + PAGE_SIZE, Ok(mirror(0, &calls))),
            GFP_KERNEL,
        );
        drop(mmap);
        mm.munmap(addr, PAGE_SIZE)?;
        drop(notifier?);

        assert_eq!(calls.take()[..], [(0, Start), (0, Finish)]);
        Ok(())
    }

    /// A device with long tokens: another CPU may come in while one reads its token.
    #[pin_data]
    struct Racer {
        #[pin]
        lock: SpinLock<()>,
        ready: Atomic<i32>,
        started: Atomic<i32>,
        finished: Atomic<i32>,
        /// Tokens that are not those of the task.
        foreign: Atomic<i32>,
    }

    type LongToken = [usize; 64];

    impl Racer {
        const ROUNDS: usize = 20_000;

        /// The token of the current task.
        fn token() -> LongToken {
            [kernel::task::Task::current_raw().addr(); 64]
        }
    }

    impl Operations for Racer {
        type State = ();
        type Backend = SpinLockBackend;
        type Refusal = Infallible;

        fn lock(&self) -> &SpinLock<()> {
            &self.lock
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            op.lock().1
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, Infallible> {
            Ok(op.lock().1)
        }
    }

    impl TwoPass for Racer {
        type Token = LongToken;

        fn start<'op>(
            &'op self,
            op: Invalidation<'op, Self>,
        ) -> (Invalidated<'op>, Option<LongToken>) {
            self.started.fetch_add(1, Relaxed);
            (op.lock().1, Some(Self::token()))
        }

        fn finish(&self, token: LongToken) {
            self.finished.fetch_add(1, Relaxed);
            if token != Self::token() {
                self.foreign.fetch_add(1, Relaxed);
            }
        }
    }

    #[test]
    fn tokens_belong_to_their_tasks() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let init = try_pin_init!(Racer {
            lock <- new_spinlock!(()),
            ready: Atomic::new(0),
            started: Atomic::new(0),
            finished: Atomic::new(0),
            foreign: Atomic::new(0),
        });
        let notifier: Arc<TwoPassNotifier<Racer>> =
            Arc::pin_init(TwoPassNotifier::new(&mm, range.clone(), init), GFP_KERNEL)?;
        let run = || {
            let (racer, mm, range) = (notifier.clone(), ARef::<Mm>::from(&**mm), range.clone());
            Task::run(move || {
                racer.ready.fetch_add(1, Relaxed);
                wait_until(|| racer.ready.load(Relaxed) == 2);
                for _ in 0..Racer::ROUNDS {
                    let _ = kunit::invalidate(&mm, range.clone());
                }
            })
        };

        let (first, second) = (run()?, run()?);
        first.wait();
        second.wait();
        let count = |count: &Atomic<i32>| count.load(Relaxed);
        let (started, finished) = (count(&notifier.started), count(&notifier.finished));
        let foreign = count(&notifier.foreign);
        drop(notifier);

        // Those that came between the passes of another had one pass.
        assert!(started > 0);
        assert_eq!(finished, started);
        assert_eq!(foreign, 0);
        Ok(())
    }

    #[test]
    fn is_a_notifier_with_one_pass_too() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier: Pin<KBox<Notifier<Mirror>>> = KBox::try_pin_init(
            Notifier::new(&mm, range.clone(), Ok(mirror(0, &calls))),
            GFP_KERNEL,
        )?;

        let done = kunit::invalidate(&mm, range.clone());
        drop(notifier);

        assert_eq!(done, Ok(()));
        assert_eq!(calls.take()[..], [(0, Invalidate)]);
        Ok(())
    }
}
