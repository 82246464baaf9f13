// SPDX-License-Identifier: GPL-2.0

//! A notifier with only an end gives pages back after they were freed.

//~ error[E0080]
//~ `end` without `start`: the pages are freed by the time that `end` is called

include!("common/driver.rs");

#[vtable]
impl Operations for Driver {
    type Refusal = Infallible;

    #[cfg(not(refused))]
    fn start(&self, _range: Range<'_>) {}

    #[cfg(not(refused))]
    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
        Ok(())
    }

    fn end(&self, _range: Range<'_>, _nb: &NonBlockGuard) {}
}
