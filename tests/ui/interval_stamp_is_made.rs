// SPDX-License-Identifier: GPL-2.0

//! A read is only as old as it is.

//~ error[E0451]: field `notifier` of struct `Stamp` is private
//~ error[E0451]: field `seq` of struct `Stamp` is private

include!("common/mirror.rs");

use kernel::mm::mmu_notifier::interval::Stamp;

pub fn is_valid<T: Operations>(notifier: &Notifier<T>) -> bool {
    #[cfg(refused)]
    let stamp = Stamp {
        notifier: 0,
        seq: 0,
    };
    #[cfg(not(refused))]
    let stamp = notifier.read_begin().stamp();
    notifier
        .resume(stamp)
        .is_some_and(|seq| seq.lock().is_some())
}
