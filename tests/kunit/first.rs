// SPDX-License-Identifier: GPL-2.0

//! The first driver that one writes: a device with a page table of its own, for one range.
//!
//! README.md and Documentation/mm/rust-mmu-notifiers.rst show it.

use crate::user;
use core::ops::Range;
use kernel::{
    mm::{
        hmm::{
            Access,
            Request,
            Slot, //
        },
        kunit::{
            self,
            TestMm,
            PROT_READ,
            PROT_WRITE, //
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
    prelude::*,
    sync::{
        lock::mutex::MutexBackend,
        Mutex, //
    }, //
};

/// The number of pages of a test.
const PAGES: usize = 8;

/// The page table of the device: the page frame number of each page that it uses.
struct Table {
    /// The number of the first page.
    first: usize,
    pfns: [Option<usize>; PAGES],
}

impl Table {
    fn insert(&mut self, addr: usize, pfn: usize) {
        self.pfns[addr / PAGE_SIZE - self.first] = Some(pfn);
    }

    /// Removes pages, by their numbers.
    fn remove(&mut self, pages: Range<usize>) {
        self.pfns[pages.start - self.first..pages.end - self.first].fill(None);
    }
}

// [driver]
#[pin_data]
struct Mirror {
    #[pin]
    table: Mutex<Table>, // the page table of the device
}

impl Operations for Mirror {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock; // it may have to refuse

    fn lock(&self) -> &Mutex<Table> {
        &self.table
    }

    // May sleep, cannot fail.
    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let pages = op.pages(); // within the range of the notifier
        let (mut table, done) = op.lock(); // takes the lock, and publishes to readers
        table.remove(pages);
        done // the evidence that it was published
    }

    // Must not sleep, may refuse: the OOM reaper.
    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let pages = op.pages();
        let (mut table, done) = op.try_lock()?;
        table.remove(pages);
        Ok(done)
    }
}
// [driver end]

// [fault]
/// Lets the device use the page at `addr`, and faults it in if necessary.
fn fault(mirror: &Notifier<Mirror>, addr: usize) -> Result {
    let mut slot = [Slot::EMPTY];
    let mut valid = Request::new(addr, &mut slot)?.fault_unlocked(mirror, Access::Write, None)?;

    // The lock is held, and no invalidation came in between.
    let (mut table, entries) = valid.split();
    for run in entries.runs() {
        table.insert(addr, run.pfn());
    }
    Ok(())
}
// [fault end]

#[kunit_tests(rust_mmu_notifier_first)]
mod tests {
    use super::*;

    fn mirror(mm: &MmWithUser, memory: Range<usize>) -> Result<Pin<KBox<Notifier<Mirror>>>> {
        let first = memory.start / PAGE_SIZE;
        let init = try_pin_init!(Mirror {
            table <- new_mutex!(Table {
                first,
                pfns: [None; PAGES],
            }),
        });

        KBox::try_pin_init(Notifier::new(mm, memory, init), GFP_KERNEL)
    }

    /// Returns which pages the device uses, as bits.
    fn used(mirror: &Mirror) -> u8 {
        let table = mirror.table.lock();

        (0..PAGES).fold(0, |bits, n| bits | u8::from(table.pfns[n].is_some()) << n)
    }

    // [test]
    #[test]
    fn refuses_while_it_is_busy() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ | PROT_WRITE)?;
        let memory = addr..addr + PAGE_SIZE;
        let mirror = mirror(&mm, memory.clone())?;

        fault(&mirror, addr)?;
        // The reaper comes while the driver holds its lock, and then once more.
        let held = mirror.table.lock();
        let refused = kunit::try_invalidate(&mm, memory.clone());
        drop(held);
        let kept = used(&mirror);
        let reaped = kunit::try_invalidate(&mm, memory);
        let after_reaper = used(&mirror);

        fault(&mirror, addr)?;
        mm.munmap(addr, PAGE_SIZE)?;
        let after_munmap = used(&mirror);
        drop(mirror);

        assert_eq!((refused, kept), (Err(EAGAIN), 1));
        assert_eq!((reaped, after_reaper), (Ok(()), 0));
        assert_eq!(after_munmap, 0);
        Ok(())
    }
    // [test end]

    #[test]
    fn lets_go_of_changed_pages() -> Result {
        let mm = TestMm::attach()?;
        let start = mm.mmap(PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE)?;
        let memory = start..start + PAGES * PAGE_SIZE;
        let mirror = mirror(&mm, memory.clone())?;

        for addr in memory.clone().step_by(PAGE_SIZE) {
            fault(&mirror, addr)?;
        }
        let all = used(&mirror);
        let outside = fault(&mirror, memory.end);
        mm.munmap(start, PAGE_SIZE)?;
        let munmap = used(&mirror);
        user::mprotect(start + PAGE_SIZE, PAGE_SIZE, PROT_READ)?;
        let mprotect = used(&mirror);
        // A fork makes all pages copy-on-write.
        user::fork()?;
        let fork = used(&mirror);
        drop(mirror);

        assert_eq!(all, u8::MAX);
        assert_eq!(outside, Err(EINVAL));
        assert_eq!([munmap, mprotect, fork], [0b1111_1110, 0b1111_1100, 0]);
        Ok(())
    }
}
