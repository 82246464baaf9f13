// SPDX-License-Identifier: GPL-2.0
//! Which functions an indirect call may call.
//!
//! Each function pointer is followed from where its function is named to where it is called, through the fields of
//! structs, parameters and return values. A field is the same place in all objects of its type. Memory that is accessed
//! without a type is one place. In addition a target has the type that kCFI checks.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::ir::*;

/// A place through which function pointers flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    /// A field; with [`NO_KEY`], memory that is accessed without a type.
    Field(KeyId),
    Param(SymId, u32),
    /// A parameter of every function of a kCFI type.
    ParamOf(u32, u32),
    Return(SymId),
    /// Functions that any field may hold: those of initializers without types, and of Rust's memory.
    Anywhere,
}

/// Functions with a variable number of arguments, which they print: a function that is printed by
/// `%pS` is not called.
const PRINTERS: [&str; 12] = [
    "_printk",
    "_printk_deferred",
    "__warn_printk",
    "__WARN_validate_printf",
    "_dev_printk",
    "_dev_err",
    "_dev_warn",
    "_dev_info",
    "snprintf",
    "scnprintf",
    "sprintf",
    "seq_printf",
];

/// Returns whether a function only prints its arguments.
pub fn prints(function: &str) -> bool {
    PRINTERS.contains(&function)
}

/// The number of the node for untyped memory.
const UNTYPED: usize = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Function(SymId),
    Node(Node),
}

/// Which of the two filters are used: both, except to measure the effect of each.
#[derive(Clone, Copy, Debug)]
pub struct Filters {
    pub fields: bool,
    pub kcfi: bool,
}

#[derive(Debug)]
pub struct Targets {
    filters: Filters,
    ids: HashMap<Node, usize>,
    functions: Vec<BTreeSet<SymId>>,
    edges: Vec<HashSet<usize>>,
    /// The nodes to which all flows that is in untyped memory.
    reads_untyped: Vec<bool>,
    /// The functions whose address is taken, by their kCFI type.
    by_type: HashMap<u32, Vec<SymId>>,
    taken: BTreeSet<SymId>,
    /// The files whose accesses have no types: those of Rust.
    untyped: Vec<bool>,
}

impl Targets {
    pub fn new(program: &Program, filters: Filters) -> Self {
        let mut targets = Targets {
            filters,
            ids: HashMap::new(),
            functions: vec![],
            edges: vec![],
            reads_untyped: vec![],
            by_type: HashMap::new(),
            taken: BTreeSet::new(),
            untyped: program
                .files
                .iter()
                .map(|file| file.ends_with(".bc"))
                .collect(),
        };
        assert_eq!(targets.id(Node::Field(NO_KEY)), UNTYPED);
        targets.find_taken(program);
        for symbol in 0..program.symbols.len() as SymId {
            match &program.symbols[symbol as usize].definition {
                Definition::Function(function) => targets.flows(program, symbol, function),
                Definition::Data(data) => targets.initializer(program, symbol, data),
                _ => {}
            }
        }
        for (kcfi, functions) in targets.by_type.clone() {
            for function in functions {
                let params = program
                    .function(function)
                    .map_or(0, |function| function.params.len() as u32);
                for param in 0..params {
                    if targets.ids.contains_key(&Node::ParamOf(kcfi, param)) {
                        targets.edge(Node::ParamOf(kcfi, param), Node::Param(function, param));
                    }
                }
                // The results of indirect calls are not followed.
                if targets.ids.contains_key(&Node::Return(function)) {
                    targets.edge(Node::Return(function), Node::Field(NO_KEY));
                }
            }
        }
        targets.solve();
        targets
    }

