// SPDX-License-Identifier: GPL-2.0
//! Executes functions with random numbers, to test the analysis: each run must be one of its paths, and
//! the facts must allow each of its values.
//!
//! Unknown arguments, memory and results of assembly are drawn on first use, and then kept. The facts about the arguments
//! of a root hold. A run ends at a sleep, at a fault, and at undefined behavior.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use crate::{
    interpret::{self, Contents},
    ir::*,
    scopes,
    search::Search,
    targets::prints,
    value::Abstract,
};

/// A run ends after so many instructions, or calls in calls.
const STEPS: u32 = 20_000;
const CALLS: u32 = 60;

/// Where things are: a symbol has a part of the addresses of its own, and so has each variable on the stack.
const SYMBOLS: u64 = 0xffff_8000_0000_0000;
const SYMBOL_SIZE: u64 = 1 << 24;
const HEAP: u64 = 0xffff_a000_0000_0000;
const STACK: u64 = 0xffff_c000_0000_0000;
/// The current task.
const CURRENT: u64 = 0xffff_e000_0000_0000;
/// A variable is given so many bytes that no other follows closely.
const GAP: u64 = 1 << 16;

/// Random numbers, the same for the same seed: SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// Returns a number as they are found in memory: often small, or a pointer.
    fn value(&mut self, width: u8) -> u64 {
        let value = match (self.number() % 8, width) {
            (0 | 1, _) => 0,
            (2, _) => 1,
            (3, _) => self.number(),
            (_, 64) => HEAP + (self.number() % (1 << 32)) * 4096,
            _ => self.number() >> (self.number() % 64),
        };
        value & mask(width)
    }
}

fn mask(width: u8) -> u64 {
    match width {
        0..64 => (1 << width) - 1,
        _ => u64::MAX,
    }
}

fn signed(value: u64, width: u8) -> i64 {
    let unused = 64 - u32::from(width.clamp(1, 64));
    ((value << unused) as i64) >> unused
}

/// Why a run ended.
struct Ended;

/// A variable on the stack.
struct Variable {
    start: u64,
    size: u64,
    /// Whether only stores of this run have written to it. All other bytes are undefined.
    seen: bool,
}

/// The facts about functions, each for the facts about its arguments.
pub type Known<'p> = HashMap<(SymId, Vec<Abstract>), Rc<interpret::Run<'p>>>;

/// One run.
pub struct Run<'s, 'p> {
    search: &'s Search<'p>,
    program: &'p Program,
    random: &'s mut Random,
    known: &'s mut Known<'p>,
    memory: HashMap<u64, u8>,
    variables: Vec<Variable>,
    symbols: HashSet<SymId>,
    steps: u32,
    /// The instructions that ran, in this order, each with whether it ran in a scope: see [`crate::scopes`].
    pub trace: Vec<(SymId, u32, bool)>,
    in_scope: bool,
    /// Whether a sleeping function was called.
    pub slept: bool,
    /// The first value, or block, that the analysis rules out, although it was there.
    pub ruled_out: Option<String>,
}

impl<'s, 'p> Run<'s, 'p> {
    /// Runs a root. `args` are the facts about its arguments.
    pub fn new(
        search: &'s Search<'p>,
        random: &'s mut Random,
        known: &'s mut Known<'p>,
        symbol: SymId,
        args: &[Abstract],
    ) -> Self {
        let mut run = Run {
            search,
            program: search.interpreter.program,
            random,
            known,
            memory: HashMap::new(),
            variables: vec![],
            symbols: HashSet::new(),
            steps: 0,
            trace: vec![],
            in_scope: false,
            slept: false,
            ruled_out: None,
        };
        let drawn = args.iter().map(|arg| run.argument(*arg)).collect();
        let _ = run.function(symbol, drawn, args.to_vec(), 0);
        run
    }

