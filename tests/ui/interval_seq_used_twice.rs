// SPDX-License-Identifier: GPL-2.0

//! A read that collided has to be begun anew.

//~ error[E0382]: use of moved value: `seq`

#![allow(dead_code, missing_docs, private_interfaces)]
#![allow(unreachable_code, unused_imports, unused_variables)]

include!("common/mirror.rs");

struct Mirror {
    pages: Mutex<usize>,
}

impl Operations for Mirror {
    types!();
    invalidate!();
    try_invalidate!();
}

pub fn pages(notifier: &Notifier<Mirror>) -> usize {
    let seq = notifier.read_begin();
    loop {
        #[cfg(not(refused))]
        let seq = notifier.read_begin();
        if let Some(pages) = seq.lock() {
            return *pages;
        }
    }
}
