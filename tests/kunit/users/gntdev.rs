// SPDX-License-Identifier: GPL-2.0

//! Xen's gntdev: a mapping of its own that a process has, and registers when it maps it.

use super::*;
use kernel::mm::mmu_notifier::interval::DeferringNotifier;

// [map]
/// Pages of another domain in a process, `struct gntdev_grant_map`.
#[pin_data]
struct Map {
    addrs: Range<usize>,
    #[pin]
    grants: Mutex<Table>,
}

impl Operations for Map {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        &self.grants
    }

    /// `gntdev_invalidate()`: gives pages back to the domain they are from.
    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let pages = op.pages();
        let (mut grants, done) = op.lock();
        grants.remove(pages);
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        // Giving a page back waits until it has no users any more, which `invalidate()` may do.
        let pages = op.pages();
        let (grants, done) = op.try_lock()?;
        (!grants.has(pages)).then_some(done).ok_or(WouldBlock)
    }
}

/// `gntdev_mmap()`, which is called with the `mmap_lock` held: `mmap` is what the
/// [`VmaNew::mmap_locked`](kernel::mm::virt::VmaNew::mmap_locked) of its vma returns.
fn mmap(mmap: &MmapWriteLocked, addrs: Range<usize>) -> Result<Pin<KBox<DeferringNotifier<Map>>>> {
    let table = Table::new(&addrs);
    let map_addrs = addrs.clone();
    let init = try_pin_init!(Map {
        addrs: map_addrs,
        grants <- new_mutex!(table),
    });
    KBox::try_pin_init(DeferringNotifier::new_locked(mmap, addrs, init), GFP_KERNEL)
}
// [map end]

#[kunit_tests(rust_mmu_notifier_gntdev)]
mod tests {
    use super::*;

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let map = mmap(&process.mm.mmap_write_lock(), process.memory.clone())?;

        map.grants.lock().fill();
        let refused = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        let made_good = wait_until(|| map.grants.lock().pages == 0);
        // The work item may not have finished yet.
        let let_go = wait_until(|| kunit::try_invalidate(&process.mm, 0..usize::MAX).is_ok());
        map.grants.lock().fill();
        let left = process.change(|| map.grants.lock().pages)?;
        drop(map);

        assert_eq!(refused, Err(EAGAIN));
        assert!(made_good);
        assert!(let_go);
        assert_eq!(left, LEFT);
        Ok(())
    }
}
