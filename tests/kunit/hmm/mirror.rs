// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::mm::hmm::Mirror`.

use super::*;
use kernel::mm::hmm::{
    Device,
    Mirror, //
};

/// Returns a mirror without a device.
pub(super) fn mirror(mm: &MmWithUser, range: ops::Range<usize>) -> Result<Pin<KBox<Mirror>>> {
    mirror_for(mm, range, ())
}

pub(super) fn mirror_for<D: Device>(
    mm: &MmWithUser,
    range: ops::Range<usize>,
    device: D,
) -> Result<Pin<KBox<Mirror<D>>>> {
    KBox::try_pin_init(Mirror::new(mm, range, Ok(device)), GFP_KERNEL)
}

#[kunit_tests(rust_mm_hmm_mirror)]
mod tests {
    use super::{
        never_there,
        *, //
    };
    use crate::invalidate;
    use kernel::{
        mm::{
            hmm::{
                Removal,
                Removed,
                TryRemoval, //
            },
            mmu_notifier::{
                Event,
                Owner,
                WouldBlock, //
            }, //
        },
        types::Opaque, //
    };

    /// A letter for each of 40 pages, more than one look-up has.
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
    fn follows_the_process() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(40 * PAGE_SIZE, RW)?;
        let at = |page| addr + page * PAGE_SIZE;
        let mirror = mirror(&mm, at(0)..at(40))?;
        let count = || mirror.lock().count();

        let looked_up = [
            mirror.fault(at(0)..at(36), Access::Write, TIMEOUT),
            mirror.fault_unlocked(at(36)..at(40), Access::Read, None),
            // Those that are there are replaced.
            mirror.fault_unlocked(at(30)..at(36), Access::Read, None),
        ];
        let (filled, all) = (table(&mirror, addr), count());
        mm.munmap(at(1), PAGE_SIZE)?;
        user::dontneed(at(3), 2 * PAGE_SIZE)?;
        user::mprotect(at(33), PAGE_SIZE, PROT_READ)?;
        let (rest, some) = (table(&mirror, addr), count());
        user::fork()?;
        let (forked, none) = (table(&mirror, addr), count());
        drop(mirror);

