// SPDX-License-Identifier: GPL-2.0

//! Lockdep annotations.
//!
//! Lockdep knows the locks of the kernel. But tasks also wait for other things, for example for a
//! device or a work item, and a lock can be part of such a deadlock, too:
//!
//! - A task locks a mutex and waits for the device.
//! - The device is only done after a work item has locked the same mutex.
//!
//! A [`LockMap`] makes lockdep see this. The task calls [`LockMap::might_acquire`] before it waits,
//! and the work item holds the map while it runs. Lockdep then reports the deadlock as soon as each
//! half has run once, even if the two have never run at the same time.
//!
//! Without `CONFIG_LOCKDEP` a map has no size, and the annotations compile to nothing.
//!
//! Reference: [lockdep-design.rst](srctree/Documentation/locking/lockdep-design.rst)
//!
//! C header: [`include/linux/lockdep.h`](srctree/include/linux/lockdep.h)

use super::LockClassKey;
#[cfg(CONFIG_LOCKDEP)]
use crate::{
    bindings,
    str::{
        as_char_ptr_in_const_context,
        CStrExt as _, //
    },
    types::Opaque, //
};
use crate::{
    prelude::*,
    types::NotThreadSafe, //
};
use core::marker::{
    PhantomData,
    PhantomPinned, //
};

/// The locks that a task may wait for while it holds a [`LockMap`].
///
/// Each type allows the locks of those above it. Lockdep reports an "Invalid wait context" if the
/// task waits for another lock, even if that lock is free. A trylock does not wait, and so is
/// always allowed.
///
/// A map itself counts as a lock of its type. For example, a [`Sleep`](WaitType::Sleep) map must
/// not be waited for with a spinlock held.
///
/// Corresponds to the C type `enum lockdep_wait_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitType {
    /// Raw spinlocks. `LD_WAIT_SPIN`.
    Spin,
    /// Spinlocks, which sleep with `CONFIG_PREEMPT_RT`. `LD_WAIT_CONFIG`.
    Config,
    /// Locks that sleep, for example mutexes. `LD_WAIT_SLEEP`.
    Sleep,
    /// All locks: lockdep does not check the type. `LD_WAIT_INV`.
    Unchecked,
}

#[cfg(CONFIG_LOCKDEP)]
impl WaitType {
    const fn as_raw(self) -> u8 {
        let raw = match self {
            Self::Spin => bindings::lockdep_wait_type_LD_WAIT_SPIN,
            Self::Config => bindings::lockdep_wait_type_LD_WAIT_CONFIG,
            Self::Sleep => bindings::lockdep_wait_type_LD_WAIT_SLEEP,
            Self::Unchecked => bindings::lockdep_wait_type_LD_WAIT_INV,
        };
        // CAST: There are fewer than 256 types, and the field of the C type is a `u8`.
        raw as u8
    }
}

/// A lock known only to lockdep, for another event that tasks wait for.
///
/// A map is a `static`, see [`static_lock_map!`], or a field of a pinned structure, see
/// [`LockMap::new`].
///
/// Corresponds to the C type `struct lockdep_map`.
///
/// # Examples
///
/// A driver that waits for its device:
///
/// ```
/// use kernel::sync::{
///     lockdep::static_lock_map,
///     Mutex, //
/// };
///
/// static_lock_map! {
///     /// The answer of the device.
///     static ANSWER: LockMap = "answer", Unchecked;
/// }
///
/// /// Waits until the device is done.
/// fn wait() {
///     ANSWER.might_acquire();
///     // Here the driver sleeps.
/// }
///
/// /// Handles the interrupt of the device, and wakes up the driver.
/// fn handle_answer(queue: &Mutex<usize>) {
///     let _answer = ANSWER.acquire();
///     // Waiting with the queue locked would deadlock; lockdep reports it.
///     *queue.lock() -= 1;
/// }
/// # let queue = KBox::pin_init(kernel::new_mutex!(1), GFP_KERNEL)?;
/// # wait();
/// # handle_answer(&queue);
/// # assert_eq!(*queue.lock(), 0);
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `inner` is an initialized `struct lockdep_map`. Its name is `'static`. So is its key, which is
/// the map itself if the key is null.
#[pin_data]
pub struct LockMap {
    #[cfg(CONFIG_LOCKDEP)]
    #[pin]
    inner: Opaque<bindings::lockdep_map>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: Lockdep keeps the address of a held map, but does not follow it.
unsafe impl Send for LockMap {}
// SAFETY: Lockdep does its own locking.
unsafe impl Sync for LockMap {}

impl LockMap {
    /// Initializes a map whose holders may wait for the locks in `wait`.
    ///
    /// All maps with the same `key` form a class: if lockdep sees an order of locks with one of
    /// them, it assumes the same order for all.
    ///
    /// Equivalent to the C function `lockdep_init_map_wait()`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::{
    ///     lockdep::{
    ///         LockMap,
    ///         WaitType, //
    ///     },
    ///     static_lock_class, //
    /// };
    ///
    /// #[pin_data]
    /// struct Queue {
    ///     /// The end of all jobs.
    ///     #[pin]
    ///     idle: LockMap,
    /// }
    ///
    /// let queue = KBox::pin_init(
    ///     pin_init!(Queue {
    ///         idle <- LockMap::new(c"idle", static_lock_class!(), WaitType::Sleep),
    ///     }),
    ///     GFP_KERNEL,
    /// )?;
    ///
    /// queue.idle.might_acquire();
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
        wait: WaitType,
    ) -> impl PinInit<Self> {
        #[cfg(CONFIG_LOCKDEP)]
        {
            // INVARIANT: The map is initialized below, and `name` and `key` are `'static`.
            pin_init!(Self {
                inner <- Opaque::ffi_init(move |map| {
                    // SAFETY: `map` is valid for writes, and `name` and `key` are `'static`.
                    unsafe {
                        bindings::lockdep_init_map_type(
                            map,
                            name.as_char_ptr(),
                            key.as_ptr(),
                            0,
                            wait.as_raw(),
                            WaitType::Unchecked.as_raw(),
                            0,
                        )
                    }
                }),
                _pin: PhantomPinned,
            })
        }
        #[cfg(not(CONFIG_LOCKDEP))]
        {
            let _ = (name, key, wait);
            pin_init!(Self {
                _pin: PhantomPinned
            })
        }
    }

