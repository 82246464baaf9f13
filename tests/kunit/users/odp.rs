// SPDX-License-Identifier: GPL-2.0

//! RDMA on-demand paging: a memory region with a mutex of its own, and bounds.

use super::{
    look_up,
    Process,
    Table,
    LEFT, //
};
use crate::invalidate;
use core::ops::Range;
use kernel::{
    mm::{
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
    prelude::*,
    sync::{
        lock::mutex::MutexBackend,
        Mutex,
        MutexGuard, //
    }, //
};

// [region]
/// A memory region: what `struct ib_umem_odp` is in C.
#[pin_data]
struct Region {
    bounds: Range<usize>,
    #[pin]
    umem: Mutex<Table>,
}

impl Operations for Region {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        &self.umem
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let pages = op.pages();
        let (mut table, done) = op.lock();
        table.remove(pages);
        done
    }

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
// [region end]

// [fault]
/// Looks up the pages of the region, and returns with the mutex held, as
/// `ib_umem_odp_map_dma_and_lock()` does: they are valid until it is released.
fn map_and_lock(region: &Notifier<Region>) -> Result<MutexGuard<'_, Table>> {
    // The process may be gone, although the region is not.
    let mm = region.mm().mmget_not_zero().ok_or(EINVAL)?;
    // It is put with the mutex held. If it was put at once, and was the last, then `exit_mmap()`
    // would call us.
    let mm = MmWithUser::into_mmput_async(mm);

    loop {
        let seq = region.read_begin();
        look_up(&mm, &region.bounds)?;
        if let Some(mut table) = seq.lock() {
            table.fill();
            return Ok(table);
        }
    }
}
// [fault end]

fn register(process: &Process) -> Result<Pin<KBox<Notifier<Region>>>> {
    let bounds = process.memory.clone();
    let table = Table::new(&bounds);
    let range = bounds.clone();
    let init = try_pin_init!(Region {
        bounds,
        umem <- new_mutex!(table),
    });
    KBox::try_pin_init(Notifier::new(&process.mm, range, init), GFP_KERNEL)
}

#[kunit_tests(rust_mmu_notifier_odp)]
mod tests {
    use super::*;

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let region = register(&process)?;

        let mapped = map_and_lock(&region).map(|table| table.pages);
        let used = process.change(|| region.umem.lock().pages)?;
        drop(region);

        assert_eq!(mapped, Ok(u8::MAX));
        assert_eq!(used, LEFT);
        Ok(())
    }

    #[test]
    fn refuses_while_a_fault_has_the_mutex() -> Result {
        let process = Process::new()?;
        let region = register(&process)?;
        let reap = || invalidate::nonblock(&process.mm, 0, usize::MAX);

        let table = map_and_lock(&region)?;
        let refused = reap();
        let kept = table.pages;
        drop(table);
        let reaped = reap();
        let left = region.umem.lock().pages;
        drop(region);

        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(kept, u8::MAX);
        assert_eq!(reaped, Ok(()));
        assert_eq!(left, 0);
        Ok(())
    }

    #[test]
    fn exit_is_an_invalidation() -> Result {
        let process = Process::new_other()?;
        let region = register(&process)?;

        region.umem.lock().fill();
        drop(process);
        let used = region.umem.lock().pages;
        let fault = map_and_lock(&region).map(|_| ());
        drop(region);

        assert_eq!(used, 0);
        assert_eq!(fault, Err(EINVAL));
        Ok(())
    }
}
