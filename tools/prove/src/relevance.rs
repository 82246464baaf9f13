// SPDX-License-Identifier: GPL-2.0
//! Which parameters matter: those on which a branch or the target of a call may depend, here or in a callee.
//!
//! A function is looked at once for each set of arguments, so arguments without an effect are left out.

use std::collections::{HashMap, HashSet};

use crate::ir::*;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Param {
    Of(SymId, u32),
    /// That of all functions of a kCFI type.
    OfType(u32, u32),
}

pub struct Relevance(HashSet<Param>);

impl Relevance {
    pub fn new(program: &Program) -> Self {
        let mut found: Vec<Param> = vec![];
        // Which parameters matter if this one does.
        let mut then: HashMap<Param, Vec<Param>> = HashMap::new();
        for (symbol, definition) in program.symbols.iter().enumerate() {
            let symbol = symbol as SymId;
            let Some(function) = definition.function() else {
                continue;
            };
            for param in 0..function.params.len() as u32 {
                let me = Param::Of(symbol, param);
                if let Some(kcfi) = definition.kcfi {
                    then.entry(me).or_default().push(Param::OfType(kcfi, param));
                }
            }
            let uses = Uses::new(function);
            for param in 0..function.params.len() as u32 {
                let me = Param::Of(symbol, param);
                let (decides, passed) = uses.of_param(program, function, param);
                if decides {
                    found.push(me);
                }
                for to in passed {
                    then.entry(to).or_default().push(me);
                }
            }
        }
        let mut relevant = HashSet::new();
        while let Some(param) = found.pop() {
            if relevant.insert(param) {
                found.extend(then.get(&param).into_iter().flatten());
            }
        }
        Relevance(relevant)
    }

    pub fn has(&self, symbol: SymId, param: u32) -> bool {
        self.0.contains(&Param::Of(symbol, param))
    }
}

/// The uses of each value in a function.
struct Uses {
    of_inst: Vec<Vec<u32>>,
    of_arg: Vec<Vec<u32>>,
    /// The values on which branches depend.
    decide: HashSet<Value>,
}

impl Uses {
    fn new(function: &Function) -> Self {
        let mut uses = Uses {
            of_inst: vec![vec![]; function.insts.len()],
            of_arg: vec![vec![]; function.params.len()],
            decide: HashSet::new(),
        };
        for (index, inst) in function.insts.iter().enumerate() {
            inst.op.for_each_value(|value| match value {
                Value::Inst(used) => uses.of_inst[used as usize].push(index as u32),
                Value::Arg(used) => uses.of_arg[used as usize].push(index as u32),
                _ => {}
            });
            if let Op::Store(_, Value::Inst(pointer), _) = inst.op {
                // A value stored in a variable on the stack is used where the variable is read.
                uses.of_inst[index].push(pointer);
                if let Op::Offset {
                    base: Value::Inst(base),
                    ..
                } = function.insts[pointer as usize].op
                {
                    uses.of_inst[index].push(base);
                }
            }
        }
        for block in &function.blocks {
            if let End::Branch(value, ..) | End::Switch(value, ..) = block.end {
                uses.decide.insert(value);
            }
        }
        uses
    }

    fn of_param(&self, program: &Program, function: &Function, param: u32) -> (bool, Vec<Param>) {
        let mut passed = vec![];
        let mut decides = self.decide.contains(&Value::Arg(param));
        let mut seen = HashSet::new();
        let mut work: Vec<(Value, u32)> = self.of_arg[param as usize]
            .iter()
            .map(|user| (Value::Arg(param), *user))
            .collect();
        while let Some((used, user)) = work.pop() {
            if let Op::Call(call) = &function.insts[user as usize].op {
                decides |= call.callee == Callee::Indirect(used);
                for (number, _) in call
                    .args
                    .iter()
                    .enumerate()
                    .filter(|(_, arg)| **arg == used)
                {
                    let number = number as u32;
                    match call.callee {
                        Callee::Direct(callee) => {
                            passed.push(Param::Of(program.resolve(callee), number))
                        }
                        Callee::Indirect(_) => match call.kcfi {
                            Some(kcfi) => passed.push(Param::OfType(kcfi, number)),
                            None => decides = true,
                        },
                        Callee::Asm(_) => {}
                    }
                }
            }
            if !seen.insert(user) {
                continue;
            }
            decides |= self.decide.contains(&Value::Inst(user));
            if decides {
                break;
            }
            work.extend(
                self.of_inst[user as usize]
                    .iter()
                    .map(|next| (Value::Inst(user), *next)),
            );
        }
        (decides, passed)
    }
}
