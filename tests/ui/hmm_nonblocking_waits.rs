// SPDX-License-Identifier: GPL-2.0

//! Pages that have to be removed without blocking cannot be removed by waiting for the lock.

//~ error[E0599]: no method named `remove` found for struct `TryRemoval

use kernel::{
    mm::{
        hmm::{
            Device,
            Removed,
            TryRemoval, //
        },
        mmu_notifier::WouldBlock, //
    },
    nonblock::NonBlockGuard,
    prelude::*, //
};

struct Driver;

impl Device for Driver {
    fn try_invalidate<'op>(
        &'op self,
        op: TryRemoval<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Removed<'op>, WouldBlock> {
        #[cfg(refused)]
        return Ok(op.remove());
        op.try_remove()
    }
}
