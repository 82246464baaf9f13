// SPDX-License-Identifier: GPL-2.0

//! The kinds of objects are told apart by the address of their registry, which a constant has not.

//~ error[E0492]: constants cannot refer to interior mutable data

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

include!("common/object.rs");

#[cfg(refused)]
const DRIVERS: &Registry<Driver> = &Registry::new();
#[cfg(not(refused))]
static DRIVERS: Registry<Driver> = Registry::new();

pub fn open(mm: &MmWithUser) -> Result<Ref<Driver>> {
    DRIVERS.get(mm)
}
