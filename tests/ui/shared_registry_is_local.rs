// SPDX-License-Identifier: GPL-2.0

//! The kinds of objects are told apart by the address of their registry, which must not be reused.

//~ error[E0597]: `registry` does not live long enough

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

include!("common/object.rs");

static DRIVERS: Registry<Driver> = Registry::new();

pub fn open(mm: &MmWithUser) -> Result<Ref<Driver>> {
    #[cfg(refused)]
    let registry = Registry::new();
    #[cfg(not(refused))]
    let registry = &DRIVERS;

    registry.get(mm)
}
