// SPDX-License-Identifier: GPL-2.0

//! A page that was got for reading may be the zero page, or shared.

//~ error[E0599]: no method named `write` found for struct `UserPage`

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

use kernel::{
    mm::MmWithUser,
    prelude::*, //
};

pub fn poke(mm: &MmWithUser, addr: usize) -> Result {
    #[cfg(refused)]
    let page = mm.mmap_read_lock().get_user_page(addr)?;
    #[cfg(not(refused))]
    let page = mm.mmap_read_lock().get_user_page_mut(addr)?;
    page.write(0, &[1])
}
