// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::mm::gup`.

use kernel::prelude::*;

#[kunit_tests(rust_mm_gup)]
mod tests {
    use super::*;
    use crate::user::{
        self,
        PROT_READ,
        PROT_WRITE, //
    };
    use kernel::page::PAGE_SIZE;

    #[test]
    fn written_pages_are_read_back() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(2 * PAGE_SIZE, PROT_READ | PROT_WRITE)?;
        let mut buf = [0xff; 4];

        let page = mm.mmap_read_lock().get_user_page(addr)?;
        page.read(PAGE_SIZE - 4, &mut buf)?;
        assert_eq!(buf, [0; 4]);

        mm.mmap_read_lock()
            .get_user_page_mut(addr)?
            .write(PAGE_SIZE - 4, &[1, 2, 3, 4])?;

        // The write gave the process a page of its own. The old one is the zero page.
        page.read(PAGE_SIZE - 4, &mut buf)?;
        assert_eq!(buf, [0; 4]);

        let page = mm.mmap_read_lock().get_user_page(addr + 17)?;
        page.read(PAGE_SIZE - 4, &mut buf)?;
        assert_eq!(buf, [1, 2, 3, 4]);
        Ok(())
    }

    #[test]
    fn page_outlives_the_mapping() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(PAGE_SIZE, PROT_READ | PROT_WRITE)?;
        let page = mm.mmap_read_lock().get_user_page_mut(addr)?;
        let mut buf = [0; 2];

        page.write(0, &[5, 6])?;
        user::munmap(addr, PAGE_SIZE)?;
        page.read(0, &mut buf)?;

        assert_eq!(buf, [5, 6]);
        Ok(())
    }

    #[test]
    fn bounds_are_checked() -> Result {
        let mm = user::attach_mm()?;
        let addr = user::mmap(PAGE_SIZE, PROT_READ | PROT_WRITE)?;
        let page = mm.mmap_read_lock().get_user_page_mut(addr)?;
        let mut buf = [0; 2];

        assert_eq!(page.read(PAGE_SIZE - 2, &mut buf), Ok(()));
        assert_eq!(page.read(PAGE_SIZE, &mut []), Ok(()));
        assert_eq!(page.read(PAGE_SIZE - 1, &mut buf), Err(EINVAL));
        assert_eq!(page.read(usize::MAX, &mut buf), Err(EINVAL));
        assert_eq!(page.write(PAGE_SIZE - 1, &buf), Err(EINVAL));
        assert_eq!(page.write(usize::MAX, &buf), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn only_what_the_process_may_access() -> Result {
        let mm = user::attach_mm()?;
        let read_only = user::mmap(PAGE_SIZE, PROT_READ)?;
        let none = user::mmap(PAGE_SIZE, 0)?;
        let unmapped = user::mmap(PAGE_SIZE, PROT_READ)?;
        user::munmap(unmapped, PAGE_SIZE)?;

        let mmap = mm.mmap_read_lock();
        let results = [
            mmap.get_user_page(read_only).err(),
            mmap.get_user_page_mut(read_only).err(),
            mmap.get_user_page(none).err(),
            mmap.get_user_page(unmapped).err(),
            mmap.get_user_page(usize::MAX).err(),
        ];
        drop(mmap);

        assert_eq!(
            results,
            [None, Some(EFAULT), Some(EFAULT), Some(EFAULT), Some(EFAULT)]
        );
        Ok(())
    }
}
