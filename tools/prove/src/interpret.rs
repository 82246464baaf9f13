// SPDX-License-Identifier: GPL-2.0
//! Interprets a function with facts about its arguments: which of its blocks can run, and with which values.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use crate::{
    ir::*,
    readonly::ReadOnly,
    roots::{RANGE_BLOCKABLE, RANGE_FLAGS},
    scopes::Scopes,
    stack::{Cell, Stack},
    static_calls::StaticCalls,
    targets::Targets,
    value::{Abstract, ObjectId},
};

/// How deep the results of calls are computed, and of functions of at most how many instructions.
const DEPTH: u32 = 8;
const SIZE: usize = 600;
/// After so many rounds nothing is known any more.
const ROUNDS: usize = 60;

/// The number of steps from a condition, or a value, in which a branch is found to restrict it.
const REFINEMENT: u32 = 4;

/// A function, the facts about its arguments, and whether it is called in a scope.
type Arguments = (SymId, Vec<Abstract>, bool);

/// Facts about an object in memory: by offset, a width and a value.
pub type Contents = BTreeMap<i64, (u8, Abstract)>;

/// The used parts of the analysis: all, except to measure the effect of each.
#[derive(Clone, Copy, Debug)]
pub struct Precision {
    /// Values of arguments, results and branches.
    pub values: bool,
    /// Objects on the stack whose address is passed.
    pub objects: bool,
}

/// Interprets the functions of a program.
pub struct Interpreter<'p> {
    pub program: &'p Program,
    pub targets: &'p Targets,
    pub precision: Precision,
    pub static_calls: StaticCalls,
    pub scopes: Scopes,
    read_only: ReadOnly,
    /// The bits never set in a field, by assumption, and the axiom.
    never: HashMap<KeyId, (usize, u64)>,
    /// The needed axioms.
    pub used: RefCell<BTreeSet<usize>>,
    unwritten: RefCell<HashMap<(SymId, u32), bool>>,
    stacks: RefCell<HashMap<SymId, Rc<Stack>>>,
    objects: RefCell<Vec<Contents>>,
    object_ids: RefCell<HashMap<Contents, ObjectId>>,
    results: RefCell<HashMap<Arguments, (Abstract, bool)>>,
}

/// A function as it runs with given arguments.
pub struct Run<'p> {
    pub symbol: SymId,
    pub function: &'p Function,
    pub args: Vec<Abstract>,
    values: Vec<Abstract>,
    edges: HashSet<(u32, u32)>,
    pub live: Vec<bool>,
    predecessors: Vec<Vec<u32>>,
    stack: Rc<Stack>,
    /// A field of which some bits are not set while this function runs.
    clear: Option<(KeyId, u64)>,
    /// Whether each block begins in a scope, if it is live: see [`crate::scopes`].
    scopes: Vec<bool>,
    /// Whether the current instruction is in a scope.
    in_scope: bool,
    /// The calls in a scope, and the blocks at the end of which there is one.
    calls_in_scope: HashSet<u32>,
    ends_in_scope: Vec<bool>,
}

impl<'p> Interpreter<'p> {
    pub fn new(program: &'p Program, targets: &'p Targets, precision: Precision) -> Self {
        Interpreter {
            program,
            targets,
            precision,
            static_calls: StaticCalls::new(program, targets),
            scopes: Scopes::new(program),
            read_only: Default::default(),
            never: HashMap::new(),
            used: Default::default(),
            unwritten: Default::default(),
            stacks: Default::default(),
            objects: Default::default(),
            object_ids: Default::default(),
            results: Default::default(),
        }
    }

    /// Assumes that some bits of a field are never set.
    pub fn assume(&mut self, field: &str, axiom: usize, mask: u64) {
        if let Some(key) = self.program.key(field) {
            self.never.insert(key, (axiom, mask));
        }
    }

    /// Returns the number of an object with these contents.
    pub fn object(&self, contents: Contents) -> ObjectId {
        *self
            .object_ids
            .borrow_mut()
            .entry(contents)
            .or_insert_with_key(|contents| {
                let mut objects = self.objects.borrow_mut();
                objects.push(contents.clone());
                objects.len() as ObjectId - 1
            })
    }

