// SPDX-License-Identifier: GPL-2.0

//! A module with a list notifier that always refuses.
//!
//! It is for the process that opens `/dev/list_refuses`, until the file is closed.

use kernel::{
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::mmu_notifier::{
        list::{
            Notifier,
            Operations, //
        },
        Range,
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

#[pin_data]
struct ListRefuses {
    #[pin]
    _dev: MiscDeviceRegistration<Device>,
}

impl kernel::InPlaceModule for ListRefuses {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _dev <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"list_refuses",
            }),
        })
    }
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

/// An open file.
#[pin_data]
struct Device {
    #[pin]
    _registration: Notifier<Refuses>,
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        let task = kernel::current!();
        let mm = task.mm().ok_or(EINVAL)?;

        KBox::try_pin_init(
            try_pin_init!(Self {
                _registration <- Notifier::new(mm, Ok(Refuses)),
            }? Error),
            GFP_KERNEL,
        )
    }
}
