// SPDX-License-Identifier: GPL-2.0

//! Under the read side of a semaphore the state is not changed.

//~ error[E0594]: cannot assign to data in dereference of `RwSemaphoreReadGuard<'_, usize>`

include!("common/mirror.rs");

use kernel::sync::lock::rwsem::RwSemaphoreBackend;

pub fn enter<T>(notifier: &Notifier<T>)
where
    T: Operations<State = usize, Backend = RwSemaphoreBackend>,
{
    #[cfg(refused)]
    let guard = notifier.read_begin().read();
    #[cfg(not(refused))]
    let guard = notifier.read_begin().lock();

    if let Some(mut pages) = guard {
        *pages = 1;
    }
}
