// SPDX-License-Identifier: GPL-2.0

//! Who borrows a guard can lock the semaphore for writing with `lock_ref()`, and so move the data.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely
//~ required for `RwSemaphoreReadGuard<'_,

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

use kernel::{
    prelude::*,
    sync::{
        MutexGuard,
        RwSemaphore, //
    }, //
};

// A guard is `Sync`, but not `Send`.
#[cfg(refused)]
type State = MutexGuard<'static, ()>;
#[cfg(not(refused))]
type State = usize;

fn share(_: &impl Sync) {}

pub fn lend(lock: &RwSemaphore<State>) {
    share(&lock.read());
}
