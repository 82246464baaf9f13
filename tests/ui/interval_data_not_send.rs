// SPDX-License-Identifier: GPL-2.0

//! A notifier may be dropped by any task, so its data has to be `Send`.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely
//~ required by a bound in `

include!("common/mirror.rs");

use kernel::sync::lock::Guard;

#[cfg(refused)]
type Extra = Guard<'static, u32, MutexBackend>;
#[cfg(not(refused))]
type Extra = u32;

struct Mirror {
    pages: Mutex<usize>,
    extra: Extra,
}

impl Operations for Mirror {
    types!();
    invalidate!();
    try_invalidate!();
}
