// SPDX-License-Identifier: GPL-2.0

//! A module with notifiers that outlive the file that they were made for.
//!
//! Who opens `/dev/shared_unload` gets an object, which is put at once, so that the free callback
//! runs when the module may be on its way out. With `leak=1` it is leaked, and so is a notifier of
//! each other kind. With `in_init=1` the module asks for all of them before it is initialized.

use core::{
    convert::Infallible,
    mem, //
};
use kernel::{
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        mmu_notifier::{
            interval::{
                self,
                Invalidated,
                Invalidation,
                Notifier,
                TryInvalidation, //
            },
            list,
            shared::{
                Object,
                Registry, //
            },
            Event,
            WouldBlock, //
        },
        MmWithUser, //
    },
    new_mutex,
    nonblock::NonBlockGuard,
    prelude::*,
    sync::{
        lock::mutex::MutexBackend,
        Mutex, //
    }, //
};

module! {
    type: SharedUnload,
    name: "shared_unload",
    authors: ["The nonblock authors"],
    description: "A module with notifiers that outlive the file that they were made for",
    license: "GPL",
    params: {
        leak: bool {
            default: false,
            description: "Leak a notifier of each kind",
        },
        in_init: bool {
            default: false,
            description: "Ask for a notifier of each kind before the module is initialized",
        },
    },
}

struct Process;

static PROCESSES: Registry<Process> = Registry::new();

#[vtable]
impl list::Operations for Process {
    type Refusal = Infallible;

    fn release(&self) {
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

/// What is told of a process by notifiers of the other two kinds.
#[pin_data]
struct Watch {
    #[pin]
    lock: Mutex<()>,
}

impl Watch {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self { lock <- new_mutex!(()) }? Error)
    }

    fn list(mm: &MmWithUser) -> Result<Pin<KBox<list::Notifier<Self>>>> {
        KBox::try_pin_init(list::Notifier::new(mm, Self::new()), GFP_KERNEL)
    }

    fn interval(mm: &MmWithUser) -> Result<Pin<KBox<Notifier<Self>>>> {
        KBox::try_pin_init(Notifier::new(mm, 0..usize::MAX, Self::new()), GFP_KERNEL)
    }
}

#[vtable]
impl list::Operations for Watch {
    type Refusal = Infallible;

    fn release(&self) {
        pr_info!("list notifier: released\n");
    }
}

impl interval::Operations for Watch {
    type State = ();
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<()> {
        &self.lock
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        if op.event() == Event::Release {
            pr_info!("interval notifier: released\n");
        }
        op.lock().1
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        Ok(op.try_lock()?.1)
    }
}

/// An open file.
struct Device;

#[vtable]
impl MiscDevice for Device {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let task = kernel::current!();
        let mm = task.mm().ok_or(EINVAL)?;
        let object = PROCESSES.get(mm)?;

        if module_parameters::leak.value() {
            mem::forget(object);
            mem::forget(Watch::list(mm)?);
            mem::forget(Watch::interval(mm)?);
        }
        Ok(KBox::new(Device, GFP_KERNEL)?)
    }
}

#[pin_data]
struct SharedUnload {
    #[pin]
    _dev: MiscDeviceRegistration<Device>,
}

/// The errors of asking for a notifier of each kind.
fn errors() -> Result<[Option<Error>; 3]> {
    let task = kernel::current!();
    let mm = task.mm().ok_or(EINVAL)?;

    Ok([
        PROCESSES.get(mm).err(),
        Watch::list(mm).err(),
        Watch::interval(mm).err(),
    ])
}

impl kernel::InPlaceModule for SharedUnload {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _: {
                if module_parameters::in_init.value() && errors()? == [Some(ENODEV); 3] {
                    return Err(ENODEV);
                }
            },
            _dev <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"shared_unload",
            }),
        })
    }
}
