// SPDX-License-Identifier: GPL-2.0

//! The memory of a process, for a device that is software.

use super::{
    table::{
        index,
        Table, //
    },
    Access,
    Entry,
    Pages,
    Request,
    Slot,
    Valid, //
};
use crate::{
    mm::{
        mmu_notifier::{
            interval::{
                Invalidated,
                Invalidation,
                Notifier,
                Operations,
                TryInvalidation, //
            },
            Event,
            Owner,
            WouldBlock, //
        },
        Mm,
        MmWithUser, //
    },
    new_mutex,
    nonblock::NonBlockGuard,
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        lock::mutex::MutexBackend,
        Mutex, //
    },
    time::Delta, //
};
use core::ops;

/// The pages of an address space, for a device that reads and writes them with the CPU.
///
/// It has a page table, into which [`fault`](Self::fault) and its relatives enter pages, and from
/// which invalidations of the address space remove them. [`lock`](Self::lock) locks both out, and
/// gives access to the pages in the table.
///
/// The mirror takes no reference to a page, so the pages can be reclaimed and migrated at any time,
/// except while the table is locked. The driver cannot make this unsafe: the callbacks belong to
/// the mirror. They never overlook an invalidation, and remove the pages before it ends. A driver
/// that takes part in the callbacks implements [`Device`], and otherwise passes `Ok(())`.
///
/// Dropping it sleeps, see [`Notifier`].
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{
///         hmm::{
///             Access,
///             Mirror, //
///         },
///         MmWithUser, //
///     },
///     page::{
///         PAGE_MASK,
///         PAGE_SIZE, //
///     }, //
/// };
///
/// /// Returns a mirror of all of an address space.
/// fn mirror(mm: &MmWithUser) -> Result<Pin<KBox<Mirror>>> {
///     KBox::try_pin_init(Mirror::new(mm, 0..usize::MAX & PAGE_MASK, Ok(())), GFP_KERNEL)
/// }
///
/// /// Adds one to the byte at the address `addr`, and returns its old value.
/// fn increment(mirror: &Mirror, addr: usize) -> Result<u8> {
///     let start = addr & PAGE_MASK;
///     let offset = addr - start;
///     let mut byte = [0];
///
///     mirror.for_each_page(
///         start..start + PAGE_SIZE,
///         |missing| mirror.fault_unlocked(missing, Access::Write, None),
///         |pages, addr| {
///             let page = pages.page_mut(addr)?;
///             let read = page.read(offset, &mut byte);
///             Some(read.and_then(|()| page.write(offset, &[byte[0].wrapping_add(1)])))
///         },
///     )?;
///     Ok(byte[0])
/// }
/// # use kernel::mm::kunit::{
/// #     TestMm,
/// #     PROT_READ,
/// #     PROT_WRITE, //
/// # };
/// # let mm = TestMm::attach()?;
/// # let addr = mm.mmap(PAGE_SIZE, PROT_READ | PROT_WRITE)? + 5;
/// # let mirror = mirror(&mm)?;
/// # let bytes = [increment(&mirror, addr), increment(&mirror, addr)];
/// # drop(mirror);
/// # assert_eq!(bytes, [Ok(0), Ok(1)]);
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub struct Mirror<D: Device = ()> {
    #[pin]
    pub(super) notifier: Notifier<Inner<D>>,
}

/// The part of a driver with a [`Mirror`] that takes part in invalidations.
///
/// For example, it can count invalidations, wait for its hardware, or refuse an invalidation that
/// must not block. It cannot overlook one: each callback must return a [`Removed`], which it only
/// gets by removing the pages. Both callbacks can be left out.
///
/// The context is that of [`Operations::invalidate`] and [`Operations::try_invalidate`].
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{
///         hmm::{
///             Device,
///             Mirror,
///             Removal,
///             Removed,
///             TryRemoval, //
///         },
///         mmu_notifier::WouldBlock,
///         MmWithUser, //
///     },
///     nonblock::NonBlockGuard,
///     sync::atomic::{
///         Atomic,
///         Relaxed, //
///     }, //
/// };
///
/// /// Counts the removed pages, and keeps the pages while it is busy.
/// struct Counter {
///     pages: Atomic<usize>,
///     busy: Atomic<bool>,
/// }
///
/// impl Device for Counter {
///     fn invalidate<'op>(&'op self, op: Removal<'op, Self>) -> Removed<'op> {
///         let removed = op.remove();
///         self.pages.fetch_add(removed.pages(), Relaxed);
///         removed
///     }
///
///     fn try_invalidate<'op>(
///         &'op self,
///         op: TryRemoval<'op, Self>,
///         _nb: &NonBlockGuard,
///     ) -> Result<Removed<'op>, WouldBlock> {
///         if self.busy.load(Relaxed) {
///             return Err(WouldBlock);
///         }
///         let removed = op.try_remove()?;
///         self.pages.fetch_add(removed.pages(), Relaxed);
///         Ok(removed)
///     }
/// }
///
/// fn mirror(
///     mm: &MmWithUser,
///     range: core::ops::Range<usize>,
/// ) -> Result<Pin<KBox<Mirror<Counter>>>> {
///     let counter = Counter {
///         pages: Atomic::new(0),
///         busy: Atomic::new(false),
///     };
///     KBox::try_pin_init(Mirror::new(mm, range, Ok(counter)), GFP_KERNEL)
/// }
/// ```
pub trait Device: Send + Sync + Sized + 'static {
    /// Invalidates pages of the mirror, which are about to change.
    ///
    /// It may sleep. See [`Operations::invalidate`].
    #[inline]
    fn invalidate<'op>(&'op self, op: Removal<'op, Self>) -> Removed<'op> {
        op.remove()
    }

    /// Invalidates pages of the mirror, for a caller that cannot wait.
    ///
    /// It must not sleep. See [`Operations::try_invalidate`].
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if the work would block.
    #[inline]
    fn try_invalidate<'op>(
        &'op self,
        op: TryRemoval<'op, Self>,
        nb: &NonBlockGuard,
    ) -> Result<Removed<'op>, WouldBlock> {
        let _ = nb;
        op.try_remove()
    }
}

