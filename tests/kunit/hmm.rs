// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::mm::hmm`.

use kernel::prelude::*;

#[kunit_tests(rust_mm_hmm)]
mod tests {
    use super::*;
    use crate::{
        invalidate,
        user::{
            self,
            PROT_READ,
            PROT_WRITE, //
        }, //
    };
    use core::ops;
    use kernel::{
        bindings,
        mm::{
            hmm::{
                self,
                Access,
                Entry,
                Mirror,
                Slot, //
            },
            mmu_notifier::{
                interval::{
                    Invalidated,
                    Invalidation,
                    Notifier,
                    Operations,
                    TryInvalidation, //
                },
                WouldBlock, //
            },
            MmWithUser, //
        },
        new_mutex,
        nonblock::NonBlockGuard,
        page::PAGE_SIZE,
        sync::{
            lock::mutex::MutexBackend,
            Mutex, //
        },
        time::Delta, //
    };

    /// Counts invalidations.
    #[pin_data]
    struct Driver {
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

    fn notifier(mm: &MmWithUser, range: ops::Range<usize>) -> Result<Pin<KBox<Notifier<Driver>>>> {
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

    /// Calls `f` for a range of `N` pages; a letter for each entry.
    fn letters<const N: usize>(
        start: usize,
        f: impl for<'a> FnOnce(hmm::Range<'a>, &mut dyn FnMut(usize, Entry<'_>)) -> Result,
    ) -> Result<[u8; N]> {
        let mut slots = [Slot::EMPTY; N];
        let mut letters = [0; N];

        f(hmm::Range::new(start, &mut slots)?, &mut |addr, entry| {
            letters[(addr - start) / PAGE_SIZE] = letter(entry);
        })?;
        Ok(letters)
    }

    fn snapshot<const N: usize>(
        notifier: &Notifier<Driver>,
        mm: &MmWithUser,
        start: usize,
    ) -> Result<[u8; N]> {
        letters(start, |range, f| {
            let mut valid = range.snapshot(notifier, mm, hmm::DEFAULT_TIMEOUT)?;
            valid.split().1.for_each(|(addr, entry)| f(addr, entry));
            Ok(())
        })
    }

    fn fault<const N: usize>(
        notifier: &Notifier<Driver>,
        mm: &MmWithUser,
        start: usize,
        access: Access,
        timeout: Delta,
    ) -> Result<[u8; N]> {
        letters(start, |range, f| {
            let mut valid = range.fault(notifier, mm, access, timeout)?;
            valid.split().1.for_each(|(addr, entry)| f(addr, entry));
            Ok(())
        })
    }

    fn fault_unlocked<const N: usize>(
        notifier: &Notifier<Driver>,
        mm: &MmWithUser,
        start: usize,
        access: Access,
        timeout: Option<Delta>,
    ) -> Result<[u8; N]> {
        letters(start, |range, f| {
            let mut valid = range.fault_unlocked(notifier, mm, access, timeout)?;
            valid.split().1.for_each(|(addr, entry)| f(addr, entry));
            Ok(())
        })
    }

    pub(super) const RW: usize = PROT_READ | PROT_WRITE;
    pub(super) const TIMEOUT: Delta = hmm::DEFAULT_TIMEOUT;

    #[test]
    fn ranges_are_checked() -> Result {
        let mm = user::attach_mm()?;
        let other = user::new_mm()?;
        let addr = user::mmap(4 * PAGE_SIZE, RW)?;
        let range = addr + PAGE_SIZE..addr + 3 * PAGE_SIZE;
        let notifier = notifier(&mm, range.clone())?;
        let mut slots = [Slot::EMPTY; 2];

        let news = [
            hmm::Range::new(addr + 1, &mut slots).err(),
            hmm::Range::new(addr, &mut []).err(),
            hmm::Range::new(usize::MAX - PAGE_SIZE + 1, &mut slots).err(),
            hmm::Range::new(addr, &mut slots).err(),
        ];
        let inside = snapshot::<2>(&notifier, &mm, range.start);
        let before = snapshot::<2>(&notifier, &mm, range.start - PAGE_SIZE);
        let behind = snapshot::<2>(&notifier, &mm, range.start + PAGE_SIZE);
        let not_its = snapshot::<2>(&notifier, &other, range.start);
        let registered = notifier.range();
        drop(notifier);

        assert_eq!(news, [Some(EINVAL), Some(EINVAL), Some(EINVAL), None]);
        assert_eq!(inside, Ok(*b"--"));
        assert_eq!(before, Err(EINVAL));
        assert_eq!(behind, Err(EINVAL));
        assert_eq!(not_its, Err(EINVAL));
        assert_eq!(registered, range);
        Ok(())
    }

    #[test]
    fn snapshot_changes_nothing() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(6 * PAGE_SIZE, RW)?;
        let at = |page| addr + page * PAGE_SIZE;
        let notifier = notifier(&mm, at(0)..at(6))?;

        mm.mmap_read_lock().get_user_page(at(1))?;
        user::touch(&mm, at(2))?;
        user::touch(&mm, at(3))?;
        user::mprotect(at(3), PAGE_SIZE, PROT_READ)?;
        user::mprotect(at(4), PAGE_SIZE, 0)?;
        user::munmap(at(5), PAGE_SIZE)?;
        let seen = snapshot(&notifier, &mm, addr);
        let again = snapshot(&notifier, &mm, addr);
        drop(notifier);

        assert_eq!(seen, Ok(*b"-0wr!!"));
        assert_eq!(again, seen);
        Ok(())
    }

    #[test]
    fn pages_are_faulted_in() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(4 * PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + 4 * PAGE_SIZE)?;
        let unlocked = addr + 2 * PAGE_SIZE;

        let results = [
            fault(&notifier, &mm, addr, Access::Read, TIMEOUT),
            fault(&notifier, &mm, addr, Access::Write, TIMEOUT),
            fault(&notifier, &mm, addr, Access::Read, TIMEOUT),
            fault_unlocked(&notifier, &mm, unlocked, Access::Read, None),
            fault_unlocked(&notifier, &mm, unlocked, Access::Write, Some(TIMEOUT)),
        ];
        drop(notifier);

        let expected: [&[u8; 2]; 5] = [b"00", b"ww", b"ww", b"00", b"ww"];
        assert_eq!(results, expected.map(|letters| Ok(*letters)));
        Ok(())
    }