    /// Returns the facts about an object.
    pub fn contents(&self, object: ObjectId) -> Contents {
        self.objects.borrow()[object as usize].clone()
    }

    /// Returns the bits never set in a field, by assumption.
    pub fn assumed_clear(&self, field: KeyId) -> Option<u64> {
        Some(self.never.get(&field)?.1)
    }

    fn stack(&self, symbol: SymId, function: &Function) -> Rc<Stack> {
        if let Some(stack) = self.stacks.borrow().get(&symbol) {
            return stack.clone();
        }
        let stack = Rc::new(Stack::new(self.program, function));
        self.stacks.borrow_mut().insert(symbol, stack.clone());
        stack
    }

    /// Returns whether only the function itself writes to a variable on its stack.
    fn is_unwritten(&self, run: &Run<'_>, variable: u32) -> bool {
        let key = (run.symbol, variable);
        if let Some(known) = self.unwritten.borrow().get(&key) {
            return *known;
        }
        let result = run.stack.passed(variable).iter().all(|(inst, number)| {
            match &run.function.insts[*inst as usize].op {
                Op::Call(call) => {
                    self.read_only
                        .of_call(self.program, self.targets, run.symbol, call, *number)
                }
                _ => false,
            }
        });
        self.unwritten.borrow_mut().insert(key, result);
        result
    }

    /// Runs a function with a body.
    pub fn run(&self, symbol: SymId, args: &[Abstract]) -> Run<'p> {
        self.run_from(symbol, args, false)
    }

    /// Runs a function, perhaps called in a scope.
    pub fn run_from(&self, symbol: SymId, args: &[Abstract], scope: bool) -> Run<'p> {
        self.run_at(symbol, args, 0, None, scope)
    }

    /// Runs a function that has a section, as far as it is in it: the range that it is called for must not block.
    pub fn run_in_section(&self, symbol: SymId) -> Run<'p> {
        let flags = self.program.key(RANGE_FLAGS);
        let clear = flags.map(|flags| (flags, RANGE_BLOCKABLE));
        self.run_at(symbol, &[], 0, clear, false)
    }

    fn run_at(
        &self,
        symbol: SymId,
        args: &[Abstract],
        depth: u32,
        clear: Option<(KeyId, u64)>,
        scope: bool,
    ) -> Run<'p> {
        let function = self
            .program
            .function(symbol)
            .expect("only functions with a body are run");
        let blocks = function.blocks.len();
        let mut predecessors = vec![vec![]; blocks];
        for (block, from) in function.blocks.iter().enumerate() {
            for to in from.end.successors() {
                predecessors[to as usize].push(block as u32);
            }
        }
        let mut run = Run {
            symbol,
            function,
            args: args.to_vec(),
            values: (function.insts.iter())
                // A value that is not followed can be anything.
                .map(|inst| match inst.width {
                    0 => Abstract::Top,
                    _ => Abstract::Bottom,
                })
                .collect(),
            edges: HashSet::new(),
            live: vec![false; blocks],
            predecessors,
            stack: self.stack(symbol, function),
            clear,
            scopes: vec![true; blocks],
            in_scope: false,
            calls_in_scope: HashSet::new(),
            ends_in_scope: vec![false; blocks],
        };
        run.live[0] = true;
        run.scopes[0] = scope;
        for round in 0.. {
            if !run.round(self, depth) {
                break;
            }
            if round == ROUNDS {
                run.give_up();
                break;
            }
        }
        run
    }

    /// Returns the result of a call, perhaps made in a scope, and whether there is a scope when it returns.
    pub fn result(
        &self,
        callee: SymId,
        args: Vec<Abstract>,
        scope: bool,
        depth: u32,
    ) -> (Abstract, bool) {
        let unknown = (Abstract::Top, false);
        let callee = self.program.resolve(callee);
        let Some(function) = self.program.function(callee) else {
            return unknown;
        };
        if depth >= DEPTH || function.insts.len() > SIZE || !self.precision.values {
            return unknown;
        }
        let key = (callee, args, scope);
        if let Some(result) = self.results.borrow().get(&key) {
            return *result;
        }
        // The result of a recursive call is not known.
        self.results.borrow_mut().insert(key.clone(), unknown);
        let run = self.run_at(callee, &key.1, depth + 1, None, scope);
        let mut value = Abstract::Bottom;
        for (block, live) in function.blocks.iter().zip(&run.live) {
            if let (End::Return(Some(returned)), true) = (&block.end, live) {
                value = value.join(run.value(*returned, self));
            }
        }
        // A call may never return. It then has no value, and the caller goes on as if it returned.
        if value == Abstract::Bottom {
            value = Abstract::Top;
        }
        let result = (value, run.returns_in_scope());
        self.results.borrow_mut().insert(key, result);
        result
    }

    /// Forgets the results of calls: more is known about where scopes end.
    pub fn forget_results(&self) {
        self.results.borrow_mut().clear();
    }

    fn constant_load(&self, symbol: SymId, offset: i64, width: u8) -> Abstract {
        let symbol = self.program.resolve(symbol);
        let Definition::Data(data) = &self.program.symbols[symbol as usize].definition else {
            return Abstract::Top;
        };
        let (true, Ok(offset)) = (data.constant, u64::try_from(offset)) else {
            return Abstract::Top;
        };
        if let Some((_, _, target, addend)) =
            data.addresses.iter().find(|address| address.0 == offset)
        {
            return if width == 64 {
                Abstract::Address(*target, *addend)
            } else {
                Abstract::Top
            };
        }
        match data.ints.binary_search_by_key(&offset, |int| int.0) {
            Ok(index) if data.ints[index].1 == width => Abstract::int(width, data.ints[index].2),
            _ => Abstract::Top,
        }
    }
}

