// SPDX-License-Identifier: GPL-2.0

//! Tests for the parts of `kernel::mm` that drivers with MMU notifiers need.

use crate::prelude::*;

#[kunit_tests(rust_mm)]
mod tests {
    use super::*;
    use kernel::mm::mmu_notifier::list::{
        Notifier,
        Operations, //
    };

    #[test]
    fn task_size_is_the_end_of_what_can_be_mapped() -> Result {
        let mm = TestMm::attach()?;
        let end = mm.task_size();

        let last = mm.mmap_at(end - PAGE_SIZE, PAGE_SIZE, PROT_READ);
        let behind = mm.mmap_at(end, PAGE_SIZE, PROT_READ);
        let across = mm.mmap_at(end - PAGE_SIZE, 2 * PAGE_SIZE, PROT_READ);

        assert_eq!(last, Ok(()));
        assert_eq!(behind, Err(ENOMEM));
        assert_eq!(across, Err(ENOMEM));
        Ok(())
    }

    #[test]
    fn mmap_write_lock_is_exclusive() -> Result {
        let mm = TestMm::attach()?;

        let mmap = mm.mmap_write_lock();
        let same_mm = core::ptr::eq(mmap.mm().as_raw(), mm.as_raw());
        let locked = mm.mmap_read_trylock().is_none();
        drop(mmap);
        let unlocked = mm.mmap_read_trylock().is_some();

        assert!(same_mm);
        assert!(locked);
        assert!(unlocked);
        Ok(())
    }

    #[test]
    fn only_a_test_gets_an_address_space() -> Result {
        let errno = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let seen = errno.clone();

        let task = Task::run(move || {
            let errors = [TestMm::attach().err(), kunit::new_mm().err()];
            if errors[0] == errors[1] {
                seen.store(errors[0].map_or(0, Error::to_errno), Relaxed);
            }
        })?;
        task.wait();

        assert_eq!(errno.load(Relaxed), EINVAL.to_errno());
        Ok(())
    }

    struct Nothing;

    #[vtable]
    impl Operations for Nothing {
        type Refusal = Infallible;
    }

    #[test]
    fn invalidation_has_a_range_and_a_notifier() -> Result {
        let mm = kunit::new_mm()?;
        let range = 0..PAGE_SIZE;

        let without = kunit::invalidate(&mm, range.clone());
        let notifier = KBox::try_pin_init(Notifier::new(&mm, Ok(Nothing)), GFP_KERNEL)?;
        let with = kunit::invalidate(&mm, range.clone());
        let empty = kunit::invalidate(&mm, PAGE_SIZE..PAGE_SIZE);
        let [start, end] = [PAGE_SIZE, 0];
        let backwards = kunit::try_invalidate(&mm, start..end);
        drop(notifier);

        assert_eq!(without, Err(EINVAL));
        assert_eq!(with, Ok(()));
        assert_eq!(empty, Err(EINVAL));
        assert_eq!(backwards, Err(EINVAL));
        Ok(())
    }
}
