// SPDX-License-Identifier: GPL-2.0

//! lib/test_hmm.c: all of an address space, snapshots on the stack, and one mutex for both.

use super::*;

// [mirror]
/// The mirror of a process, `struct dmirror`.
#[pin_data]
struct Dmirror {
    memory: ops::Range<usize>,
    #[pin]
    pt: Mutex<Table>,
    /// The device, whose address names it as the owner of its migrations.
    mdevice: Arc<u64>,
}

/// The notifier for the whole address space.
struct Mirror(Arc<Dmirror>);

impl Operations for Mirror {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        &self.0.pt
    }

    /// A driver that migrates a page to its own memory needs no callback.
    fn is_own(&self, owner: Owner) -> bool {
        owner.is(&*self.0.mdevice)
    }

    /// `dmirror_interval_invalidate()`.
    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        // The table is for a part of the notifier's range only.
        let pages = op.unclipped_range().pages(&self.0.memory);
        let (mut pt, done) = op.lock();
        pt.remove(pages);
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        // The table is for a part of the notifier's range only.
        let pages = op.unclipped_range().pages(&self.0.memory);
        let (mut pt, done) = op.try_lock()?;
        pt.remove(pages);
        Ok(done)
    }
}

/// `dmirror_fops_open()`.
fn open(process: &Process, dmirror: &Arc<Dmirror>) -> Result<Pin<KBox<Notifier<Mirror>>>> {
    let all = 0..usize::MAX & PAGE_MASK;
    let mirror = Mirror(dmirror.clone());
    KBox::try_pin_init(Notifier::new(&process.mm, all, Ok(mirror)), GFP_KERNEL)
}
// [mirror end]

// [snapshot]
/// The notifier for one snapshot, which changes nothing.
struct Snapshot(Arc<Dmirror>);

impl Operations for Snapshot {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        &self.0.pt
    }

    /// `dmirror_snapshot_invalidate()`.
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

/// Returns the memory that the device uses, at a moment without a change since `look_up` began.
fn snapshot(process: &Process, dmirror: &Arc<Dmirror>, look_up: impl Fn() -> Result) -> Result<u8> {
    let memory = dmirror.memory.clone();
    let init = Notifier::new(&process.mm, memory, Ok(Snapshot(dmirror.clone())));
    pin_init::stack_try_pin_init! {
        let notifier =? init
    };

    loop {
        let seq = notifier.read_begin();
        look_up()?;
        let Some(pt) = seq.lock() else {
            continue;
        };
        return Ok(pt.pages);
    }
}
// [snapshot end]

#[kunit_tests(rust_mmu_notifier_test_hmm)]
mod tests {
    use super::*;

    fn new_dmirror(process: &Process) -> Result<Arc<Dmirror>> {
        let memory = process.memory.clone();
        let table = Table::new(&memory);
        let mdevice = Arc::new(0, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Dmirror {
                memory,
                pt <- new_mutex!(table),
                mdevice,
            }),
            GFP_KERNEL,
        )
    }

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let dmirror = new_dmirror(&process)?;
        let mirror = open(&process, &dmirror)?;
        let used = || dmirror.pt.lock().pages;

        dmirror.pt.lock().fill();
        let left = process.change(used)?;
        dmirror.pt.lock().fill();
        let held = dmirror.pt.lock();
        let refused = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        drop(held);
        let reaped = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        let none = used();
        drop(mirror);

        assert_eq!(left, LEFT);
        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(reaped, Ok(()));
        assert_eq!(none, 0);
        Ok(())
    }

    #[test]
    fn own_migrations_do_not_count() -> Result {
        let process = Process::new()?;
        let dmirror = new_dmirror(&process)?;
        let mirror = open(&process, &dmirror)?;
        let other = 0_u64;
        let migrate = |owner: &u64| {
            dmirror.pt.lock().fill();
            let event = Event::Migrate(Owner::of(owner));
            drop(kunit::Invalidation::start(
                &process.mm,
                process.memory.clone(),
                event,
            )?);
            Ok::<_, Error>(dmirror.pt.lock().pages)
        };

        let own = migrate(&dmirror.mdevice);
        let foreign = migrate(&other);
        drop(mirror);

        assert_eq!(own, Ok(u8::MAX));
        assert_eq!(foreign, Ok(0));
        Ok(())
    }

    #[test]
    fn snapshot_is_of_one_moment() -> Result {
        let process = Process::new()?;
        let dmirror = new_dmirror(&process)?;
        let mirror = open(&process, &dmirror)?;
        let looked_up = core::cell::Cell::new(0);

        dmirror.pt.lock().fill();
        let seen = snapshot(&process, &dmirror, || {
            looked_up.set(looked_up.get() + 1);
            if looked_up.get() == 1 {
                user::dontneed(process.memory.start, PAGE_SIZE)?;
            }
            look_up(&process.mm, &process.memory)
        });
        drop(mirror);

        assert_eq!(seen, Ok(0b1111_1110));
        assert_eq!(looked_up.get(), 2);
        Ok(())
    }
}
