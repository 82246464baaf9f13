// SPDX-License-Identifier: GPL-2.0

//! What is left of a non-blocking section in the object code.
//!
//! `make check` compiles this with and without `CONFIG_DEBUG_ATOMIC_SLEEP` and compares the
//! functions. It is not linked into anything.

use kernel::nonblock::{
    non_block,
    NonBlockGuard, //
};

// The functions differ in a constant, so that they are not merged into one.

/// Without a section.
#[no_mangle]
pub extern "C" fn probe_plain(x: u32) -> u32 {
    x ^ 1
}

/// With a guard.
#[no_mangle]
pub extern "C" fn probe_guard(x: u32) -> u32 {
    let _nb = NonBlockGuard::new();
    x ^ 2
}

/// With a scope.
#[no_mangle]
pub extern "C" fn probe_scope(x: u32) -> u32 {
    non_block(|_nb| x ^ 3)
}
