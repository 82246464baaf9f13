// SPDX-License-Identifier: GPL-2.0

//! Invalidations that no process brings about by itself.

use crate::task::Task;
use core::ops;
use kernel::{
    bindings,
    error::to_result,
    mm::Mm,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// Invalidates a range, as the OOM reaper does, and reports it done if no notifier refused.
pub(crate) fn nonblock(mm: &Mm, start: usize, end: usize) -> Result {
    let event = bindings::mmu_notifier_event_MMU_NOTIFY_CLEAR;
    self::event(mm, start..end, event, &())
}

/// Like [`nonblock`], for any event.
pub(crate) fn event<T>(
    mm: &Mm,
    addrs: ops::Range<usize>,
    event: c_uint,
    owner: *const T,
) -> Result {
    invalidate(mm, addrs, 0, event, owner, || ())
}

/// Invalidates a range, and can wait.
pub(crate) fn blocking(mm: &Mm, start: usize, end: usize) -> Result {
    let event = bindings::mmu_notifier_event_MMU_NOTIFY_CLEAR;
    blocking_event(mm, start..end, event, &())
}

/// Like [`blocking`], for any event.
pub(crate) fn blocking_event<T>(
    mm: &Mm,
    addrs: ops::Range<usize>,
    event: c_uint,
    owner: *const T,
) -> Result {
    let flags = bindings::MMU_NOTIFIER_RANGE_BLOCKABLE;
    invalidate(mm, addrs, flags, event, owner, || ())
}

/// Like [`blocking`], and calls `f` when all notifiers have been told that it starts.
pub(crate) fn with(mm: &Mm, start: usize, end: usize, f: impl FnOnce()) -> Result {
    let flags = bindings::MMU_NOTIFIER_RANGE_BLOCKABLE;
    let event = bindings::mmu_notifier_event_MMU_NOTIFY_CLEAR;
    invalidate(mm, start..end, flags, event, &(), f)
}

/// Invalidates a range in another task, and returns when a callback waits for the lock that the
/// test holds.
pub(crate) fn waiting(mm: &Mm, addrs: ops::Range<usize>) -> Result<Task> {
    let mm = ARef::from(mm);

    Task::run_until_it_sleeps(move || {
        // The test checks whether it took place.
        let _ = blocking(&mm, addrs.start, addrs.end);
    })
}

/// Runs `read` in another task, behind an invalidation that waits for the same lock, and returns
/// its result.
///
/// `guard` holds the lock until both wait.
pub(crate) fn before_reader<G>(
    mm: &Mm,
    addrs: ops::Range<usize>,
    guard: G,
    read: impl FnOnce() -> bool + Send + 'static,
) -> Result<bool> {
    // `guard` is that of a lock that callbacks take, so that the allocation must not reclaim.
    let valid = Arc::new(Atomic::new(false), GFP_ATOMIC)?;
    let result = valid.clone();
    let invalidation = waiting(mm, addrs)?;
    let reader = Task::run_until_it_sleeps(move || result.store(read(), Relaxed))?;

    drop(guard);
    invalidation.wait();
    reader.wait();
    Ok(valid.load(Relaxed))
}

/// Like [`blocking`] and [`nonblock`], with lockdep told of it as the core does.
///
/// The others do without, so that a test can hold a lock that callbacks take.
#[cfg(CONFIG_PROVE_LOCKING)]
pub(crate) fn told(mm: &Mm, addrs: ops::Range<usize>, blockable: bool) -> Result {
    let flags = if blockable {
        bindings::MMU_NOTIFIER_RANGE_BLOCKABLE
    } else {
        0
    };
    let event = bindings::mmu_notifier_event_MMU_NOTIFY_CLEAR;
    let start = |range: &mut _| {
        // SAFETY: Only lockdep is told of it.
        unsafe { bindings::mmu_notifier_invalidate_map_acquire() };
        let result = start(range);
        // SAFETY: It was acquired above.
        unsafe { bindings::mmu_notifier_invalidate_map_release() };
        result
    };

    invalidate_with(mm, addrs, flags, event, &(), start, || ())
}

fn start(range: &mut bindings::mmu_notifier_range) -> Result {
    // SAFETY: The range is initialized, and its address space has notifiers.
    to_result(unsafe { bindings::__mmu_notifier_invalidate_range_start(range) })
}

fn invalidate<T>(
    mm: &Mm,
    addrs: ops::Range<usize>,
    flags: c_uint,
    event: c_uint,
    owner: *const T,
    f: impl FnOnce(),
) -> Result {
    invalidate_with(mm, addrs, flags, event, owner, start, f)
}

fn invalidate_with<T>(
    mm: &Mm,
    addrs: ops::Range<usize>,
    flags: c_uint,
    event: c_uint,
    owner: *const T,
    start: impl FnOnce(&mut bindings::mmu_notifier_range) -> Result,
    f: impl FnOnce(),
) -> Result {
    // SAFETY: `mm` is valid, and its notifiers are only ever set once.
    if unsafe { (*mm.as_raw()).__bindgen_anon_1.notifier_subscriptions }.is_null() {
        return Err(EINVAL);
    }

    let mut range = bindings::mmu_notifier_range {
        mm: mm.as_raw(),
        start: addrs.start,
        end: addrs.end,
        flags,
        event,
        owner: owner.cast_mut().cast(),
    };

    start(&mut range)?;
    f();
    // SAFETY: As above, and the invalidation was started.
    unsafe { bindings::__mmu_notifier_invalidate_range_end(&mut range) };
    Ok(())
}
