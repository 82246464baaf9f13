// SPDX-License-Identifier: GPL-2.0

//! Tests for the list notifiers of `kernel::mm::mmu_notifier`.

use crate::prelude::*;

#[kunit_tests(rust_mmu_notifier)]
mod tests {
    use super::*;
    use crate::user;
    use core::fmt::Write;
    use kernel::{
        bindings,
        fmt,
        mm::{
            kunit::Invalidation,
            mmu_notifier::{
                list::{
                    Notifier,
                    Operations, //
                },
                Event,
                Owner,
                Range,
                WouldBlock, //
            }, //
        }, //
    };

    /// The calls of callbacks, and their context. Callbacks record, the test asserts.
    struct Calls {
        start: Atomic<i32>,
        try_start: Atomic<i32>,
        end: Atomic<i32>,
        release: Atomic<i32>,
        dropped: Atomic<i32>,
        /// The sections that the last start or try_start, and the last end, ran in.
        start_sections: Atomic<i32>,
        end_sections: Atomic<i32>,
        /// The range of the last callback.
        range: [Atomic<usize>; 2],
        unmap: Atomic<bool>,
    }

    impl Calls {
        fn new() -> Result<Arc<Self>> {
            let zero = || Atomic::new(0);

            Ok(Arc::new(
                Self {
                    start: zero(),
                    try_start: zero(),
                    end: zero(),
                    release: zero(),
                    dropped: zero(),
                    start_sections: Atomic::new(-1),
                    end_sections: Atomic::new(-1),
                    range: [Atomic::new(0), Atomic::new(0)],
                    unmap: Atomic::new(false),
                },
                GFP_KERNEL,
            )?)
        }

        fn record(&self, range: Range<'_>) {
            self.start_sections.store(sections(), Relaxed);
            self.range[0].store(range.start(), Relaxed);
            self.range[1].store(range.end(), Relaxed);
            self.unmap.store(range.event() == Event::Unmap, Relaxed);
        }

        /// Start, try_start, end, release, dropped.
        fn get(&self) -> [i32; 5] {
            [
                self.start.load(Relaxed),
                self.try_start.load(Relaxed),
                self.end.load(Relaxed),
                self.release.load(Relaxed),
                self.dropped.load(Relaxed),
            ]
        }
    }

    /// Never refuses, and has an end.
    struct Counter(Arc<Calls>);

    #[vtable]
    impl Operations for Counter {
        type Refusal = Infallible;

        fn release(&self) {
            self.0.release.fetch_add(1, Relaxed);
        }

        fn start(&self, range: Range<'_>) {
            self.0.start.fetch_add(1, Relaxed);
            self.0.record(range);
        }

        fn try_start(&self, range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
            self.0.try_start.fetch_add(1, Relaxed);
            self.0.record(range);
            Ok(())
        }

        fn end(&self, _range: Range<'_>, _nb: &NonBlockGuard) {
            self.0.end.fetch_add(1, Relaxed);
            self.0.end_sections.store(sections(), Relaxed);
        }
    }

    impl Drop for Counter {
        fn drop(&mut self) {
            self.0.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Refuses.
    struct Refuser(Arc<Calls>);

    #[vtable]
    impl Operations for Refuser {
        type Refusal = WouldBlock;

        fn start(&self, range: Range<'_>) {
            self.0.start.fetch_add(1, Relaxed);
            self.0.record(range);
        }

        fn try_start(&self, range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
            self.0.try_start.fetch_add(1, Relaxed);
            self.0.record(range);
            Err(WouldBlock)
        }
    }

    fn counter(mm: &MmWithUser, calls: &Arc<Calls>) -> Result<Pin<KBox<Notifier<Counter>>>> {
        KBox::try_pin_init(Notifier::new(mm, Ok(Counter(calls.clone()))), GFP_KERNEL)
    }

    fn refuser(mm: &MmWithUser, calls: &Arc<Calls>) -> Result<Pin<KBox<Notifier<Refuser>>>> {
        KBox::try_pin_init(Notifier::new(mm, Ok(Refuser(calls.clone()))), GFP_KERNEL)
    }

    /// The text of a printed range.
    struct Text {
        bytes: [u8; 64],
        len: usize,
    }

    impl fmt::Write for Text {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let rest = self.bytes.get_mut(self.len..).ok_or(fmt::Error)?;
            rest.get_mut(..text.len())
                .ok_or(fmt::Error)?
                .copy_from_slice(text.as_bytes());
            self.len += text.len();
            Ok(())
        }
    }