        assert_eq!(looked_up, [Ok(36), Ok(4), Ok(6)]);
        assert_eq!(&filled, b"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwrrrr");
        assert_eq!(&rest, b"w-w--wwwwwwwwwwwwwwwwwwwwwwwwwwww-wwrrrr");
        assert_eq!(forked, [b'-'; 40]);
        assert_eq!((all, some, none), (40, 36, 0));
        Ok(())
    }

    // The look-up ends when the invalidation already waits for the lock.
    #[test]
    fn overtaken_look_up_counts() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let range = addr..addr + PAGE_SIZE;
        let mirror = Arc::pin_init(Mirror::new(&mm, range.clone(), Ok(())), GFP_KERNEL)?;
        let reader = mirror.clone();

        kunit::write(&mm, addr, &[1])?;
        let twice = invalidate::before_reader(&mm, range.clone(), mirror.lock(), move || {
            reader.fault(range, Access::Read, TIMEOUT) == Ok(2)
        });
        drop(mirror);

        assert_eq!(twice, Ok(true));
        Ok(())
    }

    #[test]
    fn gives_up_in_time() -> Result {
        let mm = TestMm::attach()?;
        let addr = never_there::mmap(&mm)?;
        let range = addr..addr + PAGE_SIZE;
        let mirror = mirror(&mm, range.clone())?;

        let results = [
            mirror.fault(range.clone(), Access::Read, Delta::ZERO),
            mirror.fault_unlocked(range, Access::Read, Some(Delta::ZERO)),
        ];
        drop(mirror);

        assert_eq!(results, [Err(EBUSY); 2]);
        Ok(())
    }

    #[test]
    fn missing_pages_are_faulted_in() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(4 * PAGE_SIZE, RW)?;
        let at = |page| addr + page * PAGE_SIZE;
        let mirror = mirror(&mm, at(0)..at(4))?;
        let (mut missing, mut seen) = (KVec::new(), KVec::new());

        mirror.fault(at(1)..at(2), Access::Read, TIMEOUT)?;
        let faults = mirror.for_each_page(
            at(0)..at(3),
            |range| {
                missing.push(range.clone(), GFP_KERNEL)?;
                // One page at a time.
                mirror.fault(range.start..range.start + PAGE_SIZE, Access::Read, TIMEOUT)
            },
            |pages, addr| {
                pages.page(addr)?;
                Some(seen.push(addr, GFP_NOWAIT).map_err(Error::from))
            },
        );
        let nothing = |_| Ok(());
        let each = |range, result| mirror.for_each_page(range, nothing, |_, _| Some(result));
        let failed = each(at(0)..at(3), Err(E2BIG));
        let ragged = [
            each(at(0) + 1..at(3), Ok(())),
            each(at(0)..at(3) - 1, Ok(())),
        ];
        let interrupted = user::with_signal_pending(|| each(at(0)..at(3), Ok(())));
        let no_page = mirror.for_each_page(at(3)..at(4), |_| Err::<(), _>(EIO), |_, _| None);
        drop(mirror);

        assert_eq!(faults, Ok(2));
        assert_eq!(missing[..], [at(0)..at(3), at(2)..at(3)]);
        assert_eq!(seen[..], [at(0), at(1), at(2)]);
        assert_eq!(failed, Err(E2BIG));
        assert_eq!(ragged, [Err(EINVAL), Err(EINVAL)]);
        assert_eq!(interrupted, Err(EINTR));
        assert_eq!(no_page, Err(EIO));
        Ok(())
    }

    #[test]
    fn lets_go_without_blocking() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let mirror = mirror(&mm, addr..addr + PAGE_SIZE)?;

        mirror.fault(addr..addr + PAGE_SIZE, Access::Read, TIMEOUT)?;
        let pages = mirror.lock();
        let refused = kunit::try_invalidate(&mm, addr..addr + PAGE_SIZE);
        let kept = pages.page(addr).is_some();
        drop(pages);
        let reaped = kunit::try_invalidate(&mm, addr..addr + PAGE_SIZE);
        let gone = mirror.lock().page(addr).is_none();
        drop(mirror);

        assert_eq!(refused, Err(EAGAIN));
        assert!(kept);
        assert_eq!(reaped, Ok(()));
        assert!(gone);
        Ok(())
    }

    /// Takes part in the invalidations.
    struct Witness {
        /// The pages that both callbacks removed.
        removed: [Atomic<usize>; 2],
        /// How often both callbacks were called as they should be.
        right: [Atomic<usize>; 2],
        /// The range and the reason of an invalidation.
        expected: (ops::Range<usize>, Event),
        refuses: Atomic<bool>,
    }

    impl Witness {
        fn new(expected: (ops::Range<usize>, Event)) -> Self {
            Self {
                removed: [Atomic::new(0), Atomic::new(0)],
                right: [Atomic::new(0), Atomic::new(0)],
                expected,
                refuses: Atomic::new(false),
            }
        }

        fn see(&self, which: usize, seen: (ops::Range<usize>, Event)) {
            self.right[which].fetch_add(usize::from(seen == self.expected), Relaxed);
        }

        fn seen(&self) -> [(usize, usize); 2] {
            [0, 1].map(|i| (self.right[i].load(Relaxed), self.removed[i].load(Relaxed)))
        }
    }

    impl Device for Witness {
        fn invalidate<'op>(&'op self, op: Removal<'op, Self>) -> Removed<'op> {
            self.see(0, (op.range(), op.event()));
            let removed = op.remove();
            self.removed[0].fetch_add(removed.pages(), Relaxed);
            removed
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryRemoval<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Removed<'op>, WouldBlock> {
            self.see(1, (op.range(), op.event()));
            if self.refuses.load(Relaxed) {
                return Err(WouldBlock);
            }
            let removed = op.try_remove()?;
            self.removed[1].fetch_add(removed.pages(), Relaxed);
            Ok(removed)
        }
    }

    #[test]
    fn device_takes_part() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(4 * PAGE_SIZE, RW)?;
        let range = addr..addr + 3 * PAGE_SIZE;
        // The part of the invalidated range that is in the range of the mirror.
        let part = addr + PAGE_SIZE..range.end;
        let witness = Witness::new((part.clone(), Event::Clear));
        let mirror = mirror_for(&mm, range.clone(), witness)?;
        let device = mirror.device();
        let fill = || mirror.fault(range.clone(), Access::Write, TIMEOUT);
        let count = || mirror.lock().count();

        fill()?;
        kunit::invalidate(&mm, part.start..part.end + PAGE_SIZE)?;
        let (waited, left) = (device.seen(), count());
        fill()?;
        device.refuses.store(true, Relaxed);
        let refused = kunit::try_invalidate(&mm, part.start..part.end + PAGE_SIZE);
        let kept = count();
        device.refuses.store(false, Relaxed);
        let reaped = kunit::try_invalidate(&mm, part.start..part.end + PAGE_SIZE);
        let (all, rest) = (device.seen(), count());
        drop(mirror);

        assert_eq!((waited, left), ([(1, 2), (0, 0)], 1));
        assert_eq!((refused, kept), (Err(EAGAIN), 3));
        assert_eq!(reaped, Ok(()));
        assert_eq!((all, rest), ([(1, 2), (2, 2)], 1));
        Ok(())
    }

    #[test]
    fn keeps_only_what_it_takes_itself() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let range = addr..addr + PAGE_SIZE;
        let mirror = mirror(&mm, range.clone())?;
        let keeps = |event| {
            mirror.fault(range.clone(), Access::Write, TIMEOUT)?;
            drop(kunit::Invalidation::start(&mm, range.clone(), event)?);
            Ok::<_, Error>(mirror.lock().page(addr).is_some())
        };

        // Its own address as an owner is private: the address of one of its parts.
        let mut kept = [0; 2];
        for part in 0..size_of::<Mirror>() / size_of::<usize>() {
            let parts = core::ptr::from_ref(&*mirror).cast::<Opaque<usize>>();
            // SAFETY: The part is within the mirror, and an `Opaque` may change meanwhile.
            let owner = Owner::of(unsafe { &*parts.add(part) });
            kept[0] += usize::from(keeps(Event::Exclusive(owner))?);
            kept[1] += usize::from(keeps(Event::Migrate(owner))?);
        }
        drop(mirror);

        assert_eq!(kept, [1, 1]);
        Ok(())
    }

    #[test]
    fn reads_and_writes_the_memory() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let range = addr..addr + PAGE_SIZE;
        let mirror = mirror(&mm, range.clone())?;
        let mut buf = [0; 2];

        mirror.fault(range.clone(), Access::Read, TIMEOUT)?;
        let read_only = mirror.lock().page_mut(addr).is_none();
        mirror.fault(range, Access::Write, TIMEOUT)?;
        let pages = mirror.lock();
        let results = pages.page_mut(addr + 17).map(|page| {
            [
                page.write(PAGE_SIZE - 2, &[3, 4]),
                page.write(PAGE_SIZE - 1, &[3, 4]),
                page.write(usize::MAX, &[3, 4]),
                page.read(PAGE_SIZE - 1, &mut buf),
                page.read(usize::MAX, &mut buf),
                page.read(PAGE_SIZE, &mut []),
                page.read(PAGE_SIZE - 2, &mut buf),
            ]
        });
        drop(pages);
        let mut seen = [0; 3];
        kunit::read(&mm, addr + PAGE_SIZE - 3, &mut seen)?;
        drop(mirror);

        let einval = Err(EINVAL);
        assert!(read_only);
        assert_eq!(
            results,
            Some([Ok(()), einval, einval, einval, einval, Ok(()), Ok(())])
        );
        assert_eq!(buf, [3, 4]);
        assert_eq!(seen, [0, 3, 4]);
        Ok(())
    }

    #[test]
    fn ranges_are_checked() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(3 * PAGE_SIZE, RW)?;
        let at = |page| addr + page * PAGE_SIZE;
        let mirror = mirror(&mm, at(0)..at(2))?;
        let fault = |range| mirror.fault(range, Access::Read, TIMEOUT);
        let walk = |range| mirror.for_each_page(range, fault, |_, _| None);

        let wrong = [
            fault(at(0) + 1..at(1)),
            // Nothing before the end is entered.
            fault(at(0)..at(1) + 1),
            fault(at(1)..at(3)),
            walk(at(0) + 1..at(1)),
            walk(at(0)..at(1) + 1),
        ];
        let none = mirror.lock().count();
        // A range that ends before it starts is empty, too.
        let right = [
            fault(at(0)..at(0)),
            fault(at(1)..at(0)),
            walk(at(1)..at(0)),
            fault(at(0)..at(2)),
        ];
        let outside = mirror.lock().page(at(2)).is_none();
        drop(mirror);

        assert_eq!(wrong, [Err(EINVAL); 5]);
        assert_eq!(none, 0);
        assert_eq!(right, [Ok(0), Ok(0), Ok(0), Ok(2)]);
        assert!(outside);
        Ok(())
    }

    #[test]
    fn addresses_that_cannot_be_mapped_are_refused() -> Result {
        let mm = TestMm::attach()?;
        let mirror = mirror(&mm, 0..usize::MAX & PAGE_MASK)?;
        let end = mm.task_size() & PAGE_MASK;

        let results = [
            mirror.fault(end..end + PAGE_SIZE, Access::Read, TIMEOUT),
            mirror.fault_unlocked(end..end + PAGE_SIZE, Access::Read, None),
            mirror.make_exclusive(end, TIMEOUT).map(|_| 0),
        ];
        drop(mirror);

        assert_eq!(results, [Err(EINVAL); 3]);
        Ok(())
    }

    // With a reference, the kernel could not split, collapse, migrate or swap out the page.
    #[test]
    fn has_no_reference_to_a_page() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let range = addr..addr + PAGE_SIZE;
        let mirror = mirror(&mm, range.clone())?;

        kunit::write(&mm, addr, &[1])?;
        let before = user::page_refs(addr);
        mirror.fault(range.clone(), Access::Read, TIMEOUT)?;
        mirror.fault_unlocked(range, Access::Write, None)?;
        let entered = mirror.lock().page_mut(addr).is_some();
        let after = user::page_refs(addr);
        drop(mirror);

        assert!(before.is_some());
        assert!(entered);
        assert_eq!(after, before);
        Ok(())
    }
}
