// SPDX-License-Identifier: GPL-2.0

//! Looking up the pages of a range, and validating them under the lock of a notifier.

use super::{
    entry::Entries,
    Access,
    Slot, //
};
use crate::{
    bindings,
    error::to_result,
    mm::{
        mmu_notifier::{
            interval::{
                Notifier,
                Operations, //
            },
            Owner, //
        },
        MmWithUser,
        MmWithUserAsync, //
    },
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        lock::Guard, //
    },
    time::{
        msecs_to_jiffies,
        Delta,
        Instant,
        Jiffies,
        Monotonic, //
    }, //
};
use core::{
    ops,
    ptr, //
};

/// A request for the pages of a range of addresses.
///
/// It goes through a notifier, which knows the address space and must be registered for the range.
/// So the result is always about the memory of the notifier.
///
/// Corresponds to the C type `struct hmm_range`.
///
/// # Examples
///
/// A driver with a device that can translate addresses:
///
/// ```
/// use kernel::mm::{
///     hmm::{
///         self,
///         Access,
///         Request,
///         Slot, //
///     },
///     mmu_notifier::interval::{
///         Notifier,
///         Operations, //
///     }, //
/// };
///
/// /// Lets the device write to 16 pages from `start` on.
/// fn map<T: Operations>(notifier: &Notifier<T>, start: usize) -> Result
/// where
///     T::State: Unpin,
/// {
///     let mut slots = [Slot::EMPTY; 16];
///     let mut valid = Request::new(start, &mut slots)?.fault_unlocked(
///         notifier,
///         Access::Write,
///         Some(hmm::DEFAULT_TIMEOUT),
///     )?;
///
///     let (table, entries) = valid.split();
///     let table = table.get_mut();
///     for run in entries.runs() {
///         // Here the driver enters the pages from `run.pfn()` on for `run.addrs()` into `table`.
/// #       let _ = (&table, run.pfn(), run.addrs());
///     }
///     Ok(())
/// }
/// ```
///
/// # Invariants
///
/// `start` is the start of a page, there is at least one slot, and the range of as many pages does
/// not end behind the last address.
pub struct Request<'a> {
    start: usize,
    slots: &'a mut [Slot],
    owner: *mut c_void,
}

/// The outcome of an attempt to look up the pages of a range that did not fail.
enum Attempt {
    /// The pages were looked up, and must be validated.
    Done,
    /// An invalidation came in between.
    Again,
}

impl<'a> Request<'a> {
    /// Creates a request for the range that begins at the address `start` and has as many pages as
    /// there are `slots`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if `start` is not the start of a page, if there are no slots, or if the range
    /// ends behind the last address.
    // If it is optimized before it is inlined, then the result goes through memory.
    #[inline(always)]
    pub fn new(start: usize, slots: &'a mut [Slot]) -> Result<Self> {
        let len = slots.len().checked_mul(PAGE_SIZE).ok_or(EINVAL)?;

        if start & !PAGE_MASK != 0 || len == 0 || start.checked_add(len).is_none() {
            return Err(EINVAL);
        }
        // INVARIANT: It was just checked.
        Ok(Self {
            start,
            slots,
            owner: ptr::null_mut(),
        })
    }

    /// Leaves pages in device memory, if `object` owns the memory.
    ///
    /// Otherwise, pages in device memory that the CPU cannot access are faulted back, or left out
    /// by [`snapshot`](Self::snapshot). The address of `object` names the owner, so `object` must
    /// have a size, see [`Owner`].
    ///
    /// Corresponds to `dev_private_owner` in C.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::hmm::{
    ///     Request,
    ///     Slot, //
    /// };
    ///
    /// /// Returns a request that leaves pages in the memory of `device`.
    /// fn request<'a, D>(
    ///     start: usize,
    ///     slots: &'a mut [Slot],
    ///     device: &'a D,
    /// ) -> Result<Request<'a>> {
    ///     Ok(Request::new(start, slots)?.owner(device))
    /// }
    /// ```
    #[inline]
    pub fn owner<D>(mut self, object: &'a D) -> Self {
        self.owner = ptr::without_provenance_mut(Owner::of(object).0);
        self
    }

