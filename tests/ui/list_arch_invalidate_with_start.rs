// SPDX-License-Identifier: GPL-2.0

//! A notifier for secondary TLBs is not called for invalidations.

//~ error[E0080]
//~ `arch_invalidate` takes the place of `start` and `end`

include!("common/driver.rs");

#[vtable]
impl Operations for Driver {
    type Refusal = Infallible;

    #[cfg(refused)]
    fn start(&self, _range: Range<'_>) {}

    #[cfg(refused)]
    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
        Ok(())
    }

    fn arch_invalidate(&self, _range: ops::Range<usize>, _nb: &NonBlockGuard) {}
}
