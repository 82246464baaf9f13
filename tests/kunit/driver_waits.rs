// SPDX-License-Identifier: GPL-2.0

//! A device with a driver that cannot give memory back immediately.
//!
//! See `driver_waits.h` for the ioctls, and `driver_waits_twin.c` for the same in C.

use kernel::{
    fs::File,
    ioctl::{
        _IO,
        _IOR,
        _IOW, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::mmu_notifier::{
        interval::{
            DeferringNotifier,
            Invalidated,
            Invalidation,
            Notifier,
            Operations,
            TryInvalidation, //
        },
        WouldBlock, //
    },
    new_mutex,
    nonblock::NonBlockGuard,
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::mutex::MutexBackend,
        Arc,
        Mutex,
        SetOnce, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    },
    uaccess::UserSlice, //
};

module! {
    type: DriverWaits,
    name: "driver_waits",
    authors: ["The nonblock authors"],
    description: "A device whose driver cannot let go of memory at once",
    license: "GPL",
}

// The arguments of `driver_waits.h`, whose fields are all `__u64`.
type UseArg = [u64; 6];
type StatsArg = [u64; 5];

const DRIVER_WAITS_USE: u32 = _IOW::<UseArg>('|' as u32, 0xa0);
const DRIVER_WAITS_HOLD: u32 = _IO('|' as u32, 0xa1);
const DRIVER_WAITS_STATS: u32 = _IOR::<StatsArg>('|' as u32, 0xa2);

const DRIVER_WAITS_REFUSES: u64 = 1;
const DRIVER_WAITS_DEFERS: u64 = 2;

#[pin_data]
struct DriverWaits {
    #[pin]
    _dev: MiscDeviceRegistration<Device>,
}

impl kernel::InPlaceModule for DriverWaits {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _dev <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"driver_waits",
            }),
        })
    }
}

/// The statistics, and their places in `struct driver_waits_stats`.
type Stats = [Atomic<u64>; 5];
const IN_USE: usize = 0;
const TRIES: usize = 1;
const REFUSED: usize = 2;
const BLOCKING: usize = 3;
const HELD: usize = 4;

/// The way to give a part of the memory back without blocking.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// At once.
    Free,
    /// At once; this is the part that counts the tries.
    Last,
    /// Only if the device has stopped using it.
    Busy,
    /// Never.
    Refuses,
}

/// A part of the memory, with a notifier of its own.
#[pin_data]
struct Part {
    kind: Kind,
    wait: Delta,
    stats: Arc<Stats>,
    #[pin]
    in_use: Mutex<bool>,
}

impl Part {
    fn let_go(&self, in_use: &mut bool) {
        if core::mem::take(in_use) {
            self.stats[IN_USE].fetch_sub(1, Relaxed);
        }
    }

    fn try_let_go<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        if self.kind == Kind::Refuses {
            return Err(WouldBlock);
        }

        let (mut in_use, done) = op.try_lock()?;

        if *in_use && self.kind == Kind::Busy {
            return Err(WouldBlock);
        }
        self.let_go(&mut in_use);
        Ok(done)
    }
}

impl Operations for Part {
    type State = bool;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<bool> {
        &self.in_use
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        self.stats[BLOCKING].fetch_add(1, Relaxed);

        let (mut in_use, done) = op.lock();

        if *in_use && self.kind == Kind::Busy {
            // The device has to be stopped, and goes on for a while.
            fsleep(self.wait);
        }
        self.let_go(&mut in_use);
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let result = self.try_let_go(op);

        if self.kind == Kind::Last {
            self.stats[TRIES].fetch_add(1, Relaxed);
        }
        if result.is_err() {
            self.stats[REFUSED].fetch_add(1, Relaxed);
        }
        result
    }
}

/// A part with its notifier.
enum Watched {
    Plain(Pin<KBox<Notifier<Part>>>),
    Deferring(Pin<KBox<DeferringNotifier<Part>>>),
}

