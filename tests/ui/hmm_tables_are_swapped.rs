// SPDX-License-Identifier: GPL-2.0

//! Pages cannot be moved to the table of another mirror, whose notifier is not called for them.

//~ error[E0614]: type `Pages<'_>` cannot be dereferenced

use kernel::{
    mm::hmm::Mirror,
    prelude::*, //
};

pub fn swap(one: &Mirror, other: &Mirror) {
    let (mut one, mut other) = (one.lock(), other.lock());
    #[cfg(refused)]
    core::mem::swap(&mut *one, &mut *other);
    #[cfg(not(refused))]
    core::mem::swap(&mut one, &mut other);
}
