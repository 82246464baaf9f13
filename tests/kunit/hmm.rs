// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::mm::hmm`.

use crate::{
    prelude::*,
    user, //
};
use kernel::mm::hmm::{
    self,
    Access,
    Entry,
    Request,
    Slot,
    Valid, //
};

mod exclusive;
mod mirror;
mod never_there;
mod overtaken;

const RW: usize = PROT_READ | PROT_WRITE;
const TIMEOUT: Delta = hmm::DEFAULT_TIMEOUT;

/// Longer than any test may take.
const LONG: Delta = Delta::from_secs(600);

#[kunit_tests(rust_mm_hmm)]
mod tests {
    use super::*;
    use crate::prelude::interval::*;

    /// Counts invalidations.
    #[pin_data]
    pub(super) struct Driver {
        #[pin]
        invalidations: Mutex<usize>,
    }

    impl Operations for Driver {
        type State = usize;
        type Backend = MutexBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &Mutex<usize> {
            &self.invalidations
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            let (mut invalidations, done) = op.lock();
            *invalidations += 1;
            done
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, WouldBlock> {
            let (mut invalidations, done) = op.try_lock()?;
            *invalidations += 1;
            Ok(done)
        }
    }

    pub(super) fn notifier(
        mm: &MmWithUser,
        range: ops::Range<usize>,
    ) -> Result<Pin<KBox<Notifier<Driver>>>> {
        let driver = try_pin_init!(Driver {
            invalidations <- new_mutex!(0),
        }? Error);
        KBox::try_pin_init(Notifier::new(mm, range, driver), GFP_KERNEL)
    }

    /// A letter for each entry: empty, not possible, zeroes, readable, writable.
    fn letter(entry: Entry<'_>) -> u8 {
        match entry {
            Entry::Empty => b'-',
            Entry::Error => b'!',
            Entry::Mapped(page) if page.is_writable() => b'w',
            Entry::Mapped(page) if page.is_zero() => b'0',
            Entry::Mapped(_) => b'r',
        }
    }

    pub(super) fn letters<const N: usize>(looked_up: Result<Valid<'_, Driver>>) -> Result<[u8; N]> {
        let mut valid = looked_up?;
        let mut entries = valid.split().1;
        Ok(core::array::from_fn(|_| {
            entries.next().map_or(b'?', |(_, entry)| letter(entry))
        }))
    }

    fn snapshot<const N: usize>(notifier: &Notifier<Driver>, start: usize) -> Result<[u8; N]> {
        let mut slots = [Slot::EMPTY; N];
        let request = Request::new(start, &mut slots)?;
        letters(request.snapshot(notifier, TIMEOUT))
    }

    fn fault<const N: usize>(
        notifier: &Notifier<Driver>,
        start: usize,
        access: Access,
        timeout: Delta,
    ) -> Result<[u8; N]> {
        let mut slots = [Slot::EMPTY; N];
        let request = Request::new(start, &mut slots)?;
        letters(request.fault(notifier, access, timeout))
    }

    fn fault_unlocked<const N: usize>(
        notifier: &Notifier<Driver>,
        start: usize,
        access: Access,
        timeout: Option<Delta>,
    ) -> Result<[u8; N]> {
        let mut slots = [Slot::EMPTY; N];
        let request = Request::new(start, &mut slots)?;
        letters(request.fault_unlocked(notifier, access, timeout))
    }

    #[test]
    fn ranges_are_checked() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(4 * PAGE_SIZE, RW)?;
        let range = addr + PAGE_SIZE..addr + 3 * PAGE_SIZE;
        let notifier = notifier(&mm, range.clone())?;
        let mut slots = [Slot::EMPTY; 2];

        let news = [
            Request::new(addr + 1, &mut slots).err(),
            Request::new(addr, &mut []).err(),
            Request::new(usize::MAX - PAGE_SIZE + 1, &mut slots).err(),
            Request::new(addr, &mut slots).err(),
        ];
        let inside = snapshot::<2>(&notifier, range.start);
        let before = snapshot::<2>(&notifier, range.start - PAGE_SIZE);
        let behind = snapshot::<2>(&notifier, range.start + PAGE_SIZE);
        let registered = notifier.range();
        drop(notifier);

        assert_eq!(news, [Some(EINVAL), Some(EINVAL), Some(EINVAL), None]);
        assert_eq!(inside, Ok(*b"--"));
        assert_eq!(before, Err(EINVAL));
        assert_eq!(behind, Err(EINVAL));
        assert_eq!(registered, range);
        Ok(())
    }

