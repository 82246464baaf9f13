// SPDX-License-Identifier: GPL-2.0

//! On-demand paging, after `drivers/infiniband/sw/rxe/rxe_odp.c`.
//!
//! A process registers a range of its memory with `/dev/rust_odp`. Whoever has the file open may
//! then read and write that memory through the page table of the device.

use core::{
    cmp,
    ops::Range, //
};
use kernel::{
    fs::File,
    ioctl::{
        _IO,
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
        page_align,
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        lock::mutex::MutexBackend,
        Arc,
        Mutex,
        MutexGuard, //
    },
    uaccess::UserSlice, //
};

module! {
    type: OdpModule,
    name: "rust_odp",
    authors: ["The nonblock authors"],
    description: "On-demand paging",
    license: "GPL",
}

#[pin_data]
struct OdpModule {
    #[pin]
    _dev: MiscDeviceRegistration<Device>,
}

impl kernel::InPlaceModule for OdpModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _dev <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rust_odp",
            }),
        })
    }
}

/// What the device wants to do with the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// A page of the process, which the device may use.
enum Entry {
    ReadOnly(UserPage),
    Writable(UserPageMut),
}

impl Entry {
    /// Looks up the page at an address, and faults it in if need be.
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

/// The page table of the device.
struct Table {
    /// The number of the first page.
    first: usize,
    entries: KVVec<Option<Entry>>,
}

impl Table {
    fn new(bounds: &Range<usize>) -> Result<Self> {
        let len = bounds.len() / PAGE_SIZE;
        let flags = GFP_KERNEL | __GFP_NOWARN;
        let mut entries = KVVec::with_capacity(len, flags)?;

        for _ in 0..len {
            entries.push(None, flags)?;
        }
        Ok(Self {
            first: bounds.start / PAGE_SIZE,
            entries,
        })
    }

    /// Enters pages, beginning with the number `first`.
    fn map(&mut self, first: usize, found: KVec<Entry>) {
        for (page, entry) in (first..).zip(found) {
            self.entries[page - self.first] = Some(entry);
        }
    }

    /// Removes pages, by their numbers.
    fn unmap(&mut self, pages: Range<usize>) {
        for page in pages {
            self.entries[page - self.first] = None;
        }
    }

    /// Whether one of the pages has to be looked up.
    fn needs_fault(&self, mut pages: Range<usize>, access: Access) -> bool {
        pages.any(|page| match &self.entries[page - self.first] {
            Some(entry) => !entry.allows(access),
            None => true,
        })
    }

    /// Calls `f` with each page of `range`, the offset into it, and the part of `range` that it is.
    fn for_each(
        &self,
        range: Range<usize>,
        mut f: impl FnMut(&Entry, usize, Range<usize>) -> Result,
    ) -> Result {
        let mut addr = range.start;
        while addr < range.end {
            let end = cmp::min((addr & PAGE_MASK) + PAGE_SIZE, range.end);
            let entry = &self.entries[addr / PAGE_SIZE - self.first];
            let part = addr - range.start..end - range.start;

            f(entry.as_ref().ok_or(EFAULT)?, addr & !PAGE_MASK, part)?;
            addr = end;
        }
        Ok(())
    }
}

/// A memory region.
#[pin_data]
struct Region {
    /// Made of whole pages.
    bounds: Range<usize>,
    #[pin]
    umem: Mutex<Table>,
}

impl Operations for Region {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        &self.umem
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let pages = op.pages();
        let (mut table, done) = op.lock();
        table.unmap(pages);
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let pages = op.pages();
        let (mut table, done) = op.try_lock()?;
        table.unmap(pages);
        Ok(done)
    }
}

/// Registers a range of an address space.
fn register(mm: &MmWithUser, addr: usize, len: usize) -> Result<Arc<Notifier<Region>>> {
    let end = addr.checked_add(len).and_then(page_align);
    let range = addr & PAGE_MASK..end.ok_or(EOVERFLOW)?;
    let table = Table::new(&range)?;

    let bounds = range.clone();
    let region = try_pin_init!(Region {
        bounds,
        umem <- new_mutex!(table),
    });
    Arc::pin_init(Notifier::new(mm, range, region), GFP_KERNEL)
}

