// SPDX-License-Identifier: GPL-2.0

// A driver with an interval notifier, whole, and in pieces for a program that replaces one.

use kernel::{
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
            Range,
            WouldBlock, //
        },
        MmWithUser, //
    },
    nonblock::NonBlockGuard,
    prelude::*,
    sync::{
        lock::mutex::MutexBackend,
        Mutex, //
    }, //
};

#[allow(unused_macros)]
macro_rules! types {
    () => {
        type State = usize;
        type Backend = MutexBackend;
        type Refusal = WouldBlock;

        fn lock(&self) -> &Mutex<usize> {
            &self.pages
        }
    };
}

#[allow(unused_macros)]
macro_rules! invalidate {
    () => {
        fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
            let (mut pages, done) = op.lock();
            *pages = 0;
            done
        }
    };
}

#[allow(unused_macros)]
macro_rules! try_invalidate {
    () => {
        fn try_invalidate<'op>(
            &'op self,
            op: TryInvalidation<'op, Self>,
            _nb: &NonBlockGuard,
        ) -> Result<Invalidated<'op>, Self::Refusal> {
            let (mut pages, done) = op.try_lock()?;
            *pages = 0;
            Ok(done)
        }
    };
}

#[allow(unused_macros)]
macro_rules! mirror {
    () => {
        struct Mirror {
            pages: Mutex<usize>,
        }

        impl Operations for Mirror {
            types!();
            invalidate!();
            try_invalidate!();
        }
    };
}
