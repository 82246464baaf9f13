// SPDX-License-Identifier: GPL-2.0

//! A driver that takes part in the invalidations of a mirror cannot leave the pages in its table.

//~ error[E0308]: mismatched types
//~ expected `Removed<'_>`, found `()`

use kernel::{
    mm::hmm::{
        Device,
        Removal,
        Removed, //
    },
    prelude::*, //
};

struct Driver;

impl Device for Driver {
    fn invalidate<'op>(&'op self, op: Removal<'op, Self>) -> Removed<'op> {
        #[cfg(refused)]
        return ();
        op.remove()
    }
}