impl<'p> Run<'p> {
    /// Goes through the live blocks once. Returns whether anything changed.
    fn round(&mut self, interpreter: &Interpreter<'p>, depth: u32) -> bool {
        let mut changed = false;
        for block in 0..self.function.blocks.len() as u32 {
            if !self.live[block as usize] {
                continue;
            }
            let (first, end) = self.function.blocks[block as usize].insts;
            self.in_scope = self.scopes[block as usize];
            for inst in first..end {
                let Inst { op, width, .. } = &self.function.insts[inst as usize];
                let old = self.values[inst as usize];
                if *width > 0 && old != Abstract::Top {
                    let new = old.join(self.evaluate(interpreter, block, inst, depth));
                    if new != old {
                        self.values[inst as usize] = new;
                        changed = true;
                    }
                }
                if let Op::Call(_) = op {
                    if self.in_scope {
                        self.calls_in_scope.insert(inst);
                    } else {
                        self.calls_in_scope.remove(&inst);
                    }
                }
                let scopes = &interpreter.scopes;
                self.in_scope =
                    scopes.after(interpreter, self, (block, inst), self.in_scope, depth);
            }
            self.ends_in_scope[block as usize] = self.in_scope;
            for to in self.next(interpreter, block) {
                if self.edges.insert((block, to)) {
                    self.live[to as usize] = true;
                    changed = true;
                }
                if self.scopes[to as usize] && !self.in_scope {
                    self.scopes[to as usize] = false;
                    changed = true;
                }
            }
        }
        changed
    }

    fn give_up(&mut self) {
        self.values.fill(Abstract::Top);
        self.live.fill(true);
        self.ends_in_scope.fill(false);
        self.calls_in_scope.clear();
        for (block, from) in self.function.blocks.iter().enumerate() {
            self.edges.extend(
                from.end
                    .successors()
                    .into_iter()
                    .map(|to| (block as u32, to)),
            );
        }
    }

    /// Returns the blocks to which a live block can go on.
    fn next(&self, interpreter: &Interpreter<'p>, block: u32) -> Vec<u32> {
        let end = &self.function.blocks[block as usize].end;
        if !interpreter.precision.values {
            return end.successors();
        }
        match end {
            End::Branch(condition, yes, no) => {
                match self.value_in(*condition, block, interpreter) {
                    Abstract::Bottom => vec![],
                    value => match value.constant() {
                        Some(0) => vec![*no],
                        Some(_) => vec![*yes],
                        None => vec![*yes, *no],
                    },
                }
            }
            End::Switch(condition, default, cases) => {
                match self.value_in(*condition, block, interpreter) {
                    Abstract::Bottom => vec![],
                    Abstract::Bits { width, zero, one } => {
                        let mask = if width >= 64 {
                            u64::MAX
                        } else {
                            (1 << width) - 1
                        };
                        let may = |case: u64| case & zero == 0 && !case & one == 0;
                        let mut to: Vec<u32> = cases
                            .iter()
                            .filter(|case| may(case.0 & mask))
                            .map(|case| case.1)
                            .collect();
                        if zero | one != mask || to.is_empty() {
                            to.push(*default);
                        }
                        to
                    }
                    _ => end.successors(),
                }
            }
            _ => end.successors(),
        }
    }

