// SPDX-License-Identifier: GPL-2.0

//! A page that is in the table to be read may be the zero page, or shared.

//~ error[E0599]: no method named `write` found for struct `kernel::mm::hmm::Page`

use kernel::{
    mm::hmm::Mirror,
    prelude::*, //
};

pub fn write(mirror: &Mirror, addr: usize) -> Result {
    let pages = mirror.lock();
    #[cfg(refused)]
    let page = pages.page(addr).ok_or(EFAULT)?;
    #[cfg(not(refused))]
    let page = pages.page_mut(addr).ok_or(EFAULT)?;
    page.write(0, &[1])
}
