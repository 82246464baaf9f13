// SPDX-License-Identifier: GPL-2.0

//! The result of a look-up cannot be read before it is validated.

//~ error[E0599]: no method named `pfn` found for struct `Slot`

include!("common/mirror.rs");

use kernel::mm::hmm::{
    self,
    Access,
    Entry,
    Request,
    Slot, //
};

mirror!();

pub fn pfn(notifier: &Notifier<Mirror>, addr: usize) -> Result<usize> {
    let mut slots = [Slot::EMPTY];
    let request = Request::new(addr, &mut slots)?;
    #[cfg(refused)]
    return Ok(slots[0].pfn());
    #[cfg(not(refused))]
    {
        let mut valid = request.fault(notifier, Access::Read, hmm::DEFAULT_TIMEOUT)?;
        match valid.split().1.next() {
            Some((_, Entry::Mapped(page))) => Ok(page.pfn()),
            _ => Err(EFAULT),
        }
    }
}