    /// Returns whether a call is made in a scope.
    pub fn is_in_scope(&self, call: u32) -> bool {
        self.calls_in_scope.contains(&call)
    }

    /// Returns whether there is a scope at each return.
    pub fn returns_in_scope(&self) -> bool {
        let returns = |block: &usize| matches!(self.function.blocks[*block].end, End::Return(_));
        let mut blocks = (0..self.live.len()).filter(|block| self.live[*block] && returns(block));
        blocks.all(|block| self.ends_in_scope[block])
    }

    /// Returns whether a run may go from one block to another.
    pub fn goes(&self, from: u32, to: u32) -> bool {
        self.edges.contains(&(from, to))
    }

    /// Returns the facts about a value at each use.
    pub fn value(&self, value: Value, interpreter: &Interpreter<'p>) -> Abstract {
        match value {
            Value::Inst(inst) => self.values[inst as usize],
            Value::Arg(arg) => self
                .args
                .get(arg as usize)
                .copied()
                .unwrap_or(Abstract::Top),
            Value::Int(width, int) => Abstract::int(width, int),
            Value::Address(symbol, offset) => {
                let target = interpreter.program.resolve(symbol);
                let definition = &interpreter.program.symbols[target as usize];
                if definition.weak && definition.definition == Definition::None {
                    return Abstract::Top;
                }
                Abstract::Address(target, offset)
            }
            Value::Unknown => Abstract::Top,
        }
    }

    /// Returns the facts about a value in a block, with those from the branches that lead to the
    /// block.
    pub fn value_in(&self, value: Value, block: u32, interpreter: &Interpreter<'p>) -> Abstract {
        self.refined(value, block, interpreter, REFINEMENT)
    }

    fn refined(
        &self,
        value: Value,
        mut block: u32,
        interpreter: &Interpreter<'p>,
        depth: u32,
    ) -> Abstract {
        let known = self.value(value, interpreter);
        let refinable = matches!(known, Abstract::Top | Abstract::Bits { .. });
        if !interpreter.precision.values || !refinable || known.constant().is_some() {
            return known;
        }
        // A field is at no null pointer if its struct is at none, and so on.
        if let (Value::Inst(inst), true) = (value, depth > 0) {
            let Inst { op, width, .. } = &self.function.insts[inst as usize];
            let of = |value| self.refined(value, block, interpreter, depth - 1);
            let again = match op {
                Op::Offset {
                    base, by, inbounds, ..
                } => of(*base).offset(*by, *inbounds),
                Op::Cast(cast, from, bits) => Abstract::cast(*cast, of(*from), *bits, *width),
                Op::Freeze(from) => of(*from),
                _ => Abstract::Top,
            };
            if again.constant().is_some() || (known == Abstract::Top && again.is_nonzero()) {
                return again;
            }
        }
        for _ in 0..16 {
            let mut before = self.predecessors[block as usize]
                .iter()
                .copied()
                .filter(|from| self.edges.contains(&(*from, block)));
            let Some(from) = before.next() else {
                break;
            };
            if before.any(|other| other != from) {
                break;
            }
            if let Some(implied) = self.implied_by_edge(value, from, block) {
                return known.meet(implied);
            }
            block = from;
        }
        known
    }

    /// Returns the value after a branch from one block to another.
    fn implied_by_edge(&self, value: Value, from: u32, to: u32) -> Option<Abstract> {
        match &self.function.blocks[from as usize].end {
            End::Branch(condition, yes, no) if yes != no => {
                self.implied(*condition, *yes == to, value, REFINEMENT)
            }
            End::Switch(condition, default, cases) if *condition == value && *default != to => {
                let mut cases = cases.iter().filter(|case| case.1 == to);
                let (case, other) = (cases.next()?, cases.next());
                other
                    .is_none()
                    .then(|| Abstract::int(self.function.width(value), case.0))
            }
            _ => None,
        }
    }

