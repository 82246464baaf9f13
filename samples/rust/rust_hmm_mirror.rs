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
            Slot, //
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
        virt::VmaNew,
        MmWithUser, //
    },
    module,
    new_mutex,
    nonblock::NonBlockGuard,
    page::{
        Page,
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        lock::mutex::MutexBackend,
        Mutex, //
    },
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

/// What the process asks for, and is told.
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
        let start = usize::try_from(addr)?;
        let len = usize::try_from(npages)?
            .checked_mul(PAGE_SIZE)
            .ok_or(EINVAL)?;
        let end = start.checked_add(len).ok_or(EINVAL)?;

        if start & !PAGE_MASK != 0 || start == end {
            return Err(EINVAL);
        }
        Ok(Self {
            memory: start..end,
            data: UserPtr::from_addr(usize::try_from(ptr)?),
            cpages: 0,
            faults: 0,
        })
    }

    /// A buffer for what is copied, zeroed.
    fn bounce(&self) -> Result<VVec<u8>> {
        Ok(VVec::from_elem(
            0,
            self.memory.len(),
            GFP_KERNEL | __GFP_NOWARN,
        )?)
    }

    fn copy_to_user(&self, data: &[u8]) -> Result {
        UserSlice::new(self.data, data.len())
            .writer()
            .write_slice(data)
    }

    fn copy_from_user(&self, data: &mut [u8]) -> Result {
        UserSlice::new(self.data, data.len())
            .reader()
            .read_slice(data)
    }
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

        KBox::try_pin_init(
            try_pin_init!(Self {
                mirror <- Mirror::new(mm, 0..usize::MAX & PAGE_MASK),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn ioctl(me: Pin<&Self>, _file: &File, request: u32, arg: usize) -> Result<isize> {
        let arg = UserSlice::new(UserPtr::from_addr(arg), size_of::<RawCmd>());
        let (mut reader, mut writer) = arg.reader_writer();
        let mut raw: RawCmd = reader.read()?;
        let mut cmd = Cmd::from_raw(raw)?;

        match request {
            HMM_DMIRROR_READ => me.read(&mut cmd, |range| me.fault(range, Access::Read))?,
            HMM_DMIRROR_READ_UNLOCKED => me.read(&mut cmd, |range| me.fault_unlocked(range))?,
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
    /// The address space that is mirrored, unless its process has exited.
    fn mm(&self) -> Result<ARef<MmWithUser>> {
        self.mirror.mm().mmget_not_zero().ok_or(EFAULT)
    }

    fn fault(&self, range: Range<usize>, access: Access) -> Result {
        self.mirror
            .fault(&*self.mm()?, range, access, hmm::DEFAULT_TIMEOUT)
    }

    fn fault_unlocked(&self, range: Range<usize>) -> Result {
        self.mirror
            .fault_unlocked(&*self.mm()?, range, Access::Read, None)
    }

    /// Has the device read memory, which `fault` faults in for it.
    fn read(&self, cmd: &mut Cmd, fault: impl Fn(Range<usize>) -> Result) -> Result {
        let start = cmd.memory.start;
        let mut bounce = cmd.bounce()?;

        self.for_each_page(cmd, fault, |pages, addr| {
            let page = pages.page(addr)?;
            Some(page.read(0, &mut bounce[addr - start..][..PAGE_SIZE]))
        })?;
        // Not under the lock of the mirror: this may fault, and so cause an invalidation.
        cmd.copy_to_user(&bounce)
    }

    /// Has the device write memory.
    fn write(&self, cmd: &mut Cmd) -> Result {
        let start = cmd.memory.start;
        let mut bounce = cmd.bounce()?;
        let fault = |range| self.fault(range, Access::Write);

        cmd.copy_from_user(&mut bounce)?;
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
        fault: impl Fn(Range<usize>) -> Result,
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
            fault(start..end)?;
            cmd.faults += 1;
        }
    }

    /// Takes memory away from the CPU, and has the device read it.
    #[cfg(CONFIG_DEVICE_PRIVATE)]
    fn exclusive(&self, cmd: &mut Cmd) -> Result {
        let mm = self.mm()?;
        for addr in cmd.memory.clone().step_by(PAGE_SIZE) {
            drop(
                self.mirror
                    .make_exclusive(&mm, addr, hmm::DEFAULT_TIMEOUT)?,
            );
        }
        drop(mm);

        self.read(cmd, |_| Err(ENOENT))
    }

    #[cfg(not(CONFIG_DEVICE_PRIVATE))]
    fn exclusive(&self, _cmd: &mut Cmd) -> Result {
        Err(EOPNOTSUPP)
    }

    /// Fails if the device has a page for itself.
    fn check_exclusive(&self, cmd: &Cmd) -> Result {
        for addr in cmd.memory.clone().step_by(PAGE_SIZE) {
            // The range may be as large as the address space.
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
            if self.mirror.lock().is_exclusive(addr) {
                return Err(EPERM);
            }
        }
        Ok(())
    }

    /// Tells the process what the device could do with its memory.
    fn snapshot(&self, cmd: &mut Cmd) -> Result {
        let mm = self.mm()?;
        let mut slots = [Slot::EMPTY; 32];
        let mut data = cmd.data;

        for start in cmd.memory.clone().step_by(slots.len() * PAGE_SIZE) {
            let len = ((cmd.memory.end - start) / PAGE_SIZE).min(slots.len());
            let perms = snapshot(&mm, start, &mut slots[..len])?;

            UserSlice::new(data, len)
                .writer()
                .write_slice(&perms[..len])?;
            data = data.wrapping_byte_add(len);
            cmd.cpages += len as u64;
        }
        Ok(())
    }
}

/// The notifier of one snapshot.
///
/// The mirror's own would do, but asks for another try when memory changes that the snapshot is not
/// about.
#[pin_data]
struct Snapshot {
    #[pin]
    lock: Mutex<()>,
}

impl Operations for Snapshot {
    type State = ();
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<()> {
        &self.lock
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
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

/// What the device could do with the pages from `start` on.
fn snapshot(mm: &MmWithUser, start: usize, slots: &mut [Slot]) -> Result<[u8; 32]> {
    let end = start + slots.len() * PAGE_SIZE;
    let data = try_pin_init!(Snapshot {
        lock <- new_mutex!(()),
    }? Error);
    pin_init::stack_try_pin_init! {
        let notifier =? Notifier::new(mm, start..end, data)
    };
    let mut perms = [0; 32];

    let range = hmm::Range::new(start, slots)?;
    let mut valid = range.snapshot(&notifier, mm, hmm::DEFAULT_TIMEOUT)?;
    let (_, entries) = valid.split();
    for (perm, (_, entry)) in perms.iter_mut().zip(entries) {
        *perm = match entry {
            Entry::Error => HMM_DMIRROR_PROT_ERROR,
            Entry::Empty => HMM_DMIRROR_PROT_NONE,
            Entry::Mapped(page) => prot(page),
        };
    }
    Ok(perms)
}

fn prot(page: Mapping<'_>) -> u8 {
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
