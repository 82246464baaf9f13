// SPDX-License-Identifier: GPL-2.0
//! Which functions must not sleep: the callbacks of MMU notifiers, found by the fields that they are stored in.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    interpret::{Contents, Interpreter},
    ir::*,
    targets::Targets,
    value::Abstract,
};

/// A field of a table of callbacks.
pub struct Callback {
    /// The struct, and the number of the field in it.
    pub key: &'static str,
    pub name: &'static str,
    /// The argument that is the `struct mmu_notifier_range`, if the callback has one.
    pub range: Option<usize>,
}

/// The callbacks that may be called in a non-blocking section, or under a spinlock.
///
/// `invalidate_finish` is not among them: it is called in a section only if `invalidate_start` was, and wanted it.
/// `TwoPass` in Rust never does. Judge one that does as a root of its own.
pub const CALLBACKS: [Callback; 8] = [
    Callback {
        key: "struct.mmu_interval_notifier_ops#0",
        name: "invalidate",
        range: Some(1),
    },
    Callback {
        key: "struct.mmu_interval_notifier_ops#1",
        name: "invalidate_start",
        range: Some(1),
    },
    Callback {
        key: "struct.mmu_notifier_ops#1",
        name: "clear_flush_young",
        range: None,
    },
    Callback {
        key: "struct.mmu_notifier_ops#2",
        name: "clear_young",
        range: None,
    },
    Callback {
        key: "struct.mmu_notifier_ops#3",
        name: "test_young",
        range: None,
    },
    Callback {
        key: "struct.mmu_notifier_ops#4",
        name: "invalidate_range_start",
        range: Some(1),
    },
    Callback {
        key: "struct.mmu_notifier_ops#5",
        name: "invalidate_range_end",
        range: Some(1),
    },
    Callback {
        key: "struct.mmu_notifier_ops#6",
        name: "arch_invalidate_secondary_tlbs",
        range: None,
    },
];

/// Where `flags` and `event` are in `struct mmu_notifier_range`, in bytes.
const FLAGS: i64 = 24;
const EVENT: i64 = 28;

/// Returns a range that must be invalidated without blocking: the flag for blocking is not set.
pub fn range(interpreter: &Interpreter<'_>, event: Option<u32>) -> Abstract {
    let mut contents = Contents::from([(FLAGS, (32, Abstract::bits(32, 1, 0)))]);
    if let Some(event) = event {
        contents.insert(EVENT, (32, Abstract::int(32, event.into())));
    }
    Abstract::Object(interpreter.object(contents), 0)
}

/// Returns the functions that are stored in the tables, with the callback that they are.
pub fn find(program: &Program, targets: &Targets) -> BTreeMap<SymId, &'static Callback> {
    let types = call_types(program);
    let mut roots = BTreeMap::new();
    for callback in &CALLBACKS {
        let Some(key) = program.key(callback.key) else {
            continue;
        };
        let types = types.get(&key).cloned().unwrap_or_default();
        for function in targets.in_field(key, &types) {
            if program.function(function).is_some() {
                roots.entry(function).or_insert(callback);
            }
        }
    }
    roots
}

/// Returns the types of the functions that are called through each field, as kCFI checks them.
fn call_types(program: &Program) -> BTreeMap<KeyId, BTreeSet<u32>> {
    let mut types: BTreeMap<KeyId, BTreeSet<u32>> = BTreeMap::new();
    for function in program.symbols.iter().filter_map(Symbol::function) {
        for inst in &function.insts {
            if let Op::Call(call) = &inst.op {
                if let (Callee::Indirect(value), Some(kcfi)) = (&call.callee, call.kcfi) {
                    for key in function.fields(*value) {
                        types.entry(key).or_default().insert(kcfi);
                    }
                }
            }
        }
    }
    types
}