    /// Looks up the present pages, and changes nothing.
    ///
    /// It takes the `mmap_lock` of the address space, and sleeps. Callers must hold neither this
    /// lock nor the lock of `notifier`, which the result holds.
    ///
    /// Equivalent to the C function `hmm_range_fault()` without `HMM_PFN_REQ_FAULT`, and the loop
    /// that its documentation requires.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the range is not in that of `notifier`, or is behind the part of the address
    ///   space that the process can map.
    /// - [`EFAULT`] if the process has exited.
    /// - [`EBUSY`] if the range was invalidated again and again for longer than `timeout`.
    /// - [`EINTR`] if the current task is being killed.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{
    ///     hmm::{
    ///         self,
    ///         Entry,
    ///         Request,
    ///         Slot, //
    ///     },
    ///     mmu_notifier::interval::{
    ///         Notifier,
    ///         Operations, //
    ///     }, //
    /// };
    ///
    /// /// Returns whether there is a page at the address `addr`.
    /// fn is_mapped<T: Operations>(notifier: &Notifier<T>, addr: usize) -> Result<bool> {
    ///     let mut slot = [Slot::EMPTY];
    ///     let request = Request::new(addr, &mut slot)?;
    ///     let mut valid = request.snapshot(notifier, hmm::DEFAULT_TIMEOUT)?;
    ///
    ///     let (_, mut entries) = valid.split();
    ///     Ok(entries.all(|(_, entry)| matches!(entry, Entry::Mapped(_))))
    /// }
    /// ```
    #[doc(alias = "hmm_range_fault")]
    #[inline]
    pub fn snapshot<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        timeout: Delta,
    ) -> Result<Valid<'a, T>> {
        self.look_up_mmap_locked(notifier, 0, timeout)
    }

    /// Looks up the pages, and faults in pages that lack the `access`.
    ///
    /// It holds the `mmap_lock` of the address space while it faults. So it does not work for
    /// memory whose faults are handled by the process itself, see `userfaultfd(2)`; new drivers
    /// should prefer [`fault_unlocked`](Self::fault_unlocked).
    ///
    /// It sleeps. Callers must hold neither the `mmap_lock` nor the lock of `notifier`, which the
    /// result holds. All entries of the result are [`Entry::Mapped`](super::Entry::Mapped), and
    /// [writable](super::Mapping::is_writable) for [`Access::Write`].
    ///
    /// Equivalent to the C function `hmm_range_fault()`, and the loop that its documentation
    /// requires.
    ///
    /// # Errors
    ///
    /// - Those of [`snapshot`](Self::snapshot).
    /// - [`EFAULT`] if there is no memory in all of the range, if it may not be read, or if a fault
    ///   was not handled.
    /// - [`EPERM`] if it may not be written to, but should.
    /// - [`ENOMEM`] if there is no memory for a page.
    /// - `EHWPOISON` if a page is broken.
    #[doc(alias = "hmm_range_fault")]
    #[inline]
    pub fn fault<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        access: Access,
        timeout: Delta,
    ) -> Result<Valid<'a, T>> {
        self.look_up_mmap_locked(notifier, access.as_raw(), timeout)
    }

    /// Looks up the pages, and faults in pages that lack the `access`, even if the process handles
    /// the faults itself.
    ///
    /// Like [`fault`](Self::fault), but it releases the `mmap_lock` during long faults. Without a
    /// `timeout` it continues until the current task is killed.
    ///
    /// Equivalent to the C function `hmm_range_fault_unlocked_timeout()`, and the loop around it.
    ///
    /// # Errors
    ///
    /// Those of [`fault`](Self::fault), and [`EFAULT`] if the OOM reaper has taken memory of the
    /// process.
    #[doc(alias = "hmm_range_fault_unlocked_timeout")]
    pub fn fault_unlocked<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        access: Access,
        timeout: Option<Delta>,
    ) -> Result<Valid<'a, T>> {
        let jiffies = timeout.map_or(0, to_jiffies);

        let attempt = |range: &mut bindings::hmm_range, _: &MmWithUser| {
            // SAFETY: `look_up()` passes a valid range in an address space with users.
            to_result(unsafe { bindings::hmm_range_fault_unlocked_timeout(range, jiffies) })?;
            Ok(Attempt::Done)
        };

        // SAFETY: `hmm_range_fault_unlocked_timeout()` sets the sequence number before it looks
        // anything up.
        unsafe { self.look_up(notifier, access.as_raw(), timeout, attempt) }
    }

    /// Looks up the pages with the `mmap_lock` held.
    fn look_up_mmap_locked<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        flags: usize,
        timeout: Delta,
    ) -> Result<Valid<'a, T>> {
        let attempt = |range: &mut bindings::hmm_range, mm: &MmWithUser| {
            // SAFETY: `look_up()` passes the notifier, which is registered.
            range.notifier_seq = unsafe { bindings::mmu_interval_read_begin(range.notifier) };
            let _mmap = mm.mmap_read_lock();

            // SAFETY: `look_up()` passes a valid range in an address space with users, whose mmap
            // lock is held.
            match to_result(unsafe { bindings::hmm_range_fault(range) }) {
                Ok(()) => Ok(Attempt::Done),
                Err(EBUSY) => Ok(Attempt::Again),
                Err(error) => Err(error),
            }
        };

        // SAFETY: The closure sets the sequence number before it looks anything up.
        unsafe { self.look_up(notifier, flags, Some(timeout), attempt) }
    }

    /// Looks up the pages with `attempt`, until no invalidation comes in between.
    ///
    /// # Safety
    ///
    /// `attempt` is called with a valid `struct hmm_range`, and with the address space of
    /// `notifier`, which is also that of the range. Before it returns [`Attempt::Done`], it must
    /// set `notifier_seq` to the result of `mmu_interval_read_begin()` for `notifier`, and then
    /// look up all of the pages. It must not write to another field.
    unsafe fn look_up<T: Operations>(
        self,
        notifier: &'a Notifier<T>,
        flags: usize,
        timeout: Option<Delta>,
        attempt: impl Fn(&mut bindings::hmm_range, &MmWithUser) -> Result<Attempt>,
    ) -> Result<Valid<'a, T>> {
        // OVERFLOW: There is none by the type invariant.
        let bytes = self.start..self.start + self.slots.len() * PAGE_SIZE;
        // It is put with the lock held, so not by `mmput()`, which would call us.
        let mm = mm_for(notifier, &bytes)?;

        let mut range = bindings::hmm_range {
            notifier: notifier.as_raw(),
            notifier_seq: 0,
            start: bytes.start,
            end: bytes.end,
            // CAST: `Slot` is transparent.
            hmm_pfns: self.slots.as_mut_ptr().cast(),
            default_flags: flags,
            pfn_flags_mask: 0,
            dev_private_owner: self.owner,
        };
        let mut timeout = Timeout::new(timeout);
        let mut looked_up = 0;

        loop {
            if let Attempt::Done = attempt(&mut range, &mm)? {
                // SAFETY: By the contract of this function the number is from
                // `mmu_interval_read_begin()` for `notifier`.
                let seq = unsafe { notifier.seq_from_raw(range.notifier_seq) };

                looked_up += self.slots.len();
                if let Some(guard) = seq.lock() {
                    // INVARIANT: By the contract of this function the slots are about the pages
                    // since the read began that was just validated.
                    return Ok(Valid {
                        guard,
                        start: self.start,
                        slots: self.slots,
                        looked_up,
                    });
                }
            }

            timeout.check()?;
        }
    }
}

