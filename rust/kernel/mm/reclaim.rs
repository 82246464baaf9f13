// SPDX-License-Identifier: GPL-2.0

//! Allocations and reclaim.
//!
//! An allocation that may sleep may also *reclaim*: it frees memory that is in use, and calls file
//! systems, drivers and [MMU notifiers] to do so. Two things deadlock in code that reclaim calls:
//! such an allocation, and a lock that another task holds over such an allocation.
//!
//! - [`might_alloc`] checks that an allocation is allowed, even if none is needed.
//! - [`fs_reclaim`] runs code as if reclaim called it, so lockdep finds both deadlocks without
//!   waiting until memory is short.
//! - [`memalloc_nofs`], [`memalloc_noio`] and [`memalloc_noreclaim`] limit the allocations of a
//!   task, for all flags of the allocations.
//!
//! These scopes take a closure because in C a scope sets a flag of the task, and then restores it.
//! If two scopes overlapped and neither was inside the other, the first to end would end both.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)
//!
//! [MMU notifiers]: crate::mm::mmu_notifier

use crate::{
    alloc::Flags,
    bindings, //
};

/// Checks that an allocation with `flags` is allowed here.
///
/// It reports flags that may sleep where the current task must not sleep. Lockdep records all locks
/// of the task as held over the allocation.
///
/// Equivalent to the C function `might_alloc()`.
///
/// # Examples
///
/// ```
/// use kernel::mm::reclaim::might_alloc;
///
/// /// Makes room for at least `len` bytes.
/// fn grow(buffer: &mut KVec<u8>, len: usize) -> Result {
///     // Reports callers that must not allocate, even when the buffer is large enough.
///     might_alloc(GFP_KERNEL);
///     Ok(buffer.reserve(len.saturating_sub(buffer.len()), GFP_KERNEL)?)
/// }
/// # grow(&mut KVec::new(), 1)?;
/// # Ok::<(), Error>(())
/// ```
#[inline]
pub fn might_alloc(flags: Flags) {
    #[cfg(any(CONFIG_LOCKDEP, CONFIG_DEBUG_ATOMIC_SLEEP))]
    // SAFETY: It only checks.
    unsafe {
        bindings::might_alloc(flags.as_raw())
    };
    #[cfg(not(any(CONFIG_LOCKDEP, CONFIG_DEBUG_ATOMIC_SLEEP)))]
    let _ = flags;
}

/// Runs `f` as if an allocation with `flags` called it for reclaim, as far as lockdep is concerned.
///
/// Lockdep then reports an allocation with the same flags in `f`. It also reports a lock that `f`
/// takes and another task holds over such an allocation.
///
/// The flags must allow reclaim and file systems, for example [`GFP_KERNEL`]. With other flags
/// lockdep does not see `f`, because the kernel has no lock map for them.
///
/// Like an allocation, it must not be called in an [MMU notifier] with flags that reclaim.
///
/// Equivalent to the C functions `fs_reclaim_acquire()` and `fs_reclaim_release()`.
///
/// [`GFP_KERNEL`]: crate::alloc::flags::GFP_KERNEL
/// [MMU notifier]: crate::mm::mmu_notifier
///
/// # Examples
///
/// A driver takes a lock when memory is short. It shows this to lockdep when it creates the lock:
///
/// ```
/// use kernel::{
///     mm::reclaim::fs_reclaim,
///     sync::Mutex, //
/// };
///
/// fn prime(lock: &Mutex<usize>) {
///     fs_reclaim(GFP_KERNEL, || drop(lock.lock()));
/// }
/// # prime(&*KBox::pin_init(kernel::new_mutex!(1), GFP_KERNEL)?);
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "fs_reclaim_acquire")]
#[inline]
pub fn fs_reclaim<R>(flags: Flags, f: impl FnOnce() -> R) -> R {
    #[cfg(not(CONFIG_LOCKDEP))]
    let _ = flags;

    #[cfg(CONFIG_LOCKDEP)]
    // SAFETY: It may be called at any time.
    unsafe {
        bindings::fs_reclaim_acquire(flags.as_raw())
    };
    let ret = f();
    #[cfg(CONFIG_LOCKDEP)]
    // SAFETY: The current task acquired it above with the same flags. The flags still mean the
    // same, because the scopes that `f` began have ended.
    unsafe {
        bindings::fs_reclaim_release(flags.as_raw())
    };
    ret
}

/// Defines a scope that adds a flag to the task.
macro_rules! scope {
    ($(#[$attr:meta])* $name:ident, $save:ident, $restore:ident) => {
        $(#[$attr])*
        #[inline]
        pub fn $name<R>(f: impl FnOnce() -> R) -> R {
            // SAFETY: It only adds a flag to the current task.
            let saved = unsafe { bindings::$save() };
            let ret = f();
            // SAFETY: `saved` comes from the call above. The scopes that `f` began have ended.
            unsafe { bindings::$restore(saved) };
            ret
        }
    };
}

scope! {
    /// Runs `f` with allocations that do not call file systems, as with [`GFP_NOFS`].
    ///
    /// Such allocations still call MMU notifiers. So they are not allowed in the callback of a
    /// notifier, nor with a lock held that the callback takes; use [`memalloc_noreclaim`] there.
    ///
    /// Equivalent to the C functions `memalloc_nofs_save()` and `memalloc_nofs_restore()`.
    ///
    /// [`GFP_NOFS`]: crate::alloc::flags::GFP_NOFS
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::reclaim::memalloc_nofs;
    ///
    /// // This allocates with `GFP_NOFS`.
    /// let buffer = memalloc_nofs(|| KBox::new(1, GFP_KERNEL))?;
    /// assert_eq!(*buffer, 1);
    /// # Ok::<(), Error>(())
    /// ```
    memalloc_nofs, memalloc_nofs_save, memalloc_nofs_restore
}

scope! {
    /// Runs `f` with allocations that do not start physical I/O, as with [`GFP_NOIO`].
    ///
    /// Such allocations still call MMU notifiers, see [`memalloc_nofs`].
    ///
    /// Equivalent to the C functions `memalloc_noio_save()` and `memalloc_noio_restore()`.
    ///
    /// [`GFP_NOIO`]: crate::alloc::flags::GFP_NOIO
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::reclaim::memalloc_noio;
    ///
    /// let buffer = memalloc_noio(|| KBox::new(1, GFP_KERNEL))?;
    /// assert_eq!(*buffer, 1);
    /// # Ok::<(), Error>(())
    /// ```
    memalloc_noio, memalloc_noio_save, memalloc_noio_restore
}

scope! {
    /// Runs `f` with allocations that do not reclaim, and may use the last reserves of memory.
    ///
    /// Use it only in code that frees memory, and needs a little memory for that, but must not wait
    /// for reclaim. For example, reclaim itself calls such code. You must limit how much memory `f`
    /// allocates, because the kernel does not.
    ///
    /// It must not be called in interrupts.
    ///
    /// Equivalent to the C functions `memalloc_noreclaim_save()` and
    /// `memalloc_noreclaim_restore()`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::reclaim::memalloc_noreclaim;
    ///
    /// let order = memalloc_noreclaim(|| KBox::new(1, GFP_KERNEL))?;
    /// assert_eq!(*order, 1);
    /// # Ok::<(), Error>(())
    /// ```
    memalloc_noreclaim, memalloc_noreclaim_save, memalloc_noreclaim_restore
}
