// SPDX-License-Identifier: GPL-2.0

//! The evidence of one call does not do for one that is made during it.

//~ error: lifetime may not live long enough

include!("common/mirror.rs");

pub fn pass_on<'long: 'short, 'short>(done: Invalidated<'long>) -> Invalidated<'short> {
    #[cfg(refused)]
    return done;
    #[cfg(not(refused))]
    loop {}
}
