// SPDX-License-Identifier: GPL-2.0

//! A notifier with an end cannot refuse.

//~ error[E0080]
//~ a notifier with `end` cannot refuse an invalidation: use `type Refusal = Infallible`

include!("common/driver.rs");

#[vtable]
impl Operations for Driver {
    #[cfg(refused)]
    type Refusal = WouldBlock;
    #[cfg(not(refused))]
    type Refusal = Infallible;

    fn start(&self, _range: Range<'_>) {}

    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Self::Refusal> {
        Ok(())
    }

    fn end(&self, _range: Range<'_>, _nb: &NonBlockGuard) {}
}
