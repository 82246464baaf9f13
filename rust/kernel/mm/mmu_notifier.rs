// SPDX-License-Identifier: GPL-2.0

//! MMU notifiers.
//!
//! A driver whose device works on the memory of a process, through page tables of its own, has to
//! let go of a page before the process loses it. MMU notifiers tell the driver when. There are two
//! kinds:
//!
//! - A [list notifier](list::Notifier) is called for every change in an address space.
//! - An [interval notifier](interval::Notifier) is called for changes in one range of addresses,
//!   and comes with a sequence count against which the driver can validate pages that it looked up
//!   without a lock. It may work in [two passes](interval::TwoPass).
//!
//! A driver with one object per process can have the kernel find it again: see [`shared`].
//!
//! # Non-blocking invalidations
//!
//! Usually a callback may sleep, but must not wait for memory: memory is what the invalidation may
//! be about to free. The OOM reaper and [`process_mrelease(2)`] are stricter: with the system out
//! of memory they ask drivers to let go of the memory of a dying process *without blocking*, and
//! pass over memory whose driver refuses.
//!
//! In C that is one callback with a flag and a boolean result. Here it is two callbacks:
//!
//! | Callback                                 | May sleep | May refuse              |
//! |------------------------------------------|-----------|-------------------------|
//! | [`start`], [`invalidate`]                | yes       | no                      |
//! | [`try_start`], [`try_invalidate`]        | no        | if `Refusal` allows it  |
//!
//! The non-blocking ones run in a [non-blocking section](crate::nonblock), so a sleep in them is
//! reported with `CONFIG_DEBUG_ATOMIC_SLEEP`, and are passed the guard of it.
//!
//! # Context of the callbacks
//!
//! Callbacks run in the task that changes the address space, which need not belong to it. The
//! `mmap_lock`, the locks of the reverse mapping and, for a folio that is being reclaimed, its
//! lock may be held. Reclaim calls them, so a callback must not allocate memory in a way that may
//! reclaim, and must not take a lock that is elsewhere held over such an allocation, over an
//! access to user memory, or over [`interval::Notifier::read_begin`]. Lockdep checks all of that
//! through the map that the core holds around invalidations, as soon as each half has been seen
//! once; for the lock of an [interval notifier](interval::Notifier) its registration is enough. The
//! map is not held when an address space is released.
//!
//! Any number of callbacks may run at the same time, also before the constructor of the
//! notifier has returned, and also when the address space has no users any more. So a callback
//! must not drop the last [`MmWithUser`] of the address space; see
//! [`MmWithUser::into_mmput_async`].
//!
//! # Removal
//!
//! Dropping a notifier sleeps until its callbacks have returned. Doing it in one of its own
//! callbacks, or with a lock held that they take, is a deadlock. Lockdep reports it, but for an
//! interval notifier that is dropped when it is told of [`Event::Release`].
//!
//! A notifier that is leaked is called for as long as the address space lives. So each notifier has
//! a [reference to the module](crate::module::ModuleRef) of its callbacks, and a module cannot be
//! unloaded while it has a notifier, leaked or not. The reference is put after the destructor of
//! the data.
//!
//! The reference does not keep other modules. For example, if the data has a `fn` or a `dyn` from
//! another driver, then that driver's module must be kept by other means.
//!
//! A notifier may be dropped wherever code of the module may run and sleep, for example when a file
//! is closed, or in a [work item](crate::workqueue).
//!
//! C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)
//!
//! [`MmWithUser`]: super::MmWithUser
//! [`MmWithUser::into_mmput_async`]: super::MmWithUser::into_mmput_async
//! [`process_mrelease(2)`]: https://man7.org/linux/man-pages/man2/process_mrelease.2.html
//! [`start`]: list::Operations::start
//! [`try_start`]: list::Operations::try_start
//! [`invalidate`]: interval::Operations::invalidate
//! [`try_invalidate`]: interval::Operations::try_invalidate

use super::{
    MmWithUser,
    MmapWriteLocked, //
};
use core::convert::Infallible;

pub mod interval;
pub mod list;
pub mod shared;

mod queue;

mod range;
pub use self::range::{
    Event,
    Owner,
    Range, //
};

/// The address space that a notifier is to be registered for, and what is known of its `mmap_lock`.
#[derive(Clone, Copy)]
enum Mmap<'a> {
    /// The current task does not hold it.
    Unlocked(&'a MmWithUser),
    /// The current task holds it for writing.
    Locked(&'a MmapWriteLocked),
}

impl<'a> Mmap<'a> {
    #[inline]
    fn mm(self) -> &'a MmWithUser {
        match self {
            Self::Unlocked(mm) => mm,
            Self::Locked(mmap) => mmap.mm(),
        }
    }
}

/// The answer of a non-blocking callback that would have had to block.
///
/// The caller then leaves the memory alone. The OOM reaper tries again, ten times in all and
/// 100 ms apart, before it gives up on the process.
///
/// Corresponds to `-EAGAIN` of `invalidate_range_start`, and to `false` of an interval notifier's
/// `invalidate`.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::mmu_notifier::WouldBlock,
///     nonblock::NonBlockGuard,
///     sync::Mutex, //
/// };
///
/// /// Forgets all pages of a device, if that does not take waiting for a lock.
/// fn try_forget(pages: &Mutex<usize>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
///     *pages.try_lock().ok_or(WouldBlock)? = 0;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WouldBlock;

/// What a non-blocking callback may answer instead of doing its work.
///
/// It is either [`WouldBlock`], or [`Infallible`] for a driver that never has to block and so can
/// always let go.
#[diagnostic::on_unimplemented(
    message = "a non-blocking callback cannot answer `{Self}`",
    label = "neither `WouldBlock` nor `Infallible`",
    note = "the only failure that the core can deal with is that the callback would block"
)]
pub trait Refusal: private::Refusal {}

impl Refusal for WouldBlock {}
impl Refusal for Infallible {}

mod private {
    /// Seals [`super::Refusal`].
    pub trait Refusal {
        /// Whether there is a value of the type.
        const POSSIBLE: bool;
    }

    impl Refusal for super::WouldBlock {
        const POSSIBLE: bool = true;
    }

    impl Refusal for core::convert::Infallible {
        const POSSIBLE: bool = false;
    }
}
