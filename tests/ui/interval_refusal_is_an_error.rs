// SPDX-License-Identifier: GPL-2.0

//! A non-blocking callback may only refuse because it would block.

//~ error[E0277]: a non-blocking callback cannot answer `kernel::error::Error`
//~ neither `WouldBlock` nor `Infallible`

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    type State = usize;
    type Backend = MutexBackend;
    #[cfg(refused)]
    type Refusal = Error;
    #[cfg(not(refused))]
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<usize> {
        &self.pages
    }

    invalidate!();

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, Self::Refusal> {
        let Ok((_, done)) = op.try_lock() else {
            unreachable!()
        };
        Ok(done)
    }
}
