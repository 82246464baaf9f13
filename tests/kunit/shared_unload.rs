// SPDX-License-Identifier: GPL-2.0

//! A module whose objects are freed after it has put them.
//!
//! It gets an object for the process that loads it and puts it at once, so that the free callback
//! runs when the module may be on its way out. With `leak=1` it does not put it.

use core::convert::Infallible;
use kernel::{
    mm::{
        mmu_notifier::{
            shared::{
                Object,
                Registry, //
            },
            Operations, //
        },
        Mm,
        MmWithUser, //
    },
    prelude::*, //
};

module! {
    type: SharedUnload,
    name: "shared_unload",
    authors: ["The nonblock authors"],
    description: "A module whose objects are freed after it has put them",
    license: "GPL",
    params: {
        leak: bool {
            default: false,
            description: "Leak the object",
        },
    },
}

struct Process;

static PROCESSES: Registry<Process> = Registry::new();

#[vtable]
impl Operations for Process {
    type Refusal = Infallible;

    fn release(&self, _mm: &Mm) {
        pr_info!("released\n");
    }
}

impl Object for Process {
    fn new(_mm: &MmWithUser) -> impl PinInit<Self, Error> {
        Ok(Process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        pr_info!("freed\n");
    }
}

struct SharedUnload;

impl kernel::Module for SharedUnload {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let object = PROCESSES.get(kernel::current!().mm().ok_or(EINVAL)?)?;

        if module_parameters::leak.value() {
            core::mem::forget(object);
        }
        Ok(Self)
    }
}