    /// Keeps the event and the range of the last invalidation.
    #[pin_data]
    struct Keeper {
        #[pin]
        event: SpinLock<Option<Event>>,
        #[pin]
        text: SpinLock<Text>,
        whole: [Atomic<usize>; 2],
        clipped: [Atomic<usize>; 2],
        pages: [Atomic<usize>; 2],
        /// Like `pages`, for bounds that begin and end within a page.
        ragged: [Atomic<usize>; 2],
        overlaps: Atomic<bool>,
    }

    #[vtable]
    impl Operations for Keeper {
        type Refusal = Infallible;

        fn start(&self, range: Range<'_>) {
            *self.event.lock() = Some(range.event());
            let mut text = self.text.lock();
            text.len = 0;
            // The test fails if the text does not fit.
            let _ = write!(text, "{range:?}");
            let bounds = PAGE_SIZE..3 * PAGE_SIZE;
            let ragged = bounds.start + 16..bounds.end - 16;
            for (kept, range) in [
                (&self.whole, range.into()),
                (&self.clipped, range.clip(&bounds)),
                (&self.pages, range.pages(&bounds)),
                (&self.ragged, range.pages(&ragged)),
            ] {
                kept[0].store(range.start, Relaxed);
                kept[1].store(range.end, Relaxed);
            }
            self.overlaps.store(range.overlaps(&bounds), Relaxed);
        }

        fn try_start(&self, range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
            self.start(range);
            Ok(())
        }
    }

    impl Keeper {
        fn register(mm: &MmWithUser) -> Result<Pin<KBox<Notifier<Self>>>> {
            let init = try_pin_init!(Self {
                event <- new_spinlock!(None),
                text <- new_spinlock!(Text {
                    bytes: [0; 64],
                    len: 0,
                }),
                whole: [Atomic::new(0), Atomic::new(0)],
                clipped: [Atomic::new(0), Atomic::new(0)],
                pages: [Atomic::new(0), Atomic::new(0)],
                ragged: [Atomic::new(0), Atomic::new(0)],
                overlaps: Atomic::new(false),
            });
            KBox::try_pin_init(Notifier::new(mm, init), GFP_KERNEL)
        }
    }

    #[test]
    fn events_and_owners_are_told() -> Result {
        let mm = TestMm::attach()?;
        let keeper = Keeper::register(&mm)?;
        let (owner, other) = (1_u32, 2_u32);
        let tell = |event| {
            let told = Invalidation::try_start(&mm, 0..PAGE_SIZE, event);
            told.ok().and(*keeper.event.lock())
        };
        let events = [
            Event::Unmap,
            Event::Clear,
            Event::ProtectionVma,
            Event::ProtectionPage,
            Event::SoftDirty,
            Event::Release,
            Event::Other(99),
        ];

        let plain = events.map(tell);
        let migrate = tell(Event::Migrate(Owner::of(&owner)));
        let exclusive = tell(Event::Exclusive(Owner::of(&owner)));
        drop(keeper);

        assert_eq!(plain, events.map(Some));
        assert!(matches!(migrate, Some(Event::Migrate(o)) if o.is(&owner) && !o.is(&other)));
        assert!(matches!(exclusive, Some(Event::Exclusive(o)) if o.is(&owner) && !o.is(&other)));
        Ok(())
    }

