// SPDX-License-Identifier: GPL-2.0

//! hfi1: pinned pages. One notifier for all of a process with a tree of ranges of its own, and
//! interval notifiers that only care for unmaps.

use super::*;
use kernel::{
    mm::mmu_notifier::{
        interval,
        Range, //
    },
    rbtree::{
        RBTree,
        RBTreeNode, //
    }, //
};

// [handler]
/// The ranges that a process has pinned, `struct mmu_rb_handler`.
#[pin_data]
struct Handler {
    #[pin]
    nodes: SpinLock<Nodes>,
    #[pin]
    del_work: Work<Handler>,
}

/// Ranges by the addresses they end at. They do not overlap.
struct Nodes {
    pinned: RBTree<usize, Node>,
    /// Ranges that a callback took out, to be unpinned in a context that may sleep.
    gone: RBTree<usize, Node>,
}

/// A range.
struct Node {
    start: usize,
}

impl Handler {
    fn evict(self: &Arc<Self>, range: Range<'_>) {
        let mut nodes = self.nodes.lock();
        let mut any = false;

        // The first one that ends behind the start of the range is the first that may overlap. A
        // node goes from one tree to the other as it is, so nothing is allocated.
        while let Some(node) = nodes.first_of(&range) {
            nodes.gone.insert(node);
            any = true;
        }
        drop(nodes);

        if any {
            // If it is queued already it has not begun yet.
            let _ = workqueue::system().enqueue(self.clone());
        }
    }
}

impl Nodes {
    fn first_of(&mut self, range: &Range<'_>) -> Option<RBTreeNode<usize, Node>> {
        let first = self.pinned.cursor_lower_bound_mut(&(range.start() + 1))?;
        let (&end, node) = first.current();

        range
            .overlaps(&(node.start..end))
            .then(|| first.remove_current().1)
    }
}

/// What is registered: work is queued with a reference to its data.
struct Listener(Arc<Handler>);

#[vtable]
impl list::Operations for Listener {
    // A spinlock and a work item: there is nothing to wait for.
    type Refusal = Infallible;

    fn start(&self, range: Range<'_>) {
        self.0.evict(range);
    }

    fn try_start(&self, range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
        self.0.evict(range);
        Ok(())
    }
}

impl_has_work! {
    impl HasWork<Self> for Handler { self.del_work }
}

impl WorkItem for Handler {
    type Pointer = Arc<Self>;

    fn run(handler: Arc<Self>) {
        let gone = core::mem::take(&mut handler.nodes.lock().gone);
        // A driver unpins the pages here.
        drop(gone);
    }
}
// [handler end]

// [tid]
/// Pages that the device receives into, `struct tid_rb_node`. They are pinned, so only an unmap
/// changes their meaning to the process.
#[pin_data]
struct Tid {
    /// Whether to notify the process of the lost range.
    #[pin]
    gone: Mutex<bool>,
}

impl interval::Operations for Tid {
    type State = bool;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<bool> {
        &self.gone
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let unmapped = op.event() == Event::Unmap;
        let (mut gone, done) = op.lock();
        *gone |= unmapped;
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        // C takes the mutex, and is only saved by the OOM reaper's event not being this one.
        let unmapped = op.event() == Event::Unmap;
        let (mut gone, done) = op.try_lock()?;
        *gone |= unmapped;
        Ok(done)
    }
}
// [tid end]

// [cover]
/// Pins the pages of a buffer, unless it is unmapped meanwhile, as
/// `hfi1_user_exp_rcv_setup()` does.
fn pin(mm: &MmWithUser, buffer: ops::Range<usize>, pin: impl FnOnce() -> Result) -> Result {
    let data = try_pin_init!(Tid {
        gone <- new_mutex!(false),
    });
    // For as long as the function runs.
    pin_init::stack_try_pin_init! {
        let cover =? Notifier::new(mm, buffer, data)
    };

    let seq = cover.read_begin();
    pin()?;
    let guard = seq.lock();
    if guard.is_none() {
        return Err(EBUSY);
    }
    Ok(())
}
// [cover end]

