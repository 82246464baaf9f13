// SPDX-License-Identifier: GPL-2.0

//! Workqueues of the notifiers.

use crate::{
    bindings,
    prelude::*,
    sync::SetOnce,
    workqueue::Queue, //
};

/// Returns the workqueue in `once`, which is created if there is none yet.
///
/// It is never destroyed. `flags` are those of `alloc_workqueue()`.
///
/// # Errors
///
/// [`ENOMEM`] if there is no memory for it.
pub(super) fn get_or_create(
    once: &SetOnce<&'static Queue>,
    name: &CStr,
    flags: c_uint,
) -> Result<&'static Queue> {
    loop {
        if let Some(queue) = once.copy() {
            return Ok(queue);
        }

        let (format, name) = (c"%s".as_char_ptr(), name.as_char_ptr());
        // SAFETY: The format has one conversion, and `name` is a string for it.
        let new = unsafe { bindings::alloc_workqueue_noprof(format, flags, 0, name) };
        if new.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: If the reference is stored then the workqueue is never destroyed.
        if !once.populate(unsafe { Queue::from_raw(new) }) {
            // SAFETY: Another task was faster, so that nobody else knows of this one.
            unsafe { bindings::destroy_workqueue(new) };
        }
    }
}
