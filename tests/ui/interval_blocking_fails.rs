// SPDX-License-Identifier: GPL-2.0

//! A blocking callback cannot refuse.

//~ error[E0053]: method `invalidate` has an incompatible type for trait
//~ expected `Invalidated<'op>`, found `Result<Invalidated<'_>, WouldBlock>`

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    types!();
    try_invalidate!();

    #[cfg(refused)]
    fn invalidate<'op>(
        &'op self,
        op: Invalidation<'op, Self>,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let _ = op;
        Err(WouldBlock)
    }

    #[cfg(not(refused))]
    invalidate!();
}
