// SPDX-License-Identifier: GPL-2.0

//! Drivers that only want to know when a process is gone: SGX and protected virtual machines on
//! s390.

use super::*;
use kernel::mm::mmu_notifier::list::{
    Notifier,
    Operations, //
};

// [encl]
/// An enclave in an address space, `struct sgx_encl_mm`.
#[pin_data]
struct EnclMm {
    /// Whether its pages may be in use by this address space.
    #[pin]
    active: Mutex<bool>,
    /// The reference that keeps the object, until the address space is gone.
    #[pin]
    own: SpinLock<Option<Ref<EnclMm>>>,
}

static ENCLAVES: Registry<EnclMm> = new_registry!(EnclMm);

#[vtable]
impl Operations for EnclMm {
    type Refusal = Infallible;

    /// `sgx_mmu_notifier_release()`.
    fn release(&self) {
        *self.active.lock() = false;
        let own = self.own.lock().take();
        drop(own);
    }
}

impl Object for EnclMm {
    fn new(_mm: &MmWithUser) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            active <- new_mutex!(true),
            own <- new_spinlock!(None),
        }? Error)
    }
}

/// `sgx_encl_mm_add()`: called when the enclave is mapped, also by a child after a fork, with the
/// `mmap_lock` held.
fn add(mmap: &MmapWriteLocked) -> Result {
    let object = ENCLAVES.get_locked(mmap)?;

    if object.own.lock().is_none() {
        // The mmap lock keeps others from doing the same.
        let own = ENCLAVES.get_locked(mmap)?;
        *object.own.lock() = Some(own);
    }
    Ok(())
}
// [encl end]

// [pv]
/// A protected virtual machine.
#[pin_data]
struct Protected {
    #[pin]
    exists: Mutex<bool>,
}

#[vtable]
impl Operations for Protected {
    type Refusal = Infallible;

    /// `kvm_s390_pv_mmu_notifier_release()`: it goes before its memory does. That may be called
    /// twice, which makes no difference here.
    fn release(&self) {
        *self.exists.lock() = false;
    }
}
// [pv end]

#[kunit_tests(rust_mmu_notifier_sgx)]
mod tests {
    use super::*;

    #[test]
    fn object_goes_with_its_process() -> Result {
        let mm = kunit::new_mm()?;

        add(&mm.mmap_write_lock())?;
        add(&mm.mmap_write_lock())?;
        let object = ENCLAVES.get(&mm)?;
        let before = *object.active.lock();
        drop(mm);
        let after = *object.active.lock();
        let kept = object.own.lock().is_some();
        drop(object);
        shared::synchronize();

        assert!(before);
        assert!(!after);
        assert!(!kept);
        Ok(())
    }

    #[test]
    fn exit_comes_first() -> Result {
        let process = Process::new_other()?;
        let init = try_pin_init!(Protected {
            exists <- new_mutex!(true),
        });
        let machine: Pin<KBox<Notifier<Protected>>> =
            KBox::try_pin_init(Notifier::new(&process.mm, init), GFP_KERNEL)?;

        let before = *machine.exists.lock();
        drop(process);
        let after = *machine.exists.lock();
        drop(machine);

        assert!(before);
        assert!(!after);
        Ok(())
    }
}
