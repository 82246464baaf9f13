// SPDX-License-Identifier: GPL-2.0

//! The drivers of the kernel with MMU notifiers, each in Rust, tested with changes of a process to
//! its memory.
//!
//! See Documentation/mm/rust-mmu-notifier-users.rst, which shows parts of these files.

// The drivers of the modules below use these, too.
use crate::{
    prelude::{
        interval::*,
        *, //
    },
    user, //
};
use core::ops::Range;
use kernel::mm::{
    mmu_notifier::{
        list,
        shared::{
            self,
            new_registry,
            Object,
            Ref,
            Registry, //
        }, //
    },
    MmapWriteLocked, //
};

mod amdxdna;
mod gntdev;
mod gpu;
mod gpusvm;
mod hfi1;
mod i915;
mod kfd;
mod kvm;
mod mshv;
mod nouveau;
mod porting;
mod sgx;
mod sva;
mod test_hmm;
mod xe;

/// The number of pages of a test.
const PAGES: usize = 8;

/// The page table of a device: which of the pages of a test it uses, as bits.
struct Table {
    /// The number of the first page.
    first: usize,
    pages: u8,
}

impl Table {
    fn new(bounds: &Range<usize>) -> Self {
        Self {
            first: bounds.start / PAGE_SIZE,
            pages: 0,
        }
    }

    /// Enters all pages.
    fn fill(&mut self) {
        self.pages = u8::MAX;
    }

    /// Removes pages, by their numbers.
    fn remove(&mut self, pages: Range<usize>) {
        for page in pages {
            self.pages &= !(1 << (page - self.first));
        }
    }

    /// Returns whether any of these pages is there.
    fn has(&self, mut pages: Range<usize>) -> bool {
        pages.any(|page| self.pages & 1 << (page - self.first) != 0)
    }

    /// Removes the pages whose address `keep` is `false` of.
    fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        for page in self.first..self.first + PAGES {
            if !keep(page * PAGE_SIZE) {
                self.remove(page..page + 1);
            }
        }
    }
}

/// A process with eight pages of memory.
struct Process {
    mm: ARef<MmWithUser>,
    memory: Range<usize>,
}

impl Process {
    fn new() -> Result<Self> {
        let mm = TestMm::attach()?;
        let start = mm.mmap(PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE)?;
        let memory = start..start + PAGES * PAGE_SIZE;

        look_up(&mm, &memory)?;
        Ok(Self {
            mm: ARef::from(&*mm),
            memory,
        })
    }

    /// One that does not run, and whose memory is not there. It exits when it is dropped.
    fn new_other() -> Result<Self> {
        Ok(Self {
            mm: kunit::new_mm()?,
            memory: 0..PAGES * PAGE_SIZE,
        })
    }

    /// Unmaps a range.
    fn munmap(&self, addr: usize, len: usize) -> Result {
        TestMm::attach()?.munmap(addr, len)
    }

    /// Changes one page after the other, and then all, and returns the result of `used` after each
    /// step.
    ///
    /// The steps are munmap(2), mprotect(2), mremap(2), madvise(2) and fork(2).
    fn change<T>(&self, used: impl Fn() -> T) -> Result<[T; 5]> {
        let page = |n| self.memory.start + n * PAGE_SIZE;

        self.munmap(page(0), PAGE_SIZE)?;
        let munmap = used();
        user::mprotect(page(1), PAGE_SIZE, PROT_READ)?;
        let mprotect = used();
        user::mremap(page(2), PAGE_SIZE, page(0))?;
        let mremap = used();
        user::dontneed(page(3), PAGE_SIZE)?;
        let madvise = used();
        user::fork()?;
        Ok([munmap, mprotect, mremap, madvise, used()])
    }
}

/// The pages that a device has after each step of [`Process::change`], if it removes the changed
/// ones.
///
/// A fork makes all pages copy-on-write.
const LEFT: [u8; 5] = [0b1111_1110, 0b1111_1100, 0b1111_1000, 0b1111_0000, 0];

/// Has the pages of a range there, and writable.
///
/// A driver would keep them, or their addresses for its device.
fn look_up(mm: &MmWithUser, range: &Range<usize>) -> Result {
    for addr in range.clone().step_by(PAGE_SIZE) {
        kunit::write(mm, addr, &[1])?;
    }
    Ok(())
}
