// SPDX-License-Identifier: GPL-2.0

//! A semaphore is held for reading by one task. Other tasks can borrow the guard.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely
//~ within `RwSemaphoreReadGuard<'_, usize>`, the trait `Send` is not implemented for `*mut ()`

use kernel::{
    prelude::*,
    sync::RwSemaphore, //
};

fn send(_: impl Send) {}
fn share(_: &impl Sync) {}

pub fn pass_on(pages: &RwSemaphore<usize>) {
    let guard = pages.read();
    share(&guard);
    #[cfg(refused)]
    send(guard);
    #[cfg(not(refused))]
    drop(guard);
    share(pages);
    send(());
}