    #[test]
    fn addresses_that_cannot_be_mapped_are_refused() -> Result {
        let mm = TestMm::attach()?;
        let notifier = notifier(&mm, 0..usize::MAX & PAGE_MASK)?;
        let end = mm.task_size() & PAGE_MASK;

        let last = snapshot::<1>(&notifier, end - PAGE_SIZE);
        let across = snapshot::<2>(&notifier, end - PAGE_SIZE);
        let behind = [
            snapshot::<1>(&notifier, end),
            fault(&notifier, end, Access::Read, TIMEOUT),
            fault_unlocked(&notifier, end, Access::Read, None),
        ];
        drop(notifier);

        assert_eq!(last, Ok(*b"!"));
        assert_eq!(across, Err(EINVAL));
        assert_eq!(behind, [Err(EINVAL); 3]);
        Ok(())
    }

    #[test]
    fn process_is_gone() -> Result {
        let mm = kunit::new_mm()?;
        let notifier = notifier(&mm, 0..PAGE_SIZE)?;

        let before = snapshot::<1>(&notifier, 0);
        drop(mm);
        let after = [
            snapshot::<1>(&notifier, 0),
            fault(&notifier, 0, Access::Read, TIMEOUT),
            fault_unlocked(&notifier, 0, Access::Read, None),
        ];
        drop(notifier);

        assert_eq!(before, Ok(*b"!"));
        assert_eq!(after, [Err(EFAULT); 3]);
        Ok(())
    }

    #[test]
    fn snapshot_changes_nothing() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(6 * PAGE_SIZE, RW)?;
        let at = |page| addr + page * PAGE_SIZE;
        let notifier = notifier(&mm, at(0)..at(6))?;

        kunit::read(&mm, at(1), &mut [0])?;
        kunit::write(&mm, at(2), &[1])?;
        kunit::write(&mm, at(3), &[1])?;
        user::mprotect(at(3), PAGE_SIZE, PROT_READ)?;
        user::mprotect(at(4), PAGE_SIZE, 0)?;
        mm.munmap(at(5), PAGE_SIZE)?;
        let seen = snapshot(&notifier, addr);
        let again = snapshot(&notifier, addr);
        drop(notifier);

