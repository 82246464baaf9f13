// SPDX-License-Identifier: GPL-2.0

//! Tests for `CONFIG_DEBUG_NON_BLOCK_TIME`: non-blocking sections that take long.

use crate::{
    kmsg::watch,
    prelude::*, //
};
use kernel::time::{
    Instant,
    Monotonic, //
};

// The machine may stop for a while when it is busy, and the clock of user-mode Linux lag behind. So
// the times, in milliseconds, are far from each other.

/// The limit of a test in which a section is reported.
const LIMIT: u32 = 50;

/// The limit of a test in which none is.
const LONG_LIMIT: u32 = 60_000;

/// The time of a section that is reported.
const LONG: u32 = 10 * LIMIT;

const BUSY: &CStr = c"BUG: non-blocking section of ";
const DETAIL: &CStr = c"takes longer than 50 ms: kunit_try_catch/";

// As in busy.h; the functions may be called in any task.
unsafe extern "C" {
    safe fn nonblock_kunit_set_limit(ms: c_uint) -> c_uint;
    safe fn nonblock_kunit_busy_section(ms: c_uint);
    safe fn nonblock_kunit_preempted_section(ms: c_uint, busy_ms: c_uint) -> c_int;
}

/// Runs `f` with this limit.
fn limited<R>(limit: u32, f: impl FnOnce() -> R) -> R {
    let before = nonblock_kunit_set_limit(limit);
    let result = f();
    nonblock_kunit_set_limit(before);
    result
}

/// Provokes the report of `f`, which takes too long, and returns the lines of the log.
fn reported(f: impl FnOnce()) -> Seen {
    limited(LIMIT, || provoke(BUSY, DETAIL, f))
}

/// Runs `f` with this limit, which it keeps, and returns the lines of the log.
fn silent(limit: u32, f: impl FnOnce()) -> Seen {
    limited(limit, || watch(BUSY, DETAIL, f))
}

fn spin(ms: u32) {
    let begin = Instant::<Monotonic>::now();
    while begin.elapsed() < Delta::from_millis(ms.into()) {
        core::hint::spin_loop();
    }
}

#[kunit_tests(rust_nonblock_busy)]
mod tests {
    use super::*;

    #[test]
    fn long_section_is_seen_once() -> Result {
        #[inline(never)]
        fn section() {
            non_block(|_| spin(LONG))
        }

        let first = reported(section);
        let again = silent(LIMIT, section);

        assert_eq!((first, again), (Seen::ONE, Seen::NONE));
        Ok(())
    }

    #[test]
    fn long_section_is_seen_while_it_runs() -> Result {
        let mut inside = Seen::NONE;
        let seen = reported(|| non_block(|_| inside = watch(BUSY, DETAIL, || spin(LONG))));

        assert_eq!((inside, seen), (Seen::ONE, Seen::ONE));
        Ok(())
    }

    #[test]
    fn sections_in_it_take_their_time_from_it() -> Result {
        let seen = reported(|| {
            non_block(|_| {
                for _ in 0..40 {
                    non_block(|_| spin(LIMIT / 4));
                }
            })
        });

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn limit_is_that_of_the_parameter() -> Result {
        // Another time, or it is merged with the section above.
        #[inline(never)]
        fn section() {
            non_block(|_| spin(LONG + 1))
        }

        let short = silent(LONG_LIMIT, section);
        let off = silent(0, section);
        let long = reported(section);

        assert_eq!((short, off, long), (Seen::NONE, Seen::NONE, Seen::ONE));
        Ok(())
    }

    #[test]
    fn section_in_c_is_seen() -> Result {
        let seen = reported(|| nonblock_kunit_busy_section(LONG));

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }

    #[test]
    fn preemption_does_not_count() -> Result {
        let mut results = [0; 2];
        // A thirtieth of three seconds is its own.
        let preempted = silent(1000, || {
            results[0] = nonblock_kunit_preempted_section(3000, 0)
        });
        let busy = reported(|| results[1] = nonblock_kunit_preempted_section(LIMIT, LONG));

        assert_eq!(results, [0; 2]);
        assert_eq!((preempted, busy), (Seen::NONE, Seen::ONE));
        Ok(())
    }
}

/// Tests that need a second CPU, or a clock that continues without interrupts.
#[cfg(CONFIG_SMP)]
#[kunit_tests(rust_nonblock_busy_smp)]
mod smp_tests {
    use super::*;

    // As in busy.h; the function may be called in any task.
    unsafe extern "C" {
        safe fn nonblock_kunit_busy_section_irqs_off(ms: c_uint);
    }

    /// A wait for a task that may wait for memory, which no other check reports; see
    /// Documentation/mm/rust-nonblock.rst.
    #[test]
    fn busy_wait_is_seen() -> Result {
        let go = Arc::pin_init(Completion::new(), GFP_KERNEL)?;

        let begun = go.clone();
        let flag = Arc::new(Atomic::new(false), GFP_KERNEL)?;
        let other = flag.clone();
        let task = Task::run(move || {
            begun.wait_for_completion();
            fsleep(Delta::from_millis(LONG.into()));
            other.store(true, Release);
        })?;
        let waited = reported(|| {
            go.complete_all();
            non_block(|_| {
                while !flag.load(Acquire) {
                    core::hint::spin_loop();
                }
            })
        });
        task.wait();

        let lock = Arc::pin_init(new_mutex!(()), GFP_KERNEL)?;
        let held = lock.clone();
        let is_held = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        let holds = is_held.clone();
        let go = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        let begun = go.clone();
        let task = Task::run(move || {
            let _guard = held.lock();
            holds.complete_all();
            begun.wait_for_completion();
            fsleep(Delta::from_millis(LONG.into()));
        })?;
        is_held.wait_for_completion();
        let tried = reported(|| {
            go.complete_all();
            non_block(|_| {
                while lock.try_lock().is_none() {
                    core::hint::spin_loop();
                }
            })
        });
        task.wait();

        assert_eq!((waited, tried), (Seen::ONE, Seen::ONE));
        Ok(())
    }

    #[test]
    fn section_without_interrupts_is_seen() -> Result {
        let seen = reported(|| nonblock_kunit_busy_section_irqs_off(LONG));

        assert_eq!(seen, Seen::ONE);
        Ok(())
    }
}
