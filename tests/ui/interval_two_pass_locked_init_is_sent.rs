// SPDX-License-Identifier: GPL-2.0

//! Another task does not hold the mmap lock.

//~ error[E0277]: `*mut ()` cannot be shared between threads safely

include!("common/mirror.rs");

use kernel::mm::{
    mmu_notifier::interval::{
        TwoPass,
        TwoPassNotifier, //
    },
    MmapWriteLocked, //
};

fn send(_: impl Send) {}

// A notifier itself may be used and dropped by any task.
fn share<T: TwoPass>(notifier: TwoPassNotifier<T>) {
    send(&notifier);
    send(notifier);
}

pub fn pass_on<T: TwoPass>(mmap: &MmapWriteLocked, data: T) {
    let init = TwoPassNotifier::new_locked(mmap, 0..1, Ok(data));
    #[cfg(refused)]
    send(init);
    #[cfg(not(refused))]
    send(mmap.mm());
}
