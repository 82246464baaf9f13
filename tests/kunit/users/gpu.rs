// SPDX-License-Identifier: GPL-2.0

//! GPUs (amdgpu, radeon): many buffers of user memory, and one lock for all of them.

use super::*;
use kernel::sync::LockedBy;

// [bo]
/// The device: the data shared by all of its buffers.
#[pin_data]
struct Device {
    /// `adev->notifier_lock`.
    #[pin]
    queue: Mutex<Queue>,
}

/// The jobs of the device.
struct Queue {
    submitted: usize,
    /// Jobs that the device was made to finish.
    waited_for: usize,
}

/// A buffer object of user memory.
struct Buffer {
    device: Arc<Device>,
    /// Whether the device may use the pages. The lock of all buffers protects it.
    bound: LockedBy<bool, Queue>,
}

impl Buffer {
    fn new(device: &Arc<Device>) -> Self {
        Self {
            device: device.clone(),
            bound: LockedBy::new(&device.queue, false),
        }
    }

    fn unbind(&self, queue: &mut Queue) {
        *self.bound.access_mut(queue) = false;
        // A driver waits for its device here, `dma_resv_wait_timeout()`.
        queue.waited_for = queue.submitted;
    }
}

impl Operations for Buffer {
    type State = Queue;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Queue> {
        &self.device.queue
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let (mut queue, done) = op.lock();
        self.unbind(&mut queue);
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let (mut queue, done) = op.try_lock()?;
        if *self.bound.access(&queue) {
            // The device may be using the pages, and waiting for it would block.
            return Err(WouldBlock);
        }
        self.unbind(&mut queue);
        Ok(done)
    }
}
// [bo end]

// [submit]
/// Submits a job that uses several buffers, as `amdgpu_cs_submit()` does.
///
/// The look-ups of all of them are validated under the one lock, which is held until the device has
/// the job.
fn submit(buffers: &[&Notifier<Buffer>], look_up: impl Fn() -> Result) -> Result {
    let (first, rest) = buffers.split_first().ok_or(EINVAL)?;

    loop {
        let seq = first.read_begin();
        let mut seqs = KVec::with_capacity(rest.len(), GFP_KERNEL)?;
        for buffer in rest {
            seqs.push(buffer.read_begin(), GFP_KERNEL)?;
        }
        look_up()?;

        let Some(mut queue) = seq.lock() else {
            continue;
        };
        if seqs.drain_all().all(|seq| seq.validate(&queue).is_ok()) {
            for buffer in buffers {
                *buffer.bound.access_mut(&mut queue) = true;
            }
            queue.submitted += 1;
            return Ok(());
        }
    }
}
// [submit end]

fn new_device() -> Result<Arc<Device>> {
    Arc::pin_init(
        pin_init!(Device {
            queue <- new_mutex!(Queue {
                submitted: 0,
                waited_for: 0,
            }),
        }),
        GFP_KERNEL,
    )
}

/// A buffer for each page.
fn register(device: &Arc<Device>, process: &Process) -> Result<KVec<Pin<KBox<Notifier<Buffer>>>>> {
    let mut buffers = KVec::new();
    for start in process.memory.clone().step_by(PAGE_SIZE) {
        let range: Range<usize> = start..start + PAGE_SIZE;
        let init = Notifier::new(&process.mm, range, Ok(Buffer::new(device)));
        buffers.push(KBox::try_pin_init(init, GFP_KERNEL)?, GFP_KERNEL)?;
    }
    Ok(buffers)
}

#[kunit_tests(rust_mmu_notifier_gpu)]
mod tests {
    use super::*;

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let device = new_device()?;
        let buffers = register(&device, &process)?;
        let mut job = KVec::new();
        for buffer in &buffers {
            job.push(&**buffer, GFP_KERNEL)?;
        }
        let bound = || {
            let queue = device.queue.lock();
            buffers.iter().enumerate().fold(0, |bits, (n, buffer)| {
                bits | u8::from(*buffer.bound.access(&queue)) << n
            })
        };

        let submitted = submit(&job, || look_up(&process.mm, &process.memory));
        let all = bound();
        let refused = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        let kept = bound();
        let used = process.change(bound)?;
        let waited_for = device.queue.lock().waited_for;
        // Nothing of it is used any more, so there is nothing to wait for.
        let reaped = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        drop(job);
        drop(buffers);

        assert_eq!(submitted, Ok(()));
        assert_eq!(all, u8::MAX);
        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(kept, u8::MAX);
        assert_eq!(used, LEFT);
        assert_eq!(waited_for, 1);
        assert_eq!(reaped, Ok(()));
        Ok(())
    }

    #[test]
    fn one_overtaken_buffer_is_enough() -> Result {
        let process = Process::new()?;
        let device = new_device()?;
        let buffers = register(&device, &process)?;
        let looked_up = core::cell::Cell::new(0);

        let submitted = submit(&[&buffers[0], &buffers[5], &buffers[7]], || {
            looked_up.set(looked_up.get() + 1);
            if looked_up.get() == 1 {
                let last = process.memory.end - PAGE_SIZE;
                user::dontneed(last, PAGE_SIZE)?;
            }
            Ok(())
        });
        let jobs = device.queue.lock().submitted;
        drop(buffers);

        assert_eq!(submitted, Ok(()));
        assert_eq!(looked_up.get(), 2);
        assert_eq!(jobs, 1);
        Ok(())
    }
}
