// SPDX-License-Identifier: GPL-2.0

//! Without `#[vtable]` no callback would be called.

//~ error[E0046]: not all trait items implemented, missing: `USE_VTABLE_ATTR`, `OwnerModule`

include!("common/driver.rs");

#[cfg_attr(not(refused), vtable)]
impl Operations for Driver {
    type Refusal = Infallible;
}