    #[test]
    fn ranges_are_printed() -> Result {
        let mm = TestMm::attach()?;
        let keeper = Keeper::register(&mm)?;
        let print = |event| -> Result<(ops::Range<usize>, KVec<u8>)> {
            drop(Invalidation::start(&mm, 0x12000..0x345000, event)?);
            let mut printed = KVec::with_capacity(64, GFP_KERNEL)?;
            let text = keeper.text.lock();
            printed.extend_from_slice(&text.bytes[..text.len], GFP_NOWAIT)?;
            let whole = keeper.whole.each_ref().map(|addr| addr.load(Relaxed));
            Ok((whole[0]..whole[1], printed))
        };

        let plain = print(Event::Clear)?;
        let owned = print(Event::Migrate(Owner::of(&0_u32)))?;
        drop(keeper);

        assert_eq!(plain.0, 0x12000..0x345000);
        assert_eq!(&plain.1[..], b"0x12000..0x345000 Clear");
        // Not the address of the owner.
        assert_eq!(&owned.1[..], b"0x12000..0x345000 Migrate(Owner(..))");
        Ok(())
    }

    #[test]
    fn ranges_are_clipped() -> Result {
        let mm = TestMm::attach()?;
        let keeper = Keeper::register(&mm)?;
        let page = |n: usize| n * PAGE_SIZE;
        let get = |kept: &[Atomic<usize>; 2]| kept[0].load(Relaxed)..kept[1].load(Relaxed);
        let clip = |start, end| {
            let told = kunit::try_invalidate(&mm, start..end);
            let pages = [get(&keeper.pages), get(&keeper.ragged)];
            told.map(|()| (get(&keeper.clipped), pages, keeper.overlaps.load(Relaxed)))
        };

        let clipped = [
            clip(0, usize::MAX),
            clip(page(1), page(3)),
            clip(page(2), page(3)),
            clip(page(1) + 1, page(3) - 1),
            clip(page(2) - 1, page(2) + 1),
            // One byte at either end.
            clip(0, page(1) + 1),
            clip(page(3) - 1, usize::MAX),
            // Nothing in common, and still a range within the bounds.
            clip(0, page(1)),
            clip(page(3), page(4)),
            clip(0, 1),
            clip(page(3) + 1, page(4)),
        ];
        drop(keeper);

        let expected = [
            (page(1)..page(3), [1..3, 1..3], true),
            (page(1)..page(3), [1..3, 1..3], true),
            (page(2)..page(3), [2..3, 2..3], true),
            (page(1) + 1..page(3) - 1, [1..3, 1..3], true),
            (page(2) - 1..page(2) + 1, [1..3, 1..3], true),
            // The ragged bounds do not have those bytes.
            (page(1)..page(1) + 1, [1..2, 1..1], true),
            (page(3) - 1..page(3), [2..3, 2..2], true),
            (page(1)..page(1), [1..1, 1..1], false),
            (page(3)..page(3), [3..3, 2..2], false),
            (page(1)..page(1), [1..1, 1..1], false),
            (page(3)..page(3), [3..3, 2..2], false),
        ];
        assert_eq!(clipped, expected.map(Ok));
        Ok(())
    }

    /// A device that knows whether it used memory, without callbacks for invalidations.
    struct Aging {
        young: Atomic<bool>,
        /// How often each of the callbacks was called, and the sections that it ran in.
        calls: [Atomic<i32>; 3],
        sections: [Atomic<i32>; 3],
    }

    impl Aging {
        fn is_young(&self, callback: usize, range: ops::Range<usize>) -> bool {
            self.calls[callback].fetch_add(1, Relaxed);
            self.sections[callback].store(sections(), Relaxed);
            range == (PAGE_SIZE..2 * PAGE_SIZE) && self.young.load(Relaxed)
        }
    }

    #[vtable]
    impl Operations for Aging {
        type Refusal = Infallible;

        fn clear_flush_young(&self, range: ops::Range<usize>, _: &NonBlockGuard) -> bool {
            let young = self.is_young(0, range);
            self.young.store(false, Relaxed);
            young
        }

        fn clear_young(&self, range: ops::Range<usize>, _: &NonBlockGuard) -> bool {
            let young = self.is_young(1, range);
            self.young.store(false, Relaxed);
            young
        }

        fn test_young(&self, addr: usize, _: &NonBlockGuard) -> bool {
            self.is_young(2, addr..addr + PAGE_SIZE)
        }
    }