/// A device that has nothing to do in the callbacks.
impl Device for () {}

/// Pages that have to be removed from the table of a [`Mirror`], for which the caller can wait.
///
/// See [`Device`] for an example.
#[must_use = "the pages have to be removed"]
pub struct Removal<'op, D: Device>(Invalidation<'op, Inner<D>>);

/// Pages that have to be removed from the table of a [`Mirror`], for which the caller cannot wait.
///
/// See [`Device`] for an example.
#[must_use = "the pages have to be removed"]
pub struct TryRemoval<'op, D: Device>(TryInvalidation<'op, Inner<D>>);

/// Evidence that pages were removed from the table of a [`Mirror`].
///
/// As for [`Invalidated`], the lifetime is one call of a callback, so the evidence of one call is
/// not accepted from another.
#[must_use = "the callback has to return it"]
pub struct Removed<'op> {
    done: Invalidated<'op>,
    pages: usize,
}

impl<'op, D: Device> Removal<'op, D> {
    /// Returns the invalidated part of the mirror's range, in bytes.
    #[inline]
    pub fn range(&self) -> ops::Range<usize> {
        self.0.range()
    }

    /// Returns the reason of the invalidation.
    #[inline]
    pub fn event(&self) -> Event {
        self.0.event()
    }

    /// Takes the lock of the table, and removes the pages.
    #[inline]
    pub fn remove(self) -> Removed<'op> {
        let (mut table, done) = self.0.lock();

        Removed {
            pages: table.as_mut().remove(done.pages()),
            done,
        }
    }
}

impl<'op, D: Device> TryRemoval<'op, D> {
    /// Returns the invalidated part of the mirror's range, in bytes.
    #[inline]
    pub fn range(&self) -> ops::Range<usize> {
        self.0.range()
    }

    /// Returns the reason of the invalidation.
    #[inline]
    pub fn event(&self) -> Event {
        self.0.event()
    }

    /// Takes the lock of the table if it is free, and removes the pages.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if the lock is held. Callers can then only refuse.
    #[inline]
    pub fn try_remove(self) -> Result<Removed<'op>, WouldBlock> {
        let (mut table, done) = self.0.try_lock()?;

        Ok(Removed {
            pages: table.as_mut().remove(done.pages()),
            done,
        })
    }
}

impl Removed<'_> {
    /// Returns the number of removed pages.
    #[inline]
    pub fn pages(&self) -> usize {
        self.pages
    }
}

/// The data of the notifier of a [`Mirror`].
#[pin_data]
pub(super) struct Inner<D: Device> {
    #[pin]
    table: Mutex<Table>,
    #[pin]
    device: D,
}

