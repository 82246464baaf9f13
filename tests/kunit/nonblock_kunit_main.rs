// SPDX-License-Identifier: GPL-2.0

//! KUnit tests for non-blocking sections and for MMU notifiers.

use kernel::prelude::*;

#[cfg(CONFIG_DEBUG_NON_BLOCK_TIME)]
mod busy;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod deferring;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod first;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod hmm;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod interval;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod invalidate;
mod kmsg;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod list;
#[cfg(CONFIG_PROVE_RAW_LOCK_NESTING)]
mod lockdep;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod mm;
mod nonblock;
// Each suite uses a part of it.
#[allow(unused_imports)]
mod prelude;
mod reclaim;
mod rwsem;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod shared;
// Each suite uses a part of it.
#[allow(dead_code)]
mod task;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod two_pass;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
// Each suite uses a part of it.
#[allow(dead_code)]
mod user;
#[cfg(CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST)]
mod users;

module! {
    type: NonblockKunit,
    name: "nonblock_kunit",
    authors: ["The nonblock authors"],
    description: "KUnit tests for non-blocking sections in Rust",
    license: "GPL",
}

struct NonblockKunit;

impl kernel::Module for NonblockKunit {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
