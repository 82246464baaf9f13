// SPDX-License-Identifier: GPL-2.0

//! Functions to show non-blocking sections and annotations in the object code.
//!
//! Nothing links this file. Without the options that sections and annotations are for, all
//! functions have the same length.

use kernel::{
    mm::reclaim::{
        fs_reclaim,
        might_alloc, //
    },
    nonblock::{
        non_block,
        NonBlockGuard, //
    },
    prelude::*,
    static_lock_map, //
};

static_lock_map! {
    static MAP: LockMap = "probe", Sleep;
}

// The functions differ in a constant, so they are not merged into one.

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

/// With a lock map.
#[no_mangle]
pub extern "C" fn probe_map(x: u32) -> u32 {
    let _map = MAP.acquire();
    MAP.assert_held();
    x ^ 4
}

/// With an allocation that may be made.
#[no_mangle]
pub extern "C" fn probe_alloc(x: u32) -> u32 {
    might_alloc(GFP_KERNEL);
    x ^ 5
}

/// As in reclaim.
#[no_mangle]
pub extern "C" fn probe_reclaim(x: u32) -> u32 {
    fs_reclaim(GFP_KERNEL, || x ^ 6)
}
