// SPDX-License-Identifier: GPL-2.0
//! The variables on the stack whose address a function passes to others, such as a struct of parameters.

use std::collections::HashMap;

use crate::ir::*;

/// Something that is put into a variable, by an instruction in `block`.
#[derive(Debug)]
pub enum Cell {
    Store {
        block: u32,
        offset: i64,
        width: u8,
        value: Value,
    },
    Zero {
        block: u32,
        offset: i64,
        length: i64,
    },
    Unknown {
        block: u32,
        offset: i64,
        length: i64,
    },
    /// A copy of a constant.
    Copy {
        block: u32,
        offset: i64,
        length: i64,
        symbol: SymId,
        from: i64,
    },
}

impl Cell {
    /// Returns the block, the offset and the length in bytes.
    pub fn extent(&self) -> (u32, i64, i64) {
        match self {
            Cell::Store {
                block,
                offset,
                width,
                ..
            } => (*block, *offset, (i64::from(*width) + 7) / 8),
            Cell::Zero {
                block,
                offset,
                length,
            }
            | Cell::Unknown {
                block,
                offset,
                length,
            }
            | Cell::Copy {
                block,
                offset,
                length,
                ..
            } => (*block, *offset, *length),
        }
    }
}

#[derive(Debug, Default)]
struct Variable {
    cells: Vec<Cell>,
    /// The calls with its address, by the instruction and the number of the argument.
    passed: Vec<(u32, u32)>,
}

/// The variables of a function whose every use is known.
#[derive(Debug, Default)]
pub struct Stack {
    variables: HashMap<u32, Variable>,
    /// Pointers into variables, by instruction.
    places: HashMap<u32, (u32, i64)>,
}

impl Stack {
    pub fn new(program: &Program, function: &Function) -> Self {
        let mut stack = Stack::default();
        for (index, inst) in function.insts.iter().enumerate() {
            if let Op::Alloca(_) = inst.op {
                stack.variables.insert(index as u32, Variable::default());
                stack.places.insert(index as u32, (index as u32, 0));
            }
        }
        if stack.variables.is_empty() {
            return stack;
        }
        // A pointer is computed after its base, but perhaps in an earlier block.
        loop {
            let before = stack.places.len();
            for (index, inst) in function.insts.iter().enumerate() {
                if let Op::Offset {
                    base, by: Some(by), ..
                } = inst.op
                {
                    if let Some((variable, offset)) = stack.place(base) {
                        stack.places.insert(index as u32, (variable, offset + by));
                    }
                }
            }
            if stack.places.len() == before {
                break;
            }
        }
        for (number, block) in function.blocks.iter().enumerate() {
            for index in block.insts.0..block.insts.1 {
                stack.uses(program, function, number as u32, index);
            }
            if let End::Return(Some(value)) = block.end {
                stack.lose(value);
            }
        }
        stack
    }

    fn uses(&mut self, program: &Program, function: &Function, block: u32, index: u32) {
        match &function.insts[index as usize].op {
            Op::Load(..) | Op::Compare(..) | Op::Alloca(_) | Op::Offset { by: Some(_), .. } => {}
            Op::Store(value, pointer, _) => {
                self.lose(*value);
                if let Some((variable, offset)) = self.place(*pointer) {
                    let width = function.width(*value);
                    if width == 0 {
                        self.lose(*pointer);
                    } else {
                        self.add(
                            variable,
                            Cell::Store {
                                block,
                                offset,
                                width,
                                value: *value,
                            },
                        );
                    }
                }
            }
            Op::Call(call) => self.call(program, call, block, index),
            Op::Binary(_, a, b) => [a, b].into_iter().for_each(|value| self.lose(*value)),
            Op::Select(_, a, b) => [a, b].into_iter().for_each(|value| self.lose(*value)),
            Op::Cast(_, value, _) | Op::Freeze(value) => self.lose(*value),
            Op::Phi(values) => values.iter().for_each(|(value, _)| self.lose(*value)),
            Op::Offset { base, by: None, .. } => self.lose(*base),
            Op::Other(values) => values.iter().for_each(|value| self.lose(*value)),
        }
    }

    fn call(&mut self, program: &Program, call: &Call, block: u32, index: u32) {
        if let Callee::Direct(callee) = call.callee {
            let callee = &program.symbols[callee as usize];
            if callee.intrinsic && self.intrinsic(&callee.name, &call.args, block) {
                return;
            }
        }
        for (number, arg) in call.args.iter().enumerate() {
            if let Some((variable, _)) = self.place(*arg) {
                if let Some(variable) = self.variables.get_mut(&variable) {
                    variable.passed.push((index, number as u32));
                }
            }
        }
    }

    /// Returns whether an intrinsic is known.
    fn intrinsic(&mut self, name: &str, args: &[Value], block: u32) -> bool {
        if name.starts_with("llvm.lifetime.") {
            return true;
        }
        let Some((variable, offset)) = args.first().and_then(|arg| self.place(*arg)) else {
            // A copy out of the variable only reads it.
            return name.starts_with("llvm.memcpy.");
        };
        let Some(Value::Int(64, length)) = args.get(2) else {
            return false;
        };
        let length = *length as i64;
        if name.starts_with("llvm.memset.") && args[1] == Value::Int(8, 0) {
            self.add(
                variable,
                Cell::Zero {
                    block,
                    offset,
                    length,
                },
            );
            return true;
        }
        if !name.starts_with("llvm.memcpy.") && !name.starts_with("llvm.memset.") {
            return false;
        }
        self.add(
            variable,
            match args[1] {
                Value::Address(symbol, from) => Cell::Copy {
                    block,
                    offset,
                    length,
                    symbol,
                    from,
                },
                _ => Cell::Unknown {
                    block,
                    offset,
                    length,
                },
            },
        );
        // A copy from one variable to another does not change the first.
        true
    }

    fn add(&mut self, variable: u32, cell: Cell) {
        if let Some(variable) = self.variables.get_mut(&variable) {
            variable.cells.push(cell);
        }
    }

    /// Forgets the variable that a value points into: it is used in a way that is not followed.
    fn lose(&mut self, value: Value) {
        if let Some((variable, _)) = self.place(value) {
            self.variables.remove(&variable);
        }
    }

    fn place(&self, value: Value) -> Option<(u32, i64)> {
        match value {
            Value::Inst(inst) => self.places.get(&inst).copied(),
            _ => None,
        }
    }

    /// Returns the variable behind a value, and the offset in it.
    pub fn find(&self, value: Value) -> Option<(u32, i64)> {
        self.place(value)
            .filter(|(variable, _)| self.variables.contains_key(variable))
    }

    pub fn cells(&self, variable: u32) -> &[Cell] {
        self.variables
            .get(&variable)
            .map_or(&[], |variable| &variable.cells)
    }

    /// Returns the calls with the address of a variable: the instruction, and the number of the argument.
    pub fn passed(&self, variable: u32) -> &[(u32, u32)] {
        self.variables
            .get(&variable)
            .map_or(&[], |variable| &variable.passed)
    }
}
