// SPDX-License-Identifier: GPL-2.0

//! Tests for lockdep's reports about allocations in reclaim.

use super::*;
use kernel::alloc::Flags;

pub(super) fn alloc(flags: Flags) -> Result {
    drop(KBox::new(0_u64, flags)?);
    Ok(())
}

#[kunit_tests(rust_lockdep_reclaim)]
mod tests {
    use super::*;
    use kernel::mm::reclaim::fs_reclaim;

    #[test]
    fn allocation_in_reclaim() -> Result {
        check(
            &[RECURSIVE],
            c"(fs_reclaim){",
            || fs_reclaim(GFP_KERNEL, || alloc(GFP_NOFS)),
            || fs_reclaim(GFP_KERNEL, || alloc(GFP_KERNEL)),
        )
    }

    #[test]
    fn lock_held_over_allocation_and_taken_in_reclaim() -> Result {
        let [silent, reported] = two_mutexes!();
        let allocate = |lock: &Arc<Mutex<()>>| -> Result {
            let lock = lock.clone();
            let other = Task::run(move || {
                let _guard = lock.lock();
                let _ = alloc(GFP_KERNEL);
            });
            other.map(Task::wait)
        };

        check(
            &[CIRCULAR],
            c"(fs_reclaim){",
            || {
                allocate(&silent)?;
                fs_reclaim(GFP_KERNEL, || drop(silent.try_lock()));
                Ok(())
            },
            || {
                allocate(&reported)?;
                fs_reclaim(GFP_KERNEL, || drop(reported.lock()));
                Ok(())
            },
        )
    }
}
