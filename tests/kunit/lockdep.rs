// SPDX-License-Identifier: GPL-2.0

//! Tests for lockdep's reports about lock maps, semaphores and non-blocking sections.
//!
//! After a report lockdep is off until the next boot. So each test has two parts. The part in which
//! nothing must be reported always runs. The other part, which differs from it in one line, only
//! runs in a boot for this test alone, with `kunit.filter_glob=SUITE.NAME`. Each test needs such a
//! boot of its own, and the boot must show a report.

use crate::{
    kmsg::expect,
    prelude::*, //
};
use kernel::bindings;

const CIRCULAR: &CStr = c"WARNING: possible circular locking dependency detected";
const RECURSIVE: &CStr = c"WARNING: possible recursive locking detected";
const WAIT_CONTEXT: &CStr = c"[ BUG: Invalid wait context ]";

/// Returns whether lockdep is on. A report turns it off.
fn is_on() -> bool {
    // SAFETY: The variable is always there, and every value is valid.
    unsafe { (&raw const bindings::debug_locks).read_volatile() != 0 }
}

/// Returns whether the boot is for one test of these suites, which is then the one that runs.
fn is_alone() -> bool {
    // SAFETY: It may be called at any time.
    let glob = unsafe { bindings::kunit_filter_glob() };
    if glob.is_null() {
        return false;
    }
    // SAFETY: A filter is a string, which is not written to while tests run.
    let glob = unsafe { CStr::from_char_ptr(glob) };
    let glob = glob.to_bytes();

    glob.starts_with(b"rust_lockdep")
        && glob.contains(&b'.')
        && !glob.iter().any(|byte| b"*?[\\".contains(byte))
}

/// Runs `silent`, in which nothing must be reported, and then `reported` if the test is alone.
///
/// `headers` are the first lines of the expected reports. The first report comes from lockdep,
/// and one of its lines has to contain `detail`.
fn check(
    headers: &[&CStr],
    detail: &CStr,
    silent: impl FnOnce() -> Result,
    reported: impl FnOnce() -> Result,
) -> Result {
    verify(is_on(), "lockdep is on before the test")?;
    silent()?;
    verify(is_on(), "lockdep has nothing to report")?;
    if !is_alone() {
        return Ok(());
    }

    let mut done = Ok(());
    let seen = expect(headers, detail, || done = reported());
    done?;
    // A lock can be in several lines of a report.
    let details = seen.details.min(1);
    if (Seen { details, ..seen }) != Seen::ONE {
        pr_err!("expected {:?} of {detail:?}, saw {seen:?}\n", Seen::ONE);
        return Err(EINVAL);
    }
    verify(!is_on(), "lockdep is off after a report")
}

/// Asserts `what` outside of a test function.
fn verify(holds: bool, what: &str) -> Result {
    if holds {
        return Ok(());
    }
    pr_err!("expected, but not so: {what}\n");
    Err(EINVAL)
}

/// Creates a lock for each part of a test. Each lock has its own class, so lockdep does not mix
/// up the two parts.
macro_rules! two_mutexes {
    () => {
        [
            kernel::sync::Arc::pin_init(kernel::new_mutex!((), "first"), GFP_KERNEL)?,
            kernel::sync::Arc::pin_init(kernel::new_mutex!((), "second"), GFP_KERNEL)?,
        ]
    };
}

#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod notifiers;
mod reclaim;

#[kunit_tests(rust_lockdep)]
mod tests {
    use super::*;
    use crate::kmsg::SCHEDULING;
    use kernel::{
        static_lock_map,
        sync::{
            lock::Backend,
            lockdep::{
                LockMap,
                WaitType, //
            },
            new_condvar,
            static_lock_class, //
        },
        types::Opaque, //
    };

    /// Like [`super::check`], with functions that do not fail.
    fn check(
        headers: &[&CStr],
        detail: &CStr,
        silent: impl FnOnce(),
        reported: impl FnOnce(),
    ) -> Result {
        let silent = || {
            silent();
            Ok(())
        };
        let reported = || {
            reported();
            Ok(())
        };
        super::check(headers, detail, silent, reported)
    }

