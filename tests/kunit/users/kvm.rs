// SPDX-License-Identifier: GPL-2.0

//! KVM: a count of the invalidations in progress, from start to end.

use super::*;
use kernel::{
    mm::mmu_notifier::{
        list::{
            Notifier,
            Operations, //
        },
        Range, //
    },
    sync::SpinLockGuard, //
};

// [vm]
/// A virtual machine.
#[pin_data]
struct Vm {
    memory: ops::Range<usize>,
    #[pin]
    mmu: SpinLock<Mmu>,
}

/// The shadow page table, and whether it can be trusted.
struct Mmu {
    table: Table,
    /// Invalidations that were started and have not ended, `mmu_invalidate_in_progress`.
    in_progress: usize,
    /// Invalidations that have ended, `mmu_invalidate_seq`.
    seq: usize,
}

#[vtable]
impl Operations for Vm {
    // A spinlock and a page table: there is nothing to wait for.
    type Refusal = Infallible;

    fn start(&self, range: Range<'_>) {
        let mut mmu = self.mmu.lock();
        mmu.in_progress += 1;
        mmu.table.remove(range.pages(&self.memory));
    }

    fn try_start(&self, range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
        self.start(range);
        Ok(())
    }

    fn end(&self, _range: Range<'_>, _nb: &NonBlockGuard) {
        let mut mmu = self.mmu.lock();
        mmu.seq += 1;
        mmu.in_progress -= 1;
    }

    fn release(&self) {
        self.mmu.lock().table.pages = 0;
    }
}

impl Vm {
    /// The state when a fault begins to look up its page.
    fn fault_begin(&self) -> usize {
        self.mmu.lock().seq
    }

    /// The shadow page table, unless the look-up may be wrong: `mmu_invalidate_retry()`.
    fn fault_end(&self, seq: usize) -> Option<SpinLockGuard<'_, Mmu>> {
        let mmu = self.mmu.lock();
        (mmu.in_progress == 0 && mmu.seq == seq).then_some(mmu)
    }
}
// [vm end]

fn register(process: &Process) -> Result<Pin<KBox<Notifier<Vm>>>> {
    let memory = process.memory.clone();
    let table = Table::new(&memory);
    let init = try_pin_init!(Vm {
        memory,
        mmu <- new_spinlock!(Mmu {
            table,
            in_progress: 0,
            seq: 0,
        }),
    });
    KBox::try_pin_init(Notifier::new(&process.mm, init), GFP_KERNEL)
}

#[kunit_tests(rust_mmu_notifier_kvm)]
mod tests {
    use super::*;

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let vm = register(&process)?;

        vm.mmu.lock().table.fill();
        let used = process.change(|| vm.mmu.lock().table.pages)?;
        let in_progress = vm.mmu.lock().in_progress;
        vm.mmu.lock().table.fill();
        let nonblock = kunit::try_invalidate(&process.mm, 0..process.memory.start + PAGE_SIZE);
        let reaped = vm.mmu.lock().table.pages;
        drop(vm);

        assert_eq!(used, LEFT);
        assert_eq!(in_progress, 0);
        assert_eq!(nonblock, Ok(()));
        assert_eq!(reaped, 0b1111_1110);
        Ok(())
    }

    #[test]
    fn fault_is_done_again() -> Result {
        let process = Process::new()?;
        let vm = register(&process)?;

        let seq = vm.fault_begin();
        let quiet = vm.fault_end(seq).is_some();
        // KVM is also called for memory that the guest does not have.
        let outside = vm.fault_begin();
        let mm = TestMm::attach()?;
        let elsewhere = mm.mmap(PAGE_SIZE, PROT_READ)?;
        mm.munmap(elsewhere, PAGE_SIZE)?;
        let outside = vm.fault_end(outside).is_some();
        let seq = vm.fault_begin();
        user::dontneed(process.memory.start, PAGE_SIZE)?;
        let overtaken = vm.fault_end(seq).is_some();
        drop(vm);

        assert!(quiet);
        assert!(!outside);
        assert!(!overtaken);
        Ok(())
    }

    #[test]
    fn exit_releases() -> Result {
        let process = Process::new_other()?;
        let vm = register(&process)?;

        vm.mmu.lock().table.fill();
        drop(process);
        let used = vm.mmu.lock().table.pages;
        drop(vm);

        assert_eq!(used, 0);
        Ok(())
    }
}
