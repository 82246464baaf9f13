// SPDX-License-Identifier: GPL-2.0

//! A task that borrows a guard can use `lock_ref()`, lock it later, and move the data.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely
//~ required for `Guard<'_,

use kernel::{
    prelude::*,
    sync::{
        Mutex,
        MutexGuard, //
    }, //
};

// A guard is `Sync`, but not `Send`.
#[cfg(refused)]
type State = MutexGuard<'static, ()>;
#[cfg(not(refused))]
type State = usize;

fn share(_: &impl Sync) {}

pub fn lend(lock: &Mutex<State>) {
    share(&lock.lock());
}
