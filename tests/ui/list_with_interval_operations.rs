// SPDX-License-Identifier: GPL-2.0

//! The callbacks of an interval notifier are not those of a list notifier.

//~ error[E0277]: `Mirror` has no callbacks for a list notifier
//~ the trait `Operations` of interval notifiers is another

include!("common/mirror.rs");

use kernel::mm::mmu_notifier::list;

mirror!();

pub fn register(mm: &MmWithUser, mirror: Mirror) -> Result {
    #[cfg(refused)]
    drop(KBox::pin_init(
        list::Notifier::new(mm, Ok(mirror)),
        GFP_KERNEL,
    )?);
    #[cfg(not(refused))]
    drop(KBox::pin_init(
        Notifier::new(mm, 0..1, Ok(mirror)),
        GFP_KERNEL,
    )?);
    Ok(())
}