    /// Finds the functions that are named other than to call them.
    fn find_taken(&mut self, program: &Program) {
        let mut take = |symbol: SymId| {
            let symbol = program.resolve(symbol);
            let function = &program.symbols[symbol as usize];
            // The trampoline of a static call is only named to be patched.
            if function.name.starts_with("__SCT__") {
                return;
            }
            if matches!(function.definition, Definition::Data(_))
                || function.intrinsic
                || !self.taken.insert(symbol)
            {
                return;
            }
            if let Some(kcfi) = function.kcfi {
                self.by_type.entry(kcfi).or_default().push(symbol);
            }
        };
        for symbol in &program.symbols {
            match &symbol.definition {
                Definition::Function(function) => {
                    for inst in &function.insts {
                        inst.op.for_each_value(|value| {
                            if let Value::Address(symbol, _) = value {
                                take(symbol);
                            }
                        });
                    }
                    for block in &function.blocks {
                        if let End::Return(Some(Value::Address(symbol, _))) = block.end {
                            take(symbol);
                        }
                    }
                }
                Definition::Data(data) if !is_bookkeeping(&symbol.name) => {
                    data.addresses.iter().for_each(|address| take(address.2));
                }
                _ => {}
            }
        }
    }

    fn id(&mut self, node: Node) -> usize {
        *self.ids.entry(node).or_insert_with(|| {
            self.functions.push(BTreeSet::new());
            self.edges.push(HashSet::new());
            self.reads_untyped.push(false);
            self.functions.len() - 1
        })
    }

    fn edge(&mut self, from: Node, to: Node) {
        let (from, to) = (self.id(from), self.id(to));
        if from == UNTYPED {
            self.reads_untyped[to] = true;
        } else if from != to {
            self.edges[from].insert(to);
        }
    }

    fn flow(&mut self, program: &Program, source: Source, to: Node) {
        match source {
            Source::Function(symbol) => {
                let symbol = program.resolve(symbol);
                let to = self.id(to);
                self.functions[to].insert(symbol);
            }
            Source::Node(from) => self.edge(from, to),
        }
    }

    /// A place whose address is passed on may be accessed without its type.
    fn escape(&mut self, key: KeyId) {
        if key != NO_KEY {
            self.edge(Node::Field(key), Node::Field(NO_KEY));
            self.edge(Node::Field(NO_KEY), Node::Field(key));
        }
    }

    fn escapes(&mut self, program: &Program, function: &Function, value: Value) {
        match value {
            Value::Inst(inst) => {
                if let Op::Offset { key, .. } = function.insts[inst as usize].op {
                    self.escape(key);
                }
            }
            Value::Address(symbol, _) => {
                if let Definition::Data(data) = &program.symbols[symbol as usize].definition {
                    self.escape(data.own_key);
                }
            }
            _ => {}
        }
    }

    fn initializer(&mut self, program: &Program, symbol: SymId, data: &Data) {
        if is_bookkeeping(program.name(symbol)) {
            return;
        }
        let untyped = self.untyped[program.file[symbol as usize] as usize];
        for (_, key, target, _) in &data.addresses {
            let target = program.resolve(*target);
            match &program.symbols[target as usize].definition {
                Definition::Data(data) => self.escape(data.own_key),
                _ => {
                    let node = if *key == NO_KEY || untyped {
                        Node::Anywhere
                    } else {
                        Node::Field(*key)
                    };
                    self.flow(program, Source::Function(target), node);
                }
            }
        }
    }

