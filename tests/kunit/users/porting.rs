// SPDX-License-Identifier: GPL-2.0

//! On-demand paging, after `drivers/infiniband/sw/rxe/rxe_odp.c`.
//!
//! A process registers a range of its memory with `/dev/rust_odp`. Every process with the open file
//! may then read and write this memory through the page table of the device.

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
        hmm::{
            self,
            Access,
            Mirror,
            Pages, //
        },
        untagged_addr,
        MmWithUser, //
    },
    new_mutex,
    page::{
        page_align,
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        Arc,
        Mutex, //
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

/// A memory region, with the pages that the device uses.
type Region = Mirror;

/// Registers a range of an address space.
fn register(mm: &MmWithUser, addr: usize, len: usize) -> Result<Arc<Region>> {
    let end = addr.checked_add(len).and_then(page_align);
    let range = addr & PAGE_MASK..end.ok_or(EOVERFLOW)?;

    Arc::pin_init(Mirror::new(mm, range, Ok(())), GFP_KERNEL)
}

/// Returns the page table, locked, when it has all pages of a range: they are valid until it is
/// unlocked.
fn map_and_lock<'a>(region: &'a Region, range: &Range<usize>, access: Access) -> Result<Pages<'a>> {
    let bounds = region.range();
    if range.is_empty() || range.start < bounds.start || range.end > bounds.end {
        return Err(EFAULT);
    }

    let pages = range.start & PAGE_MASK..page_align(range.end).ok_or(EFAULT)?;
    loop {
        let table = region.lock();
        if !needs_fault(&table, pages.clone(), access) {
            return Ok(table);
        }
        drop(table);

        // The process may take its memory back faster than it is looked up.
        if kernel::current!().signal_pending() {
            return Err(EINTR);
        }
        region.fault_unlocked(pages.clone(), access, Some(hmm::DEFAULT_TIMEOUT))?;
    }
}

/// Returns whether one of the pages has to be looked up.
fn needs_fault(table: &Pages<'_>, pages: Range<usize>, access: Access) -> bool {
    pages.step_by(PAGE_SIZE).any(|addr| match access {
        Access::Read => table.page(addr).is_none(),
        Access::Write => table.page_mut(addr).is_none(),
    })
}

/// Calls `f` with each address of `range` at which a page or the range begins, and with the part of
/// the range in this page.
fn for_each_page(range: Range<usize>, mut f: impl FnMut(usize, Range<usize>) -> Result) -> Result {
    let mut addr = range.start;

    while addr < range.end {
        let end = cmp::min((addr & PAGE_MASK) + PAGE_SIZE, range.end);
        f(addr, addr - range.start..end - range.start)?;
        addr = end;
    }
    Ok(())
}

/// Reads from the region.
fn read(region: &Region, addr: usize, buf: &mut [u8]) -> Result {
    let range = addr..addr.checked_add(buf.len()).ok_or(EFAULT)?;
    let table = map_and_lock(region, &range, Access::Read)?;

    for_each_page(range, |addr, part| {
        let page = table.page(addr).ok_or(EFAULT)?;
        page.read(addr & !PAGE_MASK, &mut buf[part])
    })
}

/// Writes to the region.
fn write(region: &Region, addr: usize, buf: &[u8]) -> Result {
    let range = addr..addr.checked_add(buf.len()).ok_or(EFAULT)?;
    let table = map_and_lock(region, &range, Access::Write)?;

    for_each_page(range, |addr, part| {
        let page = table.page_mut(addr).ok_or(EFAULT)?;
        page.write(addr & !PAGE_MASK, &buf[part])
    })
}

/// An open file.
#[pin_data]
struct Device {
    #[pin]
    region: Mutex<Option<Arc<Region>>>,
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
        let addr = untagged_addr(addr.try_into()?);
        *region = Some(register(mm, addr, len.try_into()?)?);
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
        let (mut addr, len) = (untagged_addr(addr.try_into()?), usize::try_from(len)?);
        let (mut reader, mut writer) = user_slice(data.try_into()?, len).reader_writer();

        let region = self.region.lock().clone().ok_or(ENXIO)?;
        let mut buf = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        let mut left = len;
        while left != 0 {
            let part = &mut buf[..cmp::min(left, PAGE_SIZE)];
            // User memory is not accessed under the lock of the region, which callbacks take.
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
            LEFT,
            PAGES, //
        },
        *, //
    };
    use crate::user;
    use kernel::mm::kunit::{
        self,
        PROT_READ, //
    };

    fn register_all(process: &Process) -> Result<Arc<Region>> {
        register(&process.mm, process.memory.start, process.memory.len())
    }

    /// Returns which pages of the process the device uses, as bits.
    fn used(region: &Region, process: &Process) -> u8 {
        let table = region.lock();
        let is_used = |n| table.page(process.memory.start + n * PAGE_SIZE).is_some();
        (0..PAGES).fold(0, |bits, n| bits | u8::from(is_used(n)) << n)
    }

    #[test]
    fn copies_across_pages() -> Result {
        let process = Process::new()?;
        let region = register_all(&process)?;
        let border = process.memory.start + PAGE_SIZE;
        let (mut back, mut second) = ([0; 4], [0; 2]);

        write(&region, border - 2, b"four")?;
        read(&region, border - 2, &mut back)?;
        let used = used(&region, &process);
        kunit::read(&process.mm, border, &mut second)?;
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
        user::mprotect(memory.start, PAGE_SIZE, PROT_READ)?;
        let readable = read(&region, memory.start, &mut buf);
        let writable = write(&region, memory.start, &buf);
        let empty = register(&process.mm, memory.start, 0).err();
        let endless = register(&process.mm, memory.start, usize::MAX).err();
        drop(region);

        assert_eq!(last, Ok(()));
        assert_eq!(beyond, Err(EFAULT));
        assert_eq!(readable, Ok(()));
        assert_eq!(writable, Err(EPERM));
        assert_eq!(empty, Some(EINVAL));
        assert_eq!(endless, Some(EOVERFLOW));
        Ok(())
    }

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let region = register_all(&process)?;

        let mapped = map_and_lock(&region, &process.memory, Access::Write).map(drop);
        let before = used(&region, &process);
        let after = process.change(|| used(&region, &process))?;
        drop(region);

        assert_eq!(mapped, Ok(()));
        assert_eq!(before, u8::MAX);
        assert_eq!(after, LEFT);
        Ok(())
    }

    #[test]
    fn refuses_while_the_device_uses_the_pages() -> Result {
        let process = Process::new()?;
        let region = register_all(&process)?;
        let reap = || kunit::try_invalidate(&process.mm, 0..usize::MAX);

        let table = map_and_lock(&region, &process.memory, Access::Read)?;
        let refused = reap();
        drop(table);
        let kept = used(&region, &process);
        let reaped = reap();
        let left = used(&region, &process);
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

        assert_eq!(fault, Err(EFAULT));
        Ok(())
    }
}
