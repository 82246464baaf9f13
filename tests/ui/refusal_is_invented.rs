// SPDX-License-Identifier: GPL-2.0

//! The core knows one refusal, and drivers cannot invent others.

//~ error[E0277]: the trait bound `Busy: kernel::mm::mmu_notifier::private::Refusal` is not satisfied

use kernel::mm::mmu_notifier::Refusal;

struct Busy;

#[cfg(refused)]
impl Refusal for Busy {}

pub fn refuse<R: Refusal>() {}
