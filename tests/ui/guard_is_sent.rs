// SPDX-License-Identifier: GPL-2.0

//! A section is that of one task.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

use kernel::{
    nonblock::NonBlockGuard,
    prelude::*, //
};

fn send(_: impl Send) {}

pub fn pass_on() {
    let nb = NonBlockGuard::new();
    #[cfg(refused)]
    send(nb);
    #[cfg(not(refused))]
    drop(nb);
    send(());
}
