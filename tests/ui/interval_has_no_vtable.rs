// SPDX-License-Identifier: GPL-2.0

//! `#[vtable]` is for list notifiers. Interval notifiers have all callbacks.

//~ error[E0438]: const `USE_VTABLE_ATTR` is not a member of trait `Operations`

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

#[cfg_attr(refused, vtable)]
impl Operations for Mirror {
    types!();
    invalidate!();
    try_invalidate!();
}
