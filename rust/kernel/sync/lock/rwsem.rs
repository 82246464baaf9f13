// SPDX-License-Identifier: GPL-2.0

//! A kernel read/write semaphore.
//!
//! This module allows Rust code to use the kernel's `struct rw_semaphore`.

use super::{
    Backend,
    Lock, //
};
use crate::types::NotThreadSafe;
use core::ops::Deref;

/// Creates an [`RwSemaphore`] initializer with the given name and a newly-created lock class.
///
/// It uses the name if one is given, otherwise it generates one based on the file name and line
/// number.
#[macro_export]
macro_rules! new_rwsem {
    ($inner:expr $(, $name:literal)? $(,)?) => {
        $crate::sync::RwSemaphore::new(
            $inner, $crate::optional_name!($($name)?), $crate::static_lock_class!())
    };
}
pub use new_rwsem;

/// A lock that is held by one writer or by any number of readers.
///
/// Exposes the kernel's [`struct rw_semaphore`]. [`Lock::lock`] and [`Lock::try_lock`] acquire it
/// for writing; [`RwSemaphore::read`] acquires it for reading.
///
/// Since it may block, [`RwSemaphore`] needs to be used with care in atomic contexts.
///
/// Instances of [`RwSemaphore`] need a lock class and to be pinned. The recommended way to create
/// such instances is with the [`pin_init`](pin_init::pin_init) and [`new_rwsem`] macros.
///
/// # Examples
///
/// ```
/// use kernel::sync::{
///     new_rwsem,
///     RwSemaphore, //
/// };
///
/// #[pin_data]
/// struct Table {
///     #[pin]
///     pages: RwSemaphore<usize>,
/// }
///
/// let table = KBox::pin_init(
///     pin_init!(Table {
///         pages <- new_rwsem!(0),
///     }),
///     GFP_KERNEL,
/// )?;
///
/// *table.pages.lock() += 1;
///
/// let reader = table.pages.read();
/// // Other tasks can read at the same time, but a writer has to wait.
/// assert!(table.pages.try_lock().is_none());
/// assert_eq!(*reader, 1);
/// # Ok::<(), Error>(())
/// ```
///
/// [`struct rw_semaphore`]: srctree/include/linux/rwsem.h
pub type RwSemaphore<T> = Lock<T, RwSemaphoreBackend>;

/// A kernel `struct rw_semaphore` lock backend, which locks for writing.
pub struct RwSemaphoreBackend;

// SAFETY: The underlying kernel `struct rw_semaphore` object ensures mutual exclusion of writers
// from writers and readers.
unsafe impl Backend for RwSemaphoreBackend {
    type State = bindings::rw_semaphore;
    type GuardState = ();

    #[inline]
    unsafe fn init(
        ptr: *mut Self::State,
        name: *const crate::ffi::c_char,
        key: *mut bindings::lock_class_key,
    ) {
        // SAFETY: The safety requirements ensure that `ptr` is valid for writes, and `name` and
        // `key` are valid for read indefinitely.
        unsafe { bindings::__init_rwsem(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: The safety requirements of this function ensure that `ptr` points to valid
        // memory, and that it has been initialized before.
        unsafe { bindings::down_write(ptr) };
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, _guard_state: &Self::GuardState) {
        // SAFETY: The safety requirements of this function ensure that `ptr` is valid and that the
        // caller holds the semaphore for writing.
        unsafe { bindings::up_write(ptr) };
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        // SAFETY: The `ptr` pointer is guaranteed to be valid and initialized before use.
        let result = unsafe { bindings::down_write_trylock(ptr) };

        (result != 0).then_some(())
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: The `ptr` pointer is guaranteed to be valid and initialized before use.
        unsafe { bindings::rwsem_assert_is_held(ptr) }
    }
}

impl<T: ?Sized + Sync> Lock<T, RwSemaphoreBackend> {
    /// Acquires the lock for reading and gives the caller shared access to the data protected by
    /// it.
    ///
    /// It sleeps while a writer holds the lock or waits for it. So a task must not acquire the lock
    /// for reading twice: a writer that comes in between would deadlock it.
    #[inline]
    pub fn read(&self) -> RwSemaphoreReadGuard<'_, T> {
        // SAFETY: The constructor of the type calls `init`, so the existence of the object proves
        // that `init` was called.
        unsafe { bindings::down_read(self.state.get()) };

        // INVARIANT: The lock was just acquired for reading.
        RwSemaphoreReadGuard {
            lock: self,
            _not_send: NotThreadSafe,
        }
    }
}

/// A guard acquired from locking an [`RwSemaphore`] for reading.
///
/// # Invariants
///
/// The current task holds `lock` for reading, for this guard.
#[must_use = "the lock unlocks immediately when the guard is unused"]
pub struct RwSemaphoreReadGuard<'a, T: ?Sized + Sync> {
    lock: &'a RwSemaphore<T>,
    _not_send: NotThreadSafe,
}

// SAFETY: A shared guard gives access to the data, which is `Sync`, and with `lock_ref()` to the
// lock, which is `Sync` because the data is `Send`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwSemaphoreReadGuard<'_, T> {}

impl<'a, T: ?Sized + Sync> RwSemaphoreReadGuard<'a, T> {
    /// Returns the lock that this guard originates from.
    #[inline]
    pub fn lock_ref(&self) -> &'a RwSemaphore<T> {
        self.lock
    }
}

impl<T: ?Sized + Sync> Deref for RwSemaphoreReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the lock is held for reading, so nobody writes to the data.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized + Sync> Drop for RwSemaphoreReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the lock is held for reading, for this guard.
        unsafe { bindings::up_read(self.lock.state.get()) };
    }
}
