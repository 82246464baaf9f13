// SPDX-License-Identifier: GPL-2.0

//! The kernel may get other events than those that a driver knows.

//~ error[E0004]: non-exhaustive patterns: `_` not covered

use kernel::mm::mmu_notifier::Event;

pub fn is_permanent(event: Event) -> bool {
    match event {
        Event::Unmap | Event::Release => true,
        Event::Clear | Event::ProtectionVma | Event::ProtectionPage | Event::SoftDirty => false,
        Event::Migrate(_) | Event::Exclusive(_) | Event::Other(_) => false,
        #[cfg(not(refused))]
        _ => false,
    }
}
