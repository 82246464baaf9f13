// SPDX-License-Identifier: GPL-2.0

//! Rust sample: the software device of `lib/test_hmm.c`.
//!
//! It mirrors the whole address space of the process that opens it, and reads and writes the memory
//! through its own page table. `tools/testing/selftests/mm/hmm-tests.c` runs with it like with the
//! C driver: the device nodes and ioctls are the same, see `lib/test_hmm_uapi.h`.
//!
//! It has no device memory, so no page can be migrated to it; see `Documentation/mm/rust-hmm.rst`.

use core::ops::Range;
use kernel::{
    fs::File,
    ioctl::_IOWR,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        hmm::{
            self,
            Access,
            Entry,
            Mirror,
            Request,
            Slot,
            DEFAULT_TIMEOUT, //
        },
        untagged_range,
        virt::VmaNew, //
    },
    module,
    page::{
        Page,
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    uaccess::UserSlice, //
};

module! {
    type: HmmMirrorModule,
    name: "rust_hmm_mirror",
    authors: ["The nonblock authors"],
    description: "A software device that mirrors user memory, for the selftests of HMM",
    license: "GPL",
}

// `struct hmm_dmirror_cmd`, whose fields are all `__u64`.
type RawCmd = [u64; 5];

const HMM_DMIRROR_READ: u32 = _IOWR::<RawCmd>('H' as u32, 0x00);
const HMM_DMIRROR_WRITE: u32 = _IOWR::<RawCmd>('H' as u32, 0x01);
const HMM_DMIRROR_MIGRATE_TO_DEV: u32 = _IOWR::<RawCmd>('H' as u32, 0x02);
const HMM_DMIRROR_MIGRATE_TO_SYS: u32 = _IOWR::<RawCmd>('H' as u32, 0x03);
const HMM_DMIRROR_SNAPSHOT: u32 = _IOWR::<RawCmd>('H' as u32, 0x04);
const HMM_DMIRROR_EXCLUSIVE: u32 = _IOWR::<RawCmd>('H' as u32, 0x05);
const HMM_DMIRROR_CHECK_EXCLUSIVE: u32 = _IOWR::<RawCmd>('H' as u32, 0x06);
const HMM_DMIRROR_RELEASE: u32 = _IOWR::<RawCmd>('H' as u32, 0x07);
const HMM_DMIRROR_FLAGS: u32 = _IOWR::<RawCmd>('H' as u32, 0x08);
const HMM_DMIRROR_READ_UNLOCKED: u32 = _IOWR::<RawCmd>('H' as u32, 0x09);

const HMM_DMIRROR_PROT_ERROR: u8 = 0xff;
const HMM_DMIRROR_PROT_NONE: u8 = 0x00;
const HMM_DMIRROR_PROT_READ: u8 = 0x01;
const HMM_DMIRROR_PROT_WRITE: u8 = 0x02;
const HMM_DMIRROR_PROT_PMD: u8 = 0x04;
const HMM_DMIRROR_PROT_PUD: u8 = 0x08;
const HMM_DMIRROR_PROT_ZERO: u8 = 0x10;

#[pin_data]
struct HmmMirrorModule {
    #[pin]
    _one: MiscDeviceRegistration<Device>,
    #[pin]
    _two: MiscDeviceRegistration<Device>,
}

impl kernel::InPlaceModule for HmmMirrorModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _: {
                if module::is_loaded(c"test_hmm") {
                    pr_err!("test_hmm is loaded, and has the same devices: unload it first\n");
                    return Err(EBUSY);
                }
            },
            _one <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"hmm_dmirror0",
            }),
            _two <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"hmm_dmirror1",
            }),
        })
    }
}

/// `struct hmm_dmirror_cmd`.
struct Cmd {
    /// The memory that the device works on.
    memory: Range<usize>,
    /// The source of the device's data, or its destination.
    data: UserPtr,
}

impl Cmd {
    fn from_raw([addr, ptr, npages, _, _]: RawCmd) -> Result<Self> {
        let len = npages.checked_mul(PAGE_SIZE as u64).ok_or(EINVAL)?;
        let memory = untagged_range(addr, len)?;

        if memory.start & !PAGE_MASK != 0 {
            return Err(EINVAL);
        }
        Ok(Self {
            memory,
            data: UserPtr::from_addr(ptr.try_into()?),
        })
    }
}

/// Fails if a signal is pending. A request of the process may take long.
fn check_signal() -> Result {
    if kernel::current!().signal_pending() {
        return Err(EINTR);
    }
    Ok(())
}

/// An open file.
#[pin_data]
struct Device {
    #[pin]
    mirror: Mirror,
}

#[vtable]
impl MiscDevice for Device {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        let task = kernel::current!();
        let mm = task.mm().ok_or(EINVAL)?;
        let init = try_pin_init!(Self {
            mirror <- Mirror::new(mm, 0..usize::MAX & PAGE_MASK, Ok(())),
        }? Error);

