// SPDX-License-Identifier: GPL-2.0

//! Tests for exclusive access of a `kernel::mm::hmm::Mirror`.

use super::{
    mirror::mirror,
    *, //
};

#[cfg(not(CONFIG_DEVICE_PRIVATE))]
#[kunit_tests(rust_mm_hmm_exclusive)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_is_not_supported() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let mirror = mirror(&mm, addr..addr + PAGE_SIZE)?;

        let made = mirror.make_exclusive(addr, TIMEOUT).err();
        drop(mirror);

        assert_eq!(made, Some(EOPNOTSUPP));
        Ok(())
    }
}

#[cfg(CONFIG_DEVICE_PRIVATE)]
#[kunit_tests(rust_mm_hmm_exclusive)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_until_the_process_comes_back() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let mirror = mirror(&mm, addr..addr + PAGE_SIZE)?;
        let make = || {
            let pages = mirror.make_exclusive(addr, TIMEOUT)?;
            Ok::<_, Error>(pages.is_exclusive(addr) && pages.page_mut(addr).is_some())
        };

        mirror.fault(addr..addr + PAGE_SIZE, Access::Read, TIMEOUT)?;
        let made = make();
        let kept = mirror.lock().is_exclusive(addr);
        kunit::write(&mm, addr, &[1])?;
        let taken_back = mirror.lock().page(addr).is_none();
        // The second time it is exclusive already.
        let twice = [make(), make()];
        mm.munmap(addr, PAGE_SIZE)?;
        let unmapped = mirror.lock().page(addr).is_none();
        let gone = make();
        drop(mirror);

        assert_eq!(made, Ok(true));
        assert!(kept);
        assert!(taken_back);
        assert_eq!(twice, [Ok(true); 2]);
        assert!(unmapped);
        assert_eq!(gone, Err(EFAULT));
        Ok(())
    }

    #[test]
    fn exclusive_is_checked() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(3 * PAGE_SIZE, RW)?;
        let at = |page| addr + page * PAGE_SIZE;
        let mirror = mirror(&mm, at(0)..at(2))?;
        let make = |addr| mirror.make_exclusive(addr, TIMEOUT).err();

        user::mprotect(at(0), PAGE_SIZE, PROT_READ)?;
        let read_only = make(at(0));
        let outside = [make(at(2)), make(usize::MAX)];
        let killed = user::while_killed(|| make(at(1)));
        drop(mirror);

        assert_eq!(read_only, Some(EFAULT));
        assert_eq!(outside, [Some(EINVAL); 2]);
        assert_eq!(killed, Some(EINTR));
        Ok(())
    }

    #[test]
    fn exclusive_of_a_process_that_is_gone() -> Result {
        let mm = kunit::new_mm()?;
        let mirror = mirror(&mm, 0..PAGE_SIZE)?;

        drop(mm);
        let made = mirror.make_exclusive(0, TIMEOUT).err();
        drop(mirror);

        assert_eq!(made, Some(EFAULT));
        Ok(())
    }

    // To take the page from another device is an invalidation since the read began.
    #[test]
    fn exclusive_gives_up_in_time() -> Result {
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let one = mirror(&mm, addr..addr + PAGE_SIZE)?;
        let other = mirror(&mm, addr..addr + PAGE_SIZE)?;

        let first = one.make_exclusive(addr, Delta::ZERO).err();
        let out_of_time = other.make_exclusive(addr, Delta::ZERO).err();
        let again = one.make_exclusive(addr, TIMEOUT).err();
        let in_time = other.make_exclusive(addr, TIMEOUT).err();
        drop((one, other));

        assert_eq!(first, None);
        assert_eq!(out_of_time, Some(EBUSY));
        assert_eq!(again, None);
        assert_eq!(in_time, None);
        Ok(())
    }

    #[test]
    fn exclusive_leaves_no_reference() -> Result {
        const TIMES: usize = 20;
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, RW)?;
        let mirror = mirror(&mm, addr..addr + PAGE_SIZE)?;

        kunit::write(&mm, addr, &[1])?;
        let before = user::page_refs(addr).unwrap_or(0);
        for _ in 0..TIMES {
            drop(mirror.make_exclusive(addr, TIMEOUT)?);
        }
        kunit::write(&mm, addr, &[1])?;
        let after = user::page_refs(addr).unwrap_or(usize::MAX);
        drop(mirror);

        // Lists of pages that are about to be sorted have a reference for a while.
        assert!(before > 0);
        assert!(after < before + TIMES / 2);
        Ok(())
    }
}
