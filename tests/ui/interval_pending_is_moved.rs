// SPDX-License-Identifier: GPL-2.0

//! An invalidation cannot be taken apart, to turn a non-blocking one into a blocking one.

//~ error[E0507]: cannot move out of dereference of `TryInvalidation<'_, T>`

include!("common/mirror.rs");

use kernel::mm::mmu_notifier::interval::Pending;

pub fn pending<'op, T: Operations>(op: TryInvalidation<'op, T>) -> Pending<'op, T> {
    #[cfg(refused)]
    return *op;
    #[cfg(not(refused))]
    loop {}
}
