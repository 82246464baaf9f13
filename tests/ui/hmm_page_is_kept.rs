// SPDX-License-Identifier: GPL-2.0

//! A page cannot be used after the table of its mirror is unlocked.

//~ error[E0505]: cannot move out of `pages` because it is borrowed

use kernel::{
    mm::hmm::Mirror,
    prelude::*, //
};

pub fn read(mirror: &Mirror, addr: usize, buf: &mut [u8]) -> Result {
    let pages = mirror.lock();
    let page = pages.page(addr).ok_or(EFAULT)?;
    #[cfg(refused)]
    drop(pages);
    page.read(0, buf)?;
    #[cfg(not(refused))]
    drop(pages);
    Ok(())
}
