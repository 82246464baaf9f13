// SPDX-License-Identifier: GPL-2.0

//! The evidence that pages were removed is not made by the driver.

//~ error[E0451]: field `done` of struct `Removed` is private
//~ error[E0451]: field `pages` of struct `Removed` is private

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
        let removed = op.remove();
        #[cfg(refused)]
        return Removed {
            pages: 0,
            ..removed
        };
        removed
    }
}
