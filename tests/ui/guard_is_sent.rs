// SPDX-License-Identifier: GPL-2.0

//! A non-blocking section belongs to one task, and so does the evidence for it.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely
//~ error[E0277]: `*mut ()` cannot be shared between threads safely

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

use kernel::{
    nonblock::NonBlockGuard,
    prelude::*, //
};

fn send(_: impl Send) {}
fn share(_: &impl Sync) {}

pub fn pass_on() {
    let nb = NonBlockGuard::new();
    #[cfg(refused)]
    share(&nb);
    #[cfg(refused)]
    send(nb);
    #[cfg(not(refused))]
    drop(nb);
    share(&());
    send(());
}
