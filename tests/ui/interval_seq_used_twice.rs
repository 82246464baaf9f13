// SPDX-License-Identifier: GPL-2.0

//! A read that collided has to be begun anew, however it is validated.

//~ error[E0382]: use of moved value: `locked`
//~ error[E0382]: use of moved value: `read`
//~ error[E0382]: use of moved value: `validated`
//~ error[E0382]: use of moved value: `validated_read`

include!("common/mirror.rs");

use kernel::sync::lock::{
    rwsem::{
        RwSemaphoreBackend,
        RwSemaphoreReadGuard, //
    },
    Guard, //
};

pub fn lock<T: Operations<State = usize>>(notifier: &Notifier<T>) -> usize {
    let locked = notifier.read_begin();
    loop {
        #[cfg(not(refused))]
        let locked = notifier.read_begin();
        if let Some(pages) = locked.lock() {
            return *pages;
        }
    }
}

pub fn validate<T>(notifier: &Notifier<T>, guard: &Guard<'_, T::State, T::Backend>)
where
    T: Operations,
{
    let validated = notifier.read_begin();
    loop {
        #[cfg(not(refused))]
        let validated = notifier.read_begin();
        if validated.validate(guard).is_ok() {
            return;
        }
    }
}

pub fn read<T>(notifier: &Notifier<T>) -> usize
where
    T: Operations<State = usize, Backend = RwSemaphoreBackend>,
{
    let read = notifier.read_begin();
    loop {
        #[cfg(not(refused))]
        let read = notifier.read_begin();
        if let Some(pages) = read.read() {
            return *pages;
        }
    }
}

pub fn validate_read<T>(notifier: &Notifier<T>, guard: &RwSemaphoreReadGuard<'_, usize>)
where
    T: Operations<State = usize, Backend = RwSemaphoreBackend>,
{
    let validated_read = notifier.read_begin();
    loop {
        #[cfg(not(refused))]
        let validated_read = notifier.read_begin();
        if validated_read.validate_read(guard).is_ok() {
            return;
        }
    }
}
