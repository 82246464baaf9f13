// SPDX-License-Identifier: GPL-2.0

//! A module with work items that outlive their file.
//!
//! It is driven by commands that are written to `/dev/queued_work`. The work items wait for the
//! command `go`, so a test can try to unload the module before.

use core::convert::Infallible;
use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    iov::IovIterSource,
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
                TryInvalidation, //
            },
            list,
            Range, //
        },
        MmWithUser, //
    },
    new_spinlock,
    nonblock::NonBlockGuard,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::spinlock::SpinLockBackend,
        Arc,
        SpinLock, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    workqueue::{
        self,
        impl_has_delayed_work,
        impl_has_work,
        new_delayed_work,
        new_work,
        DelayedWork,
        Work,
        WorkItem, //
    }, //
};

module! {
    type: QueuedWork,
    name: "queued_work",
    authors: ["The nonblock authors"],
    description: "A module with work items that outlive the file that they were queued for",
    license: "GPL",
    params: {
        in_init: bool {
            default: false,
            description: "Queue work items before the module is initialized",
        },
        fail: bool {
            default: false,
            description: "Fail to initialize the module",
        },
        in_exit: bool {
            default: false,
            description: "Queue work items when the module is unloaded",
        },
    },
}

/// How often `again` has a work item queue itself.
const TIMES: i32 = 1000;

/// Whether waiting work items may continue.
static GO: Atomic<bool> = Atomic::new(false);
/// The number of work items that have begun to run.
static RUNS: Atomic<usize> = Atomic::new(0);

fn wait() {
    while !GO.load(Relaxed) {
        fsleep(Delta::from_millis(1));
    }
}

/// The data of a driver for a process, which a work item frees.
#[pin_data]
struct Cache {
    /// How often the work item has still to queue itself.
    again: Atomic<i32>,
    #[pin]
    work: Work<Cache>,
    #[pin]
    delayed: DelayedWork<Cache, 1>,
}

impl_has_work! {
    impl HasWork<Self> for Cache { self.work }
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self, 1> for Cache { self.delayed }
}

impl Cache {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                again: Atomic::new(0),
                work <- new_work!("Cache::work"),
                delayed <- new_delayed_work!("Cache::delayed"),
            }),
            GFP_KERNEL,
        )
    }

    /// Queues the work item. Returns whether it was not queued already.
    fn queue(self: &Arc<Self>) -> bool {
        workqueue::system_unbound()
            .enqueue::<Arc<Cache>, 0>(self.clone())
            .is_ok()
    }
}

impl WorkItem for Cache {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        RUNS.fetch_add(1, Relaxed);
        wait();
        if this.again.fetch_add(-1, Relaxed) > 0 {
            this.queue();
        }
    }
}

impl WorkItem<1> for Cache {
    type Pointer = Arc<Self>;

    fn run(_this: Arc<Self>) {
        wait();
    }
}

/// The data of a notifier.
#[pin_data(PinnedDrop)]
struct Handler {
    cache: Arc<Cache>,
    /// Whether its destructor waits.
    slow: bool,
    #[pin]
    lock: SpinLock<()>,
}

