// SPDX-License-Identifier: GPL-2.0

//! An invalidation is published once.

//~ error[E0382]: use of moved value: `op`
//~ error[E0382]: use of moved value: `try_op`

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    types!();

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let (pages, done) = op.lock();
        #[cfg(refused)]
        {
            drop(pages);
            return op.lock().1;
        }
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        try_op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let (pages, done) = try_op.try_lock()?;
        #[cfg(refused)]
        {
            drop(pages);
            return Ok(try_op.try_lock()?.1);
        }
        Ok(done)
    }
}
