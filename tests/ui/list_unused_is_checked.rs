// SPDX-License-Identifier: GPL-2.0

//! Callbacks are checked even if no notifier has them, and the error is shown with the driver.

//~ error[E0080]
//~ `start` and `try_start` go together
//~ evaluation of `<Unused as

include!("common/driver.rs");

#[vtable]
impl Operations for Driver {
    type Refusal = Infallible;
}

struct Unused;

#[vtable]
impl Operations for Unused {
    type Refusal = WouldBlock;

    fn start(&self, _range: Range<'_>) {}

    #[cfg(not(refused))]
    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}
