// SPDX-License-Identifier: GPL-2.0

//! The range of an invalidation only exists while the callback runs.

//~ error: lifetime may not live long enough

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    types!();
    try_invalidate!();

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        #[cfg(refused)]
        let _range: Range<'static> = op.unclipped_range();
        #[cfg(not(refused))]
        let _range: Range<'op> = op.unclipped_range();
        op.lock().1
    }
}
