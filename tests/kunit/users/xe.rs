// SPDX-License-Identifier: GPL-2.0

//! xe: user memory that is unbound in two passes, with a semaphore for each address space of the
//! GPU, and a stored sequence number.

use super::*;
use kernel::{
    mm::mmu_notifier::interval::{
        Stamp,
        TwoPass,
        TwoPassNotifier, //
    },
    sync::{
        LockedBy,
        RwSemaphoreReadGuard, //
    }, //
};

// [vma]
/// An address space of the GPU.
#[pin_data]
struct Vm {
    /// `vm->svm.gpusvm.notifier_lock`: invalidations write, binds read.
    #[pin]
    notifier_lock: RwSemaphore<Binds>,
    /// TLB flushes that were ordered, and how often anybody waited for the GPU to be done.
    ordered: Atomic<usize>,
    waits: Atomic<usize>,
    outstanding: Atomic<usize>,
}

/// The bindings of an address space.
struct Binds {
    count: usize,
}

/// A part of it that is user memory.
#[pin_data]
struct Vma {
    vm: Arc<Vm>,
    range: Range<usize>,
    bound: LockedBy<bool, Binds>,
    /// The time at which the pages were looked up, if they were, `notifier_seq`.
    #[pin]
    looked_up: Mutex<Option<Stamp>>,
}

/// A TLB flush that was ordered.
struct Flush;

impl Vma {
    fn unbind(&self, binds: &mut Binds) -> bool {
        let was_bound = core::mem::take(self.bound.access_mut(binds));
        binds.count -= usize::from(was_bound);
        was_bound
    }

    fn flush(&self) -> Flush {
        self.vm.ordered.fetch_add(1, Relaxed);
        self.vm.outstanding.fetch_add(1, Relaxed);
        Flush
    }

    fn wait(&self, Flush: Flush) {
        // The GPU has all orders by now, and has carried out all when it has one.
        if self.vm.outstanding.xchg(0, Relaxed) != 0 {
            self.vm.waits.fetch_add(1, Relaxed);
        }
    }
}

impl Operations for Vma {
    type State = Binds;
    type Backend = RwSemaphoreBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &RwSemaphore<Binds> {
        &self.vm.notifier_lock
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let (done, flush) = self.start(op);
        if let Some(flush) = flush {
            self.wait(flush);
        }
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let (binds, done) = op.try_lock()?;
        if *self.bound.access(&binds) {
            return Err(WouldBlock);
        }
        Ok(done)
    }
}

impl TwoPass for Vma {
    type Token = Flush;

    fn start<'op>(&'op self, op: Invalidation<'op, Self>) -> (Invalidated<'op>, Option<Flush>) {
        let (mut binds, done) = op.lock();
        let was_bound = self.unbind(&mut binds);
        (done, was_bound.then(|| self.flush()))
    }

    fn finish(&self, flush: Flush) {
        self.wait(flush);
    }
}

/// Looks up the pages, unless those that there are may still be valid, as
/// `xe_vma_userptr_pin_pages()` does.
fn pin_pages(vma: &Notifier<Vma>) -> Result {
    let mm = vma.mm().mmget_not_zero().ok_or(EFAULT)?;

    let now = vma.read_begin().stamp();
    if *vma.looked_up.lock() != Some(now) {
        look_up(&mm, &vma.range)?;
        *vma.looked_up.lock() = Some(now);
    }
    Ok(())
}

/// Returns whether the pages are valid, under the lock held for reading, as `vma_check_userptr()`
/// does for each part of a bind.
fn is_valid(vma: &Notifier<Vma>, binds: &RwSemaphoreReadGuard<'_, Binds>) -> bool {
    let looked_up = *vma.looked_up.lock();

    looked_up
        .and_then(|stamp| vma.resume(stamp))
        .is_some_and(|seq| seq.validate_read(binds).is_ok())
}
// [vma end]

/// Binds the valid pages, under the lock for writing.
fn bind(vma: &Notifier<Vma>) -> Result {
    loop {
        pin_pages(vma)?;
        if !is_valid(vma, &vma.vm.notifier_lock.read()) {
            continue;
        }
        let seq = (*vma.looked_up.lock()).and_then(|stamp| vma.resume(stamp));
        if let Some(mut binds) = seq.and_then(|seq| seq.lock()) {
            *vma.bound.access_mut(&mut binds) = true;
            binds.count += 1;
            return Ok(());
        }
    }
}

fn new_vm() -> Result<Arc<Vm>> {
    Arc::pin_init(
        pin_init!(Vm {
            notifier_lock <- new_rwsem!(Binds { count: 0 }),
            ordered: Atomic::new(0),
            waits: Atomic::new(0),
            outstanding: Atomic::new(0),
        }),
        GFP_KERNEL,
    )
}

/// A part for each page.
fn register(vm: &Arc<Vm>, process: &Process) -> Result<KVec<Pin<KBox<TwoPassNotifier<Vma>>>>> {
    let mut vmas = KVec::new();
    for start in process.memory.clone().step_by(PAGE_SIZE) {
        let range = start..start + PAGE_SIZE;
        let vma_range = range.clone();
        let vm = vm.clone();
        let init = try_pin_init!(Vma {
            bound: LockedBy::new(&vm.notifier_lock, false),
            vm,
            range: vma_range,
            looked_up <- new_mutex!(None),
        });
        let init = TwoPassNotifier::new(&process.mm, range, init);
        vmas.push(KBox::try_pin_init(init, GFP_KERNEL)?, GFP_KERNEL)?;
    }
    Ok(vmas)
}

#[kunit_tests(rust_mmu_notifier_xe)]
mod tests {
    use super::*;

    #[test]
    fn waits_once_for_all() -> Result {
        let process = Process::new()?;
        let vm = new_vm()?;
        let vmas = register(&vm, &process)?;
        let flushes = || (vm.ordered.load(Relaxed), vm.waits.load(Relaxed));
        let bound = || vm.notifier_lock.read().count;
        let valid = |n: usize| is_valid(&vmas[n], &vm.notifier_lock.read());

        for vma in &vmas {
            bind(vma)?;
        }
        let all = (bound(), valid(0), valid(7));
        user::dontneed(process.memory.start, PAGE_SIZE)?;
        let one = (bound(), flushes(), valid(0), valid(7));
        // All are called, and publish.
        let refused = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        let collided = !valid(7);
        let reaped = kunit::try_invalidate(&process.mm, 0..process.memory.start + PAGE_SIZE);
        // All remaining ones together.
        user::fork()?;
        let none = (bound(), flushes(), valid(7));
        drop(vmas);

        assert_eq!(all, (PAGES, true, true));
        assert_eq!(one, (PAGES - 1, (1, 1), false, true));
        assert_eq!(refused, Err(EAGAIN));
        assert!(collided);
        assert_eq!(reaped, Ok(()));
        assert_eq!(none, (0, (PAGES, 2), false));
        Ok(())
    }

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let vm = new_vm()?;
        let vmas = register(&vm, &process)?;

        for vma in &vmas {
            bind(vma)?;
        }
        let used = process.change(|| {
            let binds = vm.notifier_lock.read();
            vmas.iter().enumerate().fold(0, |bits, (n, vma)| {
                bits | u8::from(*vma.bound.access(&binds)) << n
            })
        })?;
        drop(vmas);

        assert_eq!(used, LEFT);
        Ok(())
    }
}
