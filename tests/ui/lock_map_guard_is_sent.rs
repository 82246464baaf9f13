// SPDX-License-Identifier: GPL-2.0

//! A lock map is held by one task. The map itself belongs to all of them.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely
//~ error[E0277]: `*mut ()` cannot be shared between threads safely

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