    /// Returns the facts about a function, given those about its arguments.
    fn facts(&mut self, symbol: SymId, args: Vec<Abstract>) -> Rc<interpret::Run<'p>> {
        let args = self.search.relevant(symbol, args);
        let interpreter = &self.search.interpreter;
        let known = self.known.entry((symbol, args));
        known
            .or_insert_with_key(|(_, args)| Rc::new(interpreter.run(symbol, args)))
            .clone()
    }

    /// Checks a fact for a number.
    fn check(&mut self, frame: &Frame<'p>, fact: Abstract, value: u64, what: Value) {
        let holds = match fact {
            Abstract::Bottom => false,
            Abstract::Bits { zero, one, .. } => value & zero == 0 && !value & one == 0,
            Abstract::Address(symbol, offset) => {
                value == self.address(symbol).wrapping_add(offset as u64)
            }
            Abstract::Object(..) | Abstract::NonNull => value != 0,
            Abstract::Top => true,
        };
        if !holds {
            self.rule_out(frame, &format!("{what:?} is {value:#x}, and not {fact:?}"));
        }
    }

    fn rule_out(&mut self, frame: &Frame<'p>, what: &str) {
        let name = self.program.name(frame.symbol);
        self.ruled_out
            .get_or_insert_with(|| format!("in {name}, {what}"));
    }

    /// Checks the facts about the values that an instruction, or the end of a block, uses.
    fn check_uses(&mut self, frame: &Frame<'p>, block: u32, values: &[Value]) {
        for value in values {
            // Any other value is drawn anew for each use.
            if matches!(value, Value::Inst(inst) if frame.values[*inst as usize].is_some()) {
                let fact = frame
                    .facts
                    .value_in(*value, block, &self.search.interpreter);
                let number = self.value(frame, *value);
                self.check(frame, fact, number, *value);
            }
        }
    }

    /// Returns a number for which a fact holds.
    fn draw(&mut self, fact: Abstract, width: u8) -> u64 {
        match fact {
            Abstract::Bits { zero, one, .. } => (self.random.value(width) & !zero) | one,
            Abstract::Address(symbol, offset) => self.address(symbol).wrapping_add(offset as u64),
            Abstract::Object(..) | Abstract::NonNull => {
                HEAP + (self.random.number() % (1 << 32)) * 4096
            }
            Abstract::Bottom | Abstract::Top => self.random.value(width),
        }
    }

    /// Draws an argument of the root.
    fn argument(&mut self, known: Abstract) -> u64 {
        // A callback is called with objects, not with null pointers.
        let pointer = HEAP + (self.random.number() % (1 << 32)) * 4096;
        match known {
            Abstract::Object(object, 0) => {
                let contents: Contents = self.search.interpreter.contents(object);
                for (offset, (width, value)) in contents {
                    let Abstract::Bits { zero, one, .. } = value else {
                        continue;
                    };
                    let value = (self.random.number() & !zero) | one;
                    self.write(pointer.wrapping_add(offset as u64), width, value);
                }
                pointer
            }
            _ => pointer,
        }
    }

    fn write(&mut self, address: u64, width: u8, value: u64) {
        for byte in 0..u64::from(width.div_ceil(8)) {
            self.memory
                .insert(address.wrapping_add(byte), (value >> (8 * byte)) as u8);
        }
    }

    fn variable(&mut self, address: u64) -> Option<&mut Variable> {
        let after = self
            .variables
            .partition_point(|variable| variable.start <= address);
        let variable = self.variables.get_mut(after.checked_sub(1)?)?;
        (address < variable.start + GAP).then_some(variable)
    }

    /// Returns the symbol of an address, and the offset in it.
    fn symbol(&self, address: u64) -> Option<(SymId, i64)> {
        let number = address.checked_sub(SYMBOLS)? / SYMBOL_SIZE;
        let offset = (address - SYMBOLS) % SYMBOL_SIZE;
        (number < self.program.symbols.len() as u64).then_some((number as SymId, offset as i64))
    }

    /// Puts the contents of a constant into memory.
    fn constant(&mut self, symbol: SymId) {
        if !self.symbols.insert(symbol) {
            return;
        }
        let program = self.program;
        let Definition::Data(data) = &program.symbols[symbol as usize].definition else {
            return;
        };
        if !data.constant {
            return;
        }
        let start = self.address(symbol);
        for (offset, width, value) in &data.ints {
            self.write(start.wrapping_add(*offset), *width, *value);
        }
        for (offset, _, target, addend) in &data.addresses {
            let target = self.address(self.program.resolve(*target));
            self.write(
                start.wrapping_add(*offset),
                64,
                target.wrapping_add(*addend as u64),
            );
        }
    }

    fn address(&self, symbol: SymId) -> u64 {
        SYMBOLS + u64::from(symbol) * SYMBOL_SIZE
    }

    /// Returns whether an access faults, for example of a null pointer.
    fn faults(address: u64) -> bool {
        address.wrapping_add(1 << 12) < 1 << 13
    }

    fn load(&mut self, address: u64, width: u8) -> Result<u64, Ended> {
        if Self::faults(address) {
            return Err(Ended);
        }
        if let Some((symbol, _)) = self.symbol(address) {
            self.constant(symbol);
        }
        let bytes = u64::from(width.div_ceil(8));
        let undefined = self.variable(address).is_some_and(|variable| variable.seen);
        let known =
            |byte: u64, memory: &HashMap<u64, u8>| memory.contains_key(&address.wrapping_add(byte));
        if (0..bytes).any(|byte| !known(byte, &self.memory)) {
            if undefined {
                return Err(Ended);
            }
            let drawn = self.random.value(width);
            for byte in 0..bytes {
                self.memory
                    .entry(address.wrapping_add(byte))
                    .or_insert((drawn >> (8 * byte)) as u8);
            }
        }
        let value = (0..bytes).rev().fold(0, |value: u64, byte| {
            (value << 8) | u64::from(self.memory[&address.wrapping_add(byte)])
        });
        Ok(value & mask(width))
    }

    /// Forgets the contents of a variable, to which code outside of the run may have written.
    fn forget(&mut self, address: u64) {
        if let Some(variable) = self.variable(address) {
            variable.seen = false;
            let (start, end) = (variable.start, variable.start + variable.size);
            self.memory
                .retain(|address, _| !(start..end).contains(address));
        }
    }

    fn value(&mut self, frame: &Frame<'_>, value: Value) -> u64 {
        match value {
            Value::Inst(inst) => match frame.values[inst as usize] {
                Some(value) => value,
                None => self.random.value(frame.function.insts[inst as usize].width),
            },
            Value::Arg(arg) => match frame.args.get(arg as usize) {
                Some(value) => *value & mask(frame.function.params[arg as usize]),
                None => self.random.value(64),
            },
            Value::Int(width, int) => int & mask(width),
            Value::Address(symbol, offset) => {
                let symbol = self.program.resolve(symbol);
                let definition = &self.program.symbols[symbol as usize];
                if definition.weak && definition.definition == Definition::None {
                    return 0;
                }
                self.address(symbol).wrapping_add(offset as u64)
            }
            Value::Unknown => self.random.value(64),
        }
    }

    fn function(
        &mut self,
        symbol: SymId,
        args: Vec<u64>,
        known: Vec<Abstract>,
        depth: u32,
    ) -> Result<Option<u64>, Ended> {
        let program = self.program;
        let function = program.function(symbol).ok_or(Ended)?;
        if depth > CALLS {
            return Err(Ended);
        }
        let mut frame = Frame {
            symbol,
            function,
            args,
            values: vec![None; function.insts.len()],
            facts: self.facts(symbol, known),
        };
        let (mut block, mut from) = (0u32, u32::MAX);
        loop {
            if self.ruled_out.is_some() {
                return Err(Ended);
            }
            if !frame.facts.live[block as usize] {
                self.rule_out(&frame, &format!("block {block} runs"));
            }
            let (first, end) = function.blocks[block as usize].insts;
            // The phis of a block have their values all at once.
            let mut chosen = vec![];
            for inst in first..end {
                if let Op::Phi(values) = &function.insts[inst as usize].op {
                    if let Some((value, _)) = values.iter().find(|value| value.1 == from) {
                        let value = self.value(&frame, *value);
                        chosen.push((inst, value));
                    }
                }
            }
            for (inst, value) in chosen {
                frame.values[inst as usize] = Some(value);
                self.check_uses(&frame, block, &[Value::Inst(inst)]);
            }
            for inst in first..end {
                self.steps += 1;
                if self.steps > STEPS {
                    return Err(Ended);
                }
                self.trace.push((symbol, inst, self.in_scope));
                let Inst { op, width, .. } = &function.insts[inst as usize];
                if !matches!(op, Op::Phi(_)) {
                    let mut used = vec![];
                    op.for_each_value(|value| used.push(value));
                    self.check_uses(&frame, block, &used);
                }
                let value = self.instruction(&frame, block, inst, depth)?;
                if let Some(value) = value {
                    frame.values[inst as usize] = Some(value & mask(*width));
                    self.check_uses(&frame, block, &[Value::Inst(inst)]);
                }
            }
            let next = match &function.blocks[block as usize].end {
                End::Jump(to) => *to,
                End::Branch(condition, yes, no) => {
                    if self.value(&frame, *condition) & 1 != 0 {
                        *yes
                    } else {
                        *no
                    }
                }
                End::Switch(value, default, cases) => {
                    let width = function.width(*value);
                    let value = self.value(&frame, *value) & mask(width);
                    let case = cases.iter().find(|case| case.0 & mask(width) == value);
                    case.map_or(*default, |case| case.1)
                }
                End::Return(value) => {
                    return Ok(value.map(|value| self.value(&frame, value)));
                }
                End::Unreachable => return Err(Ended),
                End::Any(all) => match all[..] {
                    [] => return Err(Ended),
                    _ => all[self.random.below(all.len())],
                },
            };
            (from, block) = (block, next);
        }
    }

    /// Runs an instruction, and returns its value if it has one that is not that of a phi.
    fn instruction(
        &mut self,
        frame: &Frame<'p>,
        block: u32,
        inst: u32,
        depth: u32,
    ) -> Result<Option<u64>, Ended> {
        let Inst { op, width, .. } = &frame.function.insts[inst as usize];
        let width = *width;
        let result = match op {
            Op::Phi(_) => return Ok(None),
            Op::Binary(op, a, b) => {
                let (a, b) = (self.value(frame, *a), self.value(frame, *b));
                if width == 0 {
                    return Ok(None);
                }
                binary(*op, a, b, width).ok_or(Ended)?
            }
            Op::Compare(predicate, a, b) => {
                let of = frame.function.width(*a).max(frame.function.width(*b));
                let (a, b) = (self.value(frame, *a), self.value(frame, *b));
                compare(*predicate, a, b, of).into()
            }
            Op::Select(condition, a, b) => {
                let (a, b) = (self.value(frame, *a), self.value(frame, *b));
                if self.value(frame, *condition) & 1 != 0 {
                    a
                } else {
                    b
                }
            }
            Op::Cast(cast, value, from) => {
                let value = self.value(frame, *value) & mask(*from);
                match cast {
                    Cast::SExt => signed(value, *from) as u64,
                    _ => value,
                }
            }
            Op::Freeze(value) => self.value(frame, *value),
            Op::Load(pointer, key) => {
                let address = self.value(frame, *pointer);
                let loaded = self.load(address, width)?;
                match self.search.interpreter.assumed_clear(*key) {
                    Some(mask) => loaded & !mask,
                    None => loaded,
                }
            }
            Op::Store(value, pointer, key) => {
                let bits = frame.function.width(*value);
                let (value, address) = (self.value(frame, *value), self.value(frame, *pointer));
                if Self::faults(address) || self.is_constant(address) {
                    return Err(Ended);
                }
                if (CURRENT..CURRENT + GAP).contains(&address) {
                    let scopes = &self.search.interpreter.scopes;
                    self.in_scope = scopes.is_begun(*key, value).unwrap_or(self.in_scope);
                }
                if bits == 0 {
                    self.forget(address);
                } else {
                    self.write(address, bits, value);
                }
                return Ok(None);
            }
            Op::Offset { base, by, .. } => {
                let base = self.value(frame, *base);
                match by {
                    Some(by) => base.wrapping_add(*by as u64),
                    None => {
                        self.forget(base);
                        HEAP + (self.random.number() % (1 << 32)) * 4096
                    }
                }
            }
            Op::Alloca(size) => {
                let start = STACK + self.variables.len() as u64 * GAP;
                self.variables.push(Variable {
                    start,
                    size: (*size).min(GAP),
                    seen: true,
                });
                start
            }
            Op::Call(call) => match self.call(frame, block, inst, call, depth)? {
                Some(value) => value,
                // The analysis may know more about a function without a body here.
                None => {
                    let fact = frame
                        .facts
                        .value(Value::Inst(inst), &self.search.interpreter);
                    self.draw(fact, width)
                }
            },
            Op::Other(values) => {
                for value in values {
                    let address = self.value(frame, *value);
                    self.forget(address);
                }
                self.random.value(width)
            }
        };
        Ok((width > 0).then_some(result))
    }

    fn is_constant(&self, address: u64) -> bool {
        self.symbol(address).is_some_and(|(symbol, _)| {
            matches!(&self.program.symbols[symbol as usize].definition, Definition::Data(data) if data.constant)
        })
    }

    fn call(
        &mut self,
        frame: &Frame<'p>,
        block: u32,
        inst: u32,
        call: &Call,
        depth: u32,
    ) -> Result<Option<u64>, Ended> {
        let args: Vec<u64> = call
            .args
            .iter()
            .map(|arg| self.value(frame, *arg))
            .collect();
        if scopes::is_current(self.program, call) {
            return Ok(Some(CURRENT));
        }
        let pointer = match call.callee {
            Callee::Indirect(value) => self.value(frame, value),
            _ => 0,
        };
        let targets = match call.callee {
            Callee::Indirect(_) if Self::faults(pointer) => return Err(Ended),
            // The pointer is that of a function which is known, or it is drawn.
            Callee::Indirect(_) => match self.symbol(pointer) {
                Some((symbol, 0)) => Some(vec![symbol]),
                _ => self.search.callees(frame.symbol, inst, call),
            },
            _ => self.search.callees(frame.symbol, inst, call),
        };
        let targets = targets.unwrap_or_default();
        let target = match targets[..] {
            [] => None,
            _ => Some(targets[self.random.below(targets.len())]),
        };
        if let Some(target) = target {
            let symbol = &self.program.symbols[target as usize];
            if self.search.assumes(frame.symbol, target) {
                if symbol.noreturn {
                    return Err(Ended);
                }
            } else if crate::search::is_sink(&symbol.name) {
                self.slept = true;
                return Err(Ended);
            } else if symbol.intrinsic {
                if let Some(result) = self.intrinsic(&symbol.name, &args)? {
                    return Ok(result);
                }
            } else if symbol.function().is_some() {
                let interpreter = &self.search.interpreter;
                let known = |arg: &Value| frame.facts.argument(interpreter, *arg, block);
                let known = call.args.iter().map(known).collect();
                return self.function(target, args, known, depth + 1);
            } else if symbol.noreturn {
                return Err(Ended);
            }
        }
        let printed = target.is_some_and(|target| prints(self.program.name(target)));
        for arg in args.into_iter().filter(|_| !printed) {
            self.forget(arg);
        }
        Ok(None)
    }

    /// Executes an intrinsic, if it is known.
    fn intrinsic(&mut self, name: &str, args: &[u64]) -> Result<Option<Option<u64>>, Ended> {
        if [
            "llvm.lifetime.",
            "llvm.assume",
            "llvm.dbg.",
            "llvm.experimental.noalias",
        ]
        .iter()
        .any(|start| name.starts_with(start))
        {
            return Ok(Some(None));
        }
        let copies = name.starts_with("llvm.memcpy.") || name.starts_with("llvm.memmove.");
        if !copies && !name.starts_with("llvm.memset.") {
            return Ok(None);
        }
        let [to, from, length, ..] = args[..] else {
            return Ok(None);
        };
        if length > GAP
            || Self::faults(to)
            || (copies && Self::faults(from))
            || self.is_constant(to)
        {
            return Err(Ended);
        }
        if let Some((symbol, _)) = self.symbol(from).filter(|_| copies) {
            self.constant(symbol);
        }
        let undefined = copies && self.variable(from).is_some_and(|variable| variable.seen);
        let mut bytes = vec![];
        for offset in 0..length {
            bytes.push(match self.memory.get(&from.wrapping_add(offset)) {
                _ if !copies => Some(from as u8),
                Some(byte) => Some(*byte),
                None if undefined => None,
                None => Some(self.load(from.wrapping_add(offset), 8)? as u8),
            });
        }
        for (offset, byte) in (0u64..).zip(bytes) {
            match byte {
                Some(byte) => self.memory.insert(to.wrapping_add(offset), byte),
                None => self.memory.remove(&to.wrapping_add(offset)),
            };
        }
        Ok(Some(None))
    }
}

