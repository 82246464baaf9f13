// SPDX-License-Identifier: GPL-2.0
//! The program to judge: the part of LLVM's IR needed for it.
//!
//! An [`Object`] is one file, and its symbols are numbered by themselves. [`crate::link`] makes one [`Program`] of all.

use std::{collections::HashMap, sync::Arc};

/// A symbol: in an [`Object`] an index into its symbols, in a [`Program`] one into all.
pub type SymId = u32;

/// A name for a place in memory, such as `struct.file_operations#4`: all objects of a type share it.
pub type KeyId = u32;

/// The key of memory accessed without a type.
pub const NO_KEY: KeyId = 0;

/// A value used by an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// The result of an instruction.
    Inst(u32),
    Arg(u32),
    /// A constant and its width in bits. The null pointer is one of 64 bits.
    Int(u8, u64),
    /// The address of a symbol, and an offset.
    Address(SymId, i64),
    /// Anything else: an undefined value, a floating point number, a vector.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    UDiv,
    URem,
    Shl,
    LShr,
    AShr,
    And,
    Or,
    Xor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    Eq,
    Ne,
    Ugt,
    Uge,
    Ult,
    Ule,
    Sgt,
    Sge,
    Slt,
    Sle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    Trunc,
    ZExt,
    SExt,
    /// Between a pointer and an integer.
    Same,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callee {
    Direct(SymId),
    Indirect(Value),
    /// Inline assembly, as an index into the texts of the object or program.
    Asm(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub callee: Callee,
    pub args: Vec<Value>,
    /// The type of function expected by an indirect call, as kCFI checks it.
    pub kcfi: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Binary(Binary, Value, Value),
    Compare(Predicate, Value, Value),
    Select(Value, Value, Value),
    /// A cast from a value of so many bits.
    Cast(Cast, Value, u8),
    Phi(Vec<(Value, u32)>),
    /// A pointer, its key and whether the key is that of a pointer's own place.
    Load(Value, KeyId),
    /// A value, and the pointer and key of where it is stored.
    Store(Value, Value, KeyId),
    /// A base, and the offset from it if that is constant.
    Offset {
        base: Value,
        by: Option<i64>,
        inbounds: bool,
        key: KeyId,
    },
    /// A variable on the stack of so many bytes.
    Alloca(u64),
    Freeze(Value),
    Call(Box<Call>),
    /// Other instructions, with their values.
    Other(Vec<Value>),
}

impl Op {
    /// Calls `with` for each value of an instruction, except the callee of a direct call.
    pub fn for_each_value(&self, mut with: impl FnMut(Value)) {
        match self {
            Op::Binary(_, a, b) | Op::Compare(_, a, b) => [*a, *b].into_iter().for_each(with),
            Op::Select(a, b, c) => [*a, *b, *c].into_iter().for_each(with),
            Op::Cast(_, value, _) | Op::Freeze(value) | Op::Load(value, _) => with(*value),
            Op::Phi(values) => values.iter().for_each(|value| with(value.0)),
            Op::Store(value, pointer, _) => [*value, *pointer].into_iter().for_each(with),
            Op::Offset { base, .. } => with(*base),
            Op::Alloca(_) => {}
            Op::Call(call) => {
                if let Callee::Indirect(value) = call.callee {
                    with(value);
                }
                call.args.iter().copied().for_each(with);
            }
            Op::Other(values) => values.iter().copied().for_each(with),
        }
    }
}

impl Op {
    /// Calls `with` for each value of an instruction, which may change it.
    pub fn for_each_value_mut(&mut self, mut with: impl FnMut(&mut Value)) {
        match self {
            Op::Binary(_, a, b) | Op::Compare(_, a, b) | Op::Store(a, b, _) => {
                [a, b].into_iter().for_each(with)
            }
            Op::Select(a, b, c) => [a, b, c].into_iter().for_each(with),
            Op::Cast(_, value, _) | Op::Freeze(value) | Op::Load(value, _) => with(value),
            Op::Phi(values) => values.iter_mut().for_each(|value| with(&mut value.0)),
            Op::Offset { base, .. } => with(base),
            Op::Alloca(_) => {}
            Op::Call(call) => {
                if let Callee::Indirect(value) = &mut call.callee {
                    with(value);
                }
                call.args.iter_mut().for_each(with);
            }
            Op::Other(values) => values.iter_mut().for_each(with),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inst {
    pub op: Op,
    /// The bits of the result: 64 for a pointer, 0 if it is none that is followed.
    pub width: u8,
    /// Its place in the source: an index into the places of the function.
    pub place: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Jump(u32),
    Branch(Value, u32, u32),
    Switch(Value, u32, Vec<(u64, u32)>),
    Return(Option<Value>),
    Unreachable,
    /// Goes to any of these blocks.
    Any(Vec<u32>),
}

impl End {
    pub fn successors(&self) -> Vec<u32> {
        match self {
            End::Jump(to) => vec![*to],
            End::Branch(_, yes, no) => vec![*yes, *no],
            End::Switch(_, default, cases) => {
                let mut all = vec![*default];
                all.extend(cases.iter().map(|case| case.1));
                all
            }
            End::Return(_) | End::Unreachable => vec![],
            End::Any(all) => all.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first instruction, and the one after the last.
    pub insts: (u32, u32),
    pub end: End,
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// The width of each parameter, as in [`Inst`].
    pub params: Vec<u8>,
    pub insts: Vec<Inst>,
    pub blocks: Vec<Block>,
    pub places: Vec<Place>,
}

impl Function {
    pub fn block(&self, block: u32) -> &[Inst] {
        let (first, end) = self.blocks[block as usize].insts;
        &self.insts[first as usize..end as usize]
    }

    /// Calls `with` for each used value, which may change it.
    pub fn for_each_value_mut(&mut self, mut with: impl FnMut(&mut Value)) {
        for inst in &mut self.insts {
            inst.op.for_each_value_mut(&mut with);
        }
        for block in &mut self.blocks {
            match &mut block.end {
                End::Branch(value, ..) | End::Switch(value, ..) | End::Return(Some(value)) => {
                    with(value)
                }
                _ => {}
            }
        }
    }

    /// Returns the width of a value, as in [`Inst`].
    pub fn width(&self, value: Value) -> u8 {
        match value {
            Value::Inst(inst) => self.insts[inst as usize].width,
            Value::Arg(arg) => self.params[arg as usize],
            Value::Int(width, _) => width,
            Value::Address(..) => 64,
            Value::Unknown => 0,
        }
    }

    /// Returns the fields from which a pointer is loaded.
    pub fn fields(&self, value: Value) -> Vec<KeyId> {
        let mut found = vec![];
        let mut seen = vec![];
        let mut work = vec![value];
        while let Some(value) = work.pop() {
            let Value::Inst(inst) = value else { continue };
            if seen.contains(&inst) {
                continue;
            }
            seen.push(inst);
            match &self.insts[inst as usize].op {
                Op::Load(_, key) if *key != NO_KEY => found.push(*key),
                Op::Phi(values) => work.extend(values.iter().map(|value| value.0)),
                Op::Select(_, a, b) => work.extend([*a, *b]),
                Op::Cast(Cast::Same, value, _) | Op::Freeze(value) => work.push(*value),
                _ => {}
            }
        }
        found
    }

    pub fn place(&self, inst: u32) -> Option<&Place> {
        self.places.get(self.insts[inst as usize].place as usize)
    }
}

/// A global variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    pub constant: bool,
    /// The key of a pointer, or an array of them, that is in no struct.
    pub own_key: KeyId,
    /// The addresses in its initializer: offset, key, symbol, addend.
    pub addresses: Vec<(u64, KeyId, SymId, i64)>,
    /// The integers in the initializer of a constant: offset, width, value.
    pub ints: Vec<(u64, u8, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definition {
    /// Defined elsewhere, or nowhere.
    None,
    Function(Box<Function>),
    Data(Box<Data>),
    /// Another name of a symbol.
    Alias(SymId),
    /// Assembly, which calls the named symbols.
    Assembly(Vec<SymId>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    /// Not seen outside of its object.
    pub local: bool,
    /// Gives way to another definition of the name.
    pub weak: bool,
    /// The type of a function whose address is taken, as kCFI checks it.
    pub kcfi: Option<u32>,
    pub noreturn: bool,
    /// Whether a parameter of the function is a `&NonBlockGuard`: its callers are in a non-blocking section.
    pub guarded: bool,
    /// An intrinsic of LLVM, which calls nothing.
    pub intrinsic: bool,
    pub definition: Definition,
}

impl Symbol {
    pub fn function(&self) -> Option<&Function> {
        match &self.definition {
            Definition::Function(function) => Some(function),
            _ => None,
        }
    }
}

/// One file of bitcode.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Object {
    pub path: String,
    pub symbols: Vec<Symbol>,
    pub keys: Vec<String>,
    pub asm: Vec<String>,
    /// Assembly outside of functions.
    pub module_asm: String,
}

/// All files together.
#[derive(Debug, Default)]
pub struct Program {
    pub symbols: Vec<Symbol>,
    /// The file of a symbol's definition, as an index into `files`.
    pub file: Vec<u32>,
    pub files: Vec<String>,
    pub keys: Vec<String>,
    pub asm: Vec<String>,
    /// The symbols known to more than one file.
    pub names: HashMap<String, SymId>,
}

impl Program {
    /// The symbol that stands behind a chain of aliases.
    pub fn resolve(&self, mut symbol: SymId) -> SymId {
        for _ in 0..8 {
            match self.symbols[symbol as usize].definition {
                Definition::Alias(target) => symbol = target,
                _ => break,
            }
        }
        symbol
    }

    pub fn name(&self, symbol: SymId) -> &str {
        &self.symbols[symbol as usize].name
    }

    pub fn function(&self, symbol: SymId) -> Option<&Function> {
        self.symbols[symbol as usize].function()
    }

    pub fn key(&self, name: &str) -> Option<KeyId> {
        self.keys
            .iter()
            .position(|key| key == name)
            .map(|key| key as KeyId)
    }
}
