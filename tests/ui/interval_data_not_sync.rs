// SPDX-License-Identifier: GPL-2.0

//! Callbacks run at the same time, so their data has to be `Sync`.

//~ error[E0277]: `Cell<u32>` cannot be shared between threads safely
//~ required by a bound in `

include!("common/mirror.rs");

#[cfg(refused)]
type Count = core::cell::Cell<u32>;
#[cfg(not(refused))]
type Count = u32;

struct Mirror {
    pages: Mutex<usize>,
    count: Count,
}

impl Operations for Mirror {
    types!();
    invalidate!();
    try_invalidate!();
}