    #[test]
    fn young_callbacks_are_called() -> Result {
        let mm = TestMm::attach()?;
        let zero = || Atomic::new(0);
        let init = Aging {
            young: Atomic::new(true),
            calls: [zero(), zero(), zero()],
            sections: [zero(), zero(), zero()],
        };
        let aging: Pin<KBox<Notifier<Aging>>> =
            KBox::try_pin_init(Notifier::new(&mm, Ok(init)), GFP_KERNEL)?;
        let (start, end) = (PAGE_SIZE, 2 * PAGE_SIZE);
        let get = |counts: &[Atomic<i32>; 3]| counts.each_ref().map(|count| count.load(Relaxed));

        // SAFETY: `mm` has notifiers.
        let tested = unsafe { bindings::__mmu_notifier_test_young(mm.as_raw(), start) };
        // SAFETY: As above.
        let elsewhere = unsafe { bindings::__mmu_notifier_test_young(mm.as_raw(), end) };
        let after_tests = get(&aging.calls);
        // SAFETY: As above.
        let cleared = unsafe { bindings::__mmu_notifier_clear_young(mm.as_raw(), start, end) };
        // SAFETY: As above.
        let again = unsafe { bindings::__mmu_notifier_clear_young(mm.as_raw(), start, end) };
        let after_clears = get(&aging.calls);
        aging.young.store(true, Relaxed);
        // SAFETY: As above.
        let flushed =
            unsafe { bindings::__mmu_notifier_clear_flush_young(mm.as_raw(), start, end) };
        // SAFETY: As above.
        let flushed_again =
            unsafe { bindings::__mmu_notifier_clear_flush_young(mm.as_raw(), start, end) };
        let after_flushes = get(&aging.calls);
        // SAFETY: As above.
        let after = unsafe { bindings::__mmu_notifier_test_young(mm.as_raw(), start) };
        let in_sections = get(&aging.sections);
        drop(aging);

        assert!(tested);
        assert!(!elsewhere);
        assert!(cleared);
        assert!(!again);
        assert!(flushed);
        assert!(!flushed_again);
        assert!(!after);
        assert_eq!(after_tests, [0, 0, 2]);
        assert_eq!(after_clears, [0, 2, 2]);
        assert_eq!(after_flushes, [2, 2, 2]);
        assert_eq!(in_sections, [1, 1, 1]);
        assert_eq!(sections(), 0);
        Ok(())
    }

    /// A device that walks the page tables of the CPU.
    struct Walker(Arc<Calls>);

    #[vtable]
    impl Operations for Walker {
        type Refusal = Infallible;

        fn arch_invalidate(&self, range: ops::Range<usize>, _: &NonBlockGuard) {
            self.0.start.fetch_add(1, Relaxed);
            self.0.start_sections.store(sections(), Relaxed);
            self.0.range[0].store(range.start, Relaxed);
            self.0.range[1].store(range.end, Relaxed);
        }
    }

    #[test]
    fn arch_invalidate_is_called() -> Result {
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let walker: Pin<KBox<Notifier<Walker>>> =
            KBox::try_pin_init(Notifier::new(&mm, Ok(Walker(calls.clone()))), GFP_KERNEL)?;

        // SAFETY: `mm` has notifiers.
        unsafe {
            bindings::__mmu_notifier_arch_invalidate_secondary_tlbs(
                mm.as_raw(),
                PAGE_SIZE,
                usize::MAX,
            )
        };
        drop(walker);

        assert_eq!(calls.get(), [1, 0, 0, 0, 0]);
        assert_eq!(calls.start_sections.load(Relaxed), 1);
        assert_eq!(calls.range[0].load(Relaxed), PAGE_SIZE);
        assert_eq!(calls.range[1].load(Relaxed), usize::MAX);
        Ok(())
    }

    #[test]
    fn munmap_starts_and_ends() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(4 * PAGE_SIZE, PROT_READ)?;
        let calls = Calls::new()?;
        let registration = counter(&mm, &calls)?;

