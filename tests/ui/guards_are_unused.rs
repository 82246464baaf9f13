// SPDX-License-Identifier: GPL-2.0

//! A guard that is not kept is dropped immediately.

//~ error: unused `NonBlockGuard` that must be used
//~ error: unused `LockMapGuard` that must be used
//~ error: unused `RwSemaphoreReadGuard` that must be used

#![deny(unused_must_use)]
use kernel::{
    nonblock::NonBlockGuard,
    prelude::*,
    sync::{
        lockdep::LockMap,
        RwSemaphore, //
    }, //
};

#[cfg(refused)]
pub fn protect(map: &LockMap, pages: &RwSemaphore<usize>) {
    NonBlockGuard::new();
    map.acquire();
    pages.read();
}

#[cfg(not(refused))]
pub fn protect(map: &LockMap, pages: &RwSemaphore<usize>) {
    let _nb = NonBlockGuard::new();
    let _map = map.acquire();
    let _pages = pages.read();
}
