// SPDX-License-Identifier: GPL-2.0

//! Shared virtual addressing: an IOMMU that walks the page tables of the CPU, and has a TLB.

use super::*;
use kernel::{
    bindings,
    mm::mmu_notifier::list::{
        Notifier,
        Operations, //
    }, //
};

// [domain]
/// An address space of the IOMMU.
#[pin_data]
struct Domain {
    /// The entries of its TLB.
    #[pin]
    tlb: SpinLock<Table>,
}

#[vtable]
impl Operations for Domain {
    // It has no start, and so nothing to refuse.
    type Refusal = Infallible;

    fn arch_invalidate(&self, range: Range<usize>, _nb: &NonBlockGuard) {
        // All of the TLB is `0..usize::MAX`, and needs no case of its own.
        self.tlb.lock().retain(|addr| !range.contains(&addr));
    }

    /// The page tables are about to be freed: from here on faults are an error.
    fn release(&self) {
        self.tlb.lock().retain(|_| false);
    }
}
// [domain end]

fn register(process: &Process) -> Result<Pin<KBox<Notifier<Domain>>>> {
    let table = Table::new(&process.memory);
    let init = try_pin_init!(Domain {
        tlb <- new_spinlock!(table),
    });
    KBox::try_pin_init(Notifier::new(&process.mm, init), GFP_KERNEL)
}

#[kunit_tests(rust_mmu_notifier_sva)]
mod tests {
    use super::*;

    #[test]
    fn flushes_with_the_cpu() -> Result {
        let process = Process::new()?;
        let domain = register(&process)?;

        domain.tlb.lock().fill();
        // Flushes may be for more than the changed pages, but the changed pages are gone.
        let used = process.change(|| domain.tlb.lock().pages)?;
        drop(domain);

        // User-mode Linux has no such notifiers.
        if !cfg!(CONFIG_UML) {
            for (n, used) in used.iter().take(4).enumerate() {
                assert_eq!(used & ((2 << n) - 1), 0);
            }
            assert_eq!(used[4], 0);
        }
        Ok(())
    }

    #[test]
    fn flushes_a_range_or_all() -> Result {
        let process = Process::new()?;
        let domain = register(&process)?;
        let flush = |start, end| {
            // SAFETY: The address space has notifiers.
            unsafe {
                bindings::__mmu_notifier_arch_invalidate_secondary_tlbs(
                    process.mm.as_raw(),
                    start,
                    end,
                )
            };
            domain.tlb.lock().pages
        };

        domain.tlb.lock().fill();
        let second = process.memory.start + PAGE_SIZE;
        let one = flush(second, second + PAGE_SIZE);
        let all = flush(0, usize::MAX);
        drop(domain);

        assert_eq!(one, 0b1111_1101);
        assert_eq!(all, 0);
        Ok(())
    }

    #[test]
    fn exit_releases() -> Result {
        let process = Process::new_other()?;
        let domain = register(&process)?;

        domain.tlb.lock().fill();
        drop(process);
        let used = domain.tlb.lock().pages;
        drop(domain);

        assert_eq!(used, 0);
        Ok(())
    }
}