        mm.munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        let unmapped = calls.get();
        let same_mm = core::ptr::eq(registration.mm().as_raw(), mm.as_raw());
        drop(registration);
        mm.munmap(addr, PAGE_SIZE)?;

        assert_eq!(unmapped, [1, 0, 1, 0, 0]);
        assert_eq!(calls.range[0].load(Relaxed), addr + PAGE_SIZE);
        assert_eq!(calls.range[1].load(Relaxed), addr + 2 * PAGE_SIZE);
        assert!(calls.unmap.load(Relaxed));
        // A blocking start may sleep, an end never.
        assert_eq!(calls.start_sections.load(Relaxed), 0);
        assert_eq!(calls.end_sections.load(Relaxed), 1);
        assert!(same_mm);
        // Dropping it releases, and then nothing is called any more.
        assert_eq!(calls.get(), [1, 0, 1, 1, 1]);
        assert_eq!(sections(), 0);
        Ok(())
    }

    #[test]
    fn nonblocking_callbacks_are_in_a_section() -> Result {
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let registration = counter(&mm, &calls)?;

        let result = kunit::try_invalidate(&mm, PAGE_SIZE..2 * PAGE_SIZE);
        drop(registration);

        assert_eq!(result, Ok(()));
        assert_eq!(calls.get(), [0, 1, 1, 1, 1]);
        // That of the core, and ours.
        assert_eq!(calls.start_sections.load(Relaxed), 2);
        assert_eq!(calls.end_sections.load(Relaxed), 2);
        assert!(!calls.unmap.load(Relaxed));
        assert_eq!(sections(), 0);
        Ok(())
    }

    #[test]
    fn refusal_is_eagain() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let calls = Calls::new()?;
        let registration = refuser(&mm, &calls)?;

        let result = kunit::try_invalidate(&mm, addr..addr + PAGE_SIZE);
        // A blocking invalidation cannot be refused.
        mm.munmap(addr, PAGE_SIZE)?;
        drop(registration);

