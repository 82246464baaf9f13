// SPDX-License-Identifier: GPL-2.0
//! The scope between `memalloc_noreclaim_save()` and `memalloc_noreclaim_restore()`, in which no allocation waits for memory.
//!
//! The scope is a bit in the flags of the task. The kernel looks at it before `might_sleep()` in `might_alloc()`, and
//! before it reclaims. So a load of the flags of the task has the bit in the scope, and branches do the rest.
//! Only the task itself changes its flags.

use std::{
    cell::{OnceCell, RefCell},
    collections::{BTreeSet, HashMap, HashSet},
};

use crate::{
    assembly::{self, Calls},
    interpret::{Interpreter, Run},
    ir::*,
    value::Abstract,
};

/// The helper of Rust with nothing but the start of a scope: it shows the field, and the bit in it.
const START: &str = "rust_helper_memalloc_noreclaim_save";

/// The variables from which inline assembly loads the pointer to the current task.
const CURRENT: [&str; 2] = ["current_task", "const_current_task"];

/// The scopes of a program.
pub struct Scopes {
    /// The field of the task, and the bit in it. There are no scopes in a program without the helper.
    flag: Option<(KeyId, u64)>,
    /// The functions that may change the bit.
    change: HashSet<SymId>,
    /// The functions from which calls by name lead to one of those, each with the callees on such a way.
    reach: OnceCell<HashMap<SymId, Vec<SymId>>>,
    /// The settled functions that may return without the scope in which they are called.
    end: RefCell<HashSet<SymId>>,
    settled: RefCell<HashSet<SymId>>,
}

impl Scopes {
    pub fn new(program: &Program) -> Self {
        let flag = flag(program);
        let changes = |function: &Function| {
            function.insts.iter().any(|inst| match inst.op {
                Op::Store(value, pointer, key) => {
                    flag.is_some_and(|flag| flag.0 == key && !keeps(function, value, pointer, flag))
                }
                _ => false,
            })
        };
        let change = (0..program.symbols.len() as SymId)
            .filter(|symbol| program.function(*symbol).is_some_and(changes))
            .collect();
        Scopes {
            flag,
            change,
            reach: OnceCell::new(),
            end: Default::default(),
            settled: Default::default(),
        }
    }

    /// Returns the bit in the flags of the task, if a load is one of them.
    pub fn bit(
        &self,
        program: &Program,
        function: &Function,
        pointer: Value,
        key: KeyId,
    ) -> Option<u64> {
        let (_, bit) = self.flag.filter(|flag| flag.0 == key)?;
        is_of_current(program, function, pointer).then_some(bit)
    }

    /// Returns whether there is a scope after a store of a number to the current task, if it is one to its flags.
    pub fn is_begun(&self, key: KeyId, stored: u64) -> Option<bool> {
        let (_, bit) = self.flag.filter(|flag| flag.0 == key)?;
        Some(stored & bit != 0)
    }

    /// Returns whether the bit is known to be set after an instruction of a run, given whether it was before.
    pub fn after(
        &self,
        interpreter: &Interpreter<'_>,
        run: &Run<'_>,
        (block, inst): (u32, u32),
        before: bool,
        depth: u32,
    ) -> bool {
        let Some((flags, bit)) = self.flag else {
            return false;
        };
        let program = interpreter.program;
        match &run.function.insts[inst as usize].op {
            Op::Store(value, pointer, key) if *key == flags => {
                // Another bit is changed.
                if keeps(run.function, *value, *pointer, (flags, bit)) {
                    return before;
                }
                let set = match run.value_in(*value, block, interpreter) {
                    Abstract::Bits { one, .. } => one & bit != 0,
                    value => value == Abstract::Bottom,
                };
                // Another pointer may be to this task, too.
                set && (before || is_of_current(program, run.function, *pointer))
            }
            Op::Call(call) => {
                if before && !self.call_ends(interpreter, run.symbol, call) {
                    return true;
                }
                let Callee::Direct(callee) = call.callee else {
                    return false;
                };
                let callee = program.resolve(callee);
                if !self.change.contains(&callee) {
                    return false;
                }
                // With these arguments it may be another matter.
                let args = |arg: &Value| run.value_in(*arg, block, interpreter);
                let args: Vec<_> = call.args.iter().map(args).collect();
                // No run comes here yet.
                args.contains(&Abstract::Bottom)
                    || interpreter.result(callee, args, before, depth).1
            }
            _ => before,
        }
    }

    /// Returns whether a call may return without the scope in which it is made.
    ///
    /// Scopes nest: a function that is called by its address ends the scope if it does so itself, and not by a call.
    fn call_ends(&self, interpreter: &Interpreter<'_>, caller: SymId, call: &Call) -> bool {
        let program = interpreter.program;
        let ends = |symbol: &SymId| self.ends(interpreter, *symbol);
        let itself = |symbol: &SymId| self.change.contains(symbol) && ends(symbol);
        match call.callee {
            Callee::Direct(callee) => {
                let callee = program.resolve(callee);
                let key = program.name(callee).strip_prefix("__SCT__");
                match key.map(|key| interpreter.static_calls.of(key)) {
                    Some(targets) => targets.into_iter().flatten().any(itself),
                    None => ends(&callee),
                }
            }
            Callee::Indirect(value) => {
                let targets = &interpreter.targets;
                (targets.of_call(program, caller, value, call.kcfi).iter()).any(itself)
            }
            Callee::Asm(text) => {
                let text = &program.asm[text as usize];
                let fields = assembly::inline_fields(program, text, &call.args);
                let mut through =
                    (fields.iter()).flat_map(|key| interpreter.targets.stored_in(*key));
                // An unknown call is no proved path.
                let named = match assembly::inline_calls(program, text, &call.args) {
                    Calls::Functions(functions) => functions,
                    Calls::Unknown => vec![],
                };
                named.iter().any(itself) || through.any(|target| itself(&target))
            }
        }
    }

