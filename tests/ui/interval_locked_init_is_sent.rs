// SPDX-License-Identifier: GPL-2.0

//! Another task does not hold the mmap lock.

//~ error[E0277]: `*mut ()` cannot be shared between threads safely

include!("common/mirror.rs");

use kernel::mm::MmapWriteLocked;

fn send(_: impl Send) {}

// A notifier itself may be used and dropped by any task.
fn share<T: Operations>(notifier: Notifier<T>) {
    send(&notifier);
    send(notifier);
}

pub fn pass_on<T: Operations>(mmap: &MmapWriteLocked, data: T) {
    let init = Notifier::new_locked(mmap, 0..1, Ok(data));
    #[cfg(refused)]
    send(init);
    #[cfg(not(refused))]
    send(mmap.mm());
}
