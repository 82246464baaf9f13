// SPDX-License-Identifier: GPL-2.0

//! An object without a size has no address to distinguish owners.

//~ an object without a size has no address of its own

use kernel::mm::mmu_notifier::Event;

pub struct Device {
    #[cfg(not(refused))]
    _id: u32,
}

// It is found when code is made of it.
#[inline(never)]
pub fn is_own_migration(event: Event, device: &Device) -> bool {
    matches!(event, Event::Migrate(owner) if owner.is(device))
}
