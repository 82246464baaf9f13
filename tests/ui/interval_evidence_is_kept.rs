// SPDX-License-Identifier: GPL-2.0

//! Evidence cannot be kept for another call.

//~ error[E0521]: borrowed data escapes outside of method

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
    kept: Mutex<Option<Invalidated<'static>>>,
}

impl Operations for Mirror {
    types!();
    try_invalidate!();

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let (_pages, done) = op.lock();
        #[cfg(refused)]
        {
            *self.kept.lock() = Some(done);
            loop {}
        }
        #[cfg(not(refused))]
        {
            *self.kept.lock() = None;
            done
        }
    }
}