        KBox::try_pin_init(init, GFP_KERNEL)
    }

    fn ioctl(me: Pin<&Self>, _file: &File, request: u32, arg: usize) -> Result<isize> {
        let arg = UserSlice::new(UserPtr::from_addr(arg), size_of::<RawCmd>());
        let (mut reader, mut writer) = arg.reader_writer();
        let mut raw: RawCmd = reader.read()?;
        let cmd = Cmd::from_raw(raw)?;

        let faults = match request {
            HMM_DMIRROR_READ => me.read(&cmd, |range| {
                me.mirror.fault(range, Access::Read, DEFAULT_TIMEOUT)
            })?,
            HMM_DMIRROR_READ_UNLOCKED => me.read(&cmd, |range| {
                me.mirror.fault_unlocked(range, Access::Read, None)
            })?,
            HMM_DMIRROR_WRITE => me.write(&cmd)?,
            HMM_DMIRROR_SNAPSHOT => me.snapshot(&cmd)?,
            HMM_DMIRROR_EXCLUSIVE => me.exclusive(&cmd)?,
            HMM_DMIRROR_CHECK_EXCLUSIVE => me.check_exclusive(&cmd)?,
            // There is no device memory to give back.
            HMM_DMIRROR_RELEASE => 0,
            // The only flag concerns migration.
            HMM_DMIRROR_FLAGS | HMM_DMIRROR_MIGRATE_TO_DEV | HMM_DMIRROR_MIGRATE_TO_SYS => {
                return Err(EOPNOTSUPP);
            }
            _ => return Err(EINVAL),
        };

        raw[3] = raw[2]; // the device worked on all of the pages
        raw[4] = faults as u64;
        writer.write(&raw)?;
        Ok(0)
    }

    /// Maps zeroed pages of the driver. The process may replace some of them by its own pages.
    fn mmap(_me: Pin<&Self>, _file: &File, vma: &VmaNew) -> Result {
        let vma = vma.set_mixedmap();

        for addr in (vma.start()..vma.end()).step_by(PAGE_SIZE) {
            let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
            vma.vm_insert_page(addr, &page)?;
        }
        Ok(())
    }
}

// The functions return the number of times that the device faulted in pages.
impl Device {
    /// Makes the device read memory, which `fault` faults in.
    fn read(&self, cmd: &Cmd, fault: impl Fn(Range<usize>) -> Result<usize>) -> Result<usize> {
        let memory = cmd.memory.clone();
        let user = UserSlice::new(cmd.data, memory.len());
        let mut data = VVec::from_elem(0, memory.len(), GFP_KERNEL | __GFP_NOWARN)?;

        let faults = self.mirror.for_each_page(memory, fault, |pages, addr| {
            let page = pages.page(addr)?;
            Some(page.read(0, &mut data[addr - cmd.memory.start..][..PAGE_SIZE]))
        })?;
        // Not under the lock of the mirror: this may fault, and so cause an invalidation.
        user.writer().write_slice(&data)?;
        Ok(faults)
    }

    /// Makes the device write memory.
    fn write(&self, cmd: &Cmd) -> Result<usize> {
        let memory = cmd.memory.clone();
        let user = UserSlice::new(cmd.data, memory.len());
        let mut data = VVec::from_elem(0, memory.len(), GFP_KERNEL | __GFP_NOWARN)?;
        let fault = |missing| self.mirror.fault(missing, Access::Write, DEFAULT_TIMEOUT);

        user.reader().read_slice(&mut data)?;
        self.mirror.for_each_page(memory, fault, |pages, addr| {
            let page = pages.page_mut(addr)?;
            Some(page.write(0, &data[addr - cmd.memory.start..][..PAGE_SIZE]))
        })
    }

    /// Takes memory away from the CPU, and makes the device read it.
    fn exclusive(&self, cmd: &Cmd) -> Result<usize> {
        for addr in cmd.memory.clone().step_by(PAGE_SIZE) {
            check_signal()?;
            drop(self.mirror.make_exclusive(addr, DEFAULT_TIMEOUT)?);
        }
        self.read(cmd, |_| Err(ENOENT))
    }

    /// Fails if the device has a page for itself.
    fn check_exclusive(&self, cmd: &Cmd) -> Result<usize> {
        for addr in cmd.memory.clone().step_by(PAGE_SIZE) {
            check_signal()?;
            if self.mirror.lock().is_exclusive(addr) {
                return Err(EPERM);
            }
        }
        Ok(0)
    }

    /// Writes the access of the device to each page into the process.
    fn snapshot(&self, cmd: &Cmd) -> Result<usize> {
        let mm = self.mirror.mm().mmget_not_zero().ok_or(EFAULT)?;
        // It has its own notifier, so changes of other memory do not cause another try.
        pin_init::stack_try_pin_init! {
            let mirror =? Mirror::new(&mm, cmd.memory.clone(), Ok(()))
        };
        let mut writer = UserSlice::new(cmd.data, cmd.memory.len()).writer();
        let mut slots = [Slot::EMPTY; 32];
        let mut prots = [0; 32];

        for start in cmd.memory.clone().step_by(slots.len() * PAGE_SIZE) {
            check_signal()?;
            let len = ((cmd.memory.end - start) / PAGE_SIZE).min(slots.len());
            let request = Request::new(start, &mut slots[..len])?;
            let mut valid = mirror.snapshot(request, DEFAULT_TIMEOUT)?;

            for (prot, (_, entry)) in prots.iter_mut().zip(valid.split().1) {
                *prot = protection(entry);
            }
            // Not under the lock of the mirror.
            drop(valid);
            writer.write_slice(&prots[..len])?;
        }
        Ok(0)
    }
}

/// Returns the access of the device to a page.
fn protection(entry: Entry<'_>) -> u8 {
    let page = match entry {
        Entry::Error => return HMM_DMIRROR_PROT_ERROR,
        Entry::Empty => return HMM_DMIRROR_PROT_NONE,
        Entry::Mapped(page) => page,
    };
    let mut prot = if page.is_writable() {
        HMM_DMIRROR_PROT_WRITE
    } else {
        HMM_DMIRROR_PROT_READ
    };

    if page.is_zero() {
        prot |= HMM_DMIRROR_PROT_ZERO;
    }
    if page.order() == hmm::pmd_order() {
        prot |= HMM_DMIRROR_PROT_PMD;
    } else if page.order() == hmm::pud_order() {
        prot |= HMM_DMIRROR_PROT_PUD;
    }
    prot
}
