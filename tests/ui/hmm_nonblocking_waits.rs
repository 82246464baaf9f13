// SPDX-License-Identifier: GPL-2.0

//! Pages that have to be removed without blocking cannot be removed by waiting for the lock.

//~ error[E0599]: no method named `remove` found for struct `TryRemoval

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

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
