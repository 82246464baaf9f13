// SPDX-License-Identifier: GPL-2.0

//! The guard of a scope cannot be taken out of it.

//~ error: lifetime may not live long enough

use kernel::{
    nonblock::non_block,
    prelude::*, //
};

pub fn leave() {
    #[cfg(refused)]
    let _nb = non_block(|nb| nb);
    #[cfg(not(refused))]
    let _nb = non_block(|_nb| ());
}
