// SPDX-License-Identifier: GPL-2.0

//! A software device that mirrors user memory.
//!
//! `/dev/mmu_mirror` reads and writes the memory of a process through its own page table, like an
//! RDMA adapter or a GPU with on-demand paging. See `rust_mmu_mirror.h` for the ioctls.
//!
//! Module parameters make the driver misbehave when the OOM reaper calls it *without blocking*: it
//! then refuses, or sleeps, which the contract forbids.

use core::ops::Range;
use kernel::{
    fs::File,
    ioctl::{
        _IO,
        _IOC_SIZE,
        _IOR,
        _IOW, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        hmm::{
            self,
            Access,
            Mirror,
            Removal,
            Removed,
            TryRemoval, //
        },
        mmu_notifier::WouldBlock,
        untagged_range, //
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
        Arc,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    uaccess::UserSlice, //
};

module! {
    type: MmuMirrorModule,
    name: "rust_mmu_mirror",
    authors: ["The nonblock authors"],
    description: "A software device that mirrors user memory",
    license: "GPL",
    params: {
        refuse: i32 {
            default: 0,
            description: "How often a device refuses to let go without blocking; -1: always",
        },
        sleep: bool {
            default: false,
            description: "Sleep when asked to let go without blocking, which is a bug",
        },
    },
}

// The argument types of `rust_mmu_mirror.h`, whose fields are all `__u64`.
type RangeArg = [u64; 2];
type AccessArg = [u64; 3];
type StatsArg = [u64; 7];

const MMU_MIRROR_MAP: u32 = _IOW::<RangeArg>('|' as u32, 0x90);
const MMU_MIRROR_UNMAP: u32 = _IO('|' as u32, 0x91);
const MMU_MIRROR_READ: u32 = _IOW::<AccessArg>('|' as u32, 0x92);
const MMU_MIRROR_WRITE: u32 = _IOW::<AccessArg>('|' as u32, 0x93);
const MMU_MIRROR_PREFETCH: u32 = _IOW::<RangeArg>('|' as u32, 0x94);
const MMU_MIRROR_STATS: u32 = _IOR::<StatsArg>('|' as u32, 0x95);

#[pin_data]
struct MmuMirrorModule {
    #[pin]
    _dev: MiscDeviceRegistration<Device>,
}

impl kernel::InPlaceModule for MmuMirrorModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _dev <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"mmu_mirror",
            }),
        })
    }
}

/// The fields of `struct mmu_mirror_stats`.
enum Stat {
    Pages,
    Faults,
    Retries,
    Invalidations,
    Nonblock,
    Refused,
    Dropped,
}

/// The statistics since a device was opened.
struct Stats([Atomic<u64>; 7]);

impl Stats {
    /// Adds `n`, and returns the old value.
    fn add(&self, stat: Stat, n: usize) -> u64 {
        self.0[stat as usize].fetch_add(n as u64, Relaxed)
    }
}

/// Takes part in the invalidations of a mirror.
struct Hooks(Arc<Stats>);

impl hmm::Device for Hooks {
    fn invalidate<'op>(&'op self, op: Removal<'op, Self>) -> Removed<'op> {
        let removed = op.remove();

        self.0.add(Stat::Invalidations, 1);
        self.0.add(Stat::Dropped, removed.pages());
        removed
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryRemoval<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Removed<'op>, WouldBlock> {
        if module_parameters::sleep.value() {
            fsleep(Delta::from_millis(20));
        }

        let refuse = module_parameters::refuse.value();
        let before = self.0.add(Stat::Nonblock, 1);
        let removed = if refuse < 0 || before < refuse as u64 {
            Err(WouldBlock)
        } else {
            op.try_remove()
        };

        match &removed {
            Ok(removed) => self.0.add(Stat::Dropped, removed.pages()),
            Err(WouldBlock) => self.0.add(Stat::Refused, 1),
        };
        removed
    }
}

