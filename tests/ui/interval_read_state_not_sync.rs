// SPDX-License-Identifier: GPL-2.0

//! Readers of a semaphore run at the same time, so its data must be `Sync`.

//~ error[E0599]: the method `read` exists for struct `Seq<'_, T>`, but its trait bounds were not satisfied
//~ `Cell<usize>: Sync`

include!("common/mirror.rs");

use kernel::sync::lock::rwsem::RwSemaphoreBackend;

#[cfg(refused)]
type State = core::cell::Cell<usize>;
#[cfg(not(refused))]
type State = usize;

pub fn is_valid<T>(notifier: &Notifier<T>) -> bool
where
    T: Operations<State = State, Backend = RwSemaphoreBackend>,
{
    notifier.read_begin().read().is_some()
}
