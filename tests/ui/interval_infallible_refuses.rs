// SPDX-License-Identifier: GPL-2.0

//! A driver that never has to block cannot refuse.

//~ error[E0277]: `?` couldn't convert the error to `Infallible`

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    type State = usize;
    type Backend = MutexBackend;
    #[cfg(refused)]
    type Refusal = core::convert::Infallible;
    #[cfg(not(refused))]
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<usize> {
        &self.pages
    }

    invalidate!();
    try_invalidate!();
}
