// SPDX-License-Identifier: GPL-2.0

//! KFD: one object for each process, and ranges that grow and shrink.

use super::*;
use kernel::mm::mmu_notifier::interval;

// [process]
/// The data of the driver about a process, `struct kfd_process`.
#[pin_data]
struct KfdProcess {
    #[pin]
    queues: Mutex<usize>,
    /// Keeps the object until the process is gone, also when no file is open.
    #[pin]
    own: SpinLock<Option<Ref<KfdProcess>>>,
}

/// Replaces `p->mmu_notifier.ops` and the search for a process of C.
static PROCESSES: Registry<KfdProcess> = new_registry!(KfdProcess);

#[vtable]
impl list::Operations for KfdProcess {
    type Refusal = Infallible;

    /// `kfd_process_notifier_release()`. It may sleep.
    fn release(&self) {
        *self.queues.lock() = 0;
        // `mmu_notifier_put()`. The object is freed when this has returned.
        let own = self.own.lock().take();
        drop(own);
    }
}

impl Object for KfdProcess {
    fn new(_mm: &MmWithUser) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            queues <- new_mutex!(0),
            own <- new_spinlock!(None),
        }? Error)
    }
}

/// Opens the device for a process, as `kfd_create_process()` does.
fn open(mm: &MmWithUser) -> Result<Ref<KfdProcess>> {
    let process = PROCESSES.get(mm)?;

    if process.own.lock().is_none() {
        let own = PROCESSES.get(mm)?;
        // Another thread may have been faster; then this one is put.
        let old = process.own.lock().replace(own);
        drop(old);
    }
    Ok(process)
}
// [process end]

// [range]
/// The memory that the GPU uses of a process, `struct svm_range_list`.
#[pin_data]
struct Svm {
    #[pin]
    table: Mutex<Table>,
}

/// A range of it, `struct svm_range`.
struct SvmRange {
    svm: Arc<Svm>,
}

impl interval::Operations for SvmRange {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        &self.svm.table
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let pages = op.pages();
        let (mut table, done) = op.lock();
        table.remove(pages);
        done
    }

    // C has no such case: it takes the mutex whether it may or not.
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

type Registered = Pin<KBox<Notifier<SvmRange>>>;

fn register(mm: &MmWithUser, svm: &Arc<Svm>, bounds: Range<usize>) -> Result<Registered> {
    let range = SvmRange { svm: svm.clone() };
    KBox::try_pin_init(Notifier::new(mm, bounds, Ok(range)), GFP_KERNEL)
}

/// Gives a range other bounds, as `svm_range_update_notifier_and_interval_tree()` does.
///
/// C removes the notifier, and inserts it again. Invalidations in between are not seen. Here the
/// new notifier exists before the old one goes, and both are called for their common addresses.
fn resize(mm: &MmWithUser, range: &mut Registered, bounds: Range<usize>) -> Result {
    let new = register(mm, &range.svm, bounds)?;
    // The old one is dropped, which waits for its callbacks.
    *range = new;
    Ok(())
}
// [range end]

#[kunit_tests(rust_mmu_notifier_kfd)]
mod tests {
    use super::*;

    #[test]
    fn process_is_found_again() -> Result {
        let mm = kunit::new_mm()?;

        let first = open(&mm)?;
        *first.queues.lock() = 1;
        let second = open(&mm)?;
        let same = core::ptr::eq(&*first, &*second);
        drop((first, second));
        shared::synchronize();
        // No file is open, but the process still runs.
        let third = open(&mm)?;
        let queues = *third.queues.lock();
        drop(mm);
        let released = (*third.queues.lock(), third.own.lock().is_none());
        let gone = third.mm().mmget_not_zero().is_none();
        drop(third);
        shared::synchronize();

        assert!(same);
        assert_eq!(queues, 1);
        assert_eq!(released, (0, true));
        assert!(gone);
        Ok(())
    }

    #[test]
    fn ranges_are_resized() -> Result {
        let process = Process::new()?;
        let memory = process.memory.clone();
        let table = Table::new(&memory);
        let svm = Arc::pin_init(
            pin_init!(Svm {
                table <- new_mutex!(table),
            }),
            GFP_KERNEL,
        )?;
        let used = || svm.table.lock().pages;

        let mut range = register(&process.mm, &svm, memory.start..memory.start + PAGE_SIZE)?;
        svm.table.lock().fill();
        let reaped = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        let small = used();
        resize(&process.mm, &mut range, memory.clone())?;
        svm.table.lock().fill();
        let left = process.change(used)?;
        let held = svm.table.lock();
        let refused = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        drop(held);
        drop(range);

        assert_eq!(reaped, Ok(()));
        assert_eq!(small, 0b1111_1110);
        assert_eq!(left, LEFT);
        assert_eq!(refused, Err(EAGAIN));
        Ok(())
    }
}
