// SPDX-License-Identifier: GPL-2.0

//! A notifier for secondary TLBs has neither a start nor an end.

//~ error[E0080]
//~ `arch_invalidate` takes the place of `start` and `end`

include!("common/driver.rs");

#[vtable]
impl Operations for Driver {
    type Refusal = Infallible;

    #[cfg(refused)]
    fn end(&self, _range: Range<'_>, _nb: &NonBlockGuard) {}

    fn arch_invalidate(&self, _range: ops::Range<usize>, _nb: &NonBlockGuard) {}
}