fn new_handler() -> Result<Arc<Handler>> {
    Arc::pin_init(
        pin_init!(Handler {
            nodes <- new_spinlock!(Nodes {
                pinned: RBTree::new(),
                gone: RBTree::new(),
            }),
            del_work <- new_work!(),
        }),
        GFP_KERNEL,
    )
}

#[kunit_tests(rust_mmu_notifier_hfi1)]
mod tests {
    use super::*;

    #[test]
    fn evicts_what_changes() -> Result {
        let process = Process::new()?;
        let handler = new_handler()?;
        let listener: Pin<KBox<list::Notifier<Listener>>> = KBox::try_pin_init(
            list::Notifier::new(&process.mm, Ok(Listener(handler.clone()))),
            GFP_KERNEL,
        )?;
        let page = |n| process.memory.start + n * PAGE_SIZE;
        // Two pages each, so half of a range takes all of it.
        for n in [0, 2, 4, 6] {
            let node = RBTreeNode::new(page(n + 2), Node { start: page(n) }, GFP_KERNEL)?;
            handler.nodes.lock().pinned.insert(node);
        }
        let left = || handler.nodes.lock().pinned.iter().count();

        process.munmap(page(3), PAGE_SIZE)?;
        let unmapped = left();
        user::dontneed(page(4), 2 * PAGE_SIZE)?;
        let forgotten = left();
        let reaped = kunit::try_invalidate(&process.mm, page(1) + 1..page(1) + 2);
        let last = left();
        let beside = kunit::try_invalidate(&process.mm, 0..page(6));
        let beside = beside.map(|()| left());
        user::fork()?;
        let forked = left();
        drop(listener);
        let unpinned = wait_until(|| handler.nodes.lock().gone.is_empty());

        assert_eq!(unmapped, 3);
        assert_eq!(forgotten, 2);
        assert_eq!(reaped, Ok(()));
        assert_eq!(last, 1);
        assert_eq!(beside, Ok(1));
        assert_eq!(forked, 0);
        assert!(unpinned);
        Ok(())
    }

    #[test]
    fn only_unmaps_matter() -> Result {
        let process = Process::new()?;
        let mut tids = KVec::new();
        for start in process.memory.clone().step_by(PAGE_SIZE) {
            let init = try_pin_init!(Tid {
                gone <- new_mutex!(false),
            });
            let init = Notifier::new(&process.mm, start..start + PAGE_SIZE, init);
            let tid: Pin<KBox<Notifier<Tid>>> = KBox::try_pin_init(init, GFP_KERNEL)?;
            tids.push(tid, GFP_KERNEL)?;
        }

        let reaped = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        let left = process.change(|| {
            tids.iter()
                .enumerate()
                .fold(0, |bits, (n, tid)| bits | u8::from(!*tid.gone.lock()) << n)
        })?;
        drop(tids);

        assert_eq!(reaped, Ok(()));
        // Neither the reaper nor mprotect, madvise or fork, but mremap.
        let (munmap, mremap) = (0b1111_1110, 0b1111_1010);
        assert_eq!(left, [munmap, munmap, mremap, mremap, mremap]);
        Ok(())
    }

    #[test]
    fn cover_lasts_for_the_call() -> Result {
        let process = Process::new()?;
        let memory = process.memory.clone();
        let look = || look_up(&process.mm, &memory);

        let quiet = pin(&process.mm, memory.clone(), look);
        let forgotten = pin(&process.mm, memory.clone(), || {
            look()?;
            user::dontneed(memory.start, PAGE_SIZE)
        });
        let unmapped = pin(&process.mm, memory.clone(), || {
            look()?;
            process.munmap(memory.start, PAGE_SIZE)
        });

        assert_eq!(quiet, Ok(()));
        // C lets this pass, because the pages are pinned. Here it costs another try.
        assert_eq!(forgotten, Err(EBUSY));
        assert_eq!(unmapped, Err(EBUSY));
        Ok(())
    }
}