        assert_eq!(seen, Ok(*b"-0wr!!"));
        assert_eq!(again, seen);
        Ok(())
    }

    #[test]
    fn pages_are_faulted_in() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(4 * PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + 4 * PAGE_SIZE)?;
        let unlocked = addr + 2 * PAGE_SIZE;

        let results = [
            fault(&notifier, addr, Access::Read, TIMEOUT),
            fault(&notifier, addr, Access::Write, TIMEOUT),
            fault(&notifier, addr, Access::Read, TIMEOUT),
            fault_unlocked(&notifier, unlocked, Access::Read, None),
            fault_unlocked(&notifier, unlocked, Access::Write, Some(TIMEOUT)),
        ];
        drop(notifier);

        let expected: [&[u8; 2]; 5] = [b"00", b"ww", b"ww", b"00", b"ww"];
        assert_eq!(results, expected.map(|letters| Ok(*letters)));
        Ok(())
    }

    // In C, the initial value of a slot may request a fault.
    #[test]
    fn slots_may_be_used_again() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(2 * PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + 2 * PAGE_SIZE)?;
        let mut slots = [Slot::EMPTY];

        let request = Request::new(addr, &mut slots)?;
        let first = letters::<1>(request.fault(&notifier, Access::Write, TIMEOUT));
        let request = Request::new(addr + PAGE_SIZE, &mut slots)?;
        let second = letters::<1>(request.snapshot(&notifier, TIMEOUT));
        drop(notifier);

        assert_eq!(first, Ok(*b"w"));
        assert_eq!(second, Ok(*b"-"));
        Ok(())
    }

    #[test]
    fn what_cannot_be_faulted_in_fails() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(3 * PAGE_SIZE, PROT_READ)?;
        let at = |page| addr + page * PAGE_SIZE;
        let notifier = notifier(&mm, at(0)..at(3))?;

        user::mprotect(at(1), PAGE_SIZE, 0)?;
        mm.munmap(at(2), PAGE_SIZE)?;
        let try_both = |addr, access| {
            [
                fault::<1>(&notifier, addr, access, TIMEOUT).err(),
                fault_unlocked::<1>(&notifier, addr, access, None).err(),
            ]
        };
        let results = [
            try_both(at(0), Access::Read),
            try_both(at(0), Access::Write),
            try_both(at(1), Access::Read),
            try_both(at(2), Access::Read),
        ];
        drop(notifier);

        let expected = [None, Some(EPERM), Some(EFAULT), Some(EFAULT)];
        assert_eq!(results, expected.map(|error| [error; 2]));
        Ok(())
    }

    // Writing to the page of zeroes gives the process one of its own, which is an invalidation in
    // the middle of the look-up.
    #[test]
    fn invalidated_looks_up_again() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(2 * PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + 2 * PAGE_SIZE)?;

        kunit::read(&mm, addr, &mut [0])?;
        kunit::read(&mm, addr + PAGE_SIZE, &mut [0])?;
        let out_of_time = fault::<1>(&notifier, addr, Access::Write, Delta::ZERO);
        let before = *notifier.invalidations.lock();
        let in_time = fault::<1>(&notifier, addr + PAGE_SIZE, Access::Write, TIMEOUT);
        let after = *notifier.invalidations.lock();
        drop(notifier);

        assert_eq!(out_of_time, Err(EBUSY));
        assert_eq!(in_time, Ok(*b"w"));
        assert_eq!((before, after), (1, 2));
        Ok(())
    }

    // A timeout of zero is none, and not one that never ends.
    #[test]
    fn gives_up_in_time() -> Result {
        let mm = TestMm::attach()?;
        let addr = never_there::mmap(&mm)?;
        let notifier = notifier(&mm, addr..addr + PAGE_SIZE)?;
        let short = Delta::from_millis(1);

        let results = [
            fault::<1>(&notifier, addr, Access::Read, Delta::ZERO),
            fault(&notifier, addr, Access::Read, short),
            fault_unlocked(&notifier, addr, Access::Read, Some(Delta::ZERO)),
            fault_unlocked(&notifier, addr, Access::Read, Some(short)),
        ];
        drop(notifier);

        assert_eq!(results, [Err(EBUSY); 4]);
        Ok(())
    }

    #[test]
    fn fault_ends_when_killed() -> Result {
        let mm = TestMm::attach()?;
        let addr = never_there::mmap(&mm)?;
        let notifier = notifier(&mm, addr..addr + PAGE_SIZE)?;

        let result = user::while_killed(|| fault::<1>(&notifier, addr, Access::Read, LONG));
        drop(notifier);

        assert_eq!(result, Err(EINTR));
        Ok(())
    }

    #[test]
    fn fault_unlocked_ends_when_killed() -> Result {
        let mm = TestMm::attach()?;
        let addr = never_there::mmap(&mm)?;
        let notifier = notifier(&mm, addr..addr + PAGE_SIZE)?;

        let results = [None, Some(LONG)].map(|timeout| {
            user::while_killed(|| fault_unlocked::<1>(&notifier, addr, Access::Read, timeout))
        });
        drop(notifier);

        assert_eq!(results, [Err(EINTR); 2]);
        Ok(())
    }

    #[test]
    fn lock_is_held_and_released() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + PAGE_SIZE)?;
        let mut slots = [Slot::EMPTY];

        let request = Request::new(addr, &mut slots)?;
        let mut valid = request.fault(&notifier, Access::Write, TIMEOUT)?;
        let held = notifier.invalidations.try_lock().is_none();
        let refused = kunit::try_invalidate(&mm, addr..addr + PAGE_SIZE);
        *valid.split().0 += 10;
        drop(valid);
        let reaped = kunit::try_invalidate(&mm, addr..addr + PAGE_SIZE);
        let counted = *notifier.invalidations.lock();
        drop(notifier);

        assert!(held);
        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(reaped, Ok(()));
        assert_eq!(counted, 11);
        Ok(())
    }

    /// Takes the page at an address away from the process repeatedly, until it is stopped.
    fn zap(mm: ARef<MmWithUser>, addr: usize, stop: Arc<Atomic<bool>>) -> Result<Task> {
        Task::run(move || {
            while !stop.load(Relaxed) {
                let mmap = mm.mmap_read_lock();
                if let Some(vma) = mmap.vma_lookup(addr) {
                    vma.zap_vma_range(addr, PAGE_SIZE);
                }
            }
        })
    }

    // With more than one CPU, a look-up that is validated for another read is sometimes wrong.
    #[test]
    fn what_is_valid_is_there() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + PAGE_SIZE)?;
        let stop = Arc::new(Atomic::new(false), GFP_KERNEL)?;
        let (mut looked_up, mut wrong) = (0, 0);

        let zapper = zap(ARef::from(&*mm), addr, stop.clone())?;
        let look_up = |kind| -> Result<bool> {
            let mut slots = [Slot::EMPTY];
            let request = Request::new(addr, &mut slots)?;
            let mut valid = match kind % 3 {
                0 => request.snapshot(&notifier, LONG)?,
                1 => request.fault(&notifier, Access::Write, LONG)?,
                _ => request.fault_unlocked(&notifier, Access::Write, Some(LONG))?,
            };

            // Nothing of it changes while `valid` holds the lock.
            let seen = match valid.split().1.next() {
                Some((_, Entry::Mapped(page))) => Some(page.pfn()),
                _ => None,
            };
            Ok(user::pfn(addr) == seen)
        };
        let mut result = Ok(true);
        while result.is_ok() && (looked_up < 1000 || *notifier.invalidations.lock() < 10000) {
            result = look_up(looked_up);
            wrong += usize::from(result == Ok(false));
            looked_up += 1;
        }
        stop.store(true, Relaxed);
        zapper.wait();
        drop(notifier);

        assert_eq!(result.err(), None);
        assert_eq!(wrong, 0);
        Ok(())
    }

    /// The first page and the number of pages of a run, its page frame number, and whether it is
    /// writable.
    type Piece = (usize, usize, usize, bool);

    /// Returns the runs of as many pages as there are slots, by the numbers of pages.
    pub(super) fn runs(
        notifier: &Notifier<Driver>,
        start: usize,
        slots: &mut [Slot],
    ) -> Result<KVec<Piece>> {
        let mut pieces = KVec::with_capacity(slots.len(), GFP_KERNEL)?;
        let request = Request::new(start, slots)?;
        let mut valid = request.snapshot(notifier, TIMEOUT)?;

        for run in valid.split().1.runs() {
            let addrs = run.addrs();
            let pages = (addrs.start - notifier.range().start) / PAGE_SIZE;
            let piece = (pages, addrs.len() / PAGE_SIZE, run.pfn(), run.is_writable());
            pieces.push_within_capacity(piece)?;
        }
        Ok(pieces)
    }

    #[test]
    fn runs_are_of_pages_that_are_there() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(6 * PAGE_SIZE, RW)?;
        let at = |page| addr + page * PAGE_SIZE;
        let notifier = notifier(&mm, at(0)..at(6))?;

        // This way it is not next to the previous page, if it is in memory.
        kunit::write(&mm, at(1), &[1])?;
        kunit::write(&mm, at(3), &[1])?;
        user::mprotect(at(3), PAGE_SIZE, PROT_READ)?;
        kunit::read(&mm, at(5), &mut [0])?;
        let all = runs(&notifier, at(0), &mut [Slot::EMPTY; 6])?;
        let none = runs(&notifier, at(4), &mut [Slot::EMPTY; 1])?;
        let pfn = |page| user::pfn(at(page)).unwrap_or(0);
        let expected = [
            (1, 1, pfn(1), true),
            (3, 1, pfn(3), false),
            (5, 1, pfn(5), false),
        ];
        drop(notifier);

        assert_eq!(&all[..], &expected[..]);
        assert!(none.is_empty());
        Ok(())
    }

    // A table has a page of entries, each as large as a pointer.
    #[cfg(any(CONFIG_X86_64, CONFIG_ARM64))]
    #[test]
    fn orders_are_those_of_the_architecture() {
        let order = (PAGE_SIZE / size_of::<usize>()).ilog2();

        assert_eq!((hmm::pmd_order(), hmm::pud_order()), (order, 2 * order));
    }
}

