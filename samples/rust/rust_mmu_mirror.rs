// SPDX-License-Identifier: GPL-2.0

//! A software device that mirrors user memory.
//!
//! `/dev/mmu_mirror` reads and writes the memory of a process through a page table of its own, as
//! an RDMA adapter or a GPU with on-demand paging does, and lets go of pages when an MMU notifier
//! says so. See `rust_mmu_mirror.h` for the ioctls.
//!
//! The driver can be told to misbehave when it is asked to let go *without blocking*, which is what
//! the OOM reaper does:
//!
//! - `refuse=N`: each mirror refuses the first `N` times, `refuse=-1`: always.
//! - `sleep=1`: it sleeps, which the contract forbids.

use core::{
    mem::size_of,
    ops::Range,
    ptr, //
};
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
    mm::{
        gup::{
            UserPage,
            UserPageMut, //
        },
        mmu_notifier::{
            interval::{
                Invalidated,
                Invalidation,
                Notifier,
                Operations,
                TryInvalidation, //
            },
            WouldBlock, //
        },
        MmWithUser, //
    },
    new_mutex,
    nonblock::NonBlockGuard,
    page::{
        PAGE_MASK,
        PAGE_SHIFT,
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
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    uaccess::UserSlice,
    xarray::{
        AllocKind,
        XArray, //
    }, //
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
            description: "How often a mirror refuses to let go without blocking; -1: always",
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

/// What happened since a device was opened, see `struct mmu_mirror_stats`.
struct Stats {
    pages: Atomic<u64>,
    faults: Atomic<u64>,
    retries: Atomic<u64>,
    invalidations: Atomic<u64>,
    nonblock: Atomic<u64>,
    refused: Atomic<u64>,
    dropped: Atomic<u64>,
}

impl Stats {
    fn new() -> Self {
        Self {
            pages: Atomic::new(0),
            faults: Atomic::new(0),
            retries: Atomic::new(0),
            invalidations: Atomic::new(0),
            nonblock: Atomic::new(0),
            refused: Atomic::new(0),
            dropped: Atomic::new(0),
        }
    }

    fn get(&self) -> StatsArg {
        [
            self.pages.load(Relaxed),
            self.faults.load(Relaxed),
            self.retries.load(Relaxed),
            self.invalidations.load(Relaxed),
            self.nonblock.load(Relaxed),
            self.refused.load(Relaxed),
            self.dropped.load(Relaxed),
        ]
    }
}

/// What the device wants to do with a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// An entry of the device's page table.
enum Entry {
    ReadOnly(UserPage),
    Writable(UserPageMut),
}

impl Entry {
    fn look_up(mm: &MmWithUser, addr: usize, access: Access) -> Result<Self> {
        let mmap = mm.mmap_read_lock();

        Ok(match access {
            Access::Read => Self::ReadOnly(mmap.get_user_page(addr)?),
            Access::Write => Self::Writable(mmap.get_user_page_mut(addr)?),
        })
    }

    fn allows(&self, access: Access) -> bool {
        access == Access::Read || matches!(self, Self::Writable(_))
    }

    fn read(&self, offset: usize, buf: &mut [u8]) -> Result {
        match self {
            Self::ReadOnly(page) => page.read(offset, buf),
            Self::Writable(page) => page.read(offset, buf),
        }
    }

    fn write(&self, offset: usize, buf: &[u8]) -> Result {
        match self {
            Self::ReadOnly(_) => Err(EFAULT),
            Self::Writable(page) => page.write(offset, buf),
        }
    }
}

/// The page table of the device, indexed by page number.
struct Table {
    entries: Pin<KBox<XArray<KBox<Entry>>>>,
    /// The number of entries.
    len: u64,
    stats: Arc<Stats>,
}

impl Table {
    fn new(stats: Arc<Stats>) -> Result<Self> {
        Ok(Self {
            entries: KBox::pin_init(XArray::new(AllocKind::Alloc), GFP_KERNEL)?,
            len: 0,
            stats,
        })
    }

    /// Calls `f` with the entry for `addr`, if there is one that allows the access.
    fn with_entry<R>(&self, addr: usize, access: Access, f: impl FnOnce(&Entry) -> R) -> Option<R> {
        let entries = self.entries.lock();
        let entry = entries.get(addr >> PAGE_SHIFT)?;

        entry.allows(access).then(|| f(entry))
    }

    fn insert(&mut self, addr: usize, entry: KBox<Entry>) -> Result {
        // Callbacks take the lock that protects the table, so the allocation must not reclaim.
        let mut entries = self.entries.lock();
        if entries
            .store(addr >> PAGE_SHIFT, entry, GFP_NOWAIT)?
            .is_none()
        {
            self.len += 1;
            self.stats.pages.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Removes pages, by their numbers. The range may be much larger than what there is of it.
    ///
    /// Returns how many there were.
    fn remove(&mut self, pages: Range<usize>) -> u64 {
        let mut removed = 0;
        let mut next = pages.start;

        loop {
            // Not held for the whole loop, so that others get to run.
            let mut entries = self.entries.lock();
            let index = match entries.find_next(next) {
                Some((index, _)) if index < pages.end => index,
                _ => break,
            };
            drop(entries.remove(index));
            removed += 1;
            next = index + 1;
        }

        self.len -= removed;
        self.stats.pages.fetch_sub(removed, Relaxed);
        removed
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.stats.pages.fetch_sub(self.len, Relaxed);
    }
}

/// A mirror of a range of the address space.
#[pin_data]
struct Mirror {
    /// Made of whole pages.
    range: Range<usize>,
    #[pin]
    table: Mutex<Table>,
    /// How often it was asked to let go without blocking.
    asked: Atomic<u32>,
    stats: Arc<Stats>,
}

impl Operations for Mirror {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        &self.table
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        self.stats.invalidations.fetch_add(1, Relaxed);

        let pages = op.pages();
        let (mut table, done) = op.lock();
        self.stats.dropped.fetch_add(table.remove(pages), Relaxed);
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        self.stats.nonblock.fetch_add(1, Relaxed);

        self.try_remove(op).inspect_err(|_| {
            self.stats.refused.fetch_add(1, Relaxed);
        })
    }
}

impl Mirror {
    fn try_remove<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        if module_parameters::sleep.value() {
            fsleep(Delta::from_millis(20));
        }

        let asked = self.asked.fetch_add(1, Relaxed);
        // A negative number means always.
        if u32::try_from(module_parameters::refuse.value()).map_or(true, |n| asked < n) {
            return Err(WouldBlock);
        }

        let pages = op.pages();
        let (mut table, done) = op.try_lock()?;
        self.stats.dropped.fetch_add(table.remove(pages), Relaxed);
        Ok(done)
    }
}

/// An open file.
#[pin_data]
struct Device {
    #[pin]
    mirror: Mutex<Option<Arc<Notifier<Mirror>>>>,
    stats: Arc<Stats>,
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        let stats = Arc::new(Stats::new(), GFP_KERNEL)?;

        KBox::pin_init(
            pin_init!(Self {
                mirror <- new_mutex!(None),
                stats,
            }),
            GFP_KERNEL,
        )
    }

    fn ioctl(me: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = UserPtr::from_addr(arg);

        match cmd {
            MMU_MIRROR_MAP => {
                let [addr, len] = read_args(arg)?;
                me.map(checked_range(addr, len)?)?;
            }
            MMU_MIRROR_UNMAP => me.unmap()?,
            MMU_MIRROR_READ => {
                let [addr, len, buf] = read_args(arg)?;
                me.read(checked_range(addr, len)?, user_slice(buf, len)?)?;
            }
            MMU_MIRROR_WRITE => {
                let [addr, len, buf] = read_args(arg)?;
                me.write(checked_range(addr, len)?, user_slice(buf, len)?)?;
            }
            MMU_MIRROR_PREFETCH => {
                let [addr, len] = read_args(arg)?;
                me.prefetch(checked_range(addr, len)?)?;
            }
            MMU_MIRROR_STATS => {
                let mut writer = UserSlice::new(arg, size_of::<StatsArg>()).writer();
                for value in me.stats.get() {
                    writer.write(&value)?;
                }
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl Device {
    fn map(&self, range: Range<usize>) -> Result {
        if (range.start | range.end) & !PAGE_MASK != 0 {
            return Err(EINVAL);
        }

        let task = kernel::current!();
        let mm = task.mm().ok_or(EINVAL)?;
        if range.end > mm.task_size() {
            return Err(EFAULT);
        }

        // Held over the registration, so that two callers do not both find no mirror.
        let mut mirror = self.mirror.lock();
        if mirror.is_some() {
            return Err(EBUSY);
        }

        let table = Table::new(self.stats.clone())?;
        let bounds = range.clone();
        let init = try_pin_init!(Mirror {
            range: bounds,
            table <- new_mutex!(table),
            asked: Atomic::new(0),
            stats: self.stats.clone(),
        });
        *mirror = Some(Arc::pin_init(Notifier::new(mm, range, init), GFP_KERNEL)?);
        Ok(())
    }

    fn unmap(&self) -> Result {
        let mirror = self.mirror.lock().take().ok_or(ENXIO)?;

        // Waits for callbacks, so not under the lock.
        drop(mirror);
        Ok(())
    }

    fn read(&self, range: Range<usize>, user: UserSlice) -> Result {
        let mut user = user.writer();
        let mut buf = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;

        self.for_each_page(range, |mirror, mm, addr, len| {
            let offset = addr & !PAGE_MASK;
            with_page(mirror, mm, addr, Access::Read, |entry| {
                entry.read(offset, &mut buf[..len])
            })??;
            // Not under the lock of the mirror: this may fault, and so cause an invalidation.
            user.write_slice(&buf[..len])
        })
    }

    fn write(&self, range: Range<usize>, user: UserSlice) -> Result {
        let mut user = user.reader();
        let mut buf = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;

        self.for_each_page(range, |mirror, mm, addr, len| {
            let offset = addr & !PAGE_MASK;
            user.read_slice(&mut buf[..len])?;
            with_page(mirror, mm, addr, Access::Write, |entry| {
                entry.write(offset, &buf[..len])
            })?
        })
    }

    fn prefetch(&self, range: Range<usize>) -> Result {
        self.for_each_page(range, |mirror, mm, addr, _len| {
            with_page(mirror, mm, addr, Access::Write, |_| ())
        })
    }

    /// Calls `f` with the address and length of each part of `range` that is within one page.
    fn for_each_page(
        &self,
        range: Range<usize>,
        mut f: impl FnMut(&Notifier<Mirror>, &MmWithUser, usize, usize) -> Result,
    ) -> Result {
        let mirror = self.mirror.lock().clone().ok_or(ENXIO)?;
        let task = kernel::current!();
        let mm = task.mm().ok_or(EPERM)?;

        if !ptr::eq(mirror.mm().as_raw(), mm.as_raw()) {
            return Err(EPERM);
        }
        if range.start < mirror.range.start || range.end > mirror.range.end {
            return Err(EFAULT);
        }

        let mut addr = range.start;
        while addr < range.end {
            if task.signal_pending() {
                return Err(EINTR);
            }

            let page_end = (addr & PAGE_MASK) + PAGE_SIZE;
            let end = page_end.min(range.end);
            f(&mirror, mm, addr, end - addr)?;
            addr = end;
        }
        Ok(())
    }
}

/// Calls `f` with the entry for `addr`, which is looked up in the process if need be.
///
/// No invalidation takes place while `f` runs.
fn with_page<R>(
    mirror: &Notifier<Mirror>,
    mm: &MmWithUser,
    addr: usize,
    access: Access,
    mut f: impl FnMut(&Entry) -> R,
) -> Result<R> {
    if let Some(ret) = mirror.table.lock().with_entry(addr, access, &mut f) {
        return Ok(ret);
    }

    loop {
        let seq = mirror.read_begin();
        let entry = KBox::new(Entry::look_up(mm, addr, access)?, GFP_KERNEL)?;
        mirror.stats.faults.fetch_add(1, Relaxed);

        let Some(mut table) = seq.lock() else {
            mirror.stats.retries.fetch_add(1, Relaxed);
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
            continue;
        };

        table.insert(addr, entry)?;
        return table.with_entry(addr, access, f).ok_or(EFAULT);
    }
}

fn checked_range(addr: u64, len: u64) -> Result<Range<usize>> {
    let start = usize::try_from(addr)?;
    let end = start.checked_add(usize::try_from(len)?).ok_or(EINVAL)?;

    if start == end {
        return Err(EINVAL);
    }
    Ok(start..end)
}

fn user_slice(addr: u64, len: u64) -> Result<UserSlice> {
    Ok(UserSlice::new(
        UserPtr::from_addr(usize::try_from(addr)?),
        usize::try_from(len)?,
    ))
}

/// Reads the argument of an ioctl, which is `N` times a `__u64`.
fn read_args<const N: usize>(arg: UserPtr) -> Result<[u64; N]> {
    let mut reader = UserSlice::new(arg, size_of::<[u64; N]>()).reader();
    let mut args = [0; N];

    for arg in &mut args {
        *arg = reader.read()?;
    }
    Ok(args)
}
