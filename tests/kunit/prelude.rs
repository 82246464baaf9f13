// SPDX-License-Identifier: GPL-2.0

//! The names that several suites use, as `use crate::prelude::*`.

pub(crate) use crate::{
    kmsg::{
        provoke,
        sections,
        Seen,
        MIGHT_SLEEP, //
    },
    task::{
        wait_until,
        Task, //
    }, //
};
pub(crate) use core::{
    convert::Infallible,
    ops, //
};
pub(crate) use kernel::{
    impl_has_work,
    mm::{
        kunit::{
            self,
            TestMm,
            PROT_READ,
            PROT_WRITE, //
        },
        Mm,
        MmWithUser, //
    },
    new_mutex,
    new_rwsem,
    new_spinlock,
    new_work,
    nonblock::{
        non_block,
        NonBlockGuard, //
    },
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        lock::{
            mutex::MutexBackend,
            rwsem::RwSemaphoreBackend,
            spinlock::SpinLockBackend, //
        },
        Arc,
        Completion,
        Mutex,
        RwSemaphore,
        SpinLock, //
    },
    task::might_sleep,
    time::{
        delay::fsleep,
        Delta, //
    },
    workqueue::{
        self,
        Work,
        WorkItem, //
    }, //
};

#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
pub(crate) mod interval;
