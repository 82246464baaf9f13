// SPDX-License-Identifier: GPL-2.0
//! Callbacks with a known verdict, as in controls.c: `n_` must be PROVED, `p_` must alarm, `u_` must be UNPROVEN.
#![no_std]
#![allow(non_snake_case)]

use core::ffi::c_void;

#[repr(C)]
pub struct mmu_interval_notifier {
    ops: *const c_void,
}

#[repr(C)]
pub struct mmu_notifier_range {
    mm: *mut c_void,
    start: usize,
    end: usize,
    flags: u32,
    event: i32,
    owner: *mut c_void,
}

type Invalidate =
    unsafe extern "C" fn(*mut mmu_interval_notifier, *const mmu_notifier_range, usize) -> bool;

#[repr(C)]
pub struct mmu_interval_notifier_ops {
    invalidate: Option<Invalidate>,
    invalidate_start: *const c_void,
}

unsafe impl Sync for mmu_interval_notifier_ops {}

extern "C" {
    fn mutex_lock(m: *mut c_void);
    fn slab_alloc(size: usize, gfp: u32) -> *mut c_void;
    fn nowhere();
}

/// The trait that a driver implements.
trait Operations {
    fn invalidate(&self);
    fn try_invalidate(&self) -> bool;
}

/// The wrapper that calls one method or the other.
struct Notifier<T>(T);

impl<T: Operations> Notifier<T> {
    unsafe fn called(mni: *mut mmu_interval_notifier, range: *const mmu_notifier_range) -> bool {
        let this = unsafe { &*mni.cast::<T>() };
        if unsafe { (*range).flags } & 1 != 0 {
            this.invalidate();
            true
        } else {
            this.try_invalidate()
        }
    }
}

struct Locks(u8);

#[inline(never)]
fn lock(value: &u8) {
    unsafe { mutex_lock(core::ptr::from_ref(value).cast_mut().cast()) }
}

#[inline(never)]
fn allocate(gfp: u32) -> bool {
    unsafe { !slab_alloc(8, gfp | 0x100).is_null() }
}

macro_rules! control {
    ($name:ident, |$this:ident| $body:expr) => {
        pub mod $name {
            use super::*;
            struct Driver(Locks);
            impl Operations for Driver {
                fn invalidate(&self) {
                    lock(&self.0 .0);
                }
                fn try_invalidate(&self) -> bool {
                    let $this = &self.0;
                    $body
                }
            }
            #[no_mangle]
            unsafe extern "C" fn $name(
                mni: *mut mmu_interval_notifier,
                range: *const mmu_notifier_range,
                _seq: usize,
            ) -> bool {
                unsafe { Notifier::<Driver>::called(mni, range) }
            }
            #[used]
            pub static OPS: mmu_interval_notifier_ops = mmu_interval_notifier_ops {
                invalidate: Some($name),
                invalidate_start: core::ptr::null(),
            };
        }
    };
}

control!(n_values_rust_refuses, |_this| false);
control!(n_values_rust_nowait, |_this| allocate(0x2800));
control!(p_rust_allocates, |_this| allocate(0xcc0));
control!(p_rust_locks, |this| {
    lock(&this.0);
    true
});
control!(p_rust_closure, |this| {
    let closure = |sleep: bool| {
        if sleep {
            lock(&this.0)
        }
        sleep
    };
    closure(this.0 > 3)
});
control!(p_rust_dyn, |this| pick(this.0).run(&this.0));
control!(u_rust_no_body, |_this| {
    unsafe { nowhere() };
    true
});
control!(n_values_rust_option, |this| {
    if may(&this.0, false).is_some() {
        lock(&this.0);
    }
    true
});

#[inline(never)]
fn may(_value: &u8, sleep: bool) -> Option<u8> {
    sleep.then_some(1)
}

trait Runs {
    fn run(&self, value: &u8) -> bool;
}

struct Fast;
struct Slow;

impl Runs for Fast {
    fn run(&self, value: &u8) -> bool {
        *value == 1
    }
}

impl Runs for Slow {
    fn run(&self, value: &u8) -> bool {
        lock(value);
        true
    }
}

#[inline(never)]
fn pick(number: u8) -> &'static dyn Runs {
    if number == 7 {
        &Slow
    } else {
        &Fast
    }
}

/// As in rust/kernel/nonblock.rs.
pub mod nonblock {
    extern "C" {
        fn rust_helper_non_block_start();
        fn rust_helper_non_block_end();
    }

    pub struct NonBlockGuard(());

    impl NonBlockGuard {
        pub fn new() -> Self {
            unsafe { rust_helper_non_block_start() };
            NonBlockGuard(())
        }
    }

    impl Drop for NonBlockGuard {
        fn drop(&mut self) {
            unsafe { rust_helper_non_block_end() };
        }
    }

    pub fn non_block<R>(f: impl FnOnce(&NonBlockGuard) -> R) -> R {
        f(&NonBlockGuard::new())
    }
}

use nonblock::{non_block, NonBlockGuard};

/// Functions whose signature promises that they do not sleep, even if there is no caller.
#[no_mangle]
pub fn p_guard_locks(value: &u8, _nb: &NonBlockGuard) {
    lock(value);
}

#[no_mangle]
pub fn n_values_guard_nowait(_nb: &NonBlockGuard) -> bool {
    allocate(0x2800)
}

#[inline(never)]
#[no_mangle]
fn p_guard_allocates(_nb: &NonBlockGuard, gfp: u32) -> bool {
    allocate(gfp)
}

pub struct Promise(u8);

impl Promise {
    #[inline(never)]
    pub fn p_guard_method(&self, _nb: &NonBlockGuard) {
        lock(&self.0);
    }
}

/// Closures: the code of a closure is in the section, and the code around it is not.
#[no_mangle]
pub fn p_closure(value: &u8) {
    non_block(|_nb| lock(value));
}

#[no_mangle]
pub fn p_closure_calls(value: &u8) -> bool {
    non_block(|nb| p_guard_allocates(nb, u32::from(*value) << 4))
}

#[no_mangle]
pub fn n_plain_closure(value: &u8) -> bool {
    lock(value);
    let small = non_block(|_nb| *value < 3);
    lock(value);
    small
}

#[no_mangle]
pub fn n_values_closure_nowait(value: &u8) {
    non_block(|_nb| allocate(0x2800));
    lock(value);
}

/// A guard that is dropped before the end of its scope.
#[no_mangle]
pub fn n_plain_dropped(value: &u8) {
    let nb = NonBlockGuard::new();
    drop(nb);
    lock(value);
}

#[no_mangle]
pub fn p_not_dropped(value: &u8) {
    let _nb = NonBlockGuard::new();
    lock(value);
}
