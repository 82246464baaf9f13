// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::sync::RwSemaphore`: who waits for whom.
//!
//! Lockdep's reports about semaphores are tested in lockdep.rs.

use crate::prelude::*;

#[kunit_tests(rust_rwsem)]
mod tests {
    use super::*;
    use crate::task::sleeps;
    use kernel::current;

    // These come first: if one of them fails, the others may hang.

    #[test]
    fn try_lock_fails_while_a_reader_holds_it() -> Result {
        let sem = KBox::pin_init(new_rwsem!(()), GFP_KERNEL)?;
        let reader = sem.read();
        let locked = sem.try_lock().is_some();
        drop(reader);

        assert!(!locked);
        Ok(())
    }

    #[test]
    fn try_lock_fails_while_a_writer_holds_it() -> Result {
        let sem = KBox::pin_init(new_rwsem!(()), GFP_KERNEL)?;
        let writer = sem.lock();
        let locked = sem.try_lock().is_some();
        drop(writer);

        assert!(!locked);
        Ok(())
    }

    #[test]
    fn guards_release_it() -> Result {
        let sem = KBox::pin_init(new_rwsem!(0), GFP_KERNEL)?;
        let after_reader = {
            drop(sem.read());
            sem.try_lock().map(|mut guard| *guard += 1).is_some()
        };
        assert!(after_reader);

        let after_try = sem.try_lock().map(|mut guard| *guard += 1).is_some();
        assert!(after_try);

        *sem.lock() += 1;
        let after_writer = sem.try_lock().is_some();
        assert!(after_writer);
        assert_eq!(*sem.read(), 3);
        Ok(())
    }

    /// Holds a semaphore while it calls the function that is passed to it.
    type Hold = fn(&RwSemaphore<()>, &dyn Fn());

    fn read(sem: &RwSemaphore<()>, f: &dyn Fn()) {
        let _guard = sem.read();
        f();
    }

    fn write(sem: &RwSemaphore<()>, f: &dyn Fn()) {
        let _guard = sem.lock();
        f();
    }

    /// Returns whether `wait` sleeps until another task has left `hold`.
    fn excludes(hold: Hold, wait: Hold) -> Result<bool> {
        let sem = Arc::pin_init(new_rwsem!(()), GFP_KERNEL)?;
        let held = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        let begun = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        let entered = Arc::new(Atomic::new(false), GFP_KERNEL)?;
        let slept = Arc::new(Atomic::new(false), GFP_KERNEL)?;
        let holder = Task::run({
            let (sem, held, begun) = (sem.clone(), held.clone(), begun.clone());
            let (entered, slept) = (entered.clone(), slept.clone());
            let waiting = ARef::from(&**current!());
            move || {
                hold(&sem, &|| {
                    held.complete_all();
                    begun.wait_for_completion();
                    wait_until(|| sleeps(&waiting) || entered.load(Acquire));
                    slept.store(!entered.load(Acquire), Release);
                })
            }
        })?;

        held.wait_for_completion();
        begun.complete_all();
        wait(&sem, &|| entered.store(true, Release));
        holder.wait();
        Ok(slept.load(Acquire))
    }

    #[test]
    fn writer_excludes_readers_and_writers() -> Result {
        let reader_slept = excludes(write, read)?;
        let writer_slept = excludes(write, write)?;

        assert!(reader_slept);
        assert!(writer_slept);
        Ok(())
    }

    #[test]
    fn reader_excludes_writers_only() -> Result {
        let writer_slept = excludes(read, write)?;
        let reader_slept = excludes(read, read)?;

        assert!(writer_slept);
        assert!(!reader_slept);
        Ok(())
    }

    #[test]
    fn guard_knows_its_lock() -> Result {
        let sem = KBox::pin_init(new_rwsem!(()), GFP_KERNEL)?;
        let reader = sem.read();
        let same = core::ptr::eq(reader.lock_ref(), &raw const *sem);
        drop(reader);

        assert!(same);
        Ok(())
    }
}
