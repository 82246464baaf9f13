// SPDX-License-Identifier: GPL-2.0

//! A notifier may be dropped by any task, so its data has to be `Send`.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely
//~ required by a bound in `

include!("common/driver.rs");

#[cfg(refused)]
type Extra = kernel::sync::lock::Guard<'static, u32, kernel::sync::lock::mutex::MutexBackend>;
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
