// SPDX-License-Identifier: GPL-2.0

//! A notifier with two passes needs callbacks for both.

//~ error[E0277]: `Mirror` has no callbacks for a notifier with two passes

include!("common/mirror.rs");

use kernel::mm::mmu_notifier::interval::TwoPassNotifier;

mirror!();

pub fn register(mm: &MmWithUser, mirror: Mirror) -> Result {
    #[cfg(refused)]
    drop(KBox::pin_init(
        TwoPassNotifier::new(mm, 0..1, Ok(mirror)),
        GFP_KERNEL,
    )?);
    #[cfg(not(refused))]
    drop(KBox::pin_init(
        Notifier::new(mm, 0..1, Ok(mirror)),
        GFP_KERNEL,
    )?);
    Ok(())
}
