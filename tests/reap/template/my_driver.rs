// SPDX-License-Identifier: GPL-2.0

//! A device that reads memory of a process through a page table of its own. It lets go of pages
//! without blocking, if it has to.

use kernel::{
    fs::File,
    ioctl::{
        _IOC_SIZE,
        _IOW, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        hmm::{
            Access,
            Device,
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
        Arc,
        Mutex, //
    },
    uaccess::UserSlice, //
};

module! {
    type: MyModule,
    name: "my_driver",
    authors: ["You"],
    description: "A device that reads memory of a process",
    license: "GPL",
}

// As in `my_driver.h`.
const MY_MAP: u32 = _IOW::<[u64; 2]>('|' as u32, 0xa0);
const MY_READ: u32 = _IOW::<[u64; 2]>('|' as u32, 0xa1);

#[pin_data]
struct MyModule {
    #[pin]
    _dev: MiscDeviceRegistration<MyFile>,
}

impl kernel::InPlaceModule for MyModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _dev <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"my_driver",
            }),
        })
    }
}

/// Takes part in the invalidations of a mirror.
struct MyDevice;

impl Device for MyDevice {
    // May sleep, cannot fail.
    fn invalidate<'op>(&'op self, op: Removal<'op, Self>) -> Removed<'op> {
        op.remove()
    }

    // Must not sleep, may refuse: the OOM reaper, which tries again later.
    fn try_invalidate<'op>(
        &'op self,
        op: TryRemoval<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Removed<'op>, WouldBlock> {
        op.try_remove()
    }
}

/// An open file.
#[pin_data]
struct MyFile {
    #[pin]
    mirror: Mutex<Option<Arc<Mirror<MyDevice>>>>,
}

#[vtable]
impl MiscDevice for MyFile {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                mirror <- new_mutex!(None),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn ioctl(me: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), _IOC_SIZE(cmd));
        let [addr, other]: [u64; 2] = user.reader().read()?;

        match cmd {
            MY_MAP => me.map(addr, other)?,
            MY_READ => me.read(addr, other.try_into()?)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl MyFile {
    fn map(&self, addr: u64, len: u64) -> Result {
        let range = untagged_range(addr, len)?;
        let mut mirror = self.mirror.lock();

        if mirror.is_some() {
            return Err(EBUSY);
        }
        if (range.start | range.end) & !PAGE_MASK != 0 {
            return Err(EINVAL);
        }
        let task = kernel::current!();
        let init = Mirror::new(task.mm().ok_or(EINVAL)?, range, Ok(MyDevice));
        *mirror = Some(Arc::pin_init(init, GFP_KERNEL)?);
        Ok(())
    }

    fn read(&self, addr: u64, buf: usize) -> Result {
        let page = untagged_range(addr, PAGE_SIZE as u64)?;
        let mut copy = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
        let mirror = self.mirror.lock().clone().ok_or(ENXIO)?;

        if mirror.mm().as_raw() != kernel::current!().mm().ok_or(EPERM)?.as_raw() {
            return Err(EPERM);
        }
        if page.start < mirror.range().start || page.end > mirror.range().end {
            return Err(EFAULT);
        }
        let look_up = |page| mirror.fault_unlocked(page, Access::Read, None).map(|_| ());
        mirror.for_each_page(page, look_up, |pages, page| {
            Some(pages.page(page)?.read(0, &mut copy))
        })?;
        // Not under the lock of the mirror: this may fault, and so cause an invalidation.
        UserSlice::new(UserPtr::from_addr(buf), PAGE_SIZE)
            .writer()
            .write_slice(&copy)
    }
}