impl Watched {
    fn part(&self) -> &Part {
        match self {
            Self::Plain(notifier) => notifier,
            Self::Deferring(notifier) => notifier,
        }
    }
}

/// An open file.
struct Device {
    stats: Arc<Stats>,
    parts: SetOnce<KVec<Watched>>,
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let device = Device {
            stats: Arc::new([const { Atomic::new(0) }; 5], GFP_KERNEL)?,
            parts: SetOnce::new(),
        };
        Ok(KBox::new(device, GFP_KERNEL)?)
    }

    fn ioctl(me: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = |len| UserSlice::new(UserPtr::from_addr(arg), len);

        match cmd {
            DRIVER_WAITS_USE => me.use_memory(user(size_of::<UseArg>()).reader().read()?)?,
            DRIVER_WAITS_HOLD => me.hold(Delta::from_millis(arg.try_into()?))?,
            DRIVER_WAITS_STATS => {
                let stats: StatsArg = me.stats.each_ref().map(|stat| stat.load(Relaxed));
                user(size_of::<StatsArg>()).writer().write(&stats)?;
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl Device {
    fn use_memory(&self, [addr, len, notifiers, busy, wait, flags]: UseArg) -> Result {
        let task = kernel::current!();
        let mm = task.mm().ok_or(EINVAL)?;
        let [start, len, notifiers, busy] = [addr, len, notifiers, busy].map(|arg| arg as usize);
        let end = start.checked_add(len).ok_or(EINVAL)?;
        let wait = Delta::from_millis(wait.try_into()?);
        let defers = flags & DRIVER_WAITS_DEFERS != 0;
        let refuses = flags & DRIVER_WAITS_REFUSES != 0;

        if start & !PAGE_MASK != 0 || busy >= notifiers || len / PAGE_SIZE < notifiers {
            return Err(EINVAL);
        }

        let step = len / notifiers & PAGE_MASK;
        let mut parts = KVec::with_capacity(notifiers, GFP_KERNEL)?;
        for i in 0..notifiers {
            let last = i + 1 == notifiers;
            let first = start + i * step;
            let range = first..if last { end } else { first + step };
            let part = try_pin_init!(Part {
                kind: match (i < busy, last) {
                    // One that makes refusals good has to look whether it is done.
                    (true, _) if refuses && !defers => Kind::Refuses,
                    (true, _) => Kind::Busy,
                    (false, true) => Kind::Last,
                    (false, false) => Kind::Free,
                },
                wait,
                stats: self.stats.clone(),
                in_use <- new_mutex!(true),
            }? Error);
            let watched = if defers {
                let notifier = DeferringNotifier::new(mm, range, part);
                Watched::Deferring(KBox::try_pin_init(notifier, GFP_KERNEL)?)
            } else {
                let notifier = Notifier::new(mm, range, part);
                Watched::Plain(KBox::try_pin_init(notifier, GFP_KERNEL)?)
            };
            parts.push(watched, GFP_KERNEL)?;
        }
        if !self.parts.populate(parts) {
            return Err(EBUSY);
        }
        self.stats[IN_USE].fetch_add(notifiers as u64, Relaxed);
        Ok(())
    }

    fn hold(&self, wait: Delta) -> Result {
        let task = kernel::current!();
        let part = self.parts.as_ref().ok_or(ENXIO)?[0].part();
        let guard = part.in_use.lock();

        self.stats[HELD].store(1, Relaxed);
        while self.stats[TRIES].load(Relaxed) == 0 && !task.signal_pending() {
            fsleep(Delta::from_millis(10));
        }
        let start = Instant::<Monotonic>::now();
        while start.elapsed() < wait && !task.signal_pending() {
            fsleep(Delta::from_millis(10));
        }
        self.stats[HELD].store(0, Relaxed);
        drop(guard);
        Ok(())
    }
}
