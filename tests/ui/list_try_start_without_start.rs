// SPDX-License-Identifier: GPL-2.0

//! Every invalidation needs a callback, even if the caller can wait.

//~ error[E0080]
//~ `start` and `try_start` go together

include!("common/driver.rs");

#[vtable]
impl Operations for Driver {
    type Refusal = WouldBlock;

    #[cfg(not(refused))]
    fn start(&self, _range: Range<'_>) {}

    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}
