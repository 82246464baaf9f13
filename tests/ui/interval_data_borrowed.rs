// SPDX-License-Identifier: GPL-2.0

//! A notifier may be leaked, so its data cannot borrow.

//~ error[E0478]: lifetime bound not satisfied

include!("common/mirror.rs");

#[cfg(refused)]
type Name<'a> = &'a str;
#[cfg(not(refused))]
type Name<'a> = core::marker::PhantomData<fn() -> u32>;

struct Mirror<'a> {
    pages: Mutex<usize>,
    name: Name<'a>,
    #[cfg(not(refused))]
    never: core::marker::PhantomData<&'a ()>,
}

#[cfg(refused)]
impl<'a> Operations for Mirror<'a> {
    types!();
    invalidate!();
    try_invalidate!();
}

#[cfg(not(refused))]
impl Operations for Mirror<'static> {
    types!();
    invalidate!();
    try_invalidate!();
}
