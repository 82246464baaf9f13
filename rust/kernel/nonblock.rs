// SPDX-License-Identifier: GPL-2.0

//! Non-blocking sections.
//!
//! In a non-blocking section the current task must not wait for memory, nor for another task that
//! may wait for memory. For example, the OOM reaper calls the [MMU notifiers] of drivers in such a
//! section. If a driver waits there, the system may never get its memory back.
//!
//! There are two ways to get it wrong. The first is to sleep:
//!
//! ```
//! use kernel::{
//!     nonblock::non_block,
//!     time::{
//!         delay::fsleep,
//!         Delta, //
//!     }, //
//! };
//!
//! fn stop_device() {
//!     non_block(|_nb| {
//!         // WRONG: The task sleeps until the device has stopped.
//!         fsleep(Delta::from_millis(1));
//!     });
//! }
//! ```
//!
//! With `CONFIG_DEBUG_ATOMIC_SLEEP` the kernel reports it:
//!
//! ```text
//! BUG: scheduling in a non-blocking section: oom_reaper/31/2
//! ```
//!
//! The second is to wait for a lock that is usually free:
//!
//! ```
//! use kernel::{
//!     nonblock::non_block,
//!     sync::Mutex, //
//! };
//!
//! fn clear(pages: &Mutex<usize>) {
//!     // WRONG: The holder of the mutex may be waiting for memory.
//!     non_block(|_nb| *pages.lock() = 0);
//! }
//! ```
//!
//! This sleeps only if another task holds the mutex, which may not happen in any test. With
//! `CONFIG_PROVE_LOCKING` lockdep reports the lock the first time, even if the mutex is free:
//!
//! ```text
//! [ BUG: Invalid wait context ]
//! oom_reaper/31 is trying to lock:
//! ffff888004f1a0e8 (&mirror->table){+.+.}-{4:4}, at: try_invalidate+0x1d/0x60
//! ```
//!
//! Hence the rule: a section can take spinlocks, try to take other locks, and allocate with
//! [`GFP_NOWAIT`]. If the try or the allocation fails, the section has to give up:
//!
//! ```
//! use kernel::{
//!     nonblock::non_block,
//!     sync::{
//!         new_mutex,
//!         Mutex, //
//!     }, //
//! };
//!
//! fn try_clear(pages: &Mutex<usize>) -> Result {
//!     non_block(|_nb| {
//!         *pages.try_lock().ok_or(EAGAIN)? = 0;
//!         Ok(())
//!     })
//! }
//! # let pages = KBox::pin_init(new_mutex!(3), GFP_KERNEL)?;
//! # try_clear(&pages)?;
//! # assert_eq!(*pages.lock(), 0);
//! # Ok::<(), Error>(())
//! ```
//!
//! Preemption stays enabled. But the OOM reaper waits for the end of a section: with
//! `CONFIG_DEBUG_NON_BLOCK_TIME` the kernel reports one that takes long.
//!
//! The kernel counts the sections of a task in `current->non_block_count`. For lockdep a section is
//! a lock whose holder may only wait for spinlocks. Without `CONFIG_DEBUG_ATOMIC_SLEEP` and lockdep
//! a section compiles to nothing.
//!
//! C header: [`include/linux/kernel.h`](srctree/include/linux/kernel.h)
//!
//! [MMU notifiers]: crate::mm::mmu_notifier
//! [`GFP_NOWAIT`]: crate::alloc::flags::GFP_NOWAIT

use crate::{
    static_lock_map,
    sync::lockdep::LockMapGuard, //
};

static_lock_map! {
    /// All non-blocking sections.
    static NON_BLOCK: LockMap = "non_block", Config;
}

/// Evidence that the current task is in a non-blocking section.
///
/// The section ends when the guard is dropped. Sections nest, and their guards can be dropped in
/// any order.
///
/// A function that must only be called in a section takes a `&NonBlockGuard`. So does a function
/// that promises to respect a section.
///
/// Leaking a guard is safe, for example with [`core::mem::forget`]. But the section then lasts
/// until the task exits: the kernel reports every later sleep of the task, and lockdep reports that
/// the task exits with a lock held. The section of [`non_block`] cannot be leaked.
///
/// # Invariants
///
/// The current task has called `non_block_start()` for this object, and has not yet called the
/// matching `non_block_end()`.
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
/// // A spinlock is allowed in the section.
/// *pages.lock() -= 1;
/// drop(nb);
///
/// assert_eq!(*pages.lock(), 2);
/// # Ok::<(), Error>(())
/// ```
#[must_use = "the non-blocking section ends immediately when the guard is unused"]
pub struct NonBlockGuard {
    _map: LockMapGuard<'static>,
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
        // SAFETY: `non_block_start()` only changes fields of the current task, which may be done at
        // any time.
        unsafe {
            crate::bindings::non_block_start()
        };

        // INVARIANT: The current task started the section just above. The guard stays with this
        // task because `LockMapGuard` is not `Send`.
        Self {
            // A section can begin with any lock held, and in another section, because this does
            // not wait.
            _map: NON_BLOCK.acquire_try_read(),
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
        // SAFETY: By the type invariant the current task has started the section of `self` and has
        // not ended it yet.
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
/// // A mutex can only be tried for.
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
