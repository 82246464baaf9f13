// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::nonblock`.

use crate::prelude::*;
use kernel::time::Msecs;

/// How long a task sleeps that is woken as soon as it does.
const TIMEOUT: Msecs = 10_000;

#[kunit_tests(rust_nonblock)]
mod tests {
    use super::*;
    use crate::{
        kmsg::{
            expect,
            silent,
            SCHEDULING, //
        },
        task::{
            sleeps,
            waker, //
        }, //
    };
    use core::mem;
    use kernel::{
        bindings,
        current,
        new_srcu,
        time::msecs_to_jiffies, //
    };

    // As in locks.h; the functions may be called in any task.
    unsafe extern "C" {
        safe fn nonblock_kunit_cond_resched();
        safe fn nonblock_kunit_read_lock();
        safe fn nonblock_kunit_write_lock();
        safe fn nonblock_kunit_local_lock();
    }

    #[test]
    fn guard_counts() {
        let before = sections();
        let guard = NonBlockGuard::new();
        let during = sections();
        drop(guard);

        assert_eq!(before, 0);
        assert_eq!(during, 1);
        assert_eq!(sections(), 0);
        if !cfg!(CONFIG_LOCKDEP) {
            assert_eq!(mem::size_of::<NonBlockGuard>(), 0);
        }
    }

    #[test]
    fn guards_nest_in_any_order() {
        let outer = NonBlockGuard::new();
        let inner = NonBlockGuard::default();
        let both = sections();
        drop(outer);
        let one = sections();
        drop(inner);

        assert_eq!(both, 2);
        assert_eq!(one, 1);
        assert_eq!(sections(), 0);
    }

    #[test]
    fn scope_counts_and_returns() {
        let (outer, inner) = non_block(|_| (sections(), non_block(|_| sections())));

        assert_eq!(outer, 1);
        assert_eq!(inner, 2);
        assert_eq!(sections(), 0);
    }

    #[test]
    fn leaked_guard_keeps_the_section() {
        // The guard is dropped below, or lockdep reports that the task exits with a lock held.
        let guard = mem::ManuallyDrop::new(NonBlockGuard::new());
        let leaked = sections();
        // Others still count.
        let nested = non_block(|_| sections());
        let after = sections();
        drop(mem::ManuallyDrop::into_inner(guard));

        assert_eq!(leaked, 1);
        assert_eq!(nested, 2);
        assert_eq!(after, 1);
        assert_eq!(sections(), 0);
    }

