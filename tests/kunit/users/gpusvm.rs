// SPDX-License-Identifier: GPL-2.0

//! DRM GPU SVM: one notifier for a large window of addresses, with the ranges that the GPU uses in
//! it.

use super::*;

// [notifier]
/// A window of addresses, `struct drm_gpusvm_notifier`.
#[pin_data]
struct Window {
    /// `gpusvm->notifier_lock`, which C shares between all windows of an address space; gpu.rs
    /// shows how.
    #[pin]
    ranges: RwSemaphore<KVec<GpuRange>>,
}

/// Addresses that the GPU uses, `struct drm_gpusvm_range`.
struct GpuRange {
    addrs: Range<usize>,
    /// Whether its pages are those of the look-up, `drm_gpusvm_pages_valid()`.
    valid: bool,
    /// Whether part of it was unmapped, so it cannot be used again.
    unmapped: bool,
}

impl Window {
    fn unmap(ranges: &mut [GpuRange], range: Range<usize>, event: Event) {
        let unmapped = event == Event::Unmap;

        let overlaps = |addrs: &Range<usize>| addrs.start < range.end && range.start < addrs.end;

        for gpu in ranges.iter_mut().filter(|gpu| overlaps(&gpu.addrs)) {
            gpu.valid = false;
            gpu.unmapped |= unmapped;
        }
    }
}

impl Operations for Window {
    type State = KVec<GpuRange>;
    type Backend = RwSemaphoreBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &RwSemaphore<KVec<GpuRange>> {
        &self.ranges
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let (range, event) = (op.range(), op.event());
        let (mut ranges, done) = op.lock();
        Self::unmap(&mut ranges, range, event);
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let (range, event) = (op.range(), op.event());
        let (mut ranges, done) = op.try_lock()?;
        Self::unmap(&mut ranges, range, event);
        Ok(done)
    }
}

/// Has the GPU use addresses, as `drm_gpusvm_range_get_pages()` does.
fn get_pages(window: &Notifier<Window>, addrs: Range<usize>) -> Result {
    let mm = window.mm().mmget_not_zero().ok_or(EFAULT)?;
    // Callbacks take the lock, so there is no allocation under it.
    reserve(window)?;

    loop {
        let seq = window.read_begin();
        look_up(&mm, &addrs)?;
        if let Some(mut ranges) = seq.lock() {
            ranges.retain(|gpu| gpu.addrs != addrs);
            return Ok(ranges.push_within_capacity(GpuRange {
                addrs,
                valid: true,
                unmapped: false,
            })?);
        }
    }
}

/// Returns whether the GPU can use addresses. Many callers may do so at the same time.
fn pages_valid(window: &Window, addr: usize) -> bool {
    let ranges = window.ranges.read();
    ranges
        .iter()
        .any(|gpu| gpu.addrs.contains(&addr) && gpu.valid)
}
// [notifier end]

/// Makes room for as many ranges as there are pages.
fn reserve(window: &Window) -> Result {
    let mut larger = KVec::with_capacity(PAGES, GFP_KERNEL)?;
    let mut ranges = window.ranges.lock();

    for gpu in ranges.drain_all() {
        larger.push_within_capacity(gpu)?;
    }
    core::mem::swap(&mut *ranges, &mut larger);
    // Its old contents are freed when the lock is released.
    drop(ranges);
    Ok(())
}

#[kunit_tests(rust_mmu_notifier_gpusvm)]
mod tests {
    use super::*;

    #[test]
    fn lets_go_of_what_changes() -> Result {
        let process = Process::new()?;
        let init = try_pin_init!(Window {
            ranges <- new_rwsem!(KVec::new()),
        });
        // It is larger than its used part.
        let addrs = process.memory.start - PAGE_SIZE..process.memory.end + PAGE_SIZE;
        let window: Pin<KBox<Notifier<Window>>> =
            KBox::try_pin_init(Notifier::new(&process.mm, addrs, init), GFP_KERNEL)?;
        let page = |n| process.memory.start + n * PAGE_SIZE;

        for n in 0..PAGES {
            get_pages(&window, page(n)..page(n + 1))?;
        }
        let used = process.change(|| {
            (0..PAGES).fold(0, |bits, n| {
                bits | u8::from(pages_valid(&window, page(n))) << n
            })
        })?;
        let gone = |n| {
            let ranges = window.ranges.read();
            ranges
                .iter()
                .any(|gpu| gpu.addrs.start == page(n) && gpu.unmapped)
        };
        let unmapped = [gone(0), gone(1), gone(2), gone(3)];
        get_pages(&window, page(5)..page(6))?;
        let again = pages_valid(&window, page(5));
        let reader = window.ranges.read();
        let refused = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        drop(reader);
        let reaped = kunit::try_invalidate(&process.mm, 0..usize::MAX);
        let left = pages_valid(&window, page(5));
        drop(window);

        assert_eq!(used, LEFT);
        // By munmap and by mremap.
        assert_eq!(unmapped, [true, false, true, false]);
        assert!(again);
        assert_eq!(refused, Err(EAGAIN));
        assert_eq!(reaped, Ok(()));
        assert!(!left);
        Ok(())
    }
}
