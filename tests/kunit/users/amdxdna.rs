// SPDX-License-Identifier: GPL-2.0

//! amdxdna: buffers that are registered when they are mapped, and removed by a work item when they
//! are unmapped.

use super::*;
use kernel::sync::LockedBy;

// [umap]
/// The device.
#[pin_data]
struct Device {
    /// `xdna->notifier_lock`: submissions read, invalidations write.
    #[pin]
    notifier_lock: RwSemaphore<Epoch>,
    /// The user mappings. Not under the lock of the callbacks: removing one waits for those.
    #[pin]
    umaps: Mutex<KVec<Pin<KBox<Notifier<Umap>>>>>,
    #[pin]
    hmm_unreg_work: Work<Device>,
}

/// The data of the lock belongs to the mappings; see [`Umap::state`].
struct Epoch(#[expect(dead_code)] usize);

/// A user mapping of a buffer, `struct amdxdna_umap`.
struct Umap {
    device: Arc<Device>,
    state: LockedBy<State, Epoch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Valid,
    /// The pages have to be looked up again.
    Invalid,
    Unmapped,
}

impl Operations for Umap {
    type State = Epoch;
    type Backend = RwSemaphoreBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &RwSemaphore<Epoch> {
        &self.device.notifier_lock
    }

    /// `aie2_hmm_invalidate()`.
    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let unmapped = op.event() == Event::Unmap;
        let (mut epoch, done) = op.lock();

        let state = self.state.access_mut(&mut epoch);
        if unmapped {
            *state = State::Unmapped;
            // The notifier can't be removed here. If the work is queued already it has not begun.
            let _ = workqueue::system().enqueue(self.device.clone());
        } else if *state == State::Valid {
            *state = State::Invalid;
        }
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        _op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        // The device may be using the pages.
        Err(WouldBlock)
    }
}

impl_has_work! {
    impl HasWork<Self> for Device { self.hmm_unreg_work }
}

impl WorkItem for Device {
    type Pointer = Arc<Self>;

    /// `amdxdna_hmm_unreg_work()`.
    fn run(device: Arc<Self>) {
        while let Some(umap) = device.take_unmapped() {
            // Waits for callbacks, so no lock is held.
            drop(umap);
        }
    }
}

impl Device {
    fn take_unmapped(&self) -> Option<Pin<KBox<Notifier<Umap>>>> {
        let mut umaps = self.umaps.lock();
        let index = {
            let epoch = self.notifier_lock.read();
            umaps
                .iter()
                .position(|umap| *umap.state.access(&epoch) == State::Unmapped)?
        };
        umaps.remove(index).ok()
    }

    /// `amdxdna_gem_obj_mmap()`, which is called with the `mmap_lock` held.
    fn mmap(self: &Arc<Self>, mmap: &MmapWriteLocked, addrs: Range<usize>) -> Result {
        let umap = Umap {
            device: self.clone(),
            state: LockedBy::new(&self.notifier_lock, State::Invalid),
        };
        let umap = KBox::try_pin_init(Notifier::new_locked(mmap, addrs, Ok(umap)), GFP_KERNEL)?;
        Ok(self.umaps.lock().push(umap, GFP_KERNEL)?)
    }
}
// [umap end]

#[kunit_tests(rust_mmu_notifier_amdxdna)]
mod tests {
    use super::*;

    #[test]
    fn work_removes_what_is_unmapped() -> Result {
        let process = Process::new()?;
        let device = Arc::pin_init(
            pin_init!(Device {
                notifier_lock <- new_rwsem!(Epoch(0)),
                umaps <- new_mutex!(KVec::new()),
                hmm_unreg_work <- new_work!(),
            }),
            GFP_KERNEL,
        )?;
        let page = |n| process.memory.start + n * PAGE_SIZE;
        for n in 0..4 {
            device.mmap(&process.mm.mmap_write_lock(), page(n)..page(n + 1))?;
        }
        for umap in &*device.umaps.lock() {
            let seq = umap.read_begin();
            if let Some(mut epoch) = seq.lock() {
                *umap.state.access_mut(&mut epoch) = State::Valid;
            }
        }

        let refused = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        user::dontneed(page(2), PAGE_SIZE)?;
        process.munmap(page(0), 2 * PAGE_SIZE)?;
        let removed = wait_until(|| device.umaps.lock().len() == 2);
        let mut left = KVec::new();
        for umap in &*device.umaps.lock() {
            let state = *umap.state.access(&device.notifier_lock.read());
            left.push(state, GFP_KERNEL)?;
        }
        let umaps = core::mem::take(&mut *device.umaps.lock());
        drop(umaps);

        assert_eq!(refused, Err(EAGAIN));
        assert!(removed);
        assert_eq!(left[..], [State::Invalid, State::Valid]);
        Ok(())
    }
}