    #[test]
    fn what_cannot_be_faulted_in_fails() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(3 * PAGE_SIZE, PROT_READ)?;
        let at = |page| addr + page * PAGE_SIZE;
        let notifier = notifier(&mm, at(0)..at(3))?;

        user::mprotect(at(1), PAGE_SIZE, 0)?;
        user::munmap(at(2), PAGE_SIZE)?;
        let try_both = |addr, access| {
            [
                fault::<1>(&notifier, &mm, addr, access, TIMEOUT).err(),
                fault_unlocked::<1>(&notifier, &mm, addr, access, None).err(),
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
        let mm = user::attach_mm()?;
        let addr = user::mmap(2 * PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + 2 * PAGE_SIZE)?;

        mm.mmap_read_lock().get_user_page(addr)?;
        mm.mmap_read_lock().get_user_page(addr + PAGE_SIZE)?;
        let out_of_time = fault::<1>(&notifier, &mm, addr, Access::Write, Delta::ZERO);
        let before = *notifier.invalidations.lock();
        let in_time = fault::<1>(&notifier, &mm, addr + PAGE_SIZE, Access::Write, TIMEOUT);
        let after = *notifier.invalidations.lock();
        drop(notifier);

        assert_eq!(out_of_time, Err(EBUSY));
        assert_eq!(in_time, Ok(*b"w"));
        assert_eq!((before, after), (1, 2));
        Ok(())
    }

    #[test]
    fn lock_is_held_and_released() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(PAGE_SIZE, RW)?;
        let notifier = notifier(&mm, addr..addr + PAGE_SIZE)?;
        let mut slots = [Slot::EMPTY];

        let range = hmm::Range::new(addr, &mut slots)?;
        let mut valid = range.fault(&notifier, &mm, Access::Write, TIMEOUT)?;
        let held = notifier.invalidations.try_lock().is_none();
        let refused = invalidate::nonblock(&mm, addr, addr + PAGE_SIZE);
        *valid.split().0 += 10;
        drop(valid);
        let reaped = invalidate::nonblock(&mm, addr, addr + PAGE_SIZE);
        let counted = *notifier.invalidations.lock();
        drop(notifier);

        assert!(held);
        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(reaped, Ok(()));
        assert_eq!(counted, 11);
        Ok(())
    }

