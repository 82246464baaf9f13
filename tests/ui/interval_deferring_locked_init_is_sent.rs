// SPDX-License-Identifier: GPL-2.0

//! Another task does not hold the mmap lock.

//~ error[E0277]: `*mut ()` cannot be shared between threads safely

include!("common/mirror.rs");

use kernel::mm::MmapWriteLocked;

use kernel::mm::mmu_notifier::interval::DeferringNotifier;

fn send(_: impl Send) {}

// A notifier itself may be used and dropped by any task.
fn share<T: Operations<Refusal = WouldBlock>>(notifier: DeferringNotifier<T>) {
    send(&notifier);
    send(notifier);
}

pub fn pass_on<T: Operations<Refusal = WouldBlock>>(mmap: &MmapWriteLocked, data: T) {
    let init = DeferringNotifier::new_locked(mmap, 0..1, Ok(data));
    #[cfg(refused)]
    send(init);
    #[cfg(not(refused))]
    send(mmap.mm());
}
