// SPDX-License-Identifier: GPL-2.0

//! The data of the lock cannot be reached through a read without validation.

//~ error[E0614]: type `Seq<'_, Mirror>` cannot be dereferenced

include!("common/mirror.rs");

mirror!();

pub fn pages(notifier: &Notifier<Mirror>) -> Option<usize> {
    let seq = notifier.read_begin();
    #[cfg(refused)]
    return Some(*seq);
    #[cfg(not(refused))]
    return Some(*seq.lock()?);
}
