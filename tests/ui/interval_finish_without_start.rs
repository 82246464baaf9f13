// SPDX-License-Identifier: GPL-2.0

//! Only an invalidation that may wait has a second pass.

//~ error[E0308]: mismatched types
//~ expected `Invalidated<'_>`, found `(Invalidated<'_>, Option<Flush>)`

include!("common/mirror.rs");

use kernel::mm::mmu_notifier::interval::TwoPass;

struct Mirror {
    pages: Mutex<usize>,
}

struct Flush;

impl Operations for Mirror {
    types!();
    invalidate!();

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let (_pages, done) = op.try_lock()?;
        #[cfg(refused)]
        return Ok((done, Some(Flush)));
        #[cfg(not(refused))]
        return Ok(done);
    }
}

impl TwoPass for Mirror {
    type Token = Flush;

    fn start<'op>(&'op self, op: Invalidation<'op, Self>) -> (Invalidated<'op>, Option<Flush>) {
        let (_pages, done) = op.lock();
        (done, Some(Flush))
    }

    fn finish(&self, _flush: Flush) {}
}
