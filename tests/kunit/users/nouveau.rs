// SPDX-License-Identifier: GPL-2.0

//! nouveau: a list notifier that refuses, interval notifiers that last for one fault, and
//! invalidations by the driver itself.

use super::*;
use kernel::mm::mmu_notifier::{
    interval,
    Range, //
};

// [svmm]
/// The memory of a process that the GPU uses, `struct nouveau_svmm`.
#[pin_data]
struct Svmm {
    memory: ops::Range<usize>,
    /// The mapped pages, under `svmm->mutex`.
    #[pin]
    table: Mutex<Table>,
    /// The device, whose address names the driver as the owner of migrations.
    device: Arc<u64>,
}

impl Svmm {
    /// Returns whether the driver itself is changing the range, and knows about it.
    fn is_own(&self, range: Range<'_>) -> bool {
        match range.event() {
            Event::Migrate(owner) | Event::Exclusive(owner) => owner.is(&*self.device),
            _ => false,
        }
    }
}

/// The notifier for the whole process.
struct Listener(Arc<Svmm>);

#[vtable]
impl list::Operations for Listener {
    type Refusal = WouldBlock;

    fn start(&self, range: Range<'_>) {
        if self.0.is_own(range) {
            return;
        }
        let pages = range.pages(&self.0.memory);
        self.0.table.lock().remove(pages);
    }

    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}
// [svmm end]

// [fault]
/// The notifier for one fault, `struct svm_notifier`. It has no page table: it only makes the fault
/// begin again.
struct Fault(Arc<Svmm>);

impl interval::Operations for Fault {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        &self.0.table
    }

    fn is_own(&self, owner: Owner) -> bool {
        owner.is(&*self.0.device)
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        op.lock().1
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        Ok(op.try_lock()?.1)
    }
}

/// Maps all of the memory, with `look_up` to find the pages, as `nouveau_range_fault()` does.
fn fault(svmm: &Arc<Svmm>, process: &Process, look_up: impl Fn() -> Result) -> Result {
    let init = Notifier::new(&process.mm, svmm.memory.clone(), Ok(Fault(svmm.clone())));
    pin_init::stack_try_pin_init! {
        let notifier =? init
    };

    loop {
        let seq = notifier.read_begin();
        look_up()?;
        if let Some(mut table) = seq.lock() {
            table.fill();
            return Ok(());
        }
    }
}
// [fault end]

fn new_svmm(process: &Process) -> Result<Arc<Svmm>> {
    let memory = process.memory.clone();
    let table = Table::new(&memory);
    let device = Arc::new(0, GFP_KERNEL)?;
    Arc::pin_init(
        pin_init!(Svmm {
            memory,
            table <- new_mutex!(table),
            device,
        }),
        GFP_KERNEL,
    )
}

#[kunit_tests(rust_mmu_notifier_nouveau)]
mod tests {
    use super::*;

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let svmm = new_svmm(&process)?;
        let listener: Pin<KBox<list::Notifier<Listener>>> = KBox::try_pin_init(
            list::Notifier::new(&process.mm, Ok(Listener(svmm.clone()))),
            GFP_KERNEL,
        )?;
        let used = || svmm.table.lock().pages;

        fault(&svmm, &process, || look_up(&process.mm, &svmm.memory))?;
        let all = used();
        let refused = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        let kept = used();
        let left = process.change(used)?;
        drop(listener);

        assert_eq!(all, u8::MAX);
        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(kept, u8::MAX);
        assert_eq!(left, LEFT);
        Ok(())
    }

    #[test]
    fn own_changes_do_not_count() -> Result {
        let process = Process::new()?;
        let svmm = new_svmm(&process)?;
        let looked_up = core::cell::Cell::new(0);
        let other = 0_u64;
        let exclusive = |owner: &u64| {
            let event = Event::Exclusive(Owner::of(owner));
            kunit::Invalidation::try_start(&process.mm, process.memory.clone(), event).map(drop)
        };
        // How often a fault looks up its pages if `change` happens the first time.
        let fault = |change: &dyn Fn() -> Result| {
            looked_up.set(0);
            fault(&svmm, &process, || {
                looked_up.set(looked_up.get() + 1);
                if looked_up.get() == 1 {
                    change()?;
                }
                Ok(())
            })?;
            Ok::<_, Error>(looked_up.get())
        };

        let quiet = fault(&|| Ok(()))?;
        let own = fault(&|| exclusive(&svmm.device))?;
        let foreign = fault(&|| exclusive(&other))?;
        let forgotten = fault(&|| user::dontneed(process.memory.start, PAGE_SIZE))?;
        let failed = fault(&|| Err(EFAULT)).err();

        assert_eq!([quiet, own, foreign, forgotten], [1, 1, 2, 2]);
        assert_eq!(failed, Some(EFAULT));
        Ok(())
    }
}
