// SPDX-License-Identifier: GPL-2.0

//! Tests for `kernel::mm::mmu_notifier::shared`.

use crate::prelude::*;

#[kunit_tests(rust_mmu_notifier_shared)]
mod tests {
    use super::*;
    use crate::user;
    use core::ptr;
    use kernel::{
        bindings,
        mm::mmu_notifier::{
            list::{
                Notifier,
                Operations, //
            },
            shared::{
                self,
                new_registry,
                Object,
                Ref,
                Registry, //
            },
            Range, //
        }, //
    };

    /// Counts since the start of the test; the tests of a suite do not overlap.
    struct Counts {
        created: Atomic<i32>,
        dropped: Atomic<i32>,
        started: Atomic<i32>,
        released: Atomic<i32>,
    }

    impl Counts {
        const fn new() -> Self {
            Self {
                created: Atomic::new(0),
                dropped: Atomic::new(0),
                started: Atomic::new(0),
                released: Atomic::new(0),
            }
        }

        /// Created, dropped, started, released; from here on counted anew.
        fn take(&self) -> [i32; 4] {
            [
                self.created.xchg(0, Relaxed),
                self.dropped.xchg(0, Relaxed),
                self.started.xchg(0, Relaxed),
                self.released.xchg(0, Relaxed),
            ]
        }
    }

    static COUNTS: Counts = Counts::new();
    /// Whether the next object fails to be created.
    static FAIL: Atomic<bool> = Atomic::new(false);
    /// Whether destructors wait, and the number of waiting ones.
    static HOLD: Atomic<bool> = Atomic::new(false);
    static HELD: Atomic<i32> = Atomic::new(0);

    /// A notifier whose removal waits for the callbacks of `call_srcu()`.
    struct Watch;

    #[vtable]
    impl Operations for Watch {
        type Refusal = Infallible;

        fn release(&self) {}
    }

    /// The data of a driver about a process.
    #[pin_data(PinnedDrop)]
    struct Process {
        mm: usize,
        /// Kept until the process is gone.
        #[pin]
        own: SpinLock<Option<Ref<Process>>>,
        /// Dropped with the object.
        #[pin]
        watch: SpinLock<Option<Pin<KBox<Notifier<Watch>>>>>,
    }

    #[vtable]
    impl Operations for Process {
        type Refusal = Infallible;

        fn release(&self) {
            COUNTS.released.fetch_add(1, Relaxed);
            let own = self.own.lock().take();
            drop(own);
        }

        fn start(&self, _range: Range<'_>) {
            COUNTS.started.fetch_add(1, Relaxed);
        }

        fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
            Ok(())
        }
    }

    impl Object for Process {
        fn new(mm: &MmWithUser) -> impl PinInit<Self, Error> {
            let mm = mm.as_raw().addr();

            try_pin_init!(Self {
                mm,
                own <- new_spinlock!(None),
                watch <- new_spinlock!(None),
                _: {
                    if FAIL.xchg(false, Relaxed) {
                        return Err(EBUSY);
                    }
                    COUNTS.created.fetch_add(1, Relaxed);
                },
            }? Error)
        }
    }

    #[pinned_drop]
    impl PinnedDrop for Process {
        fn drop(self: Pin<&mut Self>) {
            if HOLD.load(Relaxed) {
                HELD.fetch_add(1, Relaxed);
                while HOLD.load(Relaxed) {
                    fsleep(Delta::from_millis(1));
                }
            }
            // One that was created only in part is dropped by its fields.
            COUNTS.dropped.fetch_add(1, Relaxed);
        }
    }

    static PROCESSES: Registry<Process> = new_registry!(Process);
    static OTHERS: Registry<Process> = new_registry!(Process);
    const CONSTANT: Registry<Process> = new_registry!(Process);

    fn same(a: &Ref<Process>, b: &Ref<Process>) -> bool {
        ptr::eq(&**a, &**b)
    }

    #[test]
    fn one_object_for_each_address_space() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        COUNTS.take();
        let mm = TestMm::attach()?;
        let other_mm = kunit::new_mm()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;

        let first = PROCESSES.get(&mm)?;
        let second = PROCESSES.get(&mm)?;
        let locked = PROCESSES.get_locked(&mm.mmap_write_lock())?;
        let elsewhere = PROCESSES.get(&other_mm)?;
        let same = [
            same(&first, &second),
            same(&first, &locked),
            same(&first, &elsewhere),
        ];
        let mms = [
            ptr::eq(first.mm().as_raw(), mm.as_raw()),
            ptr::eq(elsewhere.mm().as_raw(), other_mm.as_raw()),
            first.mm == mm.as_raw().addr(),
        ];
        mm.munmap(addr, PAGE_SIZE)?;
        let used = COUNTS.take();
        drop((second, locked, elsewhere));
        shared::synchronize();
        let one_is_left = COUNTS.take();
        drop(first);
        shared::synchronize();
        let freed = COUNTS.take();
        // The next one is a new one.
        drop(PROCESSES.get(&mm)?);
        shared::synchronize();

        assert_eq!(same, [true, true, false]);
        assert_eq!(mms, [true; 3]);
        assert_eq!(used, [2, 0, 1, 0]);
        assert_eq!(one_is_left, [0, 1, 0, 0]);
        // Putting the last reference does not release.
        assert_eq!(freed, [0, 1, 0, 0]);
        assert_eq!(COUNTS.take(), [1, 1, 0, 0]);
        Ok(())
    }

    #[test]
    fn registries_do_not_share() -> Result {
        COUNTS.take();
        let mm = TestMm::attach()?;

        let first = PROCESSES.get(&mm)?;
        let second = OTHERS.get(&mm)?;
        let third = CONSTANT.get(&mm)?;
        let same = [
            same(&first, &second),
            same(&first, &third),
            same(&second, &third),
        ];
        drop((first, second, third));
        shared::synchronize();

        assert_eq!(same, [false; 3]);
        assert_eq!(COUNTS.take(), [3, 3, 0, 0]);
        Ok(())
    }

    #[test]
    fn registry_may_be_a_constant() -> Result {
        COUNTS.take();
        let mm = TestMm::attach()?;

        let first = CONSTANT.get(&mm)?;
        let second = CONSTANT.get(&mm)?;
        let same = same(&first, &second);
        drop((first, second));
        shared::synchronize();

        assert!(same);
        assert_eq!(COUNTS.take(), [1, 1, 0, 0]);
        Ok(())
    }

    #[test]
    fn put_in_release() -> Result {
        COUNTS.take();
        let mm = kunit::new_mm()?;

        let process = PROCESSES.get(&mm)?;
        *process.own.lock() = Some(PROCESSES.get(&mm)?);
        drop(process);
        shared::synchronize();
        let kept = COUNTS.take();
        drop(mm);
        shared::synchronize();

        assert_eq!(kept, [1, 0, 0, 0]);
        assert_eq!(COUNTS.take(), [0, 1, 0, 1]);
        Ok(())
    }

    #[test]
    fn outlives_the_users_of_the_address_space() -> Result {
        COUNTS.take();
        let mm = kunit::new_mm()?;

        let process = PROCESSES.get(&mm)?;
        drop(mm);
        let released = COUNTS.take();
        let no_users = process.mm().mmget_not_zero().is_none();
        drop(process);
        shared::synchronize();

        assert_eq!(released, [1, 0, 0, 1]);
        assert!(no_users);
        assert_eq!(COUNTS.take(), [0, 1, 0, 0]);
        Ok(())
    }

    #[test]
    fn destructor_that_waits_keeps_nobody_else_waiting() -> Result {
        COUNTS.take();
        let mm = TestMm::attach()?;

        HELD.store(0, Relaxed);
        HOLD.store(true, Relaxed);
        drop(PROCESSES.get(&mm)?);
        while HELD.load(Relaxed) == 0 {
            fsleep(Delta::from_millis(1));
        }
        let watched = KBox::try_pin_init(Notifier::new(&mm, Ok(Watch)), GFP_KERNEL).map(drop);
        drop(OTHERS.get(&mm)?);
        while HELD.load(Relaxed) == 1 {
            fsleep(Delta::from_millis(1));
        }
        let meanwhile = COUNTS.take();
        HOLD.store(false, Relaxed);
        // It waits for both.
        shared::synchronize();

        assert_eq!(watched, Ok(()));
        assert_eq!(meanwhile, [2, 0, 0, 0]);
        assert_eq!(COUNTS.take(), [0, 2, 0, 0]);
        Ok(())
    }

    #[test]
    fn destructor_may_drop_a_notifier() -> Result {
        COUNTS.take();
        let mm = TestMm::attach()?;

        let process = PROCESSES.get(&mm)?;
        let watch = KBox::try_pin_init(Notifier::new(&mm, Ok(Watch)), GFP_KERNEL)?;
        *process.watch.lock() = Some(watch);
        drop(process);
        shared::synchronize();

        assert_eq!(COUNTS.take(), [1, 1, 0, 0]);
        Ok(())
    }

    #[test]
    fn failure_leaves_nothing() -> Result {
        COUNTS.take();
        let mm = TestMm::attach()?;
        let addr = mm.mmap(PAGE_SIZE, PROT_READ)?;

        FAIL.store(true, Relaxed);
        let failed = PROCESSES.get(&mm).err();
        let in_new = COUNTS.take();
        let interrupted = user::with_signal_pending(|| PROCESSES.get(&mm).err());
        shared::synchronize();
        let in_registration = COUNTS.take();
        mm.munmap(addr, PAGE_SIZE)?;
        let called = COUNTS.take();
        // The old one has no references: this is a new one.
        let process = PROCESSES.get(&mm)?;
        // It exists, and so need not be registered.
        let second = user::with_signal_pending(|| PROCESSES.get(&mm).err());
        drop(process);
        shared::synchronize();

        assert_eq!(failed, Some(EBUSY));
        assert_eq!(in_new, [0; 4]);
        assert_eq!(interrupted, Some(EINTR));
        // Dropped once.
        assert_eq!(in_registration, [1, 1, 0, 0]);
        assert_eq!(called, [0; 4]);
        assert_eq!(second, None);
        assert_eq!(COUNTS.take(), [1, 1, 0, 0]);
        Ok(())
    }

    /// The number of references to the one list notifier of `mm`.
    fn users(mm: &Mm) -> *mut c_uint {
        // SAFETY: `mm` is valid and has notifiers. The list of those comes first in the C type.
        unsafe {
            let list: *mut bindings::hlist_head = (*mm.as_raw())
                .__bindgen_anon_1
                .notifier_subscriptions
                .cast();
            let first: *mut bindings::mmu_notifier = (*list).first.cast();
            &raw mut (*first).users
        }
    }

    #[test]
    fn too_many_references_are_refused() -> Result {
        COUNTS.take();
        let mm = TestMm::attach()?;
        let process = PROCESSES.get(&mm)?;
        let users = users(&mm);

        // SAFETY: There is one reference, which is not used meanwhile.
        let counted = unsafe { users.replace(c_uint::MAX) };
        let refused = PROCESSES.get(&mm).err();
        // SAFETY: As above.
        unsafe { users.write(counted) };
        drop(process);
        shared::synchronize();

        assert_eq!(counted, 1);
        assert_eq!(refused, Some(EOVERFLOW));
        assert_eq!(COUNTS.take(), [1, 1, 0, 0]);
        Ok(())
    }

    #[test]
    fn nonblocking_callback_is_called() -> Result {
        let _exact = kunit::NotTriedFirst::new();
        COUNTS.take();
        let mm = TestMm::attach()?;
        let process = PROCESSES.get(&mm)?;

        let result = [
            kunit::try_invalidate(&mm, 0..PAGE_SIZE),
            kunit::invalidate(&mm, 0..PAGE_SIZE),
        ];
        drop(process);
        shared::synchronize();

        assert_eq!(result, [Ok(()); 2]);
        assert_eq!(COUNTS.take(), [1, 1, 1, 0]);
        Ok(())
    }
}
