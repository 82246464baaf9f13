// SPDX-License-Identifier: GPL-2.0

//! A callback gets no address space, as dropping its last user there is a deadlock.

//~ error[E0599]: no method named `mm` found for struct `kernel::mm::mmu_notifier::Range`

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    types!();
    try_invalidate!();

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        #[cfg(refused)]
        drop(op.unclipped_range().mm().mmget_not_zero());
        #[cfg(not(refused))]
        let _ = op.unclipped_range().event();
        op.lock().1
    }
}
