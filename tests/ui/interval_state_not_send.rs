// SPDX-License-Identifier: GPL-2.0

//! Any task may take the lock, so its data must be `Send`.

//~ error[E0277]: `*mut u8` cannot be sent between threads safely
//~ required by a bound in `

include!("common/mirror.rs");

#[cfg(refused)]
type Table = *mut u8;
#[cfg(not(refused))]
type Table = usize;

struct Mirror {
    // It is not that of `self`, which would have to be `Sync`.
    pages: fn() -> &'static Mutex<Table>,
}

impl Operations for Mirror {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        (self.pages)()
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        op.lock().1
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        Ok(op.try_lock()?.1)
    }
}
