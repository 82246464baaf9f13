// SPDX-License-Identifier: GPL-2.0

//! Only the events for which the C side sets an owner have one.

//~ error[E0532]: expected tuple struct or tuple variant, found unit variant `Event::Clear`

use kernel::{
    mm::mmu_notifier::Event,
    prelude::*, //
};

pub fn is_own(event: Event, device: &u32) -> bool {
    match event {
        #[cfg(refused)]
        Event::Clear(owner) => owner.is(device),
        #[cfg(not(refused))]
        Event::Migrate(owner) => owner.is(device),
        _ => false,
    }
}
