// SPDX-License-Identifier: GPL-2.0

//! A validated page cannot be used after the lock is released.

//~ error[E0505]: cannot move out of `valid` because it is borrowed

include!("common/mirror.rs");

use kernel::mm::hmm::{
    Entry,
    Valid, //
};

mirror!();

pub fn first_page(mut valid: Valid<'_, Mirror>) -> Option<usize> {
    let (addr, entry) = valid.split().1.next()?;
    #[cfg(refused)]
    drop(valid);
    if let Entry::Mapped(page) = entry {
        return Some(page.pfn());
    }
    None
}
