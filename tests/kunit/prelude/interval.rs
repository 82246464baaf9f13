// SPDX-License-Identifier: GPL-2.0

//! The names for tests with a driver that has an interval notifier.

pub(crate) use kernel::mm::mmu_notifier::{
    interval::{
        Invalidated,
        Invalidation,
        Notifier,
        Operations,
        TryInvalidation, //
    },
    Event,
    Owner,
    WouldBlock, //
};
