// SPDX-License-Identifier: GPL-2.0

//! Rust sample: the software device of `lib/test_hmm.c`.
//!
//! It mirrors all of the address space of the process that opens it, and reads and writes the
//! memory through a page table of its own. `tools/testing/selftests/mm/hmm-tests.c` takes it for
//! the C driver: the device nodes and ioctls are the same, see `lib/test_hmm_uapi.h`.
//!
//! It has no memory of its own, so that nothing can be migrated to it; see
//! `Documentation/mm/rust-hmm.rst`.

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
            Mapping,
            Mirror,
            Pages,
            Request,
            Slot, //
        },
        untagged_addr,
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
    /// Where the data of the device is, or goes to.
    data: UserPtr,
    /// The number of pages that were copied.
    cpages: u64,
    /// The number of faults of the device.
    faults: u64,
}

impl Cmd {
    fn from_raw([addr, ptr, npages, _, _]: RawCmd) -> Result<Self> {
        let start = untagged_addr(addr.try_into()?);
        let len = usize::try_from(npages)?.checked_mul(PAGE_SIZE);
        let end = start.checked_add(len.ok_or(EINVAL)?).ok_or(EINVAL)?;

        if start & !PAGE_MASK != 0 || start == end {
            return Err(EINVAL);
        }
        Ok(Self {
            memory: start..end,
            data: UserPtr::from_addr(ptr.try_into()?),
            cpages: 0,
            faults: 0,
        })
    }

    /// A buffer for what is copied, zeroed, and where the process has it.
    fn bounce(&self) -> Result<(VVec<u8>, UserSlice)> {
        let len = self.memory.len();
        let bounce = VVec::from_elem(0, len, GFP_KERNEL | __GFP_NOWARN)?;

        Ok((bounce, UserSlice::new(self.data, len)))
    }
}

/// Fails if the current task has to do something else. What the process asks for may take long.
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
        let mut cmd = Cmd::from_raw(raw)?;

        match request {
            HMM_DMIRROR_READ => me.read(&mut cmd, |range| me.fault(range, Access::Read))?,
            HMM_DMIRROR_READ_UNLOCKED => me.read(&mut cmd, |range| {
                me.mirror.fault_unlocked(range, Access::Read, None)
            })?,
            HMM_DMIRROR_WRITE => me.write(&mut cmd)?,
            HMM_DMIRROR_SNAPSHOT => me.snapshot(&mut cmd)?,
            HMM_DMIRROR_EXCLUSIVE => me.exclusive(&mut cmd)?,
            HMM_DMIRROR_CHECK_EXCLUSIVE => me.check_exclusive(&cmd)?,
            // There is no memory of the device that could be given back.
            HMM_DMIRROR_RELEASE => (),
            // The one flag that there is concerns migration.
            HMM_DMIRROR_FLAGS | HMM_DMIRROR_MIGRATE_TO_DEV | HMM_DMIRROR_MIGRATE_TO_SYS => {
                return Err(EOPNOTSUPP);
            }
            _ => return Err(EINVAL),
        }

        raw[3] = cmd.cpages;
        raw[4] = cmd.faults;
        writer.write(&raw)?;
        Ok(0)
    }

    /// Maps pages of the driver, zeroed, among which the process may get some of its own.
    fn mmap(_me: Pin<&Self>, _file: &File, vma: &VmaNew) -> Result {
        let vma = vma.set_mixedmap();

        for addr in (vma.start()..vma.end()).step_by(PAGE_SIZE) {
            let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
            vma.vm_insert_page(addr, &page)?;
        }
        Ok(())
    }
}

impl Device {
    fn fault(&self, range: Range<usize>, access: Access) -> Result<usize> {
        self.mirror.fault(range, access, hmm::DEFAULT_TIMEOUT)
    }

    /// Has the device read memory, which `fault` faults in for it.
    fn read(&self, cmd: &mut Cmd, fault: impl Fn(Range<usize>) -> Result<usize>) -> Result {
        let start = cmd.memory.start;
        let (mut bounce, user) = cmd.bounce()?;

        self.for_each_page(cmd, fault, |pages, addr| {
            let page = pages.page(addr)?;
            Some(page.read(0, &mut bounce[addr - start..][..PAGE_SIZE]))
        })?;
        // Not under the lock of the mirror: this may fault, and so cause an invalidation.
        user.writer().write_slice(&bounce)
    }