impl Handler {
    fn new(cache: &Arc<Cache>, slow: bool) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            cache: cache.clone(),
            slow,
            lock <- new_spinlock!(()),
        }? Error)
    }

    /// Queues the work item, unless the references of the notifiers alone are to be counted.
    fn evict(&self) {
        if !self.slow {
            self.cache.queue();
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Handler {
    fn drop(self: Pin<&mut Self>) {
        if self.slow {
            wait();
        }
    }
}

#[vtable]
impl list::Operations for Handler {
    type Refusal = Infallible;

    fn release(&self) {
        self.evict();
    }

    fn start(&self, _range: Range<'_>) {
        self.evict();
    }

    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
        self.evict();
        Ok(())
    }
}

impl interval::Operations for Handler {
    type State = ();
    type Backend = SpinLockBackend;
    type Refusal = Infallible;

    fn lock(&self) -> &SpinLock<()> {
        &self.lock
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        self.evict();
        op.lock().1
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, Infallible> {
        self.evict();
        Ok(op.lock().1)
    }
}

/// A notifier of each kind.
struct Watch {
    _list: Pin<KBox<list::Notifier<Handler>>>,
    _interval: Pin<KBox<interval::Notifier<Handler>>>,
}

impl Watch {
    fn new(cache: &Arc<Cache>, slow: bool) -> Result<Self> {
        let task = kernel::current!();
        let mm: &MmWithUser = task.mm().ok_or(EINVAL)?;

        Ok(Self {
            _list: KBox::try_pin_init(
                list::Notifier::new(mm, Handler::new(cache, slow)),
                GFP_KERNEL,
            )?,
            _interval: KBox::try_pin_init(
                interval::Notifier::new(mm, 0..usize::MAX, Handler::new(cache, slow)),
                GFP_KERNEL,
            )?,
        })
    }
}

/// An open file.
#[pin_data]
struct Device {
    cache: Arc<Cache>,
    #[pin]
    watches: SpinLock<KVec<Watch>>,
}

impl Device {
    fn watch(&self, slow: bool) -> Result {
        let watch = Watch::new(&self.cache, slow)?;
        let mut watches = KVec::with_capacity(1, GFP_KERNEL)?;

        watches.push(watch, GFP_KERNEL)?;
        let old = core::mem::replace(&mut *self.watches.lock(), watches);
        drop(old);
        Ok(())
    }

    /// Queues a work item that runs, and queues it again.
    fn busy(&self) -> Result {
        let runs = RUNS.load(Relaxed);
        if !self.cache.queue() {
            return Err(EBUSY);
        }
        while RUNS.load(Relaxed) == runs {
            fsleep(Delta::from_millis(1));
        }
        // It runs, and so can be queued, but once.
        if !self.cache.queue() || self.cache.queue() {
            return Err(EBUSY);
        }
        Ok(())
    }

    fn command(&self, command: &[u8]) -> Result {
        let queue = workqueue::system_unbound();

        match command {
            b"go" => GO.store(true, Relaxed),
            b"queue" => {
                self.cache.queue();
            }
            b"delay" => {
                let _ = queue.enqueue_delayed::<_, 1>(self.cache.clone(), 10);
            }
            b"spawn" => queue.try_spawn(GFP_KERNEL, wait)?,
            b"again" => {
                self.cache.again.store(TIMES, Relaxed);
                self.cache.queue();
            }
            b"busy" => self.busy()?,
            b"race" => (0..TIMES).for_each(|_| {
                self.cache.queue();
            }),
            // The notifiers are dropped when the file is closed, or in a work item.
            b"watch" => self.watch(false)?,
            b"slow" => self.watch(true)?,
            b"drop" => {
                let watch = Watch::new(&self.cache, true)?;
                queue.try_spawn(GFP_KERNEL, move || drop(watch))?;
            }
            _ => return Err(EINVAL),
        }
        Ok(())
    }
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                cache: Cache::new()?,
                watches <- new_spinlock!(KVec::new()),
            }),
            GFP_KERNEL,
        )
    }

    fn write_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let mut text = KVec::new();
        let len = iov.copy_from_iter_vec(&mut text, GFP_KERNEL)?;

        kiocb.file().command(text.trim_ascii())?;
        Ok(len)
    }
}

#[pin_data(PinnedDrop)]
struct QueuedWork {
    #[pin]
    _dev: MiscDeviceRegistration<Device>,
}

/// Queues a work item that takes some time, and drops notifiers of the current process if there
/// can be any.
fn queue(when: &'static CStr) -> Result {
    let watch = Watch::new(&Cache::new()?, false);
    let refused = watch.as_ref().err().copied();

    workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
        fsleep(Delta::from_millis(300));
        drop(watch);
        pr_info!("{when}: ran, {refused:?}\n");
    })?;
    Ok(())
}

impl kernel::InPlaceModule for QueuedWork {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        GO.store(
            module_parameters::in_init.value() || module_parameters::in_exit.value(),
            Relaxed,
        );
        try_pin_init!(Self {
            _: {
                if module_parameters::in_init.value() {
                    queue(c"init")?;
                }
                if module_parameters::fail.value() {
                    return Err(EBUSY);
                }
            },
            _dev <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"queued_work",
            }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for QueuedWork {
    fn drop(self: Pin<&mut Self>) {
        if module_parameters::in_exit.value() && queue(c"exit").is_err() {
            pr_err!("exit: no work item\n");
        }
    }
}
