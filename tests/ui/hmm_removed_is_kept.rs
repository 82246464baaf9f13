// SPDX-License-Identifier: GPL-2.0

//! The evidence of a removal belongs to one call.

//~ error: lifetime may not live long enough

use kernel::{
    mm::hmm::{
        Device,
        Removal,
        Removed, //
    },
    prelude::*, //
};

struct Driver;

impl Driver {
    #[cfg(refused)]
    fn keep<'op>(removed: Removed<'op>) -> Removed<'static> {
        removed
    }

    #[cfg(not(refused))]
    fn keep<'op>(removed: Removed<'op>) -> Removed<'op> {
        removed
    }
}

impl Device for Driver {
    fn invalidate<'op>(&'op self, op: Removal<'op, Self>) -> Removed<'op> {
        Self::keep(op.remove())
    }
}
