// SPDX-License-Identifier: GPL-2.0

//! A run of pages cannot be used after the lock is released.

//~ error[E0505]: cannot move out of `valid` because it is borrowed

include!("common/mirror.rs");

use kernel::mm::hmm::Valid;

mirror!();

pub fn first_page(mut valid: Valid<'_, Mirror>) -> Option<usize> {
    let run = valid.split().1.runs().next()?;
    #[cfg(refused)]
    drop(valid);
    Some(run.pfn())
}
