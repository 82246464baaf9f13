// SPDX-License-Identifier: GPL-2.0

//! The callbacks of a list notifier are not those of an interval notifier.

//~ error[E0277]: `Driver` has no callbacks for an interval notifier
//~ the trait `Operations` of list notifiers is another

include!("common/driver.rs");

use kernel::mm::mmu_notifier::interval;

#[vtable]
impl Operations for Driver {
    type Refusal = Infallible;
}

pub fn register_driver(mm: &MmWithUser) -> Result {
    #[cfg(refused)]
    drop(KBox::pin_init(
        interval::Notifier::new(mm, 0..1, Ok(Driver)),
        GFP_KERNEL,
    )?);
    #[cfg(not(refused))]
    drop(KBox::pin_init(Notifier::new(mm, Ok(Driver)), GFP_KERNEL)?);
    Ok(())
}