    pub(super) fn mirror(mm: &MmWithUser, range: ops::Range<usize>) -> Result<Pin<KBox<Mirror>>> {
        KBox::try_pin_init(Mirror::new(mm, range), GFP_KERNEL)
    }

    /// A letter for each of 40 pages, which are more than are looked up at once.
    fn table(mirror: &Mirror, addr: usize) -> [u8; 40] {
        let pages = mirror.lock();

        core::array::from_fn(|page| {
            let addr = addr + page * PAGE_SIZE;
            match pages.page(addr) {
                _ if pages.is_exclusive(addr) => b'x',
                Some(_) if pages.page_mut(addr).is_some() => b'w',
                Some(_) => b'r',
                None => b'-',
            }
        })
    }

    #[test]
    fn mirror_follows_the_process() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(40 * PAGE_SIZE, RW)?;
        let at = |page| addr + page * PAGE_SIZE;
        let mirror = mirror(&mm, at(0)..at(40))?;

        mirror.fault(&mm, at(0)..at(36), Access::Write, TIMEOUT)?;
        mirror.fault_unlocked(&mm, at(36)..at(40), Access::Read, None)?;
        let filled = table(&mirror, addr);
        user::munmap(at(1), PAGE_SIZE)?;
        user::dontneed(at(3), 2 * PAGE_SIZE)?;
        user::mprotect(at(33), PAGE_SIZE, PROT_READ)?;
        let rest = table(&mirror, addr);
        user::fork()?;
        let forked = table(&mirror, addr);
        drop(mirror);

        assert_eq!(&filled, b"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwrrrr");
        assert_eq!(&rest, b"w-w--wwwwwwwwwwwwwwwwwwwwwwwwwwww-wwrrrr");
        assert_eq!(forked, [b'-'; 40]);
        Ok(())
    }

    #[test]
    fn mirror_lets_go_without_blocking() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(PAGE_SIZE, RW)?;
        let mirror = mirror(&mm, addr..addr + PAGE_SIZE)?;

        mirror.fault(&mm, addr..addr + PAGE_SIZE, Access::Read, TIMEOUT)?;
        let pages = mirror.lock();
        let refused = invalidate::nonblock(&mm, addr, addr + PAGE_SIZE);
        let kept = pages.page(addr).is_some();
        drop(pages);
        let reaped = invalidate::nonblock(&mm, addr, addr + PAGE_SIZE);
        let gone = mirror.lock().page(addr).is_none();
        drop(mirror);

