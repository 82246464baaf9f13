// SPDX-License-Identifier: GPL-2.0

//! Look-ups that an invalidation overtakes, each time, just before they are validated.

use crate::{
    prelude::{
        interval::*,
        *, //
    },
    user, //
};
use core::ptr;
use kernel::{
    bindings,
    mm::hmm::{
        Access,
        Request,
        Slot,
        Valid, //
    },
    static_lock_class,
    sync::lock::{
        Backend,
        Lock, //
    }, //
};

/// The address space that is invalidated before a lock is taken, or zero.
static MM: Atomic<usize> = Atomic::new(0);

/// The number of times, to end a look-up that never gives up.
static LEFT: Atomic<i32> = Atomic::new(0);

const MANY: i32 = 100_000;

/// A mutex. Only one test at a time takes it, in one task.
struct OvertakenBackend;

// SAFETY: As for `MutexBackend`.
unsafe impl Backend for OvertakenBackend {
    type State = <MutexBackend as Backend>::State;
    type GuardState = <MutexBackend as Backend>::GuardState;

    unsafe fn init(
        ptr: *mut Self::State,
        name: *const kernel::ffi::c_char,
        key: *mut bindings::lock_class_key,
    ) {
        // SAFETY: By the caller's contract.
        unsafe { MutexBackend::init(ptr, name, key) }
    }

    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // The callback takes the lock as well.
        let mm = MM.xchg(0, Relaxed);
        if mm != 0 && LEFT.fetch_sub(1, Relaxed) > 0 {
            // SAFETY: Whoever set it still has the address space.
            let mm = unsafe { Mm::from_raw(ptr::with_exposed_provenance(mm)) };
            let _ = kunit::invalidate(mm, 0..usize::MAX);
        }
        MM.store(mm, Relaxed);

        // SAFETY: By the caller's contract.
        unsafe { MutexBackend::lock(ptr) }
    }

    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        // SAFETY: By the caller's contract.
        unsafe { MutexBackend::try_lock(ptr) }
    }

    unsafe fn unlock(ptr: *mut Self::State, guard_state: &Self::GuardState) {
        // SAFETY: By the caller's contract.
        unsafe { MutexBackend::unlock(ptr, guard_state) }
    }

    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: By the caller's contract.
        unsafe { MutexBackend::assert_is_held(ptr) }
    }
}

#[pin_data]
struct Driver {
    #[pin]
    lock: Lock<(), OvertakenBackend>,
}

impl Operations for Driver {
    type State = ();
    type Backend = OvertakenBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Lock<(), OvertakenBackend> {
        &self.lock
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        op.lock().1
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        Ok(op.try_lock()?.1)
    }
}

/// Looks up a page of zeroes with `f`, and returns the error of that, if there was one.
fn overtaken(
    f: impl for<'a> FnOnce(Request<'a>, &'a Notifier<Driver>) -> Result<Valid<'a, Driver>>,
) -> Result<Option<Error>> {
    let mm = TestMm::attach()?;
    let addr = mm.mmap(PAGE_SIZE, super::RW)?;
    let notifier = notifier(&mm, addr)?;
    let mut slots = [Slot::EMPTY];

    kunit::read(&mm, addr, &mut [0])?;
    let request = Request::new(addr, &mut slots)?;
    LEFT.store(MANY, Relaxed);
    MM.store(mm.as_raw().expose_provenance(), Relaxed);
    let error = f(request, &notifier).err();
    MM.store(0, Relaxed);
    Ok(error)
}

fn notifier(mm: &MmWithUser, addr: usize) -> Result<Pin<KBox<Notifier<Driver>>>> {
    let driver = try_pin_init!(Driver {
        lock <- Lock::new((), c"overtaken", static_lock_class!()),
    }? Error);
    KBox::try_pin_init(
        Notifier::new(mm, addr..addr + PAGE_SIZE, driver),
        GFP_KERNEL,
    )
}

#[kunit_tests(rust_mm_hmm_overtaken)]
mod tests {
    use super::*;

    const LONG: Delta = super::super::LONG;

    #[test]
    fn overtaken_gives_up_in_time() -> Result {
        let errors = [
            overtaken(|request, notifier| request.snapshot(notifier, Delta::ZERO))?,
            overtaken(|request, notifier| request.fault(notifier, Access::Read, Delta::ZERO))?,
            overtaken(|request, notifier| {
                request.fault_unlocked(notifier, Access::Read, Some(Delta::ZERO))
            })?,
        ];

        assert_eq!(errors, [Some(EBUSY); 3]);
        Ok(())
    }

    #[test]
    fn overtaken_is_not_ended_by_other_signals() -> Result {
        let errors = [
            overtaken(|request, notifier| {
                user::with_signal_pending(|| request.snapshot(notifier, Delta::ZERO))
            })?,
            overtaken(|request, notifier| {
                user::with_signal_pending(|| request.fault(notifier, Access::Read, Delta::ZERO))
            })?,
        ];

        assert_eq!(errors, [Some(EBUSY); 2]);
        Ok(())
    }

    #[test]
    fn overtaken_ends_when_killed() -> Result {
        let errors = [
            overtaken(|request, notifier| user::while_killed(|| request.snapshot(notifier, LONG)))?,
            overtaken(|request, notifier| {
                user::while_killed(|| request.fault(notifier, Access::Read, LONG))
            })?,
            overtaken(|request, notifier| {
                user::while_killed(|| request.fault_unlocked(notifier, Access::Read, None))
            })?,
        ];

        assert_eq!(errors, [Some(EINTR); 3]);
        Ok(())
    }
}
