// SPDX-License-Identifier: GPL-2.0

//! The access of HMM to an interval notifier.

use super::{
    Notifier,
    Operations,
    Seq, //
};
use crate::bindings;

impl<T: Operations> Notifier<T> {
    /// Returns the C object.
    #[inline]
    pub(in crate::mm) fn as_raw(&self) -> *mut bindings::mmu_interval_notifier {
        self.inner.get()
    }

    /// Continues a read of the address space that C code began.
    ///
    /// # Safety
    ///
    /// `seq` must come from `mmu_interval_read_begin()` for this notifier.
    #[inline]
    pub(in crate::mm) unsafe fn seq_from_raw(&self, seq: usize) -> Seq<'_, T> {
        // INVARIANT: By the caller's contract.
        Seq {
            notifier: self,
            seq,
        }
    }
}