    /// Adds where the function pointers in a function go.
    fn flows(&mut self, program: &Program, symbol: SymId, function: &Function) {
        let untyped = self.untyped[program.file[symbol as usize] as usize];
        let memory = |key| {
            if untyped && key == NO_KEY {
                Node::Anywhere
            } else {
                Node::Field(key)
            }
        };
        for inst in &function.insts {
            match &inst.op {
                Op::Store(value, _, key) => {
                    self.pass(program, symbol, function, *value, memory(*key))
                }
                Op::Call(call) => {
                    for (index, arg) in call.args.iter().enumerate() {
                        let index = index as u32;
                        let to = match &call.callee {
                            Callee::Direct(callee) => {
                                let callee = program.resolve(*callee);
                                let target = &program.symbols[callee as usize];
                                let lifetime =
                                    target.intrinsic && target.name.starts_with("llvm.lifetime");
                                // static_calls finds the targets of static calls.
                                let patches = target.name == "__static_call_update";
                                if lifetime || patches || prints(&target.name) {
                                    continue;
                                }
                                match &target.definition {
                                    Definition::Function(body)
                                        if (index as usize) < body.params.len() =>
                                    {
                                        Node::Param(callee, index)
                                    }
                                    _ => Node::Field(NO_KEY),
                                }
                            }
                            Callee::Indirect(_) => call
                                .kcfi
                                .map_or(Node::Field(NO_KEY), |kcfi| Node::ParamOf(kcfi, index)),
                            Callee::Asm(_) => Node::Field(NO_KEY),
                        };
                        self.pass(program, symbol, function, *arg, to);
                    }
                }
                Op::Phi(values) => {
                    values
                        .iter()
                        .for_each(|(value, _)| self.escapes(program, function, *value));
                }
                Op::Select(_, a, b) => {
                    self.escapes(program, function, *a);
                    self.escapes(program, function, *b);
                }
                Op::Offset {
                    base,
                    key: NO_KEY,
                    by,
                    ..
                } if *by != Some(0) => self.escapes(program, function, *base),
                Op::Binary(_, a, b) => {
                    self.pass(program, symbol, function, *a, Node::Field(NO_KEY));
                    self.pass(program, symbol, function, *b, Node::Field(NO_KEY));
                }
                Op::Other(values) => {
                    for value in values {
                        self.pass(program, symbol, function, *value, memory(NO_KEY));
                    }
                }
                _ => {}
            }
        }
        for block in &function.blocks {
            if let End::Return(Some(value)) = block.end {
                self.pass(program, symbol, function, value, Node::Return(symbol));
            }
        }
    }

    fn pass(
        &mut self,
        program: &Program,
        symbol: SymId,
        function: &Function,
        value: Value,
        to: Node,
    ) {
        if matches!(value, Value::Int(..) | Value::Unknown) {
            return;
        }
        self.escapes(program, function, value);
        for source in sources(program, symbol, function, value) {
            self.flow(program, source, to);
        }
    }

    /// Lets all functions flow to where they can get. The large contents of untyped memory are not copied: a node
    /// to which they flow is only marked.
    fn solve(&mut self) {
        let mut marked: Vec<usize> = (0..self.edges.len())
            .filter(|node| self.reads_untyped[*node])
            .collect();
        while let Some(node) = marked.pop() {
            for to in &self.edges[node] {
                if *to != UNTYPED && !self.reads_untyped[*to] {
                    self.reads_untyped[*to] = true;
                    marked.push(*to);
                }
            }
        }
        let mut work: Vec<(usize, SymId)> = vec![];
        for (node, functions) in self.functions.iter().enumerate() {
            work.extend(functions.iter().map(|function| (node, *function)));
        }
        while let Some((node, function)) = work.pop() {
            for to in &self.edges[node] {
                if self.functions[*to].insert(function) {
                    work.push((*to, function));
                }
            }
        }
    }

    /// Returns whether the address of a function is taken.
    pub fn is_taken(&self, symbol: SymId) -> bool {
        self.taken.contains(&symbol)
    }

    /// Returns the functions that may be called by an indirect call of `value` in function `symbol`.
    pub fn of_call(
        &self,
        program: &Program,
        symbol: SymId,
        value: Value,
        kcfi: Option<u32>,
    ) -> Vec<SymId> {
        let typed: Vec<SymId> = match kcfi {
            Some(kcfi) if self.filters.kcfi => self.by_type.get(&kcfi).cloned().unwrap_or_default(),
            _ => self
                .taken
                .iter()
                .copied()
                .filter(|symbol| program.function(*symbol).is_some())
                .collect(),
        };
        let untyped = self.untyped[program.file[symbol as usize] as usize];
        if !self.filters.fields || untyped {
            return typed;
        }
        let Some(function) = program.function(symbol) else {
            return typed;
        };
        let mut named = vec![];
        let mut nodes = vec![Node::Anywhere];
        for source in sources(program, symbol, function, value) {
            match source {
                Source::Function(symbol) => named.push(program.resolve(symbol)),
                Source::Node(node) => nodes.push(node),
            }
        }
        typed
            .into_iter()
            .filter(|symbol| named.contains(symbol) || self.in_any(&nodes, *symbol))
            .collect()
    }

