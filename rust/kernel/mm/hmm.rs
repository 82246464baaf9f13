// SPDX-License-Identifier: GPL-2.0

//! Heterogeneous memory management: the memory of a process, for a device.
//!
//! A device that works on the memory of a process needs the page behind each address, and whether
//! the page may be written to. A [`Request`] looks pages up in the page tables of the CPU, with or
//! without faulting pages in. The result is only valid until the process changes its memory. So it
//! comes with the lock of an [interval notifier], validated: the pages do not change while the lock
//! is held. The result cannot be used before the lock is taken, or after it is released.
//!
//! [`Mirror`] also keeps the pages, for a device that is software: it reads and writes the memory
//! of the process, without a reference to any page.
//!
//! | Driver of                 | uses                     | gets                     |
//! |---------------------------|--------------------------|--------------------------|
//! | hardware                  | [`Request`], a notifier  | page frame numbers       |
//! | a device that is software | [`Mirror`]               | pages, to read and write |
//!
//! # References to pages
//!
//! Neither of them takes a reference to a page, and drivers must not take one by other means. The
//! kernel checks the reference count before it calls the notifiers, and gives up if there is an
//! unexpected reference. For example, a device that holds one page of a transparent huge page keeps
//! all of it from being split, collapsed, migrated or swapped out, and its driver is never called.
//!
//! # Addresses
//!
//! A request must lie in the range of its notifier, and in the part of the address space that the
//! process can map. So a driver must remove the tag of an address from user space before it uses
//! the address here, see [`untagged_addr`](super::untagged_addr).
//!
//! C header: [`include/linux/hmm.h`](srctree/include/linux/hmm.h)
//!
//! Reference: <https://docs.kernel.org/mm/hmm.html>
//!
//! [interval notifier]: super::mmu_notifier::interval

use crate::{
    bindings,
    time::Delta, //
};

mod entry;
pub use self::entry::{
    pmd_order,
    pud_order,
    Entries,
    Entry,
    Mapping,
    Run,
    Runs,
    Slot, //
};

mod exclusive;

mod mirror;
pub use self::mirror::{
    Device,
    Mirror,
    Removal,
    Removed,
    TryRemoval, //
};

mod request;
pub use self::request::{
    Request,
    Valid, //
};

mod table;
pub use self::table::{
    Page,
    PageMut,
    Pages, //
};

/// The default time after which a look-up gives up, if invalidations keep coming in between. See
/// [`Request`] for an example.
///
/// Corresponds to the C constant `HMM_RANGE_DEFAULT_TIMEOUT`.
pub const DEFAULT_TIMEOUT: Delta = Delta::from_millis(bindings::HMM_RANGE_DEFAULT_TIMEOUT as i64);

/// The access of the device to the pages of a range.
///
/// See [`Request`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read them.
    Read,
    /// Read and write them.
    Write,
}
