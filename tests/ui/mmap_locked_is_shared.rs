// SPDX-License-Identifier: GPL-2.0

//! Only the task that holds the mmap lock has the proof of it.

//~ error[E0277]: `*mut ()` cannot be shared between threads safely

use kernel::{
    mm::MmapWriteLocked,
    prelude::*, //
};

fn send(_: impl Send) {}

pub fn pass_on(mmap: &MmapWriteLocked) {
    #[cfg(refused)]
    send(mmap);
    #[cfg(not(refused))]
    send(mmap.mm());
}
