// SPDX-License-Identifier: GPL-2.0

//! Memory that is never there: each fault invalidates it, and brings nothing. A look-up of it goes
//! on until it gives up.

use crate::prelude::*;
use kernel::{
    bindings,
    error::from_err_ptr,
    mm::virt::VmaRef,
    str::as_char_ptr_in_const_context, //
};

/// The time at which faults begin to fail, to end a look-up that never gives up.
static END: Atomic<i64> = Atomic::new(0);

const MOST_SECONDS: i64 = 20;

struct Mapping(bindings::vm_special_mapping);

// SAFETY: It is never written to.
unsafe impl Sync for Mapping {}

static MAPPING: Mapping = Mapping(bindings::vm_special_mapping {
    name: as_char_ptr_in_const_context(c"[never there]"),
    fault: Some(fault),
    ..pin_init::zeroed()
});

/// Maps a page that is never there: each fault invalidates it, and brings nothing.
pub(super) fn mmap(mm: &TestMm) -> Result<usize> {
    let flags =
        bindings::VM_READ | bindings::VM_WRITE | bindings::VM_MAYREAD | bindings::VM_MAYWRITE;
    let addr = mm.mmap(PAGE_SIZE, 0)?;

    mm.munmap(addr, PAGE_SIZE)?;
    END.store(now() + MOST_SECONDS * 1_000_000_000, Relaxed);
    let _mmap = mm.mmap_write_lock();
    // SAFETY: The address space has users, and its mmap lock is held for writing.
    from_err_ptr(unsafe {
        bindings::_install_special_mapping(mm.as_raw(), addr, PAGE_SIZE, flags, &MAPPING.0)
    })?;
    Ok(addr)
}

/// # Safety
///
/// `vma` must be valid, and its mmap lock held.
unsafe extern "C" fn fault(
    _mapping: *const bindings::vm_special_mapping,
    vma: *mut bindings::vm_area_struct,
    _vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    // SAFETY: By the caller's contract.
    let vma = unsafe { VmaRef::from_raw(vma) };

    if now() >= END.load(Relaxed) || kunit::invalidate(vma.mm(), vma.start()..vma.end()).is_err() {
        return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    }
    bindings::vm_fault_reason_VM_FAULT_NOPAGE
}

fn now() -> i64 {
    // SAFETY: It may be called at any time.
    unsafe { bindings::ktime_get() }
}
