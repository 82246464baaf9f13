// SPDX-License-Identifier: GPL-2.0

//! A lock map is held by one task. The map itself belongs to all of them.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely
//~ error[E0277]: `*mut ()` cannot be shared between threads safely

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

use kernel::{
    prelude::*,
    sync::lockdep::LockMap, //
};

fn send(_: impl Send) {}
fn share(_: &impl Sync) {}

pub fn pass_on(owned: Pin<KBox<LockMap>>, map: &LockMap) {
    let guard = map.acquire();
    #[cfg(refused)]
    share(&guard);
    #[cfg(refused)]
    send(guard);
    #[cfg(not(refused))]
    drop(guard);
    share(map);
    send(owned);
}
