// SPDX-License-Identifier: GPL-2.0

//! Tests for the parts of `kernel::mm` that drivers with MMU notifiers need.

use kernel::prelude::*;

#[kunit_tests(rust_mm)]
mod tests {
    use super::*;
    use kernel::{
        mm::kunit::{
            TestMm,
            PROT_READ, //
        },
        page::PAGE_SIZE, //
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
}
