// SPDX-License-Identifier: GPL-2.0

//! Microsoft's hypervisor: memory of a guest that is mapped through hypercalls.

use super::*;

// [region]
/// A range of guest memory, `struct mshv_mem_region`.
#[pin_data]
struct Region {
    addrs: Range<usize>,
    /// The pages that the guest may use, under `mreg_mutex`.
    #[pin]
    mapped: Mutex<Mapped>,
}

struct Mapped {
    table: Table,
    /// Deposited pages for tables that the hypervisor still has.
    deposited: usize,
}

impl Mapped {
    /// Takes pages from the guest, which takes a page for the hypervisor's tables.
    ///
    /// C deposits the page here if there is none, and so allocates memory in a callback that is to
    /// free some. Here that fails.
    fn remap_no_access(&mut self, pages: Range<usize>) -> Result<(), WouldBlock> {
        if self.table.has(pages.clone()) {
            self.deposited = self.deposited.checked_sub(1).ok_or(WouldBlock)?;
            self.table.remove(pages);
        }
        Ok(())
    }
}

impl Operations for Region {
    type State = Mapped;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Mapped> {
        &self.mapped
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let pages = op.pages();
        let (mut mapped, done) = op.lock();
        // It cannot fail, and there is a way that needs no memory: the whole region in one call.
        if mapped.remap_no_access(pages).is_err() {
            mapped.table.retain(|_| false);
        }
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let pages = op.pages();
        let (mut mapped, done) = op.try_lock()?;
        mapped.remap_no_access(pages)?;
        Ok(done)
    }
}
// [region end]

/// Maps all of the region for the guest, `mshv_region_range_fault()`.
fn fault(region: &Notifier<Region>, process: &Process) -> Result {
    loop {
        let seq = region.read_begin();
        look_up(&process.mm, &region.addrs)?;
        if let Some(mut mapped) = seq.lock() {
            mapped.table.fill();
            return Ok(());
        }
    }
}

#[kunit_tests(rust_mmu_notifier_mshv)]
mod tests {
    use super::*;

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let addrs = process.memory.clone();
        let region_addrs = addrs.clone();
        let table = Table::new(&addrs);
        let init = try_pin_init!(Region {
            addrs: region_addrs,
            mapped <- new_mutex!(Mapped {
                table,
                deposited: 10,
            }),
        });
        let region: Pin<KBox<Notifier<Region>>> =
            KBox::try_pin_init(Notifier::new(&process.mm, addrs, init), GFP_KERNEL)?;
        let used = || region.mapped.lock().table.pages;

        fault(&region, &process)?;
        let left = process.change(used)?;
        region.mapped.lock().table.fill();
        let reaped = kunit::try_invalidate(&process.mm, 0..process.memory.start + 1);
        let one_less = used();
        region.mapped.lock().deposited = 0;
        let refused = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        let kept = used();
        // The first page is not there, so there is nothing to do; the second is.
        let nothing = kunit::invalidate(&process.mm, 0..process.memory.start + 2);
        let still = used();
        let blocking = kunit::invalidate(&process.mm, 0..process.memory.start + PAGE_SIZE + 1);
        let none = used();
        drop(region);

        assert_eq!(left, LEFT);
        assert_eq!(reaped, Ok(()));
        assert_eq!(one_less, 0b1111_1110);
        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(kept, one_less);
        assert_eq!(nothing, Ok(()));
        assert_eq!(still, one_less);
        assert_eq!(blocking, Ok(()));
        assert_eq!(none, 0);
        Ok(())
    }
}