    fn in_any(&self, nodes: &[Node], symbol: SymId) -> bool {
        nodes
            .iter()
            .filter_map(|node| self.ids.get(node))
            .any(|id| {
                self.functions[*id].contains(&symbol)
                    || self.reads_untyped[*id] && self.functions[UNTYPED].contains(&symbol)
            })
    }

    /// Returns the functions that are stored in a field, or that have the type of a call through it and may be anywhere.
    pub fn in_field(&self, key: KeyId, types: &BTreeSet<u32>) -> BTreeSet<SymId> {
        let mut found = self.in_node(Node::Field(key));
        let typed: BTreeSet<SymId> = types
            .iter()
            .flat_map(|kcfi| self.by_type.get(kcfi).into_iter().flatten())
            .copied()
            .collect();
        found.retain(|symbol| typed.contains(symbol));
        found.extend(self.in_node(Node::Anywhere).intersection(&typed));
        found
    }

    /// Returns the functions that are stored in a field, of any type.
    pub fn stored_in(&self, key: KeyId) -> BTreeSet<SymId> {
        self.in_node(Node::Field(key))
    }

    fn in_node(&self, node: Node) -> BTreeSet<SymId> {
        let Some(id) = self.ids.get(&node) else {
            return BTreeSet::new();
        };
        let mut found = self.functions[*id].clone();
        if self.reads_untyped[*id] {
            found.extend(&self.functions[UNTYPED]);
        }
        found
    }
}

/// Returns whether a variable only keeps symbols alive or exports them, so no call goes through it.
fn is_bookkeeping(name: &str) -> bool {
    name.starts_with("llvm.")
        || name.contains("__UNIQUE_ID_")
        || name.starts_with("__export_symbol")
}

/// Returns where a pointer comes from.
fn sources(program: &Program, symbol: SymId, function: &Function, value: Value) -> Vec<Source> {
    let mut found = vec![];
    let mut seen = HashSet::new();
    let mut work = vec![value];
    while let Some(value) = work.pop() {
        let inst = match value {
            Value::Address(symbol, _) => {
                let target = program.resolve(symbol);
                if !matches!(
                    program.symbols[target as usize].definition,
                    Definition::Data(_)
                ) {
                    found.push(Source::Function(target));
                }
                continue;
            }
            Value::Arg(arg) => {
                found.push(Source::Node(Node::Param(symbol, arg)));
                continue;
            }
            Value::Inst(inst) => inst,
            _ => continue,
        };
        if !seen.insert(inst) {
            continue;
        }
        let inst = &function.insts[inst as usize];
        if inst.width != 64 {
            continue;
        }
        match &inst.op {
            Op::Phi(values) => work.extend(values.iter().map(|value| value.0)),
            Op::Select(_, a, b) => work.extend([*a, *b]),
            Op::Cast(Cast::Same, value, _) | Op::Freeze(value) => work.push(*value),
            Op::Load(_, key) => found.push(Source::Node(Node::Field(*key))),
            Op::Call(call) => match call.callee {
                Callee::Direct(callee) => {
                    let callee = program.resolve(callee);
                    let node = if program.function(callee).is_some() {
                        Node::Return(callee)
                    } else {
                        Node::Field(NO_KEY)
                    };
                    found.push(Source::Node(node));
                }
                _ => found.push(Source::Node(Node::Field(NO_KEY))),
            },
            Op::Other(_) | Op::Binary(..) => found.push(Source::Node(Node::Field(NO_KEY))),
            // A function pointer has no offset; other pointers are of no interest.
            _ => {}
        }
    }
    found
}
