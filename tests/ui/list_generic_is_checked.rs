// SPDX-License-Identifier: GPL-2.0

//! Callbacks with parameters are checked when a notifier is created.

//~ error[E0080]
//~ `start` and `try_start` go together
//~ evaluation of `<Generic<u32> as

include!("common/driver.rs");

#[vtable]
impl Operations for Driver {
    type Refusal = Infallible;
}

struct Generic<T>(T);

#[vtable]
impl<T: Send + Sync + 'static> Operations for Generic<T> {
    type Refusal = WouldBlock;

    fn start(&self, _range: Range<'_>) {}

    #[cfg(not(refused))]
    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}

pub fn register_generic(mm: &MmWithUser) -> Result {
    drop(KBox::pin_init(
        Notifier::new(mm, Ok(Generic(1_u32))),
        GFP_KERNEL,
    )?);
    Ok(())
}