impl<D: Device> Operations for Inner<D> {
    type State = Table;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<Table> {
        &self.table
    }

    // Otherwise a read would fail to validate if a page is made exclusive meanwhile.
    fn is_own(&self, owner: Owner) -> bool {
        owner.is(self)
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        self.device.invalidate(Removal(op)).done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let removed = self.device.try_invalidate(TryRemoval(op), nb)?;
        Ok(removed.done)
    }
}

/// Creates the table of a mirror, with its lock.
// It is not generic, and never inlined: otherwise every module would have its own lock class, all
// with the key of the first.
#[inline(never)]
fn new_table() -> impl PinInit<Mutex<Table>> {
    new_mutex!(Table::new())
}

impl<D: Device> Mirror<D> {
    /// Creates a mirror of `range` of `mm`, with no pages in its table.
    ///
    /// `range` is in bytes. `device` is an initializer, or `Ok(value)` for a value that can be
    /// moved.
    ///
    /// It sleeps and may take the `mmap_lock` of `mm`.
    ///
    /// # Errors
    ///
    /// Those of [`Notifier::new`].
    pub fn new<'a>(
        mm: &'a MmWithUser,
        range: ops::Range<usize>,
        device: impl PinInit<D, Error> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        let inner = try_pin_init!(Inner {
            table <- new_table(),
            device <- device,
        }? Error);

        try_pin_init!(Self {
            notifier <- Notifier::new(mm, range, inner),
        }? Error)
    }

    /// Returns the mirrored address space.
    ///
    /// It may have lost its users; see [`Mm::mmget_not_zero`].
    #[inline]
    pub fn mm(&self) -> &Mm {
        self.notifier.mm()
    }

    /// Returns the mirrored range, in bytes.
    #[inline]
    pub fn range(&self) -> ops::Range<usize> {
        self.notifier.range()
    }

    /// Returns the device of the mirror.
    #[inline]
    pub fn device(&self) -> &D {
        &self.notifier.device
    }

    /// Locks the table, and so the pages in it.
    ///
    /// Invalidations wait meanwhile, or are refused if they must not wait. Callers must not hold
    /// the lock over an allocation that may reclaim, over an access to user memory or over
    /// [`fault`](Self::fault) and its relatives.
    ///
    /// It sleeps.
    #[inline]
    pub fn lock(&self) -> Pages<'_> {
        Pages(self.notifier.table.lock())
    }

    /// Enters the pages of `range` into the table, and faults in pages that lack the `access`.
    ///
    /// `range` is in bytes, and consists of whole pages. When it returns, invalidations may have
    /// removed some of them already.
    ///
    /// Returns the number of pages that it looked up. The number is larger than `range` if an
    /// invalidation came in between, and pages were looked up again.
    ///
    /// See [`Request::fault`] for its waits. `timeout` applies to each part of the range for which
    /// there is one look-up.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `range` does not start and end with a page, or is not in that of the mirror.
    /// - [`ENOMEM`] if there is no memory for the table.
    /// - [`EFAULT`] if the kernel must not access the memory either, see `memfd_secret(2)`, or if
    ///   it is that of a PCI device, which is not to be accessed like memory.
    /// - Those of [`Request::fault`].
    ///
    /// If it fails, it may have entered some pages.
    pub fn fault(&self, range: ops::Range<usize>, access: Access, timeout: Delta) -> Result<usize> {
        for_each_part(range, |part| {
            enter(part.fault(&self.notifier, access, timeout)?)
        })
    }

    /// Enters the pages of `range` into the table, and faults in pages that lack the `access`, even
    /// if the process handles the faults itself.
    ///
    /// Like [`fault`](Self::fault), see [`Request::fault_unlocked`] for the difference.
    ///
    /// # Errors
    ///
    /// Those of [`fault`](Self::fault) and [`Request::fault_unlocked`].
    pub fn fault_unlocked(
        &self,
        range: ops::Range<usize>,
        access: Access,
        timeout: Option<Delta>,
    ) -> Result<usize> {
        for_each_part(range, |part| {
            enter(part.fault_unlocked(&self.notifier, access, timeout)?)
        })
    }

    /// Calls `f` for each page of `range`, by its address, and `fault` for missing pages.
    ///
    /// `range` is in bytes, and consists of whole pages. `f` is called with the table locked, and
    /// returns [`None`] if the page is missing or lacks the access. `fault` is then called, without
    /// the lock, for the range from this page on. It enters pages, for example with
    /// [`fault`](Self::fault) or [`fault_unlocked`](Self::fault_unlocked). A page may be gone again
    /// at the next call of `f`. So `fault` may be called more than once for a page.
    ///
    /// Returns the number of calls of `fault`. It sleeps. See [`Mirror`] for an example.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if `range` does not start and end with a page.
    /// - [`EINTR`] if a signal is pending, because the process may take its memory back faster than
    ///   it is looked up.
    /// - Those of `f` and of `fault`. `f` was called for the pages before then.
    pub fn for_each_page<R>(
        &self,
        range: ops::Range<usize>,
        mut fault: impl FnMut(ops::Range<usize>) -> Result<R>,
        mut f: impl FnMut(&Pages<'_>, usize) -> Option<Result>,
    ) -> Result<usize> {
        let ops::Range { mut start, end } = range;
        let mut faults = 0;

        if (start | end) & !PAGE_MASK != 0 {
            return Err(EINVAL);
        }
        while start < end {
            if crate::current!().signal_pending() {
                return Err(EINTR);
            }

            let pages = self.lock();
            while let Some(result) = f(&pages, start) {
                result?;
                start += PAGE_SIZE;
                if start == end {
                    return Ok(faults);
                }
            }
            drop(pages);

            fault(start..end)?;
            faults += 1;
        }
        Ok(faults)
    }

    /// Looks up the present pages, and changes nothing, not even the table.
    ///
    /// See [`Request::snapshot`], also for the errors. A mirror for this purpose can live on the
    /// stack. Changes of other memory then do not disturb it.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         hmm::{
    ///             self,
    ///             Mirror,
    ///             Request,
    ///             Slot, //
    ///         },
    ///         MmWithUser, //
    ///     },
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// /// Returns the number of pages, of the 16 from `start` on, that can be written to without a
    /// /// fault.
    /// fn writable(mm: &MmWithUser, start: usize) -> Result<usize> {
    ///     let mut slots = [Slot::EMPTY; 16];
    ///     pin_init::stack_try_pin_init! {
    ///         let mirror =? Mirror::new(mm, start..start + slots.len() * PAGE_SIZE, Ok(()))
    ///     };
    ///     let request = Request::new(start, &mut slots)?;
    ///     let mut valid = mirror.snapshot(request, hmm::DEFAULT_TIMEOUT)?;
    ///
    ///     let runs = valid.split().1.runs().filter(|run| run.is_writable());
    ///     Ok(runs.map(|run| run.addrs().len()).sum::<usize>() / PAGE_SIZE)
    /// }
    /// ```
    #[inline]
    pub fn snapshot<'a>(
        &'a self,
        request: Request<'a>,
        timeout: Delta,
    ) -> Result<Valid<'a, impl Operations>> {
        request.snapshot(&self.notifier, timeout)
    }
}

