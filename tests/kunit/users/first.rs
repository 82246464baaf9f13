// SPDX-License-Identifier: GPL-2.0

//! The first driver that one writes: a device with a page table of its own, for one range.
//!
//! README.md and Documentation/mm/rust-mmu-notifiers.rst show it.

use super::{
    Process,
    LEFT,
    PAGES, //
};
use crate::invalidate;
use core::ops::Range;
use kernel::{
    mm::{
        hmm::{
            Access,
            Request,
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
        }, //
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
/// Has the device use the page at `addr`, which is faulted in if need be.
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

    #[test]
    fn lets_go_of_changed_pages() -> Result {
        let process = Process::new()?;
        let first = process.memory.start / PAGE_SIZE;
        let init = try_pin_init!(Mirror {
            table <- new_mutex!(Table {
                first,
                pfns: [None; PAGES],
            }),
        });
        let init = Notifier::new(&process.mm, process.memory.clone(), init);
        let mirror = KBox::try_pin_init(init, GFP_KERNEL)?;
        let used = || {
            let table = mirror.table.lock();
            (0..PAGES).fold(0_u8, |bits, n| {
                bits | u8::from(table.pfns[n].is_some()) << n
            })
        };

        for addr in process.memory.clone().step_by(PAGE_SIZE) {
            fault(&mirror, addr)?;
        }
        let all = used();
        let outside = fault(&mirror, process.memory.end);
        let held = mirror.table.lock();
        let refused = invalidate::nonblock(&process.mm, 0, usize::MAX);
        drop(held);
        let kept = used();
        let left = process.change(used)?;
        let reaped = invalidate::nonblock(&process.mm, 0, usize::MAX);
        let none = used();
        drop(mirror);

        assert_eq!(all, u8::MAX);
        assert_eq!(outside, Err(EINVAL));
        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(kept, u8::MAX);
        assert_eq!(left, LEFT);
        assert_eq!(reaped, Ok(()));
        assert_eq!(none, 0);
        Ok(())
    }
}
