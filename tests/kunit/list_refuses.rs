// SPDX-License-Identifier: GPL-2.0

//! A module with a list notifier that never lets go without blocking.
//!
//! It is for the process that loads it, until the module is unloaded.

use kernel::{
    mm::mmu_notifier::{
        Operations,
        Range,
        Registration,
        WouldBlock, //
    },
    nonblock::NonBlockGuard,
    prelude::*, //
};

module! {
    type: ListRefuses,
    name: "list_refuses",
    authors: ["The nonblock authors"],
    description: "A list notifier that never lets go without blocking",
    license: "GPL",
}

struct Refuses;

#[vtable]
impl Operations for Refuses {
    type Refusal = WouldBlock;

    fn start(&self, _range: Range<'_>) {}

    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}

struct ListRefuses {
    _registration: Pin<KBox<Registration<Refuses>>>,
}

impl kernel::Module for ListRefuses {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let task = kernel::current!();
        let mm = task.mm().ok_or(EINVAL)?;

        Ok(Self {
            _registration: KBox::try_pin_init(Registration::new(mm, Ok(Refuses)), GFP_KERNEL)?,
        })
    }
}
