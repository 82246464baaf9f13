// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::mm::reclaim`: which allocations are allowed where.
//!
//! Documentation/mm/rust-nonblock.rst has the results as a table. Lockdep's reports are tested in
//! lockdep.rs.

use crate::prelude::*;

#[kunit_tests(rust_reclaim)]
mod tests {
    use super::*;
    use crate::kmsg::silent;
    use kernel::{
        alloc::Flags,
        bindings,
        mm::reclaim::{
            fs_reclaim,
            memalloc_nofs,
            memalloc_noio,
            memalloc_noreclaim,
            might_alloc, //
        },
        task::Task, //
    };

    const ALL: [Flags; 5] = [GFP_KERNEL, GFP_NOFS, GFP_NOIO, GFP_NOWAIT, GFP_ATOMIC];
    const RECLAIM: [Flags; 3] = [GFP_KERNEL, GFP_NOFS, GFP_NOIO];
    const DO_NOT_RECLAIM: [Flags; 2] = [GFP_NOWAIT, GFP_ATOMIC];

    /// Allocates with each of `flags`, and checks that this is allowed.
    fn alloc(flags: &[Flags]) -> bool {
        flags.iter().all(|flags| {
            might_alloc(*flags);
            KBox::new(0_u64, *flags).is_ok()
        })
    }

    /// Returns the flags of the current task that scopes set.
    fn scopes() -> c_uint {
        let task = Task::current_raw();
        let mask = bindings::PF_MEMALLOC | bindings::PF_MEMALLOC_NOFS | bindings::PF_MEMALLOC_NOIO;
        // SAFETY: It is the current task, and only that one writes the field.
        unsafe { (*task).flags & mask }
    }

    #[test]
    fn each_flag_allows_less() {
        let chain = [GFP_KERNEL, GFP_NOFS, GFP_NOIO];

        for pair in chain.windows(2) {
            assert!(pair[0] & pair[1] == pair[1]);
            assert!(pair[0] != pair[1]);
        }
        // The last flag still allows direct reclaim.
        assert!(GFP_NOIO & GFP_NOWAIT != GFP_NOIO);
    }

    #[test]
    fn scopes_nest() {
        let before = scopes();
        let inside = memalloc_nofs(|| {
            let outer = scopes();
            let nested = memalloc_noio(|| memalloc_noreclaim(scopes));
            let same = memalloc_nofs(scopes);
            // The inner scope did not end the outer scope.
            (outer, nested, same, scopes())
        });

        let (nofs, noio) = (bindings::PF_MEMALLOC_NOFS, bindings::PF_MEMALLOC_NOIO);
        let noreclaim = bindings::PF_MEMALLOC;
        assert_eq!(before, 0);
        assert_eq!(inside, (nofs, nofs | noio | noreclaim, nofs, nofs));
        assert_eq!(scopes(), 0);
    }

    #[test]
    fn allowed_in_scopes() {
        let mut allocated = false;
        let (silence, control) = silent(|| {
            allocated = alloc(&ALL)
                && memalloc_nofs(|| alloc(&ALL))
                && memalloc_noio(|| alloc(&ALL))
                && memalloc_noreclaim(|| alloc(&ALL));
        });

        assert!(allocated);
        assert_eq!(silence, Seen::NONE);
        assert_eq!(control, Seen::ONE);
    }

    #[test]
    fn allowed_in_reclaim() {
        let mut allocated = false;
        let (silence, control) = silent(|| {
            // Allowed is all that does not reclaim, or does not call file systems.
            allocated = fs_reclaim(GFP_KERNEL, || {
                alloc(&[GFP_NOFS, GFP_NOIO])
                    && alloc(&DO_NOT_RECLAIM)
                    && memalloc_nofs(|| alloc(&ALL))
                    && memalloc_noio(|| alloc(&ALL))
                    && memalloc_noreclaim(|| alloc(&ALL))
            });
            // Reclaim without file systems has no map.
            allocated &= fs_reclaim(GFP_NOFS, || alloc(&ALL));
        });

        assert!(allocated);
        assert_eq!(silence, Seen::NONE);
        assert_eq!(control, Seen::ONE);
    }

    #[test]
    fn allowed_in_section() {
        let mut allocated = false;
        let (silence, control) = silent(|| {
            allocated = non_block(|_| alloc(&DO_NOT_RECLAIM) && memalloc_noreclaim(|| alloc(&ALL)));
        });

        assert!(allocated);
        assert_eq!(silence, Seen::NONE);
        assert_eq!(control, Seen::ONE);
    }

    #[test]
    fn reported_in_section() {
        for flags in RECLAIM {
            let seen = provoke(MIGHT_SLEEP, c"non_block: 1,", || {
                // An allocation may still block in this scope.
                non_block(|_| memalloc_noio(|| might_alloc(flags)))
            });
            assert_eq!(seen, Seen::ONE);
        }
    }
}
