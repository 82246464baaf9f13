// SPDX-License-Identifier: GPL-2.0
//! Finds parameters through which a function only reads: it hands these pointers only to others of this kind.

use std::{cell::RefCell, collections::HashMap};

use crate::{
    ir::*,
    targets::{prints, Targets},
};

#[derive(Default)]
pub struct ReadOnly {
    known: RefCell<HashMap<(SymId, u32), bool>>,
}

impl ReadOnly {
    /// Returns whether the callees of a call only read through its argument `number`.
    pub fn of_call(
        &self,
        program: &Program,
        targets: &Targets,
        caller: SymId,
        call: &Call,
        number: u32,
    ) -> bool {
        match call.callee {
            Callee::Direct(callee) => self.param(program, targets, program.resolve(callee), number),
            Callee::Indirect(value) => {
                let all = targets.of_call(program, caller, value, call.kcfi);
                all.into_iter()
                    .all(|target| self.param(program, targets, target, number))
            }
            Callee::Asm(_) => false,
        }
    }

    fn param(&self, program: &Program, targets: &Targets, symbol: SymId, param: u32) -> bool {
        let callee = &program.symbols[symbol as usize];
        if prints(&callee.name) {
            return true;
        }
        if callee.intrinsic {
            return callee.name.starts_with("llvm.memcpy.") && param == 1;
        }
        let Some(function) = callee
            .function()
            .filter(|function| (param as usize) < function.params.len())
        else {
            return false;
        };
        if let Some(known) = self.known.borrow().get(&(symbol, param)) {
            return *known;
        }
        // A recursive call is taken for a write.
        self.known.borrow_mut().insert((symbol, param), false);
        let result = self.only_reads(program, targets, symbol, function, param);
        self.known.borrow_mut().insert((symbol, param), result);
        result
    }

    fn only_reads(
        &self,
        program: &Program,
        targets: &Targets,
        symbol: SymId,
        function: &Function,
        param: u32,
    ) -> bool {
        let mut pointers = vec![false; function.insts.len()];
        let is = |pointers: &[bool], value: Value| match value {
            Value::Arg(arg) => arg == param,
            Value::Inst(inst) => pointers[inst as usize],
            _ => false,
        };
        loop {
            let mut changed = false;
            for (index, inst) in function.insts.iter().enumerate() {
                let derived = match &inst.op {
                    Op::Offset { base, .. } => is(&pointers, *base),
                    Op::Phi(values) => values.iter().any(|(value, _)| is(&pointers, *value)),
                    Op::Select(_, a, b) => is(&pointers, *a) || is(&pointers, *b),
                    Op::Freeze(value) => is(&pointers, *value),
                    _ => false,
                };
                if derived && !pointers[index] {
                    pointers[index] = true;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let used = |value: Value| is(&pointers, value);
        let reads = function.insts.iter().all(|inst| match &inst.op {
            Op::Store(value, pointer, _) => !used(*value) && !used(*pointer),
            Op::Call(call) => (call.args.iter().enumerate()).all(|(number, arg)| {
                !used(*arg) || self.of_call(program, targets, symbol, call, number as u32)
            }),
            Op::Cast(_, value, _) => !used(*value),
            Op::Binary(_, a, b) => !used(*a) && !used(*b),
            Op::Other(values) => !values.iter().any(|value| used(*value)),
            _ => true,
        });
        reads
            && !function
                .blocks
                .iter()
                .any(|block| matches!(block.end, End::Return(Some(value)) if used(value)))
    }
}