/// Returns the address space of `notifier`, with users, if `bytes` can be looked up for it.
///
/// # Errors
///
/// - [`EINVAL`] if `bytes` are not all in the range of the notifier, and in the part of the address
///   space that the process can map. An address with a tag is behind that part, and no invalidation
///   would ever match it.
/// - [`EFAULT`] if the process has exited.
pub(super) fn mm_for<T: Operations>(
    notifier: &Notifier<T>,
    bytes: &ops::Range<usize>,
) -> Result<ARef<MmWithUserAsync>> {
    let allowed = notifier.range();
    let mm = notifier.mm();

    if bytes.start < allowed.start || bytes.end > allowed.end || bytes.end > mm.task_size() {
        return Err(EINVAL);
    }
    mm.mmget_not_zero()
        .map(MmWithUser::into_mmput_async)
        .ok_or(EFAULT)
}

/// The limit of the retries.
pub(super) struct Timeout {
    limit: Option<Delta>,
    /// The time of the first check.
    began: Option<Instant<Monotonic>>,
}

impl Timeout {
    #[inline]
    pub(super) fn new(limit: Option<Delta>) -> Self {
        Self { limit, began: None }
    }

    /// Returns whether to try again.
    ///
    /// The first try does not count: it may have waited for a fault.
    ///
    /// # Errors
    ///
    /// - [`EINTR`] if the current task is being killed, even if there is no limit.
    /// - [`EBUSY`] if the time is over.
    pub(super) fn check(&mut self) -> Result {
        if crate::current!().fatal_signal_pending() {
            return Err(EINTR);
        }

        let began = *self.began.get_or_insert_with(Instant::now);
        if self.limit.is_some_and(|limit| began.elapsed() >= limit) {
            return Err(EBUSY);
        }
        Ok(())
    }
}

/// Returns a timeout for C, where zero means no limit.
fn to_jiffies(timeout: Delta) -> Jiffies {
    let msecs = timeout.as_millis_ceil().clamp(0, i64::from(i32::MAX));

    // CAST: It was just limited to what fits.
    msecs_to_jiffies(msecs as u32).max(1)
}

/// The validated pages of a range, while the lock of a notifier is held.
///
/// See [`Request`] for an example.
///
/// # Invariants
///
/// `guard` holds the lock of a notifier. `slots` have the results of `hmm_range_fault()` for the
/// pages from `start` on, since a read of the address space that was validated under this lock.
/// `start` and `slots` are those of a [`Request`].
#[must_use = "if unused, the lock will be immediately unlocked"]
pub struct Valid<'a, T: Operations> {
    guard: Guard<'a, T::State, T::Backend>,
    start: usize,
    slots: &'a [Slot],
    looked_up: usize,
}

impl<T: Operations> Valid<'_, T> {
    /// Returns the number of pages that were looked up.
    ///
    /// The number is larger than the request if an invalidation came in between, and the pages were
    /// looked up again.
    #[inline]
    pub fn looked_up(&self) -> usize {
        self.looked_up
    }

    /// Returns the state of the lock, and the entries of the range with their addresses.
    ///
    /// The entries can only be used while the lock is held. Callers must store the pages in the
    /// state of the lock, where later invalidations find them.
    #[inline]
    pub fn split(&mut self) -> (Pin<&mut T::State>, Entries<'_>) {
        (self.guard.as_mut(), Entries::new(self.start, self.slots))
    }
}
