// SPDX-License-Identifier: GPL-2.0

//! Every invalidation needs an answer, whether the caller can wait or not.

//~ error[E0080]
//~ `start` and `try_start` go together

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

use core::convert::Infallible;
use kernel::{
    mm::{
        mmu_notifier::{
            Operations,
            Range,
            Registration,
            WouldBlock, //
        },
        MmWithUser, //
    },
    nonblock::NonBlockGuard,
    prelude::*, //
};

include!("common/module.rs");

struct Driver;

pub fn register(mm: &MmWithUser) -> Result {
    drop(KBox::pin_init(
        Registration::new(mm, Ok(Driver)),
        GFP_KERNEL,
    )?);
    Ok(())
}

#[vtable]
impl Operations for Driver {
    type Refusal = WouldBlock;

    fn start(&self, _range: Range<'_>) {}

    #[cfg(not(refused))]
    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}
