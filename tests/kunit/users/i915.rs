// SPDX-License-Identifier: GPL-2.0

//! i915: pinned pages that are kept, and a sequence number that shows whether they are still those
//! of the process.

use super::*;
use kernel::mm::mmu_notifier::interval::Stamp;

// [object]
/// An object of user memory.
#[pin_data]
struct Object {
    range: Range<usize>,
    /// Protects nothing but the sequence number of the notifier. i915 has none, although the C
    /// interface requires one.
    #[pin]
    published: SpinLock<()>,
    /// The time at which the pages were pinned, if they were.
    #[pin]
    pinned: Mutex<Option<Stamp>>,
}

impl Operations for Object {
    type State = ();
    type Backend = SpinLockBackend;
    // The pages are pinned, and the device goes on with them: there is no wait.
    type Refusal = Infallible;

    fn lock(&self) -> &SpinLock<()> {
        &self.published
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        op.lock().1
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, Infallible> {
        Ok(op.lock().1)
    }
}

/// Pins the pages, unless those that are pinned still are the right ones, as
/// `i915_gem_object_userptr_submit_init()` does; whether it had to.
fn submit_init(object: &Notifier<Object>) -> Result<bool> {
    let mm = object.mm().mmget_not_zero().ok_or(EFAULT)?;
    let mut pinned = object.pinned.lock();

    let now = object.read_begin().stamp();
    if *pinned == Some(now) {
        return Ok(false);
    }
    look_up(&mm, &object.range)?;
    *pinned = Some(now);
    Ok(true)
}

/// Returns whether the job may be submitted, or must begin again, as
/// `i915_gem_object_userptr_submit_done()` does.
fn submit_done(object: &Notifier<Object>) -> bool {
    let pinned = *object.pinned.lock();

    pinned
        .and_then(|stamp| object.resume(stamp))
        .is_some_and(|seq| seq.lock().is_some())
}
// [object end]

fn register(process: &Process) -> Result<Pin<KBox<Notifier<Object>>>> {
    let range = process.memory.clone();
    let object_range = range.clone();
    let init = try_pin_init!(Object {
        range: object_range,
        published <- new_spinlock!(()),
        pinned <- new_mutex!(None),
    });
    KBox::try_pin_init(Notifier::new(&process.mm, range, init), GFP_KERNEL)
}

#[kunit_tests(rust_mmu_notifier_i915)]
mod tests {
    use super::*;

    #[test]
    fn pins_once_and_again_when_it_must() -> Result {
        let process = Process::new()?;
        let object = register(&process)?;
        let before = submit_done(&object);
        // Pinned anew, and valid until the next change.
        let submit = || Ok::<_, Error>((submit_init(&object)?, submit_done(&object)));

        let first = submit()?;
        let second = submit()?;
        let first_page = process.memory.start;
        user::dontneed(first_page, PAGE_SIZE)?;
        let stale = submit_done(&object);
        let third = submit()?;
        let reaped = kunit::try_invalidate(&process.mm, first_page..first_page + 1);
        let reaped_stale = submit_done(&object);
        let fourth = submit()?;
        user::fork()?;
        let forked = submit_done(&object);
        drop(object);

        assert!(!before);
        assert_eq!(first, (true, true));
        assert_eq!(second, (false, true));
        assert!(!stale);
        assert_eq!(third, (true, true));
        assert_eq!(reaped, Ok(()));
        assert!(!reaped_stale);
        assert_eq!(fourth, (true, true));
        assert!(!forked);
        Ok(())
    }

    #[test]
    fn sees_every_change() -> Result {
        let process = Process::new()?;
        let object = register(&process)?;
        let stamp = object.read_begin().stamp();

        let now = process.change(|| object.read_begin().stamp())?;
        drop(object);

        let mut last = stamp;
        for stamp in now {
            assert!(stamp != last);
            last = stamp;
        }
        Ok(())
    }
}
