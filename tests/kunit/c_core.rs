// SPDX-License-Identifier: GPL-2.0

//! Tests for what `patches/` mends in mm/mmu_notifier.c: each fails without its patch.

use kernel::prelude::*;

#[kunit_tests(rust_mmu_notifier_core)]
mod tests {
    use super::*;
    use crate::{
        invalidate,
        task::{
            wait_until,
            Task, //
        },
        user, //
    };
    use core::convert::Infallible;
    use kernel::{
        bindings,
        mm::mmu_notifier::{
            interval::{
                self,
                Invalidated,
                Invalidation,
                Notifier,
                TryInvalidation, //
            },
            Operations,
            Range,
            Registration,
            WouldBlock, //
        },
        new_spinlock,
        nonblock::NonBlockGuard,
        page::PAGE_SIZE,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            lock::spinlock::SpinLockBackend,
            Arc,
            SpinLock, //
        }, //
    };

    /// An interval notifier that always lets go.
    #[pin_data]
    struct LetsGo {
        #[pin]
        lock: SpinLock<()>,
    }

    impl interval::Operations for LetsGo {
        type State = ();
        type Backend = SpinLockBackend;
        type Refusal = Infallible;

        fn lock(&self) -> &SpinLock<()> {
            &self.lock
        }

        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            op.lock().1
        }

        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, Infallible> {
            Ok(op.lock().1)
        }
    }

    /// A list notifier that always refuses.
    struct Refuses;

    #[vtable]
    impl Operations for Refuses {
        type Refusal = WouldBlock;

        fn start(&self, _range: Range<'_>) {}

        fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
            Err(WouldBlock)
        }
    }

    #[test]
    fn refusal_ends_the_interval_walk() -> Result {
        let mm = user::new_mm()?;
        let init = try_pin_init!(LetsGo {
            lock <- new_spinlock!(()),
        });
        let notifier = Arc::pin_init(
            Notifier::new(&mm, PAGE_SIZE..2 * PAGE_SIZE, init),
            GFP_KERNEL,
        )?;
        let refuses = KBox::try_pin_init(Registration::new(&mm, Ok(Refuses)), GFP_KERNEL)?;
        let steps = Arc::new(Atomic::new(0), GFP_KERNEL)?;

        let refused = invalidate::nonblock(&mm, 0, usize::MAX);
        let done = steps.clone();
        // In a task of its own, which waits for ever if the walk was not ended.
        let _ = Task::run(move || {
            drop(notifier.read_begin().lock());
            done.store(1, Relaxed);
            drop(notifier);
            done.store(2, Relaxed);
        })?;
        let ended = wait_until(|| steps.load(Relaxed) == 2);
        drop(refuses);

        assert_eq!(refused, Err(EAGAIN));
        assert!(ended);
        Ok(())
    }

    #[test]
    fn failed_insert_leaves_mm_alone() -> Result {
        let mm = user::new_mm()?;
        let mut notifier = KBox::new(
            pin_init::zeroed::<bindings::mmu_interval_notifier>(),
            GFP_KERNEL,
        )?;
        let ops = pin_init::zeroed::<bindings::mmu_interval_notifier_ops>();

        // SAFETY: The range wraps around, so it is not inserted, and its callbacks are not called.
        let ret = unsafe {
            bindings::mmu_interval_notifier_insert(
                &mut *notifier,
                mm.as_raw(),
                usize::MAX - PAGE_SIZE,
                2 * PAGE_SIZE,
                &ops,
            )
        };

        assert_eq!(ret, EOVERFLOW.to_errno());
        assert!(notifier.mm.is_null());
        Ok(())
    }
}
