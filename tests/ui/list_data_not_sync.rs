// SPDX-License-Identifier: GPL-2.0

//! Callbacks run at the same time, so their data has to be `Sync`.

//~ error[E0277]: `Cell<u32>` cannot be shared between threads safely
//~ required by a bound in `

include!("common/driver.rs");

#[cfg(refused)]
type Extra = core::cell::Cell<u32>;
#[cfg(not(refused))]
type Extra = u32;

struct Data(Extra);

#[vtable]
impl Operations for Data {
    type Refusal = Infallible;
}

#[vtable]
impl Operations for Driver {
    type Refusal = Infallible;
}