        assert_eq!(result, Err(EAGAIN));
        assert_eq!(calls.get(), [1, 1, 0, 0, 0]);
        assert_eq!(sections(), 0);
        Ok(())
    }

    #[test]
    fn refusal_of_another_still_ends() -> Result {
        let mm = TestMm::attach()?;
        let calls = Calls::new()?;
        let refused = Calls::new()?;
        let registration = counter(&mm, &calls)?;
        let refusing = refuser(&mm, &refused)?;

        let result = kunit::try_invalidate(&mm, PAGE_SIZE..2 * PAGE_SIZE);
        drop(refusing);
        drop(registration);

        assert_eq!(result, Err(EAGAIN));
        assert_eq!(refused.get(), [0, 1, 0, 0, 0]);
        assert_eq!(calls.get(), [0, 1, 1, 1, 1]);
        // That of the core, and ours.
        assert_eq!(calls.end_sections.load(Relaxed), 2);
        Ok(())
    }

    #[test]
    fn last_user_releases() -> Result {
        let mm = kunit::new_mm()?;
        let calls = Calls::new()?;
        let registration = counter(&mm, &calls)?;

        drop(mm);
        let released = calls.get();
        let no_users = registration.mm().mmget_not_zero().is_none();
        drop(registration);

        assert_eq!(released, [0, 0, 0, 1, 0]);
        assert!(no_users);
        // It was released, so dropping it does not release again.
        assert_eq!(calls.get(), [0, 0, 0, 1, 1]);
        Ok(())
    }

    #[test]
    fn no_end_after_the_drop() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let calls = [Calls::new()?, Calls::new()?];
        let stays = counter(&mm, &calls[0])?;
        let goes = counter(&mm, &calls[1])?;

        let invalidation = Invalidation::start(&mm, PAGE_SIZE..2 * PAGE_SIZE, Event::Clear)?;
        let started = calls[1].get();
        drop(goes);
        drop(invalidation);
        drop(stays);

        assert_eq!(started, [1, 0, 0, 0, 0]);
        assert_eq!(calls[1].get(), [1, 0, 0, 1, 1]);
        assert_eq!(calls[0].get(), [1, 0, 1, 1, 1]);
        Ok(())
    }

    #[test]
    fn failed_data_registers_nothing() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let failed: Result<Pin<KBox<Notifier<Counter>>>> =
            KBox::try_pin_init(Notifier::new(&mm, Err(EBUSY)), GFP_KERNEL);

        mm.munmap(addr, PAGE_SIZE)?;

        assert_eq!(failed.err(), Some(EBUSY));
        Ok(())
    }

    #[test]
    fn registered_under_the_mmap_lock() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let calls = Calls::new()?;

        let mmap = mm.mmap_write_lock();
        let registration: Result<Pin<KBox<Notifier<Counter>>>> = KBox::try_pin_init(
            Notifier::new_locked(&mmap, Ok(Counter(calls.clone()))),
            GFP_KERNEL,
        );
        drop(mmap);
        mm.munmap(addr, PAGE_SIZE)?;
        drop(registration?);

        assert_eq!(calls.get(), [1, 0, 1, 1, 1]);
        Ok(())
    }

    #[test]
    fn pending_signal_is_eintr() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let calls = Calls::new()?;

        let interrupted = user::with_signal_pending(|| counter(&mm, &calls).err());
        let dropped = calls.get();
        mm.munmap(addr, PAGE_SIZE)?;
        let called = calls.get();
        // It was the signal.
        drop(counter(&mm, &calls)?);

        assert_eq!(interrupted, Some(EINTR));
        assert_eq!(dropped, [0, 0, 0, 0, 1]);
        assert_eq!(called, dropped);
        assert_eq!(calls.get(), [0, 0, 0, 1, 2]);
        Ok(())
    }

    #[test]
    fn notifiers_are_independent() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let other: ARef<MmWithUser> = kunit::new_mm()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;
        let calls = [Calls::new()?, Calls::new()?, Calls::new()?];
        let first = counter(&mm, &calls[0])?;
        let second = counter(&mm, &calls[1])?;
        let elsewhere = counter(&other, &calls[2])?;

        drop(first);
        mm.munmap(addr, PAGE_SIZE)?;
        drop(second);
        drop(elsewhere);

        assert_eq!(calls[0].get(), [0, 0, 0, 1, 1]);
        assert_eq!(calls[1].get(), [1, 0, 1, 1, 1]);
        assert_eq!(calls[2].get(), [0, 0, 0, 1, 1]);
        Ok(())
    }

    /// A notifier and its address space that go at the same time.
    struct Meeting {
        /// The calls of callbacks, and the callbacks that saw another.
        releases: Atomic<i32>,
        met: Atomic<i32>,
        dropped: Atomic<i32>,
    }

    /// Waits for the other release.
    struct Twice(Arc<Meeting>);

    #[vtable]
    impl Operations for Twice {
        type Refusal = Infallible;

        fn release(&self) {
            self.0.releases.fetch_add(1, Relaxed);
            if wait_until(|| self.0.releases.load(Relaxed) == 2) {
                self.0.met.fetch_add(1, Relaxed);
            }
        }
    }

    impl Drop for Twice {
        fn drop(&mut self) {
            self.0.dropped.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn release_runs_twice_at_once() -> Result {
        let mm = kunit::new_mm()?;
        let meeting = Arc::new(
            Meeting {
                releases: Atomic::new(0),
                met: Atomic::new(0),
                dropped: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        let registration: Pin<KBox<Notifier<Twice>>> =
            KBox::try_pin_init(Notifier::new(&mm, Ok(Twice(meeting.clone()))), GFP_KERNEL)?;

        let last_user = Task::run(move || drop(mm))?;
        let began = wait_until(|| meeting.releases.load(Relaxed) == 1);
        drop(registration);
        let dropped = meeting.dropped.load(Relaxed);
        last_user.wait();

        assert!(began);
        assert_eq!(meeting.releases.load(Relaxed), 2);
        // Neither waited in vain: they ran at the same time.
        assert_eq!(meeting.met.load(Relaxed), 2);
        assert_eq!(dropped, 1);
        Ok(())
    }
}