    /// Returns the range of `value` if `condition` is `truth`.
    fn implied(&self, condition: Value, truth: bool, value: Value, depth: u32) -> Option<Abstract> {
        if condition == value {
            return Some(Abstract::int(1, truth.into()));
        }
        let Value::Inst(inst) = condition else {
            return None;
        };
        let op = &self.function.insts[inst as usize].op;
        let (equal, a, b) = match op {
            Op::Binary(Binary::Xor, a, Value::Int(1, 1)) if depth > 0 => {
                return self.implied(*a, !truth, value, depth - 1);
            }
            Op::Compare(Predicate::Eq, a, Value::Int(width, b)) => (truth, *a, (*width, *b)),
            Op::Compare(Predicate::Ne, a, Value::Int(width, b)) => (!truth, *a, (*width, *b)),
            Op::Cast(Cast::Trunc, a, width) if *a == value => {
                return Some(Abstract::bits(*width, u64::from(!truth), truth.into()));
            }
            // The number of a boolean, of which the lowest bit is looked at.
            Op::Cast(Cast::Trunc, Value::Inst(a), _) if depth > 0 => {
                return match self.function.insts[*a as usize].op {
                    Op::Cast(Cast::ZExt, bit, 1) => self.implied(bit, truth, value, depth - 1),
                    _ => None,
                };
            }
            Op::Freeze(a) if depth > 0 => return self.implied(*a, truth, value, depth - 1),
            _ => return None,
        };
        if a == value {
            return match (equal, b) {
                (true, (width, int)) => Some(Abstract::int(width, int)),
                (false, (64, 0)) => Some(Abstract::NonNull),
                _ => None,
            };
        }
        // A boolean that was made a number before it was compared with 0.
        if let (Value::Inst(inst), (_, 0), true) = (a, b, depth > 0) {
            if let Op::Cast(Cast::ZExt, bit, 1) = self.function.insts[inst as usize].op {
                return self.implied(bit, !equal, value, depth - 1);
            }
        }
        None
    }

    fn evaluate(
        &self,
        interpreter: &Interpreter<'p>,
        block: u32,
        inst: u32,
        depth: u32,
    ) -> Abstract {
        let Inst { op, width, .. } = &self.function.insts[inst as usize];
        let value = |value| self.value_in(value, block, interpreter);
        if !interpreter.precision.values {
            return Abstract::Top;
        }
        match op {
            Op::Binary(binary, a, b) => Abstract::binary(*binary, value(*a), value(*b), *width),
            Op::Compare(predicate, a, b) => {
                let of = self.function.width(*a).max(self.function.width(*b));
                Abstract::compare(*predicate, value(*a), value(*b), of)
            }
            Op::Select(condition, a, b) => match value(*condition) {
                Abstract::Bottom => Abstract::Bottom,
                condition => match condition.constant() {
                    Some(0) => value(*b),
                    Some(_) => value(*a),
                    None => value(*a).join(value(*b)),
                },
            },
            Op::Cast(cast, from, bits) => Abstract::cast(*cast, value(*from), *bits, *width),
            Op::Phi(values) => values
                .iter()
                .filter(|(_, from)| self.edges.contains(&(*from, block)))
                .map(|(incoming, from)| {
                    let known = self.value_in(*incoming, *from, interpreter);
                    match self.implied_by_edge(*incoming, *from, block) {
                        Some(implied) => known.meet(implied),
                        None => known,
                    }
                })
                .fold(Abstract::Bottom, Abstract::join),
            Op::Offset {
                base, by, inbounds, ..
            } => value(*base).offset(*by, *inbounds),
            Op::Alloca(_) => Abstract::NonNull,
            Op::Freeze(from) => value(*from),
            Op::Load(pointer, key) => {
                let loaded = self.load(interpreter, *pointer, *width);
                if let (Abstract::Top, Some((field, mask))) = (loaded, self.clear) {
                    if *key == field {
                        return Abstract::bits(*width, mask, 0);
                    }
                }
                if self.in_scope && loaded == Abstract::Top {
                    let scopes = &interpreter.scopes;
                    let bit = scopes.bit(interpreter.program, self.function, *pointer, *key);
                    if let Some(bit) = bit {
                        return Abstract::bits(*width, 0, bit);
                    }
                }
                match interpreter.never.get(key) {
                    Some((axiom, mask)) if loaded == Abstract::Top => {
                        interpreter.used.borrow_mut().insert(*axiom);
                        Abstract::bits(*width, *mask, 0)
                    }
                    _ => loaded,
                }
            }
            Op::Call(call) => match call.callee {
                Callee::Direct(callee) => {
                    let args: Vec<_> = call
                        .args
                        .iter()
                        .map(|arg| self.value_in(*arg, block, interpreter))
                        .collect();
                    if args.contains(&Abstract::Bottom) {
                        return Abstract::Bottom;
                    }
                    interpreter.result(callee, args, self.in_scope, depth).0
                }
                _ => Abstract::Top,
            },
            Op::Store(..) | Op::Other(_) => Abstract::Top,
        }
    }

