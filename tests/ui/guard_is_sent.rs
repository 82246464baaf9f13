// SPDX-License-Identifier: GPL-2.0

//! A non-blocking section belongs to one task, and so does the evidence for it.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely
//~ error[E0277]: `*mut ()` cannot be shared between threads safely

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
