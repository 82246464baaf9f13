// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::mm::mmu_notifier::interval`.

use crate::prelude::*;

#[kunit_tests(rust_mmu_interval_notifier)]
mod tests {
    use super::*;
    use crate::{
        invalidate,
        prelude::interval::*,
        user, //
    };
    use kernel::mm::mmu_notifier::{
        interval::Retry,
        Range, //
    };

    /// The behaviour of the callbacks of a mirror.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Behaviour {
        LetGo,
        Sleep,
    }

    /// The data that all mirrors of a test share.
    #[pin_data]
    struct Shared {
        /// The lock of all of them; counts the invalidations that took it.
        #[pin]
        state: Mutex<usize>,
        asked_for_lock: Atomic<i32>,
        blocking: Atomic<i32>,
        nonblocking: Atomic<i32>,
        dropped: Atomic<i32>,
        sections: Atomic<i32>,
        range: [Atomic<usize>; 2],
        /// The last event, as a power of two: unmap, clear, release.
        event: Atomic<i32>,
    }

    impl Shared {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    state <- new_mutex!(0),
                    asked_for_lock: Atomic::new(0),
                    blocking: Atomic::new(0),
                    nonblocking: Atomic::new(0),
                    dropped: Atomic::new(0),
                    sections: Atomic::new(-1),
                    range: [Atomic::new(0), Atomic::new(0)],
                    event: Atomic::new(0),
                }),
                GFP_KERNEL,
            )
        }

        fn record(&self, range: Range<'_>) {
            self.sections.store(sections(), Relaxed);
            self.range[0].store(range.start(), Relaxed);
            self.range[1].store(range.end(), Relaxed);
            let event = match range.event() {
                Event::Unmap => 1,
                Event::Clear => 2,
                Event::Release => 4,
                _ => 8,
            };
            self.event.store(event, Relaxed);
        }

        /// Blocking, not blocking, dropped.
        fn get(&self) -> [i32; 3] {
            [
                self.blocking.load(Relaxed),
                self.nonblocking.load(Relaxed),
                self.dropped.load(Relaxed),
            ]
        }

        fn mirror(self: &Arc<Self>, behaviour: Behaviour) -> Mirror {
            Mirror {
                shared: self.clone(),
                behaviour,
            }
        }

        fn notifier(
            self: &Arc<Self>,
            mm: &MmWithUser,
            range: ops::Range<usize>,
            behaviour: Behaviour,
        ) -> Result<Pin<KBox<Notifier<Mirror>>>> {
            let init = Notifier::new(mm, range, Ok(self.mirror(behaviour)));
            KBox::try_pin_init(init, GFP_KERNEL)
        }
    }

    struct Mirror {
        shared: Arc<Shared>,
        behaviour: Behaviour,
    }

    impl Operations for Mirror {
        type State = usize;
        type Backend = MutexBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &Mutex<usize> {
            self.shared.asked_for_lock.fetch_add(1, Relaxed);
            &self.shared.state
        }

        fn is_own(&self, owner: Owner) -> bool {
            owner.is(&*self.shared)
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            self.shared.blocking.fetch_add(1, Relaxed);
            self.shared.record(op.unclipped_range());

            let (mut state, done) = op.lock();
            *state += 1;
            done
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, WouldBlock> {
            self.shared.nonblocking.fetch_add(1, Relaxed);
            self.shared.record(op.unclipped_range());
            if self.behaviour == Behaviour::Sleep {
                might_sleep();
            }

            let (mut state, done) = op.try_lock()?;
            *state += 1;
            Ok(done)
        }
    }

    impl Drop for Mirror {
        fn drop(&mut self) {
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn munmap_invalidates() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(8 * PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let range = addr + PAGE_SIZE..addr + 3 * PAGE_SIZE;
        let notifier = shared.notifier(&mm, range, Behaviour::LetGo)?;

        // Next to the range, on both sides.
        mm.munmap(addr, PAGE_SIZE)?;
        mm.munmap(addr + 3 * PAGE_SIZE, PAGE_SIZE)?;
        let outside = shared.get();
        mm.munmap(addr + 2 * PAGE_SIZE, 4 * PAGE_SIZE)?;
        let inside = shared.get();
        let same_mm = core::ptr::eq(notifier.mm().as_raw(), mm.as_raw());
        drop(notifier);
        mm.munmap(addr, 8 * PAGE_SIZE)?;

        assert_eq!(outside, [0, 0, 0]);
        assert_eq!(inside, [1, 0, 0]);
        assert_eq!(shared.range[0].load(Relaxed), addr + 2 * PAGE_SIZE);
        assert_eq!(shared.event.load(Relaxed), 1);
        // It may sleep.
        assert_eq!(shared.sections.load(Relaxed), 0);
        assert!(same_mm);
        assert_eq!(*shared.state.lock(), 1);
        assert_eq!(shared.get(), [1, 0, 1]);
        assert_eq!(shared.asked_for_lock.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn nonblocking_callback_is_in_a_section() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let range = PAGE_SIZE..3 * PAGE_SIZE;
        let notifier = shared.notifier(&mm, range, Behaviour::LetGo)?;

        let result = kunit::try_invalidate(&mm, 2 * PAGE_SIZE..4 * PAGE_SIZE);
        drop(notifier);

        assert_eq!(result, Ok(()));
        assert_eq!(shared.get(), [0, 1, 1]);
        assert_eq!(shared.event.load(Relaxed), 2);
        // That of the core, and ours.
        assert_eq!(shared.sections.load(Relaxed), 2);
        assert_eq!(sections(), 0);
        assert_eq!(*shared.state.lock(), 1);
        Ok(())
    }

    #[test]
    fn read_begin_in_section_is_reported() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier = shared.notifier(&mm, range, Behaviour::LetGo)?;

        // Nothing is invalidated, so it does not sleep.
        let seen = provoke(MIGHT_SLEEP, c"at mm/mmu_notifier.c:", || {
            non_block(|_| drop(notifier.read_begin()))
        });
        drop(notifier);

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn held_lock_is_a_refusal() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier = shared.notifier(&mm, range.clone(), Behaviour::LetGo)?;

        let before = notifier.read_begin();
        let held = shared.state.lock();
        let refused = kunit::try_invalidate(&mm, range.clone());
        drop(held);
        // Nothing was published.
        let still_valid = before.lock().is_some();
        // The refused invalidation is over: this does not wait for it.
        let valid = notifier.read_begin().lock().is_some();
        let done = kunit::try_invalidate(&mm, range.clone());
        drop(notifier);

        assert_eq!(refused, Err(EAGAIN));
        assert!(still_valid);
        assert!(valid);
        assert_eq!(done, Ok(()));
        assert_eq!(shared.get(), [0, 2, 1]);
        assert_eq!(*shared.state.lock(), 1);
        assert_eq!(sections(), 0);
        Ok(())
    }

    #[test]
    fn collision_fails_validation() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(2 * PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let range = addr..addr + 2 * PAGE_SIZE;
        let notifier = shared.notifier(&mm, range, Behaviour::LetGo)?;

        let quiet = notifier.read_begin();
        let quiet = quiet.lock().map(|state| *state);

        let collided = notifier.read_begin();
        mm.munmap(addr, PAGE_SIZE)?;
        let collided = collided.lock().map(|state| *state);

        let nonblocking = notifier.read_begin();
        let result = kunit::try_invalidate(&mm, addr..addr + PAGE_SIZE);
        let nonblocking = nonblocking.lock().map(|state| *state);

        let again = notifier.read_begin();
        let again = again.lock().map(|state| *state);
        drop(notifier);

        assert_eq!(quiet, Some(0));
        assert_eq!(collided, None);
        assert_eq!(result, Ok(()));
        assert_eq!(nonblocking, None);
        assert_eq!(again, Some(2));
        Ok(())
    }

    #[test]
    fn read_is_validated_under_the_lock() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier = Arc::pin_init(
            Notifier::new(&mm, range.clone(), Ok(shared.mirror(Behaviour::LetGo))),
            GFP_KERNEL,
        )?;
        let stamp = notifier.read_begin().stamp();
        let reader = notifier.clone();
        let lock = move || reader.resume(stamp).and_then(|seq| seq.lock()).is_some();

        let quiet = lock();
        // The reader is at the lock before the invalidation is published, and gets it afterwards.
        let behind = invalidate::before_reader(&mm, range, shared.state.lock(), lock)?;
        drop(notifier);

        assert!(quiet);
        assert!(!behind);
        assert_eq!(shared.get(), [1, 0, 1]);
        Ok(())
    }

    #[test]
    fn invalidation_is_published_under_the_lock() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier = shared.notifier(&mm, range.clone(), Behaviour::LetGo)?;
        let (first, second, third) = (
            notifier.read_begin(),
            notifier.read_begin(),
            notifier.read_begin(),
        );

        let guard = first.lock();
        let invalidation = invalidate::waiting(&mm, range)?;
        // The read stays valid for as long as the lock is held.
        let unaware = !third.check_retry();
        let valid = guard.as_ref().map(|guard| second.validate(guard));
        drop(guard);
        invalidation.wait();
        let aware = third.check_retry();
        drop(notifier);

        assert!(unaware);
        assert_eq!(valid, Some(Ok(())));
        assert!(aware);
        Ok(())
    }

    #[test]
    fn own_invalidations_keep_readers_valid() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let (shared, other) = (Shared::new()?, Shared::new()?);
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier = shared.notifier(&mm, range.clone(), Behaviour::LetGo)?;
        // Returns whether a read is still valid after an invalidation by `owner`, blocking and not.
        let after = |event| -> Result<[bool; 2]> {
            let seq = notifier.read_begin();
            drop(kunit::Invalidation::start(&mm, range.clone(), event)?);
            let blocking = seq.lock().is_some();
            let seq = notifier.read_begin();
            drop(kunit::Invalidation::try_start(&mm, range.clone(), event)?);
            Ok([blocking, seq.lock().is_some()])
        };
        let by = |owner: &Shared| -> Result<[[bool; 2]; 2]> {
            let owner = Owner::of(owner);
            Ok([
                after(Event::Migrate(owner))?,
                after(Event::Exclusive(owner))?,
            ])
        };

        let own = by(&shared)?;
        let called = shared.get();
        let foreign = by(&other)?;
        // An owner of another event is none.
        let seq = notifier.read_begin();
        invalidate::clear_by(&mm, range, &*shared)?;
        let cleared = seq.lock().is_some();
        drop(notifier);

        assert_eq!(own, [[true; 2]; 2]);
        assert_eq!(called, [0, 0, 0]);
        assert_eq!(foreign, [[false; 2]; 2]);
        assert!(!cleared);
        assert_eq!(shared.get(), [3, 2, 1]);
        Ok(())
    }

    #[test]
    fn lock_is_shared() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(2 * PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let range = addr..addr + 2 * PAGE_SIZE;
        let first = shared.notifier(&mm, range.clone(), Behaviour::LetGo)?;
        let second = shared.notifier(&mm, range, Behaviour::LetGo)?;

        mm.munmap(addr, PAGE_SIZE)?;
        let both = shared.get();
        drop(first);
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        drop(second);

        assert_eq!(both, [2, 0, 0]);
        assert_eq!(shared.get(), [3, 0, 2]);
        assert_eq!(*shared.state.lock(), 3);
        Ok(())
    }

    #[test]
    fn validation_under_another_lock_is_reported() -> Result {
        let mm = TestMm::attach()?;
        let (shared, other) = (Shared::new()?, Shared::new()?);
        let notifier = shared.notifier(&mm, 0..PAGE_SIZE, Behaviour::LetGo)?;
        let validate = || {
            let seq = notifier.read_begin();
            let guard = other.state.lock();
            seq.validate(&guard)
        };

        let mut first = Ok(());
        let reported = if cfg!(CONFIG_LOCKDEP) {
            provoke(c"WARNING: ", c"/interval/read.rs:", || first = validate()) == Seen::ONE
        } else {
            first = validate();
            true
        };
        // A driver that tries again and again does not fill the log.
        let second = validate();
        drop(notifier);

        assert!(reported);
        assert_eq!(first, Err(Retry));
        assert_eq!(second, Err(Retry));
        Ok(())
    }

    #[test]
    fn several_are_validated_under_one_lock() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(2 * PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let first = shared.notifier(&mm, addr..addr + PAGE_SIZE, Behaviour::LetGo)?;
        let second_range = addr + PAGE_SIZE..addr + 2 * PAGE_SIZE;
        let second = shared.notifier(&mm, second_range, Behaviour::LetGo)?;

        let (one, two) = (first.read_begin(), second.read_begin());
        let both = one.lock().map(|guard| two.validate(&guard));

        // Only the second is invalidated.
        let (one, two) = (first.read_begin(), second.read_begin());
        let unaware = two.check_retry();
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        let aware = (one.check_retry(), two.check_retry());
        let one_of_both = one.lock().map(|guard| two.validate(&guard));

        drop(first);
        drop(second);

        assert_eq!(both, Some(Ok(())));
        assert!(!unaware);
        assert_eq!(aware, (false, true));
        assert_eq!(one_of_both, Some(Err(Retry)));
        Ok(())
    }

    #[test]
    fn sleep_in_nonblocking_callback_is_reported() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let notifier = shared.notifier(&mm, range.clone(), Behaviour::Sleep)?;

        let mut result = Err(EINVAL);
        let seen = provoke(MIGHT_SLEEP, c"non_block: 2,", || {
            result = kunit::try_invalidate(&mm, range.clone());
        });
        drop(notifier);

        assert_eq!(seen, Seen::ONE);
        assert_eq!(result, Ok(()));
        Ok(())
    }

    #[test]
    fn last_user_releases() -> Result {
        let mm = kunit::new_mm()?;
        let shared = Shared::new()?;
        let notifier = shared.notifier(&mm, PAGE_SIZE..2 * PAGE_SIZE, Behaviour::LetGo)?;

        let seq = notifier.read_begin();
        drop(mm);
        let valid = seq.lock().is_some();
        let no_users = notifier.mm().mmget_not_zero().is_none();
        // Reading goes on, as far as the notifier is concerned.
        let again = notifier.read_begin().lock().is_some();
        drop(notifier);

        assert!(!valid);
        assert!(no_users);
        assert!(again);
        assert_eq!(shared.event.load(Relaxed), 4);
        assert_eq!(shared.range[0].load(Relaxed), 0);
        assert_eq!(shared.range[1].load(Relaxed), usize::MAX);
        assert_eq!(shared.get(), [1, 0, 1]);
        Ok(())
    }

    #[test]
    fn failed_registration_drops_the_data() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let new = |range| shared.notifier(&mm, range, Behaviour::LetGo).err();

        let empty = new(addr..addr);
        #[expect(clippy::reversed_empty_ranges)]
        let reversed = new(2..1);
        let dropped = shared.get();
        let failed: Result<Pin<KBox<Notifier<Mirror>>>> = KBox::try_pin_init(
            Notifier::new(&mm, addr..addr + PAGE_SIZE, Err(EBUSY)),
            GFP_KERNEL,
        );
        mm.munmap(addr, PAGE_SIZE)?;

        assert_eq!(empty, Some(EINVAL));
        assert_eq!(reversed, Some(EINVAL));
        assert_eq!(dropped, [0, 0, 2]);
        assert_eq!(failed.err(), Some(EBUSY));
        assert_eq!(shared.get(), [0, 0, 2]);
        Ok(())
    }

    #[test]
    fn range_behind_the_address_space_is_refused() -> Result {
        let mm = TestMm::attach()?;
        let shared = Shared::new()?;
        let end = mm.task_size();
        let new = |range| shared.notifier(&mm, range, Behaviour::LetGo).err();

        let behind = [new(end..end + PAGE_SIZE), new(end + PAGE_SIZE..usize::MAX)];
        let across = [new(end - PAGE_SIZE..end + PAGE_SIZE), new(0..usize::MAX)];

        assert_eq!(behind, [Some(EINVAL); 2]);
        assert_eq!(across, [None; 2]);
        Ok(())
    }

    #[test]
    fn registered_under_the_mmap_lock() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let mirror = shared.mirror(Behaviour::LetGo);

        let mmap = mm.mmap_write_lock();
        let notifier: Result<Pin<KBox<Notifier<Mirror>>>> = KBox::try_pin_init(
            Notifier::new_locked(&mmap, addr..addr + PAGE_SIZE, Ok(mirror)),
            GFP_KERNEL,
        );
        drop(mmap);
        mm.munmap(addr, PAGE_SIZE)?;
        drop(notifier?);

        assert_eq!(shared.get(), [1, 0, 1]);
        Ok(())
    }

    #[test]
    fn pending_signal_is_eintr() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let range = addr..addr + PAGE_SIZE;
        let new = || shared.notifier(&mm, range.clone(), Behaviour::LetGo);

        // Only the first one of an address space can be interrupted.
        let interrupted = user::with_signal_pending(|| new().err());
        let dropped = shared.get();
        mm.munmap(addr, PAGE_SIZE)?;
        let called = shared.get();
        drop(new()?);
        let second = user::with_signal_pending(|| new().err());

        assert_eq!(interrupted, Some(EINTR));
        assert_eq!(dropped, [0, 0, 1]);
        assert_eq!(called, dropped);
        assert_eq!(second, None);
        assert_eq!(shared.get(), [0, 0, 3]);
        Ok(())
    }

    #[test]
    fn whole_address_space() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let notifier = shared.notifier(&mm, 0..usize::MAX, Behaviour::LetGo)?;

        mm.munmap(addr, PAGE_SIZE)?;
        drop(notifier);

        assert_eq!(shared.get(), [1, 0, 1]);
        Ok(())
    }

    /// The range of an invalidation, its pages, and the range that is not clipped.
    type About = [ops::Range<usize>; 3];

    /// Keeps the ranges of the last invalidation, blocking and not.
    #[pin_data]
    struct Keeper {
        #[pin]
        state: SpinLock<[Option<About>; 2]>,
    }

    impl Operations for Keeper {
        type State = [Option<About>; 2];
        type Backend = SpinLockBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &SpinLock<[Option<About>; 2]> {
            &self.state
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            let about = [op.range(), op.pages(), op.unclipped_range().into()];
            let (mut state, done) = op.lock();
            state[0] = Some(about);
            done
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, WouldBlock> {
            let unclipped = op.unclipped_range();
            let (mut state, done) = op.try_lock()?;
            state[1] = Some([done.range(), done.pages(), unclipped.into()]);
            Ok(done)
        }
    }

    #[test]
    fn invalidations_are_clipped_to_the_range() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let page = |n: usize| n * PAGE_SIZE;
        // It begins and ends within a page.
        let range = page(2) + 16..page(4) + 32;
        let init = try_pin_init!(Keeper {
            state <- new_spinlock!([None, None]),
        });
        let notifier: Pin<KBox<Notifier<Keeper>>> =
            KBox::try_pin_init(Notifier::new(&mm, range.clone(), init), GFP_KERNEL)?;
        let about = |start, end| -> Result<[Option<About>; 2]> {
            kunit::invalidate(&mm, start..end)?;
            kunit::try_invalidate(&mm, start..end)?;
            Ok(core::mem::take(&mut *notifier.state.lock()))
        };

        let registered = notifier.range();
        let all = about(0, usize::MAX)?;
        let exact = about(range.start, range.end)?;
        let part = about(page(3), page(4))?;
        let first = about(page(1), range.start + 1)?;
        let last = about(range.end - 1, page(9))?;
        let beside = [about(page(1), range.start)?, about(range.end, page(9))?];
        drop(notifier);

        let both = |about: About| [Some(about.clone()), Some(about)];
        assert_eq!(registered, range);
        assert_eq!(all, both([range.clone(), 2..5, 0..usize::MAX]));
        assert_eq!(exact, both([range.clone(), 2..5, range.clone()]));
        assert_eq!(part, both([page(3)..page(4), 3..4, page(3)..page(4)]));
        assert_eq!(
            first,
            both([range.start..range.start + 1, 2..3, page(1)..range.start + 1])
        );
        assert_eq!(
            last,
            both([range.end - 1..range.end, 4..5, range.end - 1..page(9)])
        );
        assert_eq!(beside, [[None, None], [None, None]]);
        Ok(())
    }

    /// A mirror with a spinlock, which never has to refuse.
    #[pin_data]
    struct SpinMirror {
        #[pin]
        state: SpinLock<usize>,
    }

    impl Operations for SpinMirror {
        type State = usize;
        type Backend = SpinLockBackend;
        type Refusal = core::convert::Infallible;

        fn lock(&self) -> &SpinLock<usize> {
            &self.state
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            let (mut state, done) = op.lock();
            *state += 1;
            done
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, core::convert::Infallible> {
            let (mut state, done) = op.lock();
            *state += 0x100;
            Ok(done)
        }
    }

    #[test]
    fn spinlock_need_not_be_tried() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let init = try_pin_init!(SpinMirror {
            state <- new_spinlock!(0),
        });
        let notifier: Pin<KBox<Notifier<SpinMirror>>> =
            KBox::try_pin_init(Notifier::new(&mm, addr..addr + PAGE_SIZE, init), GFP_KERNEL)?;

        let seq = notifier.read_begin();
        let result = kunit::try_invalidate(&mm, addr..addr + PAGE_SIZE);
        let collided = seq.lock().is_none();
        mm.munmap(addr, PAGE_SIZE)?;
        let state = *notifier.state.lock();
        drop(notifier);

        assert_eq!(result, Ok(()));
        assert!(collided);
        assert_eq!(state, 0x101);
        Ok(())
    }

    #[test]
    fn invalidation_of_one_in_section_is_reported() -> Result {
        let mm = TestMm::attach()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let init = try_pin_init!(SpinMirror {
            state <- new_spinlock!(0),
        });
        let notifier: Pin<KBox<Notifier<SpinMirror>>> =
            KBox::try_pin_init(Notifier::new(&mm, range.clone(), init), GFP_KERNEL)?;

        // The callback does not sleep.
        let seen = provoke(MIGHT_SLEEP, c"at mm/mmu_notifier.c:", || {
            non_block(|_| invalidate::one(&notifier, range))
        });
        let state = *notifier.state.lock();
        drop(notifier);

        assert_eq!(seen, Seen::ONE);
        assert_eq!(state, 1);
        Ok(())
    }

    #[test]
    fn stamps_are_kept() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(2 * PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let range = addr..addr + PAGE_SIZE;
        let notifier = shared.notifier(&mm, range.clone(), Behaviour::LetGo)?;
        let other = shared.notifier(&mm, range.clone(), Behaviour::LetGo)?;
        let valid = |stamp| {
            let seq = notifier.resume(stamp)?;
            Some((seq.check_retry(), seq.lock().is_some()))
        };

        let stamp = notifier.read_begin().stamp();
        let equal = notifier.read_begin().stamp() == stamp;
        let once = valid(stamp);
        // Beside the range.
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        let twice = valid(stamp);
        let of_another = other.resume(stamp).is_none();
        mm.munmap(addr, PAGE_SIZE)?;
        let invalidated = valid(stamp);
        let later = notifier.read_begin().stamp();
        let after = valid(later);
        drop(other);
        drop(notifier);

        // Nothing was invalidated, and in all likelihood it is at the same address.
        let old = shared.notifier(&mm, range.clone(), Behaviour::LetGo)?;
        let old_stamp = old.read_begin().stamp();
        drop(old);
        let new = shared.notifier(&mm, range, Behaviour::LetGo)?;
        let of_an_older = new.resume(old_stamp).is_none();
        let differ = new.read_begin().stamp() != old_stamp;
        drop(new);

        assert!(equal);
        assert_eq!(once, Some((false, true)));
        assert_eq!(twice, Some((false, true)));
        assert!(of_another);
        assert_eq!(invalidated, Some((true, false)));
        assert!(later != stamp);
        assert_eq!(after, Some((false, true)));
        assert!(of_an_older);
        assert!(differ);
        Ok(())
    }

    #[test]
    fn lives_on_the_stack() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(2 * PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;

        let collided = {
            let mirror = shared.mirror(Behaviour::LetGo);
            pin_init::stack_try_pin_init! {
                let notifier =? Notifier::new(&mm, addr..addr + 2 * PAGE_SIZE, Ok(mirror))
            };

            let seq = notifier.read_begin();
            mm.munmap(addr, PAGE_SIZE)?;
            let guard = seq.lock();
            guard.is_none()
        };
        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;

        assert!(collided);
        assert_eq!(shared.get(), [1, 0, 1]);
        Ok(())
    }

    #[test]
    fn moves_without_a_gap() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(3 * PAGE_SIZE, PROT_READ)?;
        let shared = Shared::new()?;
        let page = |n| addr + n * PAGE_SIZE;
        let new = |range| shared.notifier(&mm, range, Behaviour::LetGo);

        let old = new(page(0)..page(2))?;
        // The new one is there before the old one goes.
        let notifier = new(page(1)..page(3))?;
        drop(old);
        let moved = shared.get();
        mm.munmap(page(0), PAGE_SIZE)?;
        let before = shared.get();
        mm.munmap(page(1), PAGE_SIZE)?;
        mm.munmap(page(2), PAGE_SIZE)?;
        drop(notifier);

        assert_eq!(moved, [0, 0, 1]);
        assert_eq!(before, [0, 0, 1]);
        assert_eq!(shared.get(), [2, 0, 2]);
        Ok(())
    }

    /// A mirror with a read/write semaphore.
    #[pin_data]
    struct RwMirror {
        #[pin]
        state: RwSemaphore<usize>,
    }

    impl Operations for RwMirror {
        type State = usize;
        type Backend = RwSemaphoreBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &RwSemaphore<usize> {
            &self.state
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            let (mut state, done) = op.lock();
            *state += 1;
            done
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, WouldBlock> {
            let (mut state, done) = op.try_lock()?;
            *state += 0x100;
            Ok(done)
        }
    }

    impl RwMirror {
        fn new() -> impl PinInit<Self, Error> {
            try_pin_init!(Self {
                state <- new_rwsem!(0),
            })
        }
    }

    #[test]
    fn read_is_validated_under_the_semaphore() -> Result {
        let mm = TestMm::attach()?;
        let range = PAGE_SIZE..2 * PAGE_SIZE;
        let init = Notifier::new(&mm, range.clone(), RwMirror::new());
        let notifier: Arc<Notifier<RwMirror>> = Arc::pin_init(init, GFP_KERNEL)?;

        let stamp = notifier.read_begin().stamp();
        let reader = notifier.clone();
        let read = move || reader.resume(stamp).and_then(|seq| seq.read()).is_some();
        let quiet = read();
        let behind = invalidate::before_reader(&mm, range.clone(), notifier.state.lock(), read)?;

        let stamp = notifier.read_begin().stamp();
        let writer = notifier.clone();
        let write = move || writer.resume(stamp).and_then(|seq| seq.lock()).is_some();
        let quiet_writer = write();
        let writer_behind = invalidate::before_reader(&mm, range, notifier.state.lock(), write)?;
        let state = *notifier.state.lock();
        drop(notifier);

        assert!(quiet);
        assert!(!behind);
        assert!(quiet_writer);
        assert!(!writer_behind);
        assert_eq!(state, 2);
        Ok(())
    }

    #[test]
    fn readers_share_a_semaphore() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let init = Notifier::new(&mm, addr..addr + PAGE_SIZE, RwMirror::new());
        let notifier: Pin<KBox<Notifier<RwMirror>>> = KBox::try_pin_init(init, GFP_KERNEL)?;

        let (seq, held) = (notifier.read_begin(), notifier.read_begin());
        let reader = seq.read();
        // Only other readers.
        let writer = notifier.state.try_lock().is_some();
        let second = reader.as_ref().map(|guard| held.validate_read(guard));
        let refused = kunit::try_invalidate(&mm, addr..addr + PAGE_SIZE);
        let valid = reader.map(|state| *state);

        let seq = notifier.read_begin();
        let write = notifier.read_begin();
        let done = kunit::try_invalidate(&mm, addr..addr + PAGE_SIZE);
        // One after the other: a guard that there should not be would be waited for.
        let read_collided = seq.read().is_none();
        let write_collided = write.lock().is_none();
        let again = notifier.read_begin().read().map(|state| *state);
        mm.munmap(addr, PAGE_SIZE)?;
        let state = *notifier.state.lock();
        drop(notifier);

        assert!(!writer);
        assert_eq!(second, Some(Ok(())));
        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(valid, Some(0));
        assert_eq!(done, Ok(()));
        assert!(read_collided);
        assert!(write_collided);
        assert_eq!(again, Some(0x100));
        assert_eq!(state, 0x101);
        Ok(())
    }

    /// A device that drops a notifier when its range is gone.
    #[pin_data]
    struct Device {
        #[pin]
        windows: Mutex<KVec<Pin<KBox<Notifier<Window>>>>>,
        #[pin]
        work: Work<Device>,
        removed: Atomic<i32>,
    }

    impl_has_work! {
        impl HasWork<Self> for Device { self.work }
    }

    impl WorkItem for Device {
        type Pointer = Arc<Self>;

        fn run(device: Arc<Self>) {
            loop {
                let window = {
                    let mut windows = device.windows.lock();
                    let gone = windows.iter().position(|window| *window.state.lock());
                    gone.and_then(|index| windows.remove(index).ok())
                };
                // Waits for callbacks, so not under the lock.
                match window {
                    Some(window) => drop(window),
                    None => return,
                }
                device.removed.fetch_add(1, Relaxed);
            }
        }
    }

    /// A range of the device, and whether it was unmapped.
    #[pin_data]
    struct Window {
        #[pin]
        state: Mutex<bool>,
        device: Arc<Device>,
    }

    impl Operations for Window {
        type State = bool;
        type Backend = MutexBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &Mutex<bool> {
            &self.state
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            let unmapped = op.event() == Event::Unmap;
            let (mut gone, done) = op.lock();
            *gone |= unmapped;
            if *gone {
                // It is queued once, for any number of requests.
                let _ = workqueue::system().enqueue(self.device.clone());
            }
            done
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, WouldBlock> {
            Ok(op.try_lock()?.1)
        }
    }

    #[test]
    fn workqueue_removes_what_is_gone() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(3 * PAGE_SIZE, PROT_READ)?;
        let device = Arc::pin_init(
            pin_init!(Device {
                windows <- new_mutex!(KVec::new()),
                work <- new_work!(),
                removed: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        for n in 0..3 {
            let owner = device.clone();
            let init = try_pin_init!(Window {
                state <- new_mutex!(false),
                device: owner,
            });
            let range = addr + n * PAGE_SIZE..addr + (n + 1) * PAGE_SIZE;
            let window = KBox::try_pin_init(Notifier::new(&mm, range, init), GFP_KERNEL)?;
            device.windows.lock().push(window, GFP_KERNEL)?;
        }

        mm.munmap(addr, 2 * PAGE_SIZE)?;
        let removed = wait_until(|| device.removed.load(Relaxed) == 2);
        let mut windows = core::mem::take(&mut *device.windows.lock());
        let left = windows.len();
        windows.clear();

        assert!(removed);
        assert_eq!(left, 1);
        Ok(())
    }
}