    fn load(&self, interpreter: &Interpreter<'p>, pointer: Value, width: u8) -> Abstract {
        if let Some((variable, offset)) = self.known_variable(interpreter, pointer) {
            return self.contents_at(interpreter, variable, offset, width);
        }
        match self.value(pointer, interpreter) {
            Abstract::Bottom => Abstract::Bottom,
            Abstract::Address(symbol, offset) => interpreter.constant_load(symbol, offset, width),
            Abstract::Object(object, offset) => {
                match interpreter.objects.borrow()[object as usize].get(&offset) {
                    Some((stored, value)) if *stored == width => *value,
                    // A flag is often read as a narrower number.
                    Some((stored, value)) if *stored > width => {
                        Abstract::cast(Cast::Trunc, *value, *stored, width)
                    }
                    _ => Abstract::Top,
                }
            }
            _ => Abstract::Top,
        }
    }

    /// Returns the variable on the stack behind a value, and the offset, if no other function writes to it.
    fn known_variable(&self, interpreter: &Interpreter<'p>, value: Value) -> Option<(u32, i64)> {
        let (variable, offset) = self
            .stack
            .find(value)
            .filter(|_| interpreter.precision.objects)?;
        interpreter
            .is_unwritten(self, variable)
            .then_some((variable, offset))
    }

    /// Returns the contents of a variable on the stack, from all possible stores.
    fn contents_at(
        &self,
        interpreter: &Interpreter<'p>,
        variable: u32,
        offset: i64,
        width: u8,
    ) -> Abstract {
        let size = (i64::from(width) + 7) / 8;
        let mut result = Abstract::Bottom;
        for cell in self.stack.cells(variable) {
            let (block, start, length) = cell.extent();
            if !self.live[block as usize] || start + length <= offset || offset + size <= start {
                continue;
            }
            let inside = start <= offset && offset + size <= start + length;
            result = result.join(match cell {
                Cell::Store {
                    width: stored,
                    value,
                    ..
                } if *stored == width && start == offset => self.value(*value, interpreter),
                Cell::Zero { .. } if inside => Abstract::int(width, 0),
                Cell::Copy { symbol, from, .. } if inside => {
                    interpreter.constant_load(*symbol, from + offset - start, width)
                }
                _ => Abstract::Top,
            });
        }
        result
    }

    /// Returns an argument of a call in a block: the contents of the variable on the stack, if it points at one.
    pub fn argument(&self, interpreter: &Interpreter<'p>, value: Value, block: u32) -> Abstract {
        if let Some((variable, offset)) = self.known_variable(interpreter, value) {
            let places: HashSet<(i64, u8)> = (self.stack.cells(variable).iter())
                .filter_map(|cell| match cell {
                    Cell::Store { offset, width, .. } => Some((*offset, *width)),
                    _ => None,
                })
                .collect();
            let mut contents = Contents::new();
            for (offset, width) in places {
                let value = self.contents_at(interpreter, variable, offset, width);
                if matches!(value, Abstract::Bits { .. } | Abstract::Address(..)) {
                    contents.insert(offset, (width, value));
                }
            }
            if !contents.is_empty() {
                return Abstract::Object(interpreter.object(contents), offset);
            }
        }
        match self.value_in(value, block, interpreter) {
            Abstract::Bottom => Abstract::Top,
            value => value,
        }
    }
}