        assert_eq!(refused, Err(EAGAIN));
        assert!(kept);
        assert_eq!(reaped, Ok(()));
        assert!(gone);
        Ok(())
    }

    #[test]
    fn mirror_keeps_only_what_it_takes_itself() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(PAGE_SIZE, RW)?;
        let range = addr..addr + PAGE_SIZE;
        let mirror = mirror(&mm, range.clone())?;
        let keeps = |event, owner: *const usize| {
            mirror.fault(&mm, range.clone(), Access::Write, TIMEOUT)?;
            invalidate::blocking_event(&mm, range.clone(), event, owner)?;
            Ok::<_, Error>(mirror.lock().page(addr).is_some())
        };

        // The address by which it knows itself is not told, but is that of a part of it.
        let mut kept = [0; 2];
        let events = [
            bindings::mmu_notifier_event_MMU_NOTIFY_EXCLUSIVE,
            bindings::mmu_notifier_event_MMU_NOTIFY_MIGRATE,
        ];
        for (event, kept) in events.into_iter().zip(&mut kept) {
            for part in 0..size_of::<Mirror>() / size_of::<usize>() {
                let owner = core::ptr::from_ref(&*mirror).cast::<usize>();
                *kept += usize::from(keeps(event, owner.wrapping_add(part))?);
            }
        }
        drop(mirror);

        assert_eq!(kept, [1, 1]);
        Ok(())
    }

    #[test]
    fn mirror_reads_and_writes_the_memory() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(PAGE_SIZE, RW)?;
        let range = addr..addr + PAGE_SIZE;
        let mirror = mirror(&mm, range.clone())?;
        let mut buf = [0; 2];

        mirror.fault(&mm, range.clone(), Access::Read, TIMEOUT)?;
        let read_only = mirror.lock().page_mut(addr).is_none();
        mirror.fault(&mm, range, Access::Write, TIMEOUT)?;
        let pages = mirror.lock();
        let results = pages.page_mut(addr + 17).map(|page| {
            [
                page.write(PAGE_SIZE - 2, &[3, 4]),
                page.write(PAGE_SIZE - 1, &[3, 4]),
                page.write(usize::MAX, &[3, 4]),
                page.read(PAGE_SIZE - 1, &mut buf),
                page.read(PAGE_SIZE - 2, &mut buf),
            ]
        });
        drop(pages);
        drop(mirror);
        let mut seen = [0; 2];
        mm.mmap_read_lock()
            .get_user_page(addr)?
            .read(PAGE_SIZE - 2, &mut seen)?;

        assert!(read_only);
        assert_eq!(
            results,
            Some([Ok(()), Err(EINVAL), Err(EINVAL), Err(EINVAL), Ok(())])
        );
        assert_eq!(buf, [3, 4]);
        assert_eq!(seen, [3, 4]);
        Ok(())
    }

    #[test]
    fn mirror_checks_ranges() -> Result {
        let mm = user::attach_mm()?;
        let other = user::new_mm()?;
        let addr = user::mmap(3 * PAGE_SIZE, RW)?;
        let at = |page| addr + page * PAGE_SIZE;
        let mirror = mirror(&mm, at(0)..at(2))?;
        let fault = |mm: &MmWithUser, range| mirror.fault(mm, range, Access::Read, TIMEOUT);

        let results = [
            fault(&mm, at(0)..at(2)),
            fault(&mm, at(0)..at(0)),
            fault(&mm, at(0) + 1..at(1)),
            fault(&mm, at(0)..at(1) + 1),
            fault(&mm, at(1)..at(3)),
            fault(&other, at(0)..at(1)),
        ];
        let outside = mirror.lock().page(at(2)).is_none();
        drop(mirror);

        assert_eq!(results[..2], [Ok(()); 2]);
        assert_eq!(results[2..], [Err(EINVAL); 4]);
        assert!(outside);
        Ok(())
    }
}

#[cfg(CONFIG_DEVICE_PRIVATE)]
#[kunit_tests(rust_mm_hmm_exclusive)]
mod exclusive {
    use super::{
        tests::{
            mirror,
            RW,
            TIMEOUT, //
        },
        *, //
    };
    use crate::user::{
        self,
        PROT_READ, //
    };
    use kernel::{
        mm::{
            hmm::Access,
            MmWithUser, //
        },
        page::PAGE_SIZE, //
    };

    #[test]
    fn exclusive_until_the_process_comes_back() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(PAGE_SIZE, RW)?;
        let mirror = mirror(&mm, addr..addr + PAGE_SIZE)?;
        let make = || {
            let pages = mirror.make_exclusive(&mm, addr, TIMEOUT)?;
            Ok::<_, Error>(pages.is_exclusive(addr) && pages.page_mut(addr).is_some())
        };

        mirror.fault(&mm, addr..addr + PAGE_SIZE, Access::Read, TIMEOUT)?;
        let made = make();
        let kept = mirror.lock().is_exclusive(addr);
        user::touch(&mm, addr)?;
        let taken_back = mirror.lock().page(addr).is_none();
        // The second time it is exclusive already.
        let twice = [make(), make()];
        user::munmap(addr, PAGE_SIZE)?;
        let unmapped = mirror.lock().page(addr).is_none();
        let gone = make();
        drop(mirror);

        assert_eq!(made, Ok(true));
        assert!(kept);
        assert!(taken_back);
        assert_eq!(twice, [Ok(true); 2]);
        assert!(unmapped);
        assert_eq!(gone, Err(EFAULT));
        Ok(())
    }

    #[test]
    fn exclusive_is_checked() -> Result {
        let mm = user::attach_mm()?;
        let other = user::new_mm()?;
        let addr = user::mmap(2 * PAGE_SIZE, PROT_READ)?;
        let mirror = mirror(&mm, addr..addr + PAGE_SIZE)?;
        let make = |mm: &MmWithUser, addr| mirror.make_exclusive(mm, addr, TIMEOUT).err();

        let results = [
            make(&mm, addr),
            make(&mm, addr + PAGE_SIZE),
            make(&mm, usize::MAX),
            make(&other, addr),
        ];
        drop(mirror);

        let einval = Some(EINVAL);
        assert_eq!(results, [Some(EFAULT), einval, einval, einval]);
        Ok(())
    }
}
