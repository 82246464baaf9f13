// SPDX-License-Identifier: GPL-2.0

//! A notifier may be leaked, so its data cannot borrow.

//~ error[E0478]: lifetime bound not satisfied

include!("common/driver.rs");

struct Data<'a>(&'a str);

#[cfg(refused)]
#[vtable]
impl<'a> Operations for Data<'a> {
    type Refusal = Infallible;
}

#[cfg(not(refused))]
#[vtable]
impl Operations for Data<'static> {
    type Refusal = Infallible;
}

#[vtable]
impl Operations for Driver {
    type Refusal = Infallible;
}
