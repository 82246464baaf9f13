// SPDX-License-Identifier: GPL-2.0

//! A module with notifiers that outlive their file.
//!
//! Each `open()` of `/dev/shared_unload` makes a notifier of each kind and drops it again. The
//! shared object is dropped later, when the module may already be on its way out. The parameters
//! let the notifiers be leaked, let them fail, let destructors wait, and let the module make
//! notifiers while it is being loaded or unloaded.

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
                new_registry,
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
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::mutex::MutexBackend,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
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
        fail: bool {
            default: false,
            description: "Fail to create the data of each notifier",
        },
        slow: bool {
            default: false,
            description: "Drop no object before the device is opened for the second time",
        },
        in_init: bool {
            default: false,
            description: "Make a notifier of each kind, and then fail to initialize the module",
        },
        in_exit: bool {
            default: false,
            description: "Try to make a notifier of each kind when the module is unloaded",
        },
    },
}

/// How often the device was opened.
static OPENED: Atomic<i32> = Atomic::new(0);

struct Process;

static PROCESSES: Registry<Process> = new_registry!(Process);

#[vtable]
impl list::Operations for Process {
    type Refusal = Infallible;

    fn release(&self) {
        pr_info!("released\n");
    }
}

impl Object for Process {
    fn new(_mm: &MmWithUser) -> impl PinInit<Self, Error> {
        may_fail().map(|()| Process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        while module_parameters::slow.value() && OPENED.load(Relaxed) < 2 {
            fsleep(Delta::from_millis(1));
        }
        pr_info!("freed\n");
    }
}

fn may_fail() -> Result {
    if module_parameters::fail.value() {
        return Err(EIO);
    }
    Ok(())
}

/// The data of the other two kinds.
#[pin_data]
struct Watch {
    #[pin]
    lock: Mutex<()>,
}

impl Watch {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            lock <- new_mutex!(()),
            _: { may_fail()? },
        }? Error)
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
        OPENED.fetch_add(1, Relaxed);
        if module_parameters::fail.value() {
            return Err(if errors()? == [Some(EIO); 3] {
                EIO
            } else {
                EINVAL
            });
        }

        let task = kernel::current!();
        let mm = task.mm().ok_or(EINVAL)?;
        let notifiers = (PROCESSES.get(mm)?, Watch::list(mm)?, Watch::interval(mm)?);

        if module_parameters::leak.value() {
            mem::forget(notifiers);
        }
        Ok(KBox::new(Device, GFP_KERNEL)?)
    }
}

#[pin_data(PinnedDrop)]
struct SharedUnload {
    #[pin]
    _dev: MiscDeviceRegistration<Device>,
}

/// Makes a notifier of each kind, drops it, and returns the errors.
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
                if module_parameters::in_init.value() {
                    return Err(if errors()? == [None; 3] { EBUSY } else { EINVAL });
                }
            },
            _dev <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"shared_unload",
            }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for SharedUnload {
    fn drop(self: Pin<&mut Self>) {
        if module_parameters::in_exit.value() {
            match errors() {
                Ok(errors) if errors == [Some(ENODEV); 3] => pr_info!("none in exit\n"),
                errors => pr_err!("in exit: {errors:?}\n"),
            }
        }
    }
}