    #[test]
    fn free_mutex_in_section() -> Result {
        let free = KBox::pin_init(new_mutex!(()), GFP_KERNEL)?;
        let spin = KBox::pin_init(new_spinlock!(()), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            // The address is in the function that began the section, and not in a helper.
            c"(non_block){.+.+}-{3:3}, at: _R",
            || non_block(|_| drop((spin.lock(), free.try_lock()))),
            || non_block(|_| drop((spin.lock(), free.lock()))),
        )
    }

    static_lock_map! {
        /// The completion of a device.
        static ANSWER: LockMap = "answer", Unchecked;
    }

    /// Locks `lock` in the code that completes the device.
    fn answer(lock: &Mutex<()>) {
        let _answer = ANSWER.acquire();
        drop(lock.lock());
    }

    #[test]
    fn wait_for_a_map_with_a_lock_held() -> Result {
        let [silent, reported] = two_mutexes!();

        check(
            &[CIRCULAR],
            c"(answer){+.+.}-{0:0}, at: _R",
            || {
                drop(silent.lock());
                ANSWER.might_acquire();
                answer(&silent);
            },
            || {
                let guard = reported.lock();
                ANSWER.might_acquire();
                drop(guard);
                answer(&reported);
            },
        )
    }

    #[test]
    fn map_tried_for_with_a_lock_held() -> Result {
        let [silent, reported] = two_mutexes!();

        check(
            &[CIRCULAR],
            c"(answer){+.+.}-{0:0}, at: _R",
            || {
                answer(&silent);
                let _guard = silent.lock();
                drop(ANSWER.acquire_try());
            },
            || {
                answer(&reported);
                let _guard = reported.lock();
                drop(ANSWER.acquire());
            },
        )
    }

    static_lock_map! {
        /// A section that waits for raw spinlocks only.
        static FAST: LockMap = "fast", Spin;
    }

