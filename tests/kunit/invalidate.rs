// SPDX-License-Identifier: GPL-2.0

//! Invalidations that wait for a lock of the test, which the core does not make.

use crate::prelude::*;
use core::{
    ops::Range,
    ptr, //
};
use kernel::{
    bindings,
    error::to_result,
    mm::mmu_notifier::interval::{
        Notifier,
        Operations, //
    }, //
};

/// Invalidates a range in another task, and returns when a callback waits for the lock that the
/// test holds.
pub(crate) fn waiting(mm: &Mm, addrs: Range<usize>) -> Result<Task> {
    let mm = ARef::from(mm);

    Task::run_until_it_sleeps(move || {
        // The test checks whether it took place.
        let _ = kunit::invalidate(&mm, addrs);
    })
}

/// Runs `read` in another task, behind an invalidation that waits for the same lock, and returns
/// its result.
///
/// `guard` holds the lock until both wait.
pub(crate) fn before_reader<G>(
    mm: &Mm,
    addrs: Range<usize>,
    guard: G,
    read: impl FnOnce() -> bool + Send + 'static,
) -> Result<bool> {
    // `guard` belongs to a lock of the callbacks, so the allocation must not reclaim.
    let valid = Arc::new(Atomic::new(false), GFP_ATOMIC)?;
    let result = valid.clone();
    let invalidation = waiting(mm, addrs)?;
    let reader = Task::run_until_it_sleeps(move || result.store(read(), Relaxed))?;

    drop(guard);
    invalidation.wait();
    reader.wait();
    Ok(valid.load(Relaxed))
}

/// Invalidates a range for one notifier, as the work item does that makes a refusal good.
pub(crate) fn one<T: Operations>(notifier: &Notifier<T>, addrs: Range<usize>) {
    let inner = ptr::from_ref(notifier).cast_mut().cast();

    // SAFETY: The C object is at the address of the notifier, which is registered.
    unsafe { bindings::mmu_interval_notifier_invalidate(inner, addrs.start, addrs.end) };
}

/// Invalidates a range for an event that has no owner, with an owner nevertheless.
pub(crate) fn clear_by<T>(mm: &Mm, addrs: Range<usize>, owner: &T) -> Result {
    let mut range = bindings::mmu_notifier_range {
        mm: mm.as_raw(),
        start: addrs.start,
        end: addrs.end,
        flags: bindings::MMU_NOTIFIER_RANGE_BLOCKABLE,
        event: bindings::mmu_notifier_event_MMU_NOTIFY_CLEAR,
        owner: ptr::from_ref(owner).cast_mut().cast(),
    };

    // SAFETY: The range is initialized, and the address space has a notifier of the test.
    to_result(unsafe { bindings::__mmu_notifier_invalidate_range_start(&mut range) })?;
    // SAFETY: As above, and the invalidation was started.
    unsafe { bindings::__mmu_notifier_invalidate_range_end(&mut range) };
    Ok(())
}
