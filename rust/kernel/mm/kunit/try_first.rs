// SPDX-License-Identifier: GPL-2.0

//! Tests that count callbacks, with `CONFIG_DEBUG_MMU_NOTIFIER`.

#[cfg(CONFIG_DEBUG_MMU_NOTIFIER)]
use crate::{
    bindings,
    prelude::*,
    sync::atomic::{
        xchg,
        Relaxed, //
    }, //
};

/// Keeps invalidations from being tried without blocking first, as long as it exists.
///
/// With `CONFIG_DEBUG_MMU_NOTIFIER` a blocking invalidation begins as a non-blocking one. Callbacks
/// are then called more often, or only the non-blocking ones. This is for a test that counts calls.
/// It holds for all address spaces, so only one test at a time can have it. Without the option it
/// does nothing.
///
/// # Examples
///
/// ```
/// use kernel::mm::kunit::NotTriedFirst;
///
/// let _exact = NotTriedFirst::new();
/// // Now `munmap()` calls only the blocking callback, once.
/// ```
#[must_use = "invalidations are tried first again immediately when it is unused"]
pub struct NotTriedFirst {
    #[cfg(CONFIG_DEBUG_MMU_NOTIFIER)]
    every: c_uint,
}

impl NotTriedFirst {
    /// Stops trying invalidations first, until it is dropped.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self {
            #[cfg(CONFIG_DEBUG_MMU_NOTIFIER)]
            every: exchange(0),
        }
    }
}

#[cfg(CONFIG_DEBUG_MMU_NOTIFIER)]
impl Drop for NotTriedFirst {
    fn drop(&mut self) {
        exchange(self.every);
    }
}

/// Sets the parameter `mmu_notifier.try_first`, and returns its old value.
#[cfg(CONFIG_DEBUG_MMU_NOTIFIER)]
fn exchange(every: c_uint) -> c_uint {
    // SAFETY: The parameter is a static variable, which the core reads with `READ_ONCE()`. A write
    // through sysfs stores a whole word.
    unsafe { xchg(&raw mut bindings::mmu_notifier_try_first, every, Relaxed) }
}
