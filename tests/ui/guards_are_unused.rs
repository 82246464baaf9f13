// SPDX-License-Identifier: GPL-2.0

//! A guard that is not kept is dropped immediately.

//~ error: unused `NonBlockGuard` that must be used
//~ error: unused `LockMapGuard` that must be used
//~ error: unused `RwSemaphoreReadGuard` that must be used

#![deny(unused_must_use)]
#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

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
