// SPDX-License-Identifier: GPL-2.0

//! A task releases the mmap lock that it took.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely

use kernel::{
    mm::MmWithUser,
    prelude::*, //
};

fn send(_: impl Send) {}

pub fn pass_on(mm: &MmWithUser) {
    let mmap = mm.mmap_write_lock();
    #[cfg(refused)]
    send(mmap);
    #[cfg(not(refused))]
    send(mmap.mm());
}
