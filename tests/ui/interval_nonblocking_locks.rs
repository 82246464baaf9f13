// SPDX-License-Identifier: GPL-2.0

//! A non-blocking callback can only try for a mutex.

//~ error[E0599]: the method `lock` exists for struct `TryInvalidation<'op, Mirror>`, but its trait bounds were not satisfied

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    types!();
    invalidate!();

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        #[cfg(refused)]
        let (mut pages, done) = op.lock();
        #[cfg(not(refused))]
        let (mut pages, done) = op.try_lock()?;
        *pages = 0;
        Ok(done)
    }
}
