// SPDX-License-Identifier: GPL-2.0

//! Lockdep annotations.
//!
//! Lockdep knows the kernel's locks, but not what else a task may wait for: the answer of a device,
//! a work item, memory. A [`LockMap`] stands for such a thing. It is *acquired* where it is waited
//! for, and while it is being brought about, so that a cycle of locks and waits is reported when
//! each half of it has been seen once, and not only when it happens.
//!
//! Without `CONFIG_LOCKDEP` nothing is left of it, neither in the code nor in the data.
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

/// What may be waited for by who holds a lock, or by who is in a section that a [`LockMap`] stands
/// for.
///
/// Each allows what those before it allow. A lock of a later kind that is taken while one of an
/// earlier kind is held, and not by a try, is an "Invalid wait context".
///
/// Corresponds to the C type `enum lockdep_wait_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitType {
    /// Everything: it is not checked. `LD_WAIT_INV`.
    Unchecked,
    /// The holder of a raw spinlock. `LD_WAIT_SPIN`.
    Spin,
    /// The holder of a spinlock, which may sleep with `CONFIG_PREEMPT_RT`. `LD_WAIT_CONFIG`.
    Config,
    /// The holder of a lock that sleeps, such as a mutex. `LD_WAIT_SLEEP`.
    Sleep,
}

#[cfg(CONFIG_LOCKDEP)]
impl WaitType {
    const fn as_raw(self) -> u8 {
        let raw = match self {
            Self::Unchecked => bindings::lockdep_wait_type_LD_WAIT_INV,
            Self::Spin => bindings::lockdep_wait_type_LD_WAIT_SPIN,
            Self::Config => bindings::lockdep_wait_type_LD_WAIT_CONFIG,
            Self::Sleep => bindings::lockdep_wait_type_LD_WAIT_SLEEP,
        };
        // CAST: There are fewer than 256 kinds, and the field of the C type is a `u8`.
        raw as u8
    }
}

/// What lockdep has to know of something that can be waited for.
///
/// It is `static`, see [`static_lock_map!`], or part of a pinned structure.
///
/// Corresponds to the C type `struct lockdep_map`.
///
/// # Examples
///
/// A driver that waits for its device, and does so in a work item, too:
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
/// /// Waits until the device answers.
/// fn wait() {
///     ANSWER.might_acquire();
///     // Here the driver sleeps.
/// }
///
/// /// Called when the device answers.
/// fn answer(queue: &Mutex<usize>) {
///     let _answer = ANSWER.acquire();
///     // Who waits with the queue locked waits for ever, and is told.
///     *queue.lock() -= 1;
/// }
/// # let queue = KBox::pin_init(kernel::new_mutex!(1), GFP_KERNEL)?;
/// # wait();
/// # answer(&queue);
/// # assert_eq!(*queue.lock(), 0);
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `inner` is an initialized `struct lockdep_map`, whose name and key are `'static`.
#[pin_data]
pub struct LockMap {
    #[cfg(CONFIG_LOCKDEP)]
    #[pin]
    inner: Opaque<bindings::lockdep_map>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: Lockdep keeps the address of a map that is held, but does not follow it.
unsafe impl Send for LockMap {}
// SAFETY: Lockdep does its own locking.
unsafe impl Sync for LockMap {}

impl LockMap {
    /// Initializes a map, whose holders may wait for what `wait` says.
    ///
    /// All maps with the same `key` are of one class: lockdep takes what it sees of one of them for
    /// what can happen to all.
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
    ///         idle <- LockMap::new(c"idle", static_lock_class!(), WaitType::Unchecked),
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
    /// `key` must be the address of a `static` that is in no other map, and the result must be put
    /// into a `static`.
    #[doc(hidden)]
    pub const unsafe fn new_static(
        name: &'static CStr,
        key: *const LockClassKey,
        wait: WaitType,
    ) -> Self {
        #[cfg(not(CONFIG_LOCKDEP))]
        let _ = (name, key, wait);

        // INVARIANT: As the C macro `STATIC_LOCKDEP_MAP_INIT()` does it. `name` is `'static`,
        // and so is `key` by the caller's contract.
        Self {
            #[cfg(CONFIG_LOCKDEP)]
            inner: Opaque::new(bindings::lockdep_map {
                // `LockClassKey` is transparent.
                key: key.cast_mut().cast(),
                name: as_char_ptr_in_const_context(name),
                wait_type_inner: wait.as_raw(),
                ..pin_init::zeroed()
            }),
            _pin: PhantomPinned,
        }
    }

    /// Acquires it as a lock that has one holder, and may be waited for.
    ///
    /// Equivalent to the C macro `lock_map_acquire()`.
    #[inline]
    pub fn acquire(&self) -> LockMapGuard<'_> {
        self.acquire_with::<EXCLUSIVE, false>()
    }

    /// Acquires it as a lock that was tried for: nobody waited for it, whatever else is held.
    ///
    /// Equivalent to the C macro `lock_map_acquire_try()`.
    #[inline]
    pub fn acquire_try(&self) -> LockMapGuard<'_> {
        self.acquire_with::<EXCLUSIVE, true>()
    }

    /// Acquires it as a lock that was tried for, and that has any number of readers, also of one
    /// task.
    ///
    /// Equivalent to the C macro `lock_map_acquire_tryread()`.
    #[inline]
    pub fn acquire_try_read(&self) -> LockMapGuard<'_> {
        self.acquire_with::<RECURSIVE_READ, true>()
    }

    /// Acquires and releases it: says that it may be waited for here, whether or not it is.
    #[inline]
    pub fn might_acquire(&self) {
        drop(self.acquire());
    }

    /// Warns if the current task has not acquired it.
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
        // SAFETY: By the type invariant the map is initialized. Lockdep keeps its address
        // until it is released, but does not follow it, so it may go before that.
        #[cfg(CONFIG_LOCKDEP)]
        unsafe {
            bindings::lock_map_acquire(self.inner.get(), TRY, READ)
        };

        // INVARIANT: It was acquired just above.
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

/// Evidence that a [`LockMap`] is held by the current task.
///
/// Guards can be dropped in any order.
///
/// # Invariants
///
/// The current task has acquired `map`, for this guard.
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

/// Defines a static [`LockMap`], with its name and one of the variants of [`WaitType`].
///
/// # Examples
///
/// ```
/// use kernel::sync::lockdep::static_lock_map;
///
/// static_lock_map! {
///     /// A part of the driver in which nobody must wait for more than a spinlock.
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
        $vis static $map: $crate::sync::lockdep::LockMap = {
            static KEY: $crate::sync::LockClassKey =
                // SAFETY: It is put into a static, and the drop never runs on one.
                unsafe { $crate::sync::LockClassKey::new_static() };

            // SAFETY: `KEY` is a static that only this map uses, and the map is a static.
            unsafe {
                $crate::sync::lockdep::LockMap::new_static(
                    $crate::c_str!($name),
                    &raw const KEY,
                    $crate::sync::lockdep::WaitType::$wait,
                )
            }
        };
    };
}
pub use static_lock_map;
