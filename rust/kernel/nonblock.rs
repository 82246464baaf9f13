// SPDX-License-Identifier: GPL-2.0

//! Non-blocking sections.
//!
//! A non-blocking section is a stretch of code in which the current task must not wait for
//! anything that may in turn wait for memory: no sleeping lock taken without a try, no allocation
//! that may reclaim, no wait for a completion. Unlike in atomic context preemption stays enabled,
//! so spinlocks, `GFP_NOWAIT` allocations and work that merely takes long are fine.
//!
//! The section is a debugging aid. With `CONFIG_DEBUG_ATOMIC_SLEEP` the C side counts the sections
//! that are open in `current->non_block_count`, and both `might_sleep()` and the scheduler report
//! a task that goes to sleep while the count is not zero:
//!
//! ```text
//! BUG: sleeping function called from invalid context at kernel/locking/mutex.c:591
//! in_atomic(): 0, irqs_disabled(): 0, non_block: 2, pid: 31, name: oom_reaper
//! ```
//!
//! That takes a task that does go to sleep. A mutex that happens to be free does not make it sleep,
//! and on another day does. With `CONFIG_PROVE_LOCKING` the section is also a lock, as far as
//! lockdep is concerned, whose holder may only wait for holders of spinlocks. So a mutex that is
//! taken in it without a try is reported, free or not:
//!
//! ```text
//! [ BUG: Invalid wait context ]
//! oom_reaper/31 is trying to lock:
//! ffff888004f1a0e8 (&mirror->table){+.+.}-{4:4}, at: try_invalidate+0x1d/0x60
//! ```
//!
//! Without these options nothing is left of it, neither in the code nor in the data.
//!
//! The typical user is the OOM reaper: it invalidates the memory of a dying process through the
//! [MMU notifiers] of drivers, and has to give up on a driver that would block.
//!
//! C header: [`include/linux/kernel.h`](srctree/include/linux/kernel.h)
//!
//! [MMU notifiers]: crate::mm::mmu_notifier

use crate::{
    static_lock_map,
    sync::lockdep::LockMapGuard,
    types::NotThreadSafe, //
};

static_lock_map! {
    /// All non-blocking sections.
    static NON_BLOCK: LockMap = "non_block", Config;
}

/// Evidence that the current task is in a non-blocking section.
///
/// The section ends when the guard is dropped. Sections nest, and because they are merely counted
/// it does not matter in which order their guards are dropped.
///
/// A function that must only be called in a non-blocking section, or that wants to be seen to
/// respect one, takes a `&NonBlockGuard`.
///
/// Leaking a guard, for example with [`core::mem::forget`], is safe but never right: the section
/// then lasts until the task exits, and every sleep of the task from there on is reported, and so
/// is the exit, which must not be made with locks held.
///
/// See [`non_block`] for a section that cannot be leaked.
///
/// # Invariants
///
/// `non_block_start()` was called on the current task for this object, and the matching
/// `non_block_end()` has not been called yet. If lockdep is there, the current task holds
/// `NON_BLOCK`.
///
/// # Examples
///
/// ```
/// use kernel::{
///     new_spinlock,
///     nonblock::NonBlockGuard, //
/// };
///
/// pin_init::stack_pin_init! {
///     let pages = new_spinlock!(3)
/// }
///
/// let nb = NonBlockGuard::new();
/// // A spinlock does not sleep, so it may be taken in the section.
/// *pages.lock() -= 1;
/// drop(nb);
///
/// assert_eq!(*pages.lock(), 2);
/// # Ok::<(), Error>(())
/// ```
#[must_use = "the non-blocking section ends immediately when the guard is unused"]
pub struct NonBlockGuard {
    _map: LockMapGuard<'static>,
    _not_send: NotThreadSafe,
}

impl NonBlockGuard {
    /// Starts a non-blocking section of the current task.
    ///
    /// It may be called in any context and does not sleep.
    ///
    /// Equivalent to the C macro [`non_block_start()`].
    ///
    /// [`non_block_start()`]: srctree/include/linux/kernel.h
    #[doc(alias = "non_block_start")]
    #[inline]
    pub fn new() -> Self {
        #[cfg(CONFIG_DEBUG_ATOMIC_SLEEP)]
        // SAFETY: `non_block_start()` only increments a counter of the current task, which may be
        // done at any time.
        unsafe {
            crate::bindings::non_block_start()
        };

        // INVARIANT: The section was started just above, on the current task, where the guard
        // stays because it is not `Send`.
        Self {
            // Sections nest, and may be begun with any lock held: they wait for nobody.
            _map: NON_BLOCK.acquire_try_read(),
            _not_send: NotThreadSafe,
        }
    }
}

impl Default for NonBlockGuard {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for NonBlockGuard {
    #[inline]
    fn drop(&mut self) {
        #[cfg(CONFIG_DEBUG_ATOMIC_SLEEP)]
        // SAFETY: By the type invariant the section that `self` stands for is still open, and it
        // is one of the current task.
        unsafe {
            crate::bindings::non_block_end()
        };
    }
}

/// Runs `f` in a non-blocking section of the current task.
///
/// The section ends when `f` returns: `f` only borrows the guard and so cannot leak it.
///
/// It may be called in any context and does not itself sleep.
///
/// # Examples
///
/// ```
/// use kernel::{
///     new_mutex,
///     nonblock::non_block, //
/// };
///
/// pin_init::stack_pin_init! {
///     let pages = new_mutex!(3)
/// }
///
/// // A mutex may only be tried for.
/// let released = non_block(|_nb| {
///     let Some(mut pages) = pages.try_lock() else {
///         return false;
///     };
///     *pages = 0;
///     true
/// });
///
/// assert!(released);
/// # Ok::<(), Error>(())
/// ```
#[inline]
pub fn non_block<R>(f: impl FnOnce(&NonBlockGuard) -> R) -> R {
    f(&NonBlockGuard::new())
}
