// SPDX-License-Identifier: GPL-2.0

//! A task releases the lock that it took.

//~ error[E0277]: `*mut ()` cannot be sent between threads safely

include!("common/mirror.rs");

fn send(_: impl Send) {}

pub fn pass_on<T: Operations<State = usize>>(notifier: &Notifier<T>) {
    let pages = notifier.read_begin().lock();
    #[cfg(refused)]
    send(pages);
    #[cfg(not(refused))]
    send(pages.map(|pages| *pages));
}
