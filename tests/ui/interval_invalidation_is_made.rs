// SPDX-License-Identifier: GPL-2.0

//! An invalidation cannot be made from its parts, so a non-blocking one stays non-blocking.

//~ error[E0423]: cannot initialize a tuple struct which contains private fields
//~ error[E0616]: field `0` of struct `TryInvalidation` is private

include!("common/mirror.rs");

use kernel::mm::mmu_notifier::interval::Locked;

pub fn wait<'op, T: Operations>(op: TryInvalidation<'op, T>) -> Result<Locked<'op, T>, WouldBlock> {
    #[cfg(refused)]
    return Ok(Invalidation(op.0).lock());
    #[cfg(not(refused))]
    op.try_lock()
}