    /// Creates a map for a `static`; see [`static_lock_map!`].
    ///
    /// # Safety
    ///
    /// The result must be put into a `static`.
    #[doc(hidden)]
    pub const unsafe fn new_static(name: &'static CStr, wait: WaitType) -> Self {
        #[cfg(not(CONFIG_LOCKDEP))]
        let _ = (name, wait);

        // INVARIANT: Initialized as a static lock of C, for example by `DEFINE_MUTEX()`. The name
        // is `'static`, and so is the map by the safety requirement.
        Self {
            #[cfg(CONFIG_LOCKDEP)]
            inner: Opaque::new(bindings::lockdep_map {
                name: as_char_ptr_in_const_context(name),
                wait_type_inner: wait.as_raw(),
                ..pin_init::zeroed()
            }),
            _pin: PhantomPinned,
        }
    }

    /// Acquires the map as a lock with one holder, for which tasks wait.
    ///
    /// Equivalent to the C macro `lock_map_acquire()`.
    #[inline]
    pub fn acquire(&self) -> LockMapGuard<'_> {
        self.acquire_with::<EXCLUSIVE, false>()
    }

    /// Acquires the map as a trylock, which does not wait.
    ///
    /// Equivalent to the C macro `lock_map_acquire_try()`.
    #[inline]
    pub fn acquire_try(&self) -> LockMapGuard<'_> {
        self.acquire_with::<EXCLUSIVE, true>()
    }

    /// Acquires the map as a trylock that has any number of readers. A task can be a reader more
    /// than once.
    ///
    /// Equivalent to the C macro `lock_map_acquire_tryread()`.
    #[inline]
    pub fn acquire_try_read(&self) -> LockMapGuard<'_> {
        self.acquire_with::<RECURSIVE_READ, true>()
    }

    /// Acquires and releases the map.
    ///
    /// Call it before a wait, even if there turns out to be nothing to wait for.
    #[inline]
    pub fn might_acquire(&self) {
        drop(self.acquire());
    }

    /// Warns if the current task does not hold the map.
    ///
    /// Equivalent to the C macro `lockdep_assert_held()`.
    #[inline]
    pub fn assert_held(&self) {
        // SAFETY: By the type invariant the map is initialized.
        #[cfg(CONFIG_LOCKDEP)]
        unsafe {
            bindings::lock_map_assert_held(self.inner.get())
        };
    }

    #[inline]
    fn acquire_with<const READ: c_int, const TRY: bool>(&self) -> LockMapGuard<'_> {
        // SAFETY: By the type invariant the map is initialized. Lockdep keeps the address of the
        // map until it is released, but does not follow it, so the map may be gone before.
        #[cfg(CONFIG_LOCKDEP)]
        unsafe {
            bindings::lock_map_acquire(self.inner.get(), TRY, READ)
        };

        // INVARIANT: The current task acquired the map just above. The guard stays with this task
        // because it is not `Send`.
        LockMapGuard {
            #[cfg(CONFIG_LOCKDEP)]
            map: self,
            _map: PhantomData,
            _not_send: NotThreadSafe,
        }
    }
}

// The argument `read` of `lock_acquire()`.
const EXCLUSIVE: c_int = 0;
const RECURSIVE_READ: c_int = 2;

/// Evidence that the current task holds a [`LockMap`].
///
/// Guards can be dropped in any order.
///
/// # Invariants
///
/// The current task has acquired `map` for this guard.
#[must_use = "the map is released immediately when the guard is unused"]
pub struct LockMapGuard<'a> {
    #[cfg(CONFIG_LOCKDEP)]
    map: &'a LockMap,
    _map: PhantomData<&'a LockMap>,
    _not_send: NotThreadSafe,
}

#[cfg(CONFIG_LOCKDEP)]
impl Drop for LockMapGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the current task holds the map.
        unsafe { bindings::lock_map_release(self.map.inner.get()) };
    }
}

/// Defines a static [`LockMap`] with its name and one of the variants of [`WaitType`].
///
/// # Examples
///
/// ```
/// use kernel::sync::lockdep::static_lock_map;
///
/// static_lock_map! {
///     /// A part of the driver that must only wait for spinlocks.
///     pub(crate) static FAST_PATH: LockMap = "fast_path", Config;
/// }
///
/// let section = FAST_PATH.acquire_try();
/// FAST_PATH.assert_held();
/// drop(section);
/// ```
#[macro_export]
macro_rules! static_lock_map {
    ($(#[$attr:meta])* $vis:vis static $map:ident: LockMap = $name:literal, $wait:ident;) => {
        $(#[$attr])*
        $vis static $map: $crate::sync::lockdep::LockMap =
            // SAFETY: The result is put into a `static`.
            unsafe {
                $crate::sync::lockdep::LockMap::new_static(
                    $crate::c_str!($name),
                    $crate::sync::lockdep::WaitType::$wait,
                )
            };
    };
}
pub use static_lock_map;
