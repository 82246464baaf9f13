// SPDX-License-Identifier: GPL-2.0

// A driver with a list notifier, whose callbacks the program adds.

use core::{
    convert::Infallible,
    ops, //
};
use kernel::{
    mm::{
        mmu_notifier::{
            list::{
                Notifier,
                Operations, //
            },
            Range,
            WouldBlock, //
        },
        Mm,
        MmWithUser, //
    },
    nonblock::NonBlockGuard,
    prelude::*, //
};

// `#[vtable]` wants to know the module that an implementation belongs to.
module! {
    type: Ui,
    name: "ui",
    authors: ["The nonblock authors"],
    description: "A program that must not compile",
    license: "GPL",
}

struct Ui;

impl kernel::Module for Ui {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}

struct Driver;

pub fn register(mm: &MmWithUser) -> Result {
    drop(KBox::pin_init(Notifier::new(mm, Ok(Driver)), GFP_KERNEL)?);
    Ok(())
}
