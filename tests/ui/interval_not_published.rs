// SPDX-License-Identifier: GPL-2.0

//! A callback has to publish the invalidation.

//~ error[E0423]: cannot initialize a tuple struct which contains private fields

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    types!();
    try_invalidate!();

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        #[cfg(refused)]
        return Invalidated(core::marker::PhantomData);
        #[cfg(not(refused))]
        return op.lock().1;
    }
}
