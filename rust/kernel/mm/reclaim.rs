// SPDX-License-Identifier: GPL-2.0

//! Allocations and reclaim.
//!
//! An allocation that may sleep may also *reclaim*: write out, drop or take away the memory of
//! others, for which it calls file systems, drivers and [MMU notifiers]. What reclaim calls must
//! not wait for such an allocation, and must not take a lock that is elsewhere held over one.
//!
//! - [`might_alloc`] says that there may be an allocation, so that lockdep learns of it also when
//!   there is none.
//! - [`fs_reclaim`] says that something is called by reclaim, or has to be able to be.
//! - [`memalloc_nofs`] and its like limit what the allocations of a task may do, whatever flags
//!   they are made with.
//!
//! The scopes are functions that take a function, because the C side adds flags to the task and
//! takes those away that were not there before: if two of them overlapped without one being inside
//! the other, the first to end would end both.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)
//!
//! [MMU notifiers]: crate::mm::mmu_notifier

use crate::{
    alloc::Flags,
    bindings, //
};

/// Says that memory may be allocated here, with `flags`.
///
/// If that may sleep, and sleeping is not allowed here, it is reported; and lockdep treats the
/// locks that are held as if they were held over the allocation.
///
/// Equivalent to the C function `might_alloc()`.
///
/// # Examples
///
/// ```
/// use kernel::mm::reclaim::might_alloc;
///
/// /// Has a buffer of at least `len` bytes.
/// fn grow(buffer: &mut KVec<u8>, len: usize) -> Result {
///     // Most of the time the buffer is large enough. Who must not allocate is told always.
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

/// Runs `f` as if it was called by an allocation that reclaims, as far as lockdep is concerned.
///
/// An allocation in it that may do what `flags` say is then reported, and so is a lock that is
/// taken in it and elsewhere held over such an allocation.
///
/// With flags that do not reclaim, or do not call file systems, it does nothing but call `f`: the
/// kernel has no map for the others. The maps of [MMU notifiers] are only acquired and released,
/// so that an allocation in an MMU notifier is reported with any flags that reclaim.
///
/// Equivalent to the C functions `fs_reclaim_acquire()` and `fs_reclaim_release()`.
///
/// [MMU notifiers]: crate::mm::mmu_notifier
///
/// # Examples
///
/// A driver that tells lockdep at once that it takes a lock when memory is short:
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
    // SAFETY: It was acquired above, with the same flags, and by the same task. The scopes that `f`
    // began have ended, so that the flags mean the same as above.
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
            // SAFETY: `saved` is what the function above returned. What `f` added it has taken
            // away again.
            unsafe { bindings::$restore(saved) };
            ret
        }
    };
}

scope! {
    /// Runs `f` with allocations that do not call file systems, as with [`GFP_NOFS`].
    ///
    /// MMU notifiers are called by those, too, so that this does not help in the callbacks of one,
    /// nor with a lock held that they take. See [`memalloc_noreclaim`].
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
    /// // Not `GFP_KERNEL`, as far as reclaim is concerned.
    /// let buffer = memalloc_nofs(|| KBox::new(1, GFP_KERNEL))?;
    /// assert_eq!(*buffer, 1);
    /// # Ok::<(), Error>(())
    /// ```
    memalloc_nofs, memalloc_nofs_save, memalloc_nofs_restore
}

scope! {
    /// Runs `f` with allocations that do no input or output, as with [`GFP_NOIO`].
    ///
    /// See [`memalloc_nofs`] for MMU notifiers.
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
    /// It is for what frees memory, needs a little for that, and cannot wait for reclaim, for
    /// example because it is called by it. There must be a bound on what it uses: nothing else
    /// limits it.
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