/// Calls `look_up` for parts of `range`, each with the pages of one look-up, and returns the sum of
/// the results.
fn for_each_part(
    range: ops::Range<usize>,
    mut look_up: impl FnMut(Request<'_>) -> Result<usize>,
) -> Result<usize> {
    if range.end & !PAGE_MASK != 0 {
        return Err(EINVAL);
    }

    // A device that faults looks up one page, which need not clear the slots of all others.
    let (mut slot, mut slots);
    let slots: &mut [Slot] = if range.len() <= PAGE_SIZE {
        slot = [Slot::EMPTY];
        &mut slot
    } else {
        slots = [Slot::EMPTY; 32];
        &mut slots
    };
    let mut start = range.start;
    let mut looked_up = 0;
    while start < range.end {
        let len = index(range.end - start).min(slots.len());
        looked_up += look_up(Request::new(start, &mut slots[..len])?)?;
        start += len * PAGE_SIZE;
    }
    Ok(looked_up)
}

/// Enters pages into the table, and returns the number of pages that were looked up.
fn enter<D: Device>(mut valid: Valid<'_, Inner<D>>) -> Result<usize> {
    let looked_up = valid.looked_up();
    let (mut table, entries) = valid.split();

    for (addr, entry) in entries {
        let Entry::Mapped(page) = entry else {
            return Err(EFAULT);
        };
        table.as_mut().enter(addr, page)?;
    }
    Ok(looked_up)
}