// KUnit counts a test without its configuration as skipped.
#[cfg(CONFIG_DEVICE_PRIVATE)]
#[kunit_tests(rust_mm_hmm_device_memory)]
mod device_memory {
    use super::{
        tests::{
            letters,
            notifier, //
        },
        *, //
    };

    #[test]
    fn owner_leaves_pages_in_its_memory() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(2 * PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + 2 * PAGE_SIZE)?;
        let (device, other) = (1, 2);
        let (mut none, mut others, mut own) =
            ([Slot::EMPTY; 2], [Slot::EMPTY; 2], [Slot::EMPTY; 2]);
        let look = |request: Request<'_>| letters::<2>(request.snapshot(&notifier, TIMEOUT));

        kunit::write(&mm, addr, &[1])?;
        kunit::write(&mm, addr + PAGE_SIZE, &[1])?;
        let seen = user::in_device_memory(&mm, addr, &device, || {
            [
                Request::new(addr, &mut none).and_then(look),
                Request::new(addr, &mut others).and_then(|request| look(request.owner(&other))),
                Request::new(addr, &mut own).and_then(|request| look(request.owner(&device))),
            ]
        });
        drop(notifier);

        assert_eq!(seen, Ok([Ok(*b"--"), Ok(*b"--"), Ok(*b"ww")]));
        Ok(())
    }

    // The page frame numbers follow one another, but the addresses for DMA need not.
    #[test]
    fn runs_are_of_one_memory() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(2 * PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + 2 * PAGE_SIZE)?;
        let device = 1;
        let mut slots = [Slot::EMPTY; 2];

        kunit::write(&mm, addr, &[1])?;
        kunit::write(&mm, addr + PAGE_SIZE, &[1])?;
        let runs = user::in_device_memory(&mm, addr, &device, || {
            let request = Request::new(addr, &mut slots)?.owner(&device);
            let mut valid = request.snapshot(&notifier, TIMEOUT)?;
            let mut runs = valid.split().1.runs();
            let pfns = [runs.next(), runs.next(), runs.next()].map(|run| run.map(|run| run.pfn()));
            Ok::<_, Error>(pfns)
        })?;
        drop(notifier);

        let Ok([Some(first), second, None]) = runs else {
            return Err(EINVAL);
        };
        assert_eq!(second, Some(first + 1));
        Ok(())
    }
}

