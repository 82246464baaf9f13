// SPDX-License-Identifier: GPL-2.0
//! Which functions must not sleep.
//!
//! The callbacks of MMU notifiers are found by the fields they are stored in, functions of Rust with a
//! `&NonBlockGuard` by their types in the debug information, and sections by their change of a counter.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    interpret::{Contents, Interpreter},
    ir::*,
    sections::{self, Section},
    targets::Targets,
    value::Abstract,
};

/// A field of a table of callbacks.
pub struct Callback {
    /// The struct, and the number of the field in it.
    pub key: &'static str,
    pub name: &'static str,
    /// The argument with the `struct mmu_notifier_range`, if the callback has one.
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

/// The offsets of `flags` and `event` in `struct mmu_notifier_range`, in bytes.
const FLAGS: i64 = 24;
const EVENT: i64 = 28;
/// The key of `flags`, and its bit for an invalidation with leave to block.
pub const RANGE_FLAGS: &str = "struct.mmu_notifier_range#3";
pub const RANGE_BLOCKABLE: u64 = 1;

/// A function that must not sleep.
pub struct Root {
    pub symbol: SymId,
    /// The name of the callback, or another reason for which it is a root.
    pub kind: &'static str,
    /// The argument with the range, if the function is a callback and has one.
    pub range: Option<usize>,
    /// The section to which the function is judged, and not beyond.
    pub section: Option<Section>,
}

impl Root {
    /// Returns the arguments with which the root is called.
    pub fn args(&self, interpreter: &Interpreter<'_>, event: Option<u32>) -> Vec<Abstract> {
        let function = interpreter.program.function(self.symbol);
        let count = function.map_or(0, |function| function.params.len());
        let mut args = vec![Abstract::Top; count.max(self.range.map_or(0, |range| range + 1))];
        if let Some(number) = self.range {
            args[number] = range(interpreter, event);
        }
        args
    }
}

/// Returns all functions that must not sleep, in the order of the files.
pub fn all(interpreter: &Interpreter<'_>) -> Vec<Root> {
    let program = interpreter.program;
    let root = |symbol, kind, range, section| Root {
        symbol,
        kind,
        range,
        section,
    };
    let mut all: Vec<Root> = callbacks(program, interpreter.targets)
        .into_iter()
        .map(|(symbol, callback)| root(symbol, callback.name, callback.range, None))
        .collect();
    let guarded = (0..program.symbols.len() as SymId).filter(|symbol| {
        program.symbols[*symbol as usize].guarded && program.function(*symbol).is_some()
    });
    all.extend(guarded.map(|symbol| root(symbol, "&NonBlockGuard", None, None)));
    let sections = sections::find(interpreter).into_iter();
    all.extend(sections.map(|(symbol, section)| root(symbol, "section", None, Some(section))));
    all.sort_by_key(|root| root.symbol);
    all
}

/// Returns a range to invalidate without blocking: the flag for blocking is not set.
fn range(interpreter: &Interpreter<'_>, event: Option<u32>) -> Abstract {
    let mut contents = Contents::from([(FLAGS, (32, Abstract::bits(32, RANGE_BLOCKABLE, 0)))]);
    if let Some(event) = event {
        contents.insert(EVENT, (32, Abstract::int(32, event.into())));
    }
    Abstract::Object(interpreter.object(contents), 0)
}

/// The second pass, which is no root. See above.
const FINISH: &str = "struct.mmu_interval_notifier_ops#2";

/// Returns whether the callers of callbacks call through a field, whose functions are not judged as part of their sections.
pub fn is_callback(key: &str) -> bool {
    key == FINISH || CALLBACKS.iter().any(|callback| callback.key == key)
}

/// Returns the functions that are stored in the tables, with their callback.
pub fn callbacks(program: &Program, targets: &Targets) -> BTreeMap<SymId, &'static Callback> {
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

/// Returns the types of the functions called through each field, as kCFI checks them.
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