/// An open file.
#[pin_data]
struct Device {
    #[pin]
    mirror: Mutex<Option<Arc<Mirror<Hooks>>>>,
    stats: Arc<Stats>,
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        let init = try_pin_init!(Self {
            mirror <- new_mutex!(None),
            stats: Arc::new(Stats([const { Atomic::new(0) }; 7]), GFP_KERNEL)?,
        }? Error);
        KBox::try_pin_init(init, GFP_KERNEL)
    }

    fn ioctl(me: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), _IOC_SIZE(cmd));

        match cmd {
            MMU_MIRROR_MAP => {
                let [addr, len]: RangeArg = user.reader().read()?;
                me.map(untagged_range(addr, len)?)?;
            }
            MMU_MIRROR_UNMAP => {
                let mirror = me.mirror.lock().take().ok_or(ENXIO)?;
                // This waits for callbacks, so it must not be under the lock.
                drop(mirror);
            }
            MMU_MIRROR_READ | MMU_MIRROR_WRITE => {
                let [addr, len, buf]: AccessArg = user.reader().read()?;
                me.access(cmd, untagged_range(addr, len)?, buf.try_into()?)?;
            }
            MMU_MIRROR_PREFETCH => {
                let [addr, len]: RangeArg = user.reader().read()?;
                me.access(cmd, untagged_range(addr, len)?, 0)?;
            }
            MMU_MIRROR_STATS => user.writer().write(&me.stats())?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl Device {
    fn map(&self, range: Range<usize>) -> Result {
        let task = kernel::current!();
        let mm = task.mm().ok_or(EINVAL)?;

        if (range.start | range.end) & !PAGE_MASK != 0 {
            return Err(EINVAL);
        }
        if range.end > mm.task_size() {
            return Err(EFAULT);
        }

        // The lock is held over the registration. Otherwise two callers could both find no mirror.
        let mut mirror = self.mirror.lock();
        if mirror.is_some() {
            return Err(EBUSY);
        }
        let init = Mirror::new(mm, range, Ok(Hooks(self.stats.clone())));
        *mirror = Some(Arc::pin_init(init, GFP_KERNEL)?);
        Ok(())
    }

    fn stats(&self) -> StatsArg {
        let mirror = self.mirror.lock().clone();
        let mut stats = self.stats.0.each_ref().map(|stat| stat.load(Relaxed));

        stats[Stat::Pages as usize] = mirror.map_or(0, |mirror| mirror.lock().count() as u64);
        stats
    }

    /// Makes the device read memory to a buffer, write it from there, or only look it up.
    fn access(&self, cmd: u32, range: Range<usize>, buf: usize) -> Result {
        let user = UserSlice::new(UserPtr::from_addr(buf), range.len());
        let (mut reader, mut writer) = user.reader_writer();
        let mut buf = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;

        let mirror = self.mirror.lock().clone().ok_or(ENXIO)?;
        if mirror.mm().as_raw() != kernel::current!().mm().ok_or(EPERM)?.as_raw() {
            return Err(EPERM);
        }
        if range.start < mirror.range().start || range.end > mirror.range().end {
            return Err(EFAULT);
        }

        let access = match cmd {
            MMU_MIRROR_READ => Access::Read,
            _ => Access::Write,
        };
        let look_up = |page| {
            let looked_up = match mirror.fault_unlocked(page, access, None) {
                // One error covers all accesses that the process cannot do either.
                Err(EPERM) => return Err(EFAULT),
                result => result?,
            };
            self.stats.add(Stat::Faults, looked_up);
            self.stats.add(Stat::Retries, looked_up - 1);
            Ok(())
        };

        let mut addr = range.start;
        while addr < range.end {
            let offset = addr & !PAGE_MASK;
            let page = addr - offset..addr - offset + PAGE_SIZE;
            let part = &mut buf[..(PAGE_SIZE - offset).min(range.end - addr)];

            // The buffer is not accessed under the lock of the mirror: this may fault, and so cause
            // an invalidation.
            if cmd == MMU_MIRROR_WRITE {
                reader.read_slice(part)?;
            }
            mirror.for_each_page(page, look_up, |pages, page| {
                Some(match cmd {
                    MMU_MIRROR_READ => pages.page(page)?.read(offset, part),
                    MMU_MIRROR_WRITE => pages.page_mut(page)?.write(offset, part),
                    _ => pages.page_mut(page).map(|_| Ok(()))?,
                })
            })?;
            if cmd == MMU_MIRROR_READ {
                writer.write_slice(part)?;
            }
            addr += part.len();
        }
        Ok(())
    }
}
