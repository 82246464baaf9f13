// SPDX-License-Identifier: GPL-2.0

//! A blocking callback cannot refuse.

//~ error[E0053]: method `start` has an incompatible type for trait

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

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
