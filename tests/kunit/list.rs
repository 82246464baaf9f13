// SPDX-License-Identifier: GPL-2.0

//! Tests for the list notifiers of `kernel::mm::mmu_notifier`.

use kernel::prelude::*;

#[kunit_tests(rust_mmu_notifier)]
mod tests {
    use super::*;
    use crate::{
        kmsg::sections,
        user::{
            self,
            PROT_READ, //
        }, //
    };
    use core::convert::Infallible;
    use kernel::{
        mm::{
            mmu_notifier::{
                Event,
                Operations,
                Range,
                Registration,
                WouldBlock, //
            },
            Mm,
            MmWithUser, //
        },
        nonblock::NonBlockGuard,
        page::PAGE_SIZE,
        sync::{
            aref::ARef,
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc, //
        }, //
    };

    /// What was called, and where. Callbacks record, the test asserts.
    struct Calls {
        start: Atomic<i32>,
        try_start: Atomic<i32>,
        end: Atomic<i32>,
        release: Atomic<i32>,
        dropped: Atomic<i32>,
        /// The sections that the last start or try_start, and the last end, ran in.
        start_sections: Atomic<i32>,
        end_sections: Atomic<i32>,
        /// What the last callback was about.
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

        fn release(&self, _mm: &Mm) {
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

    fn counter(mm: &MmWithUser, calls: &Arc<Calls>) -> Result<Pin<KBox<Registration<Counter>>>> {
        KBox::try_pin_init(
            Registration::new(mm, Ok(Counter(calls.clone()))),
            GFP_KERNEL,
        )
    }

    fn refuser(mm: &MmWithUser, calls: &Arc<Calls>) -> Result<Pin<KBox<Registration<Refuser>>>> {
        KBox::try_pin_init(
            Registration::new(mm, Ok(Refuser(calls.clone()))),
            GFP_KERNEL,
        )
    }

    #[test]
    fn munmap_starts_and_ends() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(4 * PAGE_SIZE, PROT_READ)?;
        let calls = Calls::new()?;
        let registration = counter(&mm, &calls)?;

        user::munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
        let unmapped = calls.get();
        let same_mm = core::ptr::eq(registration.mm().as_raw(), mm.as_raw());
        drop(registration);
        user::munmap(addr, PAGE_SIZE)?;

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
        let mm = user::attach_mm()?;
        let calls = Calls::new()?;
        let registration = counter(&mm, &calls)?;

        let result = user::invalidate_nonblock(&mm, PAGE_SIZE, 2 * PAGE_SIZE);
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
        let mm = user::attach_mm()?;
        let addr = user::mmap(PAGE_SIZE, PROT_READ)?;
        let calls = Calls::new()?;
        let registration = refuser(&mm, &calls)?;

        let result = user::invalidate_nonblock(&mm, addr, addr + PAGE_SIZE);
        // A blocking invalidation cannot be refused.
        user::munmap(addr, PAGE_SIZE)?;
        drop(registration);

        assert_eq!(result, Err(EAGAIN));
        assert_eq!(calls.get(), [1, 1, 0, 0, 0]);
        assert_eq!(sections(), 0);
        Ok(())
    }

    #[test]
    fn refusal_of_another_still_ends() -> Result {
        let mm = user::attach_mm()?;
        let calls = Calls::new()?;
        let refused = Calls::new()?;
        let registration = counter(&mm, &calls)?;
        let refusing = refuser(&mm, &refused)?;

        let result = user::invalidate_nonblock(&mm, PAGE_SIZE, 2 * PAGE_SIZE);
        drop(refusing);
        drop(registration);

        assert_eq!(result, Err(EAGAIN));
        assert_eq!(refused.get(), [0, 1, 0, 0, 0]);
        assert_eq!(calls.get(), [0, 1, 1, 1, 1]);
        // The core does not bracket this end, so the one section is ours.
        assert_eq!(calls.end_sections.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn last_user_releases() -> Result {
        let mm = user::new_mm()?;
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
    fn failed_data_registers_nothing() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(PAGE_SIZE, PROT_READ)?;
        let failed: Result<Pin<KBox<Registration<Counter>>>> =
            KBox::try_pin_init(Registration::new(&mm, Err(EBUSY)), GFP_KERNEL);

        user::munmap(addr, PAGE_SIZE)?;

        assert_eq!(failed.err(), Some(EBUSY));
        Ok(())
    }

    #[test]
    fn notifiers_are_independent() -> Result {
        let mm = user::attach_mm()?;
        let other: ARef<MmWithUser> = user::new_mm()?;
        let addr = user::mmap(PAGE_SIZE, PROT_READ)?;
        let calls = [Calls::new()?, Calls::new()?, Calls::new()?];
        let first = counter(&mm, &calls[0])?;
        let second = counter(&mm, &calls[1])?;
        let elsewhere = counter(&other, &calls[2])?;

        drop(first);
        user::munmap(addr, PAGE_SIZE)?;
        drop(second);
        drop(elsewhere);

        assert_eq!(calls[0].get(), [0, 0, 0, 1, 1]);
        assert_eq!(calls[1].get(), [1, 0, 1, 1, 1]);
        assert_eq!(calls[2].get(), [0, 0, 0, 1, 1]);
        Ok(())
    }
}
