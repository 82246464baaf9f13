// SPDX-License-Identifier: GPL-2.0
//! Finds the functions behind a static call: the initial one of its key, and its updates.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ir::*, targets::Targets};

/// The targets of each static call by its name, or `None` if one of them is not known.
pub struct StaticCalls(BTreeMap<String, Option<BTreeSet<SymId>>>);

impl StaticCalls {
    pub fn new(program: &Program, targets: &Targets) -> Self {
        let mut calls: BTreeMap<String, Option<BTreeSet<SymId>>> = BTreeMap::new();
        for symbol in &program.symbols {
            let Some(key) = symbol.name.strip_prefix("__SCK__") else {
                continue;
            };
            if let Definition::Data(data) = &symbol.definition {
                let found = data
                    .addresses
                    .iter()
                    .map(|address| program.resolve(address.2));
                let is_data = |target: &SymId| {
                    let definition = &program.symbols[*target as usize].definition;
                    matches!(definition, Definition::Data(_))
                };
                let found = found.filter(|target| !is_data(target));
                // The trampoline of a call stands for a function that does nothing.
                let found = found.filter(|target| !program.name(*target).starts_with("__SCT__"));
                calls.insert(key.into(), Some(found.collect()));
            }
        }
        for (symbol, definition) in program.symbols.iter().enumerate() {
            let Some(function) = definition.function() else {
                continue;
            };
            for inst in &function.insts {
                let Some((key, trampoline, to)) = update(program, inst) else {
                    continue;
                };
                let entry = calls
                    .entry(key.into())
                    .or_insert_with(|| Some(BTreeSet::new()));
                let Some(known) = entry else { continue };
                let found = match to {
                    Value::Address(target, 0) => vec![program.resolve(target)],
                    Value::Int(64, 0) => vec![],
                    // A function that is picked at boot, such as one of a table for the processor: any that may be there, if
                    // the type of the trampoline is known. If no function is stored in the field, the call does nothing.
                    _ => {
                        let kcfi = program.symbols[trampoline as usize].kcfi;
                        let found = targets.of_call(program, symbol as SymId, to, kcfi);
                        let empty_field = found.is_empty() && !function.fields(to).is_empty();
                        if kcfi.is_none() || found.is_empty() && !empty_field {
                            *entry = None;
                            continue;
                        }
                        found
                    }
                };
                known.extend(found);
            }
        }
        StaticCalls(calls)
    }

    /// Returns the targets of a static call, if all of them are known.
    pub fn of(&self, key: &str) -> Option<&BTreeSet<SymId>> {
        self.0.get(key)?.as_ref()
    }
}

/// Returns the name of the static call that an instruction updates, its trampoline, and the new function.
fn update<'p>(program: &'p Program, inst: &Inst) -> Option<(&'p str, SymId, Value)> {
    let Op::Call(call) = &inst.op else {
        return None;
    };
    let Callee::Direct(callee) = call.callee else {
        return None;
    };
    match call.args[..] {
        [Value::Address(key, 0), Value::Address(trampoline, 0), to]
            if program.name(callee) == "__static_call_update" =>
        {
            let key = program.name(key).strip_prefix("__SCK__")?;
            Some((key, program.resolve(trampoline), to))
        }
        _ => None,
    }
}