/// Looks up pages of the region, and returns with the mutex held: they are valid until it is
/// released.
fn fault_and_lock<'a>(
    region: &'a Notifier<Region>,
    pages: Range<usize>,
    access: Access,
) -> Result<MutexGuard<'a, Table>> {
    let mm = region.mm().mmget_not_zero().ok_or(EINVAL)?;
    let mm = MmWithUser::into_mmput_async(mm);
    let mut found = KVec::with_capacity(pages.len(), GFP_KERNEL)?;

    loop {
        let seq = region.read_begin();
        for page in pages.clone() {
            found.push(Entry::look_up(&mm, page * PAGE_SIZE, access)?, GFP_KERNEL)?;
        }
        if let Some(mut table) = seq.lock() {
            table.map(pages.start, found);
            return Ok(table);
        }

        found.clear();
        if kernel::current!().signal_pending() {
            return Err(EINTR);
        }
    }
}

/// Like [`fault_and_lock`], but only looks up pages if one is missing.
fn map_and_lock<'a>(
    region: &'a Notifier<Region>,
    range: &Range<usize>,
    access: Access,
) -> Result<MutexGuard<'a, Table>> {
    let bounds = &region.bounds;
    if range.is_empty() || range.start < bounds.start || range.end > bounds.end {
        return Err(EFAULT);
    }

    let pages = range.start / PAGE_SIZE..range.end.div_ceil(PAGE_SIZE);
    let table = region.umem.lock();
    if !table.needs_fault(pages.clone(), access) {
        return Ok(table);
    }
    drop(table);
    fault_and_lock(region, pages, access)
}

/// Reads from the region.
fn read(region: &Notifier<Region>, addr: usize, buf: &mut [u8]) -> Result {
    let range = addr..addr.checked_add(buf.len()).ok_or(EFAULT)?;
    let table = map_and_lock(region, &range, Access::Read)?;

    table.for_each(range, |entry, offset, part| {
        entry.read(offset, &mut buf[part])
    })
}

/// Writes to the region.
fn write(region: &Notifier<Region>, addr: usize, buf: &[u8]) -> Result {
    let range = addr..addr.checked_add(buf.len()).ok_or(EFAULT)?;
    let table = map_and_lock(region, &range, Access::Write)?;

    table.for_each(range, |entry, offset, part| entry.write(offset, &buf[part]))
}

/// An open file.
#[pin_data]
struct Device {
    #[pin]
    region: Mutex<Option<Arc<Notifier<Region>>>>,
}

// The arguments of the ioctls, whose fields are all `__u64`.
type RegArg = [u64; 2];
type CopyArg = [u64; 3];

const ODP_REG: u32 = _IOW::<RegArg>('|' as u32, 0xa0);
const ODP_DEREG: u32 = _IO('|' as u32, 0xa1);
const ODP_READ: u32 = _IOW::<CopyArg>('|' as u32, 0xa2);
const ODP_WRITE: u32 = _IOW::<CopyArg>('|' as u32, 0xa3);

#[vtable]
impl MiscDevice for Device {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        let init = pin_init!(Self {
            region <- new_mutex!(None),
        });
        KBox::pin_init(init, GFP_KERNEL)
    }

    fn ioctl(me: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            ODP_REG => me.reg(arg)?,
            ODP_DEREG => me.dereg()?,
            ODP_READ => me.copy(arg, Access::Read)?,
            ODP_WRITE => me.copy(arg, Access::Write)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl Device {
    fn reg(&self, arg: usize) -> Result {
        let [addr, len] = user_slice(arg, size_of::<RegArg>())
            .reader()
            .read::<RegArg>()?;
        let task = kernel::current!();
        let mm = task.mm().ok_or(EINVAL)?;

        let mut region = self.region.lock();
        if region.is_some() {
            return Err(EBUSY);
        }
        *region = Some(register(mm, addr.try_into()?, len.try_into()?)?);
        Ok(())
    }

    fn dereg(&self) -> Result {
        let region = self.region.lock().take().ok_or(ENXIO)?;

        // Waits for callbacks, so not under the lock.
        drop(region);
        Ok(())
    }

    fn copy(&self, arg: usize, access: Access) -> Result {
        let [addr, len, data] = user_slice(arg, size_of::<CopyArg>())
            .reader()
            .read::<CopyArg>()?;
        let (mut addr, len) = (usize::try_from(addr)?, usize::try_from(len)?);
        let (mut reader, mut writer) = user_slice(data.try_into()?, len).reader_writer();

        let region = self.region.lock().clone().ok_or(ENXIO)?;
        let mut buf = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        let mut left = len;
        while left != 0 {
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }

            let part = &mut buf[..cmp::min(left, PAGE_SIZE)];
            // User memory is not accessed under the mutex of the region, which callbacks take.
            match access {
                Access::Read => {
                    read(&region, addr, part)?;
                    writer.write_slice(part)?;
                }
                Access::Write => {
                    reader.read_slice(part)?;
                    write(&region, addr, part)?;
                }
            }
            addr += part.len();
            left -= part.len();
        }
        Ok(())
    }
}

