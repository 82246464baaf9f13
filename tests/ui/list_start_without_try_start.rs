// SPDX-License-Identifier: GPL-2.0

//! Every invalidation needs a callback, whether the caller can wait or not.

//~ error[E0080]
//~ `start` and `try_start` go together

include!("common/driver.rs");

#[vtable]
impl Operations for Driver {
    type Refusal = WouldBlock;

    fn start(&self, _range: Range<'_>) {}

    #[cfg(not(refused))]
    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}
