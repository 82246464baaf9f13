// SPDX-License-Identifier: GPL-2.0

//! A read without validation, and a lock that is released immediately, are mistakes.

//~ error: unused `Seq` that must be used
//~ error: unused return value of `Seq::<'a, T>::lock` that must be used
//~ error: unused return value of `Seq::<'a, T>::read` that must be used
//~ error: unused `Result` that must be used
//~ error: unused `MmapWriteGuard` that must be used
//~ error: unused `Invalidated` in tuple element 1 that must be used

#![deny(unused_must_use)]

include!("common/mirror.rs");

use kernel::sync::lock::{
    rwsem::RwSemaphoreBackend,
    Guard, //
};

#[cfg(refused)]
pub fn read<T>(mm: &MmWithUser, notifier: &Notifier<T>, guard: &Guard<'_, T::State, T::Backend>)
where
    T: Operations<State = usize, Backend = RwSemaphoreBackend>,
{
    mm.mmap_write_lock();
    notifier.read_begin();
    notifier.read_begin().lock();
    notifier.read_begin().read();
    notifier.read_begin().validate(guard);
}

#[cfg(refused)]
pub fn invalidate<T: Operations>(op: Invalidation<'_, T>) {
    op.lock();
}
