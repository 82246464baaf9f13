// SPDX-License-Identifier: GPL-2.0

//! In a callback the address space may have no users, so its memory cannot be accessed.

//~ error[E0599]: no method named `mmap_read_lock` found for reference `&Mm`

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    types!();
    try_invalidate!();

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        #[cfg(refused)]
        let _ = op.range().mm().mmap_read_lock();
        #[cfg(not(refused))]
        let _ = op.range().mm().as_raw();
        op.unaffected()
    }
}