    /// Checks that a spinlock must not be waited for with `map` held.
    fn spinlock_in(map: &LockMap, detail: &CStr) -> Result {
        let spin = KBox::pin_init(new_spinlock!(()), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT],
            detail,
            || {
                let _map = map.acquire_try();
                drop(spin.try_lock());
            },
            || {
                let _map = map.acquire_try();
                // A spinlock sleeps with PREEMPT_RT.
                drop(spin.lock());
            },
        )
    }

    #[test]
    fn map_with_a_wait_type() -> Result {
        spinlock_in(&FAST, c"(fast){+.+.}-{2:2}, at: _R")
    }

    #[test]
    fn pinned_map_with_a_wait_type() -> Result {
        let map = LockMap::new(c"pinned", static_lock_class!(), WaitType::Spin);
        let map = KBox::pin_init(map, GFP_KERNEL)?;

        spinlock_in(&map, c"(pinned){+.+.}-{2:2}, at: _R")
    }

    static_lock_map! {
        /// A wait that sleeps.
        static SLEEP: LockMap = "sleep", Sleep;
    }

    #[test]
    fn map_that_sleeps_in_section() -> Result {
        check(
            &[WAIT_CONTEXT],
            c"(sleep){+.+.}-{4:4}, at: _R",
            || {
                SLEEP.might_acquire();
                non_block(|_| {
                    drop(SLEEP.acquire_try());
                    // The type of this map is unchecked.
                    ANSWER.might_acquire();
                });
            },
            || non_block(|_| SLEEP.might_acquire()),
        )
    }

    static_lock_map! {
        /// A map with the type of a section, which is waited for.
        static WAITED_FOR: LockMap = "waited_for", Config;
    }

    #[test]
    fn section_begun_where_only_raw_spinlocks_are_waited_for() -> Result {
        check(
            &[WAIT_CONTEXT],
            c"(waited_for){+.+.}-{3:3}, at: _R",
            || {
                WAITED_FOR.might_acquire();
                let _fast = FAST.acquire_try();
                non_block(|_| ());
            },
            || {
                let _fast = FAST.acquire_try();
                WAITED_FOR.might_acquire();
            },
        )
    }

    #[test]
    fn assert_held_warns() {
        let header = c"WARNING: rust/helpers/lockdep.c:";
        let held = ANSWER.acquire();
        // A warning fails the run here, because nothing announces it.
        ANSWER.assert_held();
        drop(held);
        let seen = provoke(header, header, || ANSWER.assert_held());

        assert_eq!(seen, Seen::ONE);
    }

    #[test]
    fn semaphore_in_section() -> Result {
        let sem = KBox::pin_init(new_rwsem!((), "semaphore"), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            c"(semaphore){++++}-{4:4}, at: ",
            || {
                drop(sem.read());
                drop(sem.lock());
                non_block(|_| drop(sem.try_lock()));
            },
            || non_block(|_| drop(sem.read())),
        )
    }

    #[test]
    fn semaphore_written_in_section() -> Result {
        let sem = KBox::pin_init(new_rwsem!((), "semaphore"), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            c"(semaphore){+.+.}-{4:4}, at: ",
            || {
                drop(sem.lock());
                non_block(|_| drop(sem.try_lock()));
            },
            || non_block(|_| drop(sem.lock())),
        )
    }

    #[test]
    fn semaphore_read_twice() -> Result {
        let sem = KBox::pin_init(new_rwsem!((), "semaphore"), GFP_KERNEL)?;

        check(
            &[RECURSIVE],
            c"(semaphore){.+.+}-{4:4}, at: ",
            || {
                drop(sem.read());
                drop(sem.read());
            },
            || drop((sem.read(), sem.read())),
        )
    }

    // The guard of a writer asserts this. Holding the semaphore for reading is not enough.
    #[test]
    fn semaphore_assertion_warns() -> Result {
        let name = c"semaphore";
        let key = static_lock_class!();
        let init = Opaque::ffi_init(|sem| {
            // SAFETY: The memory is valid for writes, and the name and the key are `'static`.
            unsafe { RwSemaphoreBackend::init(sem, name.as_char_ptr(), key.as_ptr()) }
        });
        let sem = KBox::pin_init(init, GFP_KERNEL)?;
        // SAFETY: The semaphore is initialized above.
        let assert_is_held = || unsafe { RwSemaphoreBackend::assert_is_held(sem.get()) };

        // A warning fails the run here, because nothing announces it.
        // SAFETY: The semaphore is initialized above, and free.
        unsafe {
            bindings::down_write(sem.get());
            assert_is_held();
            bindings::up_write(sem.get());
            bindings::down_read(sem.get());
        }
        let header = c"WARNING: rust/helpers/rwsem.c:";
        let seen = provoke(header, header, assert_is_held);
        // SAFETY: The semaphore is held for reading.
        unsafe { bindings::up_read(sem.get()) };

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn last_user_dropped_in_section() -> Result {
        let mm = [kunit::new_mm()?, kunit::new_mm()?];
        let [silent, reported] = mm;

        check(
            &[WAIT_CONTEXT, MIGHT_SLEEP],
            c"(non_block){",
            || non_block(|_| drop(MmWithUser::into_mmput_async(silent))),
            || non_block(|_| drop(reported)),
        )
    }

    #[test]
    fn workqueue_flushed_in_section() -> Result {
        // SAFETY: The workqueue is always there.
        let flush = || unsafe { bindings::__flush_workqueue(bindings::system_percpu_wq) };

        check(&[WAIT_CONTEXT, MIGHT_SLEEP], c"(non_block){", flush, || {
            non_block(|_| flush())
        })
    }

    #[test]
    fn condvar_in_section() -> Result {
        let mutex = KBox::pin_init(new_mutex!(()), GFP_KERNEL)?;
        let condvar = KBox::pin_init(new_condvar!(), GFP_KERNEL)?;

        check(
            &[WAIT_CONTEXT, SCHEDULING, MIGHT_SLEEP],
            c"(non_block){",
            || {
                let mut guard = mutex.lock();
                drop(condvar.wait_interruptible_timeout(&mut guard, 1));
            },
            || {
                let mut guard = mutex.lock();
                non_block(|_| drop(condvar.wait_interruptible_timeout(&mut guard, 1)));
            },
        )
    }
}
