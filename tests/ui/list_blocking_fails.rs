// SPDX-License-Identifier: GPL-2.0

//! A blocking callback cannot refuse.

//~ error[E0053]: method `start` has an incompatible type for trait

include!("common/driver.rs");

#[vtable]
impl Operations for Driver {
    type Refusal = WouldBlock;

    #[cfg(refused)]
    fn start(&self, _range: Range<'_>) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }

    #[cfg(not(refused))]
    fn start(&self, _range: Range<'_>) {}

    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}
