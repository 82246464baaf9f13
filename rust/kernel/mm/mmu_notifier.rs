// SPDX-License-Identifier: GPL-2.0

//! MMU notifiers.
//!
//! A device may work on the memory of a process through its own page tables. Before the process
//! loses a page, the driver of the device must stop using the page. An MMU notifier calls the
//! driver at this time. There are two kinds:
//!
//! - A [list notifier](list::Notifier) is called for every change in an address space.
//! - An [interval notifier](interval::Notifier) is called for changes in one range of addresses. It
//!   has a sequence count: a driver that looked up pages without a lock validates the pages against
//!   this count. It may work in [two passes](interval::TwoPass).
//!
//! If a driver has one object per process, the kernel can find the object again: see [`shared`].
//!
//! # Two mistakes
//!
//! The OOM reaper and [`process_mrelease(2)`] call notifiers while the system is out of memory.
//! They must not wait for a driver, because the driver may be waiting for memory. If a driver
//! refuses, they leave its memory alone. In C, one callback serves these callers and all others: a
//! flag in the range distinguishes them. Drivers make two mistakes with it.
//!
//! The first is to ignore the flag, and to sleep:
//!
//! ```c
//! static bool invalidate(struct mmu_interval_notifier *sub,
//!                        const struct mmu_notifier_range *range, unsigned long cur_seq)
//! {
//!         /* WRONG: The OOM reaper waits for the holder of the mutex. */
//!         mutex_lock(&mirror->lock);
//! ```
//!
//! The second is to change the page table without publishing the invalidation. A reader that looked
//! up a page before the invalidation then enters the page after it:
//!
//! ```c
//!         /* WRONG: mmu_interval_set_seq(sub, cur_seq) is missing. */
//!         clear(mirror, range);
//!         mutex_unlock(&mirror->lock);
//!         return true;
//! ```
//!
//! # Two callbacks
//!
//! Hence the rule: an invalidation that may block and one that must not are two callbacks, and an
//! interval notifier publishes when it takes its lock.
//!
//! | Callback                                 | May sleep | May refuse              |
//! |------------------------------------------|-----------|-------------------------|
//! | [`start`], [`invalidate`]                | yes       | no                      |
//! | [`try_start`], [`try_invalidate`]        | no        | if `Refusal` allows it  |
//!
//! The callbacks that must not sleep run in a [non-blocking section](crate::nonblock), and get the
//! guard of the section. With `CONFIG_DEBUG_ATOMIC_SLEEP` the kernel reports a sleep in them. The
//! callbacks of an interval notifier return [evidence](interval::Invalidated) of the publication.
//! See [`interval`] for an example.
//!
//! # Context of the callbacks
//!
//! Callbacks run in the task that changes the address space. The task need not belong to the
//! address space. It may hold the `mmap_lock`, the locks of the reverse mapping and, if it reclaims
//! a folio, the lock of the folio.
//!
//! Reclaim calls callbacks. So a callback must not allocate memory in a way that may reclaim. It
//! must not take a lock either that other code holds over such an allocation, over an access to
//! user memory, or over [`interval::Notifier::read_begin`]. Lockdep checks these rules with the map
//! that the core holds around invalidations, once it has seen both halves of a mistake. For the
//! lock of an [interval notifier](interval::Notifier), the registration is one half. The core does
//! not hold the map when an address space is released.
//!
//! Any number of callbacks may run at the same time, even before the constructor of the notifier
//! has returned, and even when the address space has no users any more. So a callback must not
//! drop the last [`MmWithUser`] of the address space: see [`MmWithUser::into_mmput_async`].
//!
//! # Removal
//!
//! Dropping a notifier sleeps until its callbacks have returned. If you drop a notifier in one of
//! its own callbacks, or while you hold a lock of the callbacks, you get a deadlock. Lockdep
//! reports it, except for an interval notifier that is dropped in its callback for
//! [`Event::Release`].
//!
//! If you leak a notifier, its callbacks are called for as long as the address space lives. So each
//! notifier has a [reference to the module](crate::module::ModuleRef) of its callbacks, and a
//! module cannot be unloaded while it has a notifier, leaked or not. The reference is put after the
//! destructor of the data.
//!
//! The reference does not keep other modules. For example, if the data has a `fn` or a `dyn` from
//! another driver, you must keep that driver's module by other means.
//!
//! You can drop a notifier wherever code of the module may run and sleep, for example when a file
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

/// The address space of a new notifier, and the state of its `mmap_lock`.
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

/// The error of a non-blocking callback that would have to block.
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
/// /// Forgets all pages of a device, unless it would have to wait for a lock.
/// fn try_forget(pages: &Mutex<usize>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
///     *pages.try_lock().ok_or(WouldBlock)? = 0;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WouldBlock;

/// The error that a non-blocking callback may return instead of doing its work.
///
/// It is either [`WouldBlock`], or [`Infallible`] for a driver that never has to block.
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
        /// Whether the type has a value.
        const POSSIBLE: bool;
    }

    impl Refusal for super::WouldBlock {
        const POSSIBLE: bool = true;
    }

    impl Refusal for core::convert::Infallible {
        const POSSIBLE: bool = false;
    }
}