    #[test]
    fn might_sleep_is_reported() -> Result {
        // An older `Location` cannot name the file for C, and has a fixed text instead.
        let detail = if cfg!(CONFIG_RUSTC_HAS_FILE_WITH_NUL) {
            c"rust/nonblock.rs:"
        } else {
            c"at <Location::file_as_c_str() not supported>:"
        };
        let seen = provoke(MIGHT_SLEEP, detail, || non_block(|_| might_sleep()));

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn report_names_the_section() -> Result {
        let seen = provoke(MIGHT_SLEEP, c"non_block: 1,", || {
            non_block(|_| might_sleep())
        });

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn cond_resched_is_reported() {
        let seen = provoke(MIGHT_SLEEP, c"at lib/tests/rust/locks.c:", || {
            non_block(|_| nonblock_kunit_cond_resched())
        });

        assert_eq!(seen, Seen::ONE);
    }

    #[test]
    fn completion_is_reported() -> Result {
        let done = KBox::pin_init(Completion::new(), GFP_KERNEL)?;
        // The completion is done, so the task does not have to sleep.
        done.complete_all();
        let seen = provoke(MIGHT_SLEEP, c"at kernel/sched/completion.c:", || {
            non_block(|_| done.wait_for_completion())
        });

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn srcu_grace_period_is_reported() -> Result {
        let srcu = Arc::try_pin_init(new_srcu!(), GFP_KERNEL)?;
        let reading = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        let begun = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        // Without a reader the grace period can end before the task has to sleep.
        let reader = Task::run({
            let (srcu, reading, begun) = (srcu.clone(), reading.clone(), begun.clone());
            let waiting = ARef::from(&**current!());
            move || {
                let _guard = srcu.read_lock();
                reading.complete_all();
                begun.wait_for_completion();
                wait_until(|| sleeps(&waiting));
            }
        })?;
        reading.wait_for_completion();

        // Both `might_sleep()` and the sleep are reported.
        let seen = expect(&[MIGHT_SLEEP, SCHEDULING], c"non_block: 1,", || {
            non_block(|_| {
                begun.complete_all();
                srcu.synchronize();
            })
        });
        reader.wait();

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn allocation_is_reported() -> Result {
        let mut allocated = false;
        let seen = provoke(MIGHT_SLEEP, c"at include/linux/sched/mm.h:", || {
            non_block(|_| allocated = KBox::new(0, GFP_KERNEL).is_ok())
        });

        assert_eq!(seen, Seen::ONE);
        assert!(allocated);
        Ok(())
    }

    #[test]
    fn mmput_is_reported() -> Result {
        let mm = TestMm::attach()?;
        let seen = provoke(MIGHT_SLEEP, c"at kernel/fork.c:", || {
            non_block(|_| drop(mm))
        });

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn schedule_is_reported() -> Result {
        let begun = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        let waker = waker(&begun)?;
        let timeout = msecs_to_jiffies(TIMEOUT).try_into()?;
        // A task that is woken before it sleeps is not reported.
        let seen = provoke(SCHEDULING, c"kunit_try_catch/", || {
            non_block(|_| {
                begun.complete_all();
                // SAFETY: The test runs in process context.
                unsafe { bindings::schedule_timeout_uninterruptible(timeout) };
            })
        });
        waker.wait();

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn reported_after_the_scope_of_a_leaked_guard() -> Result {
        let seen = provoke(MIGHT_SLEEP, c"non_block: 1,", || {
            let guard = mem::ManuallyDrop::new(NonBlockGuard::new());
            might_sleep();
            drop(mem::ManuallyDrop::into_inner(guard));
        });

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn spinlock_trylock_and_nowait_are_silent() -> Result {
        let spinlock = KBox::pin_init(new_spinlock!(0), GFP_KERNEL)?;
        let mutex = KBox::pin_init(new_mutex!(0), GFP_KERNEL)?;
        let mut locked = false;
        let mut allocated = false;

        let (seen, control) = silent(|| {
            non_block(|_| {
                *spinlock.lock() += 1;
                locked = mutex.try_lock().is_some();
                allocated = KBox::new(0, GFP_NOWAIT).is_ok();
            })
        });

        assert_eq!(seen, Seen::NONE);
        assert_eq!(control, Seen::ONE);
        assert_eq!(*spinlock.lock(), 1);
        assert!(locked);
        assert!(allocated);
        Ok(())
    }

    #[test]
    fn locks_that_sleep_only_on_rt_are_silent() {
        let (seen, control) = silent(|| {
            non_block(|_| {
                nonblock_kunit_read_lock();
                nonblock_kunit_write_lock();
                nonblock_kunit_local_lock();
            })
        });

        assert_eq!(seen, Seen::NONE);
        assert_eq!(control, Seen::ONE);
    }

    #[test]
    fn sleep_outside_is_silent() -> Result {
        let mutex = KBox::pin_init(new_mutex!(0), GFP_KERNEL)?;

        let (seen, control) = silent(|| {
            drop(NonBlockGuard::new());
            non_block(|_| ());
            *mutex.lock() += 1;
            might_sleep();
        });

        assert_eq!(seen, Seen::NONE);
        assert_eq!(control, Seen::ONE);
        Ok(())
    }
}

// With lockdep these need a boot of their own, because its report turns it off; see lockdep.rs.
#[cfg(not(CONFIG_PROVE_LOCKING))]
#[kunit_tests(rust_nonblock_sleeping)]
mod sleeping {
    use super::*;
    use crate::{
        kmsg::{
            expect,
            SCHEDULING, //
        },
        task::waker, //
    };
    use kernel::{
        bindings,
        sync::new_condvar,
        time::msecs_to_jiffies, //
    };

    /// Calls `f` in a section, and returns the reports.
    fn in_section(detail: &CStr, f: impl FnOnce()) -> Seen {
        provoke(MIGHT_SLEEP, detail, || non_block(|_| f()))
    }

    #[test]
    fn mutex_is_reported() -> Result {
        let mutex = KBox::pin_init(new_mutex!(0), GFP_KERNEL)?;
        let seen = in_section(c"at kernel/locking/mutex.c:", || *mutex.lock() += 1);

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn workqueue_flush_is_reported() {
        let seen = in_section(c"at kernel/locking/mutex.c:", || {
            // SAFETY: The workqueue is always there.
            unsafe { bindings::__flush_workqueue(bindings::system_percpu_wq) }
        });

        assert_eq!(seen, Seen::ONE);
    }

    #[test]
    fn condvar_is_reported() -> Result {
        let mutex = KBox::pin_init(new_mutex!(()), GFP_KERNEL)?;
        let condvar = KBox::pin_init(new_condvar!(), GFP_KERNEL)?;
        let begun = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        let waker = waker(&begun)?;
        let timeout = msecs_to_jiffies(TIMEOUT);
        let mut guard = mutex.lock();
        // The condition variable sleeps, and then takes the mutex.
        let headers = [SCHEDULING, MIGHT_SLEEP];
        let seen = expect(&headers, c"kunit_try_catch", || {
            non_block(|_| {
                begun.complete_all();
                drop(condvar.wait_interruptible_timeout(&mut guard, timeout));
            })
        });
        drop(guard);
        waker.wait();

        assert_eq!(seen.headers, 1);
        assert_eq!(seen.others, 0);
        Ok(())
    }

    #[test]
    fn last_user_is_reported() -> Result {
        let mm = kunit::new_mm()?;
        let seen = in_section(c"at kernel/fork.c:", || drop(mm));

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }
}