    /// Returns whether a function may return without the scope in which it is called.
    fn ends(&self, interpreter: &Interpreter<'_>, symbol: SymId) -> bool {
        let reach = self
            .reach
            .get_or_init(|| reach(interpreter.program, &self.change));
        if !reach.contains_key(&symbol) {
            return false;
        }
        // Begin with the functions in `change`: they are the targets of calls by address.
        let first = self.settled.borrow().is_empty();
        let mut work: Vec<SymId> = if first {
            self.change.iter().copied().collect()
        } else {
            vec![]
        };
        work.push(symbol);
        let mut open = BTreeSet::new();
        while let Some(symbol) = work.pop() {
            if self.settled.borrow_mut().insert(symbol) {
                open.insert(symbol);
                work.extend(reach.get(&symbol).into_iter().flatten());
            }
        }
        // The least set: a function ends no scope until it, or one that it calls, is seen to.
        loop {
            let more: Vec<SymId> = (open.iter().copied())
                .filter(|symbol| !interpreter.run_from(*symbol, &[], true).returns_in_scope())
                .collect();
            if more.is_empty() {
                break;
            }
            open.retain(|symbol| !more.contains(symbol));
            self.end.borrow_mut().extend(more);
            interpreter.forget_results();
        }
        self.end.borrow().contains(&symbol)
    }
}

/// Returns the functions from which calls by name lead to one of `found`, each with the callees on such a way.
fn reach(program: &Program, found: &HashSet<SymId>) -> HashMap<SymId, Vec<SymId>> {
    let mut callers: HashMap<SymId, BTreeSet<SymId>> = HashMap::new();
    for symbol in 0..program.symbols.len() as SymId {
        let Some(function) = program.function(symbol) else {
            continue;
        };
        for inst in &function.insts {
            if let Op::Call(call) = &inst.op {
                if let Callee::Direct(callee) = call.callee {
                    let callee = program.resolve(callee);
                    callers.entry(callee).or_default().insert(symbol);
                }
            }
        }
    }
    let mut reach: HashMap<SymId, Vec<SymId>> = HashMap::new();
    let mut seen = found.clone();
    let mut work: Vec<SymId> = found.iter().copied().collect();
    while let Some(symbol) = work.pop() {
        reach.entry(symbol).or_default();
        for caller in callers.get(&symbol).into_iter().flatten() {
            reach.entry(*caller).or_default().push(symbol);
            if seen.insert(*caller) {
                work.push(*caller);
            }
        }
    }
    reach
}

/// Returns whether the bit in a number is as it was in the field it is stored to.
fn keeps(function: &Function, value: Value, pointer: Value, flag: (KeyId, u64)) -> bool {
    let Value::Inst(inst) = value else {
        return false;
    };
    let (flags, bit) = flag;
    match function.insts[inst as usize].op {
        Op::Load(from, key) => key == flags && from == pointer,
        Op::Binary(Binary::Or, old, Value::Int(_, more)) => {
            more & bit == 0 && keeps(function, old, pointer, flag)
        }
        Op::Binary(Binary::And, old, Value::Int(_, mask)) => {
            mask & bit != 0 && keeps(function, old, pointer, flag)
        }
        _ => false,
    }
}

/// Returns the field, and the bit set by the helper.
fn flag(program: &Program) -> Option<(KeyId, u64)> {
    let start = program.function(program.resolve(*program.names.get(START)?))?;
    start.insts.iter().find_map(|inst| {
        let Op::Store(Value::Inst(value), _, key) = inst.op else {
            return None;
        };
        let Op::Binary(Binary::Or, Value::Inst(old), Value::Int(_, bit)) =
            start.insts[value as usize].op
        else {
            return None;
        };
        match start.insts[old as usize].op {
            Op::Load(_, from) if from == key && key != NO_KEY => Some((key, bit)),
            _ => None,
        }
    })
}

/// Returns whether a pointer is one into the task that runs.
fn is_of_current(program: &Program, function: &Function, pointer: Value) -> bool {
    let mut value = pointer;
    while let Value::Inst(inst) = value {
        value = match &function.insts[inst as usize].op {
            Op::Offset {
                base, by: Some(_), ..
            } => *base,
            Op::Cast(Cast::Same, from, _) | Op::Freeze(from) => *from,
            Op::Call(call) => return is_current(program, call),
            _ => return false,
        };
    }
    false
}

/// Returns whether a call is the inline assembly that loads the pointer to the current task.
pub fn is_current(program: &Program, call: &Call) -> bool {
    let named = |arg: &Value| matches!(arg, Value::Address(symbol, 0) if CURRENT.contains(&program.name(*symbol)));
    matches!(call.callee, Callee::Asm(text) if program.asm[text as usize].starts_with("mov"))
        && call.args.iter().any(named)
}