fn user_slice(addr: usize, len: usize) -> UserSlice {
    UserSlice::new(UserPtr::from_addr(addr), len)
}
// [driver end]

#[kunit_tests(rust_mmu_notifier_porting)]
mod tests {
    use super::{
        super::{
            Process,
            LEFT, //
        },
        *, //
    };
    use crate::{
        invalidate,
        user, //
    };

    fn register_all(process: &Process) -> Result<Arc<Notifier<Region>>> {
        register(&process.mm, process.memory.start, process.memory.len())
    }

    /// Which pages of the region the device uses, as bits.
    fn used(region: &Notifier<Region>) -> u8 {
        let table = region.umem.lock();
        let entries = table.entries.iter().enumerate();
        entries.fold(0, |bits, (n, entry)| bits | u8::from(entry.is_some()) << n)
    }

    #[test]
    fn copies_across_pages() -> Result {
        let process = Process::new()?;
        let region = register_all(&process)?;
        let border = process.memory.start + PAGE_SIZE;
        let (mut back, mut second) = ([0; 4], [0; 2]);

        write(&region, border - 2, b"four")?;
        read(&region, border - 2, &mut back)?;
        let used = used(&region);
        let mmap = process.mm.mmap_read_lock();
        let page = mmap.get_user_page(border);
        drop(mmap);
        page?.read(0, &mut second)?;
        drop(region);

        assert_eq!(&back, b"four");
        assert_eq!(&second, b"ur");
        assert_eq!(used, 0b11);
        Ok(())
    }

    #[test]
    fn keeps_to_bounds_and_protection() -> Result {
        let process = Process::new()?;
        let memory = process.memory.clone();
        let region = register(&process.mm, memory.start + 1, PAGE_SIZE)?;
        let mut buf = [0; 2];

        let last = read(&region, memory.start + 2 * PAGE_SIZE - 2, &mut buf);
        let beyond = read(&region, memory.start + 2 * PAGE_SIZE - 1, &mut buf);
        user::mprotect(memory.start, PAGE_SIZE, user::PROT_READ)?;
        let readable = read(&region, memory.start, &mut buf);
        let writable = write(&region, memory.start, &buf);
        let empty = register(&process.mm, memory.start, 0).err();
        let endless = register(&process.mm, memory.start, usize::MAX).err();
        drop(region);

        assert_eq!(last, Ok(()));
        assert_eq!(beyond, Err(EFAULT));
        assert_eq!(readable, Ok(()));
        assert_eq!(writable, Err(EFAULT));
        assert_eq!(empty, Some(EINVAL));
        assert_eq!(endless, Some(EOVERFLOW));
        Ok(())
    }

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let region = register_all(&process)?;

        let mapped = map_and_lock(&region, &process.memory, Access::Write).map(drop);
        let before = used(&region);
        let after = process.change(|| used(&region))?;
        drop(region);

        assert_eq!(mapped, Ok(()));
        assert_eq!(before, u8::MAX);
        assert_eq!(after, LEFT);
        Ok(())
    }

    #[test]
    fn refuses_while_a_fault_has_the_mutex() -> Result {
        let process = Process::new()?;
        let region = register_all(&process)?;
        let reap = || invalidate::nonblock(&process.mm, 0, usize::MAX);

        let table = map_and_lock(&region, &process.memory, Access::Read)?;
        let refused = reap();
        drop(table);
        let kept = used(&region);
        let reaped = reap();
        let left = used(&region);
        drop(region);

        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(kept, u8::MAX);
        assert_eq!(reaped, Ok(()));
        assert_eq!(left, 0);
        Ok(())
    }

    #[test]
    fn process_is_gone() -> Result {
        let process = Process::new_other()?;
        let region = register_all(&process)?;

        drop(process);
        let fault = read(&region, 0, &mut [0]);
        drop(region);

        assert_eq!(fault, Err(EINVAL));
        Ok(())
    }
}
