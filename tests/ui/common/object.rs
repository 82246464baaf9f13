// SPDX-License-Identifier: GPL-2.0

// A driver with one object for each address space.

use kernel::mm::mmu_notifier::shared::{
    Object,
    Ref,
    Registry, //
};

include!("driver.rs");

#[vtable]
impl Operations for Driver {
    type Refusal = Infallible;

    fn release(&self) {}
}

impl Object for Driver {
    fn new(_mm: &MmWithUser) -> impl PinInit<Self, Error> {
        Ok(Driver)
    }
}