    /// Has the device write memory.
    fn write(&self, cmd: &mut Cmd) -> Result {
        let start = cmd.memory.start;
        let (mut bounce, user) = cmd.bounce()?;
        let fault = |range| self.fault(range, Access::Write);

        user.reader().read_slice(&mut bounce)?;
        self.for_each_page(cmd, fault, |pages, addr| {
            let page = pages.page_mut(addr)?;
            Some(page.write(0, &bounce[addr - start..][..PAGE_SIZE]))
        })
    }

    /// Calls `f` for each page of memory, and `fault` for what there is from a page on for which
    /// `f` returns [`None`].
    fn for_each_page(
        &self,
        cmd: &mut Cmd,
        fault: impl Fn(Range<usize>) -> Result<usize>,
        mut f: impl FnMut(&Pages<'_>, usize) -> Option<Result>,
    ) -> Result {
        let Range { mut start, end } = cmd.memory;

        loop {
            let pages = self.mirror.lock();
            while start < end {
                match f(&pages, start) {
                    Some(result) => result?,
                    None => break,
                }
                start += PAGE_SIZE;
                cmd.cpages += 1;
            }
            drop(pages);

            if start == end {
                return Ok(());
            }
            check_signal()?;
            fault(start..end)?;
            cmd.faults += 1;
        }
    }

    /// Takes memory away from the CPU, and has the device read it.
    fn exclusive(&self, cmd: &mut Cmd) -> Result {
        for addr in cmd.memory.clone().step_by(PAGE_SIZE) {
            check_signal()?;
            drop(self.mirror.make_exclusive(addr, hmm::DEFAULT_TIMEOUT)?);
        }
        self.read(cmd, |_| Err(ENOENT))
    }

    /// Fails if the device has a page for itself.
    fn check_exclusive(&self, cmd: &Cmd) -> Result {
        for addr in cmd.memory.clone().step_by(PAGE_SIZE) {
            check_signal()?;
            if self.mirror.lock().is_exclusive(addr) {
                return Err(EPERM);
            }
        }
        Ok(())
    }

    /// Tells the process what the device could do with its memory.
    fn snapshot(&self, cmd: &mut Cmd) -> Result {
        let mut slots = [Slot::EMPTY; 32];
        let mut prots = [0; 32];

        for start in cmd.memory.clone().step_by(slots.len() * PAGE_SIZE) {
            check_signal()?;
            let len = ((cmd.memory.end - start) / PAGE_SIZE).min(slots.len());
            let (slots, prots) = (&mut slots[..len], &mut prots[..len]);

            self.snapshot_part(start, slots, prots)?;
            UserSlice::new(cmd.data, len).writer().write_slice(prots)?;
            cmd.data = cmd.data.wrapping_byte_add(len);
            cmd.cpages += len as u64;
        }
        Ok(())
    }

    /// Looks up the pages from `start` on.
    fn snapshot_part(&self, start: usize, slots: &mut [Slot], prots: &mut [u8]) -> Result {
        let mm = self.mirror.mm().mmget_not_zero().ok_or(EFAULT)?;
        let end = start + slots.len() * PAGE_SIZE;
        // Its own, so that changes of other memory do not lead to another try.
        pin_init::stack_try_pin_init! {
            let mirror =? Mirror::new(&mm, start..end, Ok(()))
        };
        let mut valid = mirror.snapshot(Request::new(start, slots)?, hmm::DEFAULT_TIMEOUT)?;

        for (prot, (_, entry)) in prots.iter_mut().zip(valid.split().1) {
            *prot = match entry {
                Entry::Error => HMM_DMIRROR_PROT_ERROR,
                Entry::Empty => HMM_DMIRROR_PROT_NONE,
                Entry::Mapped(page) => mapped(page),
            };
        }
        Ok(())
    }
}

fn mapped(page: Mapping<'_>) -> u8 {
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