/// A running function.
struct Frame<'p> {
    symbol: SymId,
    function: &'p Function,
    args: Vec<u64>,
    values: Vec<Option<u64>>,
    facts: Rc<interpret::Run<'p>>,
}

/// Returns the result, or nothing if there is none.
fn binary(op: Binary, a: u64, b: u64, width: u8) -> Option<u64> {
    let shift = u32::try_from(b).ok().filter(|by| *by < width.into());
    Some(match op {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::UDiv => a.checked_div(b)?,
        Binary::URem => a.checked_rem(b)?,
        Binary::Shl => a << shift?,
        Binary::LShr => a >> shift?,
        Binary::AShr => (signed(a, width) >> shift?) as u64,
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
    })
}

fn compare(predicate: Predicate, a: u64, b: u64, width: u8) -> bool {
    let (x, y) = (signed(a, width), signed(b, width));
    match predicate {
        Predicate::Eq => a == b,
        Predicate::Ne => a != b,
        Predicate::Ugt => a > b,
        Predicate::Uge => a >= b,
        Predicate::Ult => a < b,
        Predicate::Ule => a <= b,
        Predicate::Sgt => x > y,
        Predicate::Sge => x >= y,
        Predicate::Slt => x < y,
        Predicate::Sle => x <= y,
    }
}