#[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
#[kunit_tests(rust_mm_hmm_huge)]
mod huge {
    use super::{
        tests::{
            notifier,
            runs, //
        },
        *, //
    };

    /// The number of pages of a huge page, and the address of memory that may have two of them.
    fn mmap_huge(mm: &TestMm) -> Result<(usize, usize)> {
        let pages = 1_usize << hmm::pmd_order();
        let len = pages * PAGE_SIZE;
        let addr = mm.mmap(3 * len, RW)?.next_multiple_of(len);

        user::hugepage(addr, 2 * len)?;
        Ok((pages, addr))
    }

    #[test]
    fn runs_are_clipped_to_the_request() -> Result {
        let mm = TestMm::attach()?;
        let (pages, addr) = mmap_huge(&mm)?;
        let at = |page| addr + page * PAGE_SIZE;
        let notifier = notifier(&mm, at(0)..at(2 * pages))?;

        kunit::write(&mm, at(0), &[1])?;
        kunit::write(&mm, at(pages), &[1])?;
        let (first, second) = (
            user::pfn(at(0)).unwrap_or(0),
            user::pfn(at(pages)).unwrap_or(0),
        );
        let inside = runs(&notifier, at(3), &mut [Slot::EMPTY; 5])?;
        let across = runs(&notifier, at(pages - 2), &mut [Slot::EMPTY; 5])?;
        // A page that the CPU no longer maps in one piece, but still has in one piece.
        user::mprotect(at(5), PAGE_SIZE, PROT_READ)?;
        let split = runs(&notifier, at(3), &mut [Slot::EMPTY; 5])?;
        drop(notifier);

        assert_eq!(&inside[..], &[(3, 5, first + 3, true)][..]);
        if second == first + pages {
            assert_eq!(&across[..], &[(pages - 2, 5, second - 2, true)][..]);
        } else {
            let (tail, head) = (
                (pages - 2, 2, first + pages - 2, true),
                (pages, 3, second, true),
            );
            assert_eq!(&across[..], &[tail, head][..]);
        }
        let expected = [
            (3, 2, first + 3, true),
            (5, 1, first + 5, false),
            (6, 2, first + 6, true),
        ];
        assert_eq!(&split[..], &expected[..]);
        Ok(())
    }

    #[test]
    fn huge_pages_have_an_order() -> Result {
        let mm = TestMm::attach()?;
        let (pages, addr) = mmap_huge(&mm)?;
        let second = addr + pages * PAGE_SIZE;
        let notifier = notifier(&mm, addr..second + PAGE_SIZE)?;
        let look = |addr| -> Result<Option<(u32, bool)>> {
            let mut slot = [Slot::EMPTY];
            let mut valid = Request::new(addr, &mut slot)?.snapshot(&notifier, TIMEOUT)?;
            Ok(match valid.split().1.next() {
                Some((_, Entry::Mapped(page))) => Some((page.order(), page.is_zero())),
                _ => None,
            })
        };

        kunit::write(&mm, addr, &[1])?;
        kunit::read(&mm, second, &mut [0])?;
        let own = look(addr + PAGE_SIZE)?;
        // The huge page of zeroes, which is not the small one.
        let zeroes = look(second)?;
        user::mprotect(addr, PAGE_SIZE, PROT_READ)?;
        let split = look(addr + PAGE_SIZE)?;
        drop(notifier);

        assert_eq!(own, Some((hmm::pmd_order(), false)));
        assert_eq!(zeroes, Some((hmm::pmd_order(), true)));
        assert_eq!(split, Some((0, false)));
        Ok(())
    }
}
