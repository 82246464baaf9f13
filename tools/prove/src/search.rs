// SPDX-License-Identifier: GPL-2.0
//! Follows the calls of a root, nearest first, until one sleeps or there are no more.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, VecDeque},
    rc::Rc,
};

use crate::{
    assembly::{self, Calls},
    axioms::Axioms,
    interpret::Interpreter,
    ir::*,
    names::Names,
    relevance::Relevance,
    roots,
    sections::Section,
    value::Abstract,
};

/// The functions of which a call sleeps, or may.
const SINKS: [&str; 12] = [
    "__might_sleep",
    "__might_resched",
    "__might_fault",
    "schedule",
    "schedule_preempt_disabled",
    "schedule_rtlock",
    "schedule_idle",
    "schedule_user",
    "__schedule",
    "__schedule_loop",
    "do_task_dead",
    "preempt_schedule_common",
];

/// Returns whether a function sleeps.
pub fn is_sink(function: &str) -> bool {
    SINKS.contains(&function)
}

/// A function is looked at with so many sets of arguments, and from then on with unknown ones.
const CONTEXTS_PER_FUNCTION: u32 = 200;

/// After so many functions with their arguments the search ends, and nothing is proved.
const CONTEXTS: usize = 200_000;

/// A call on the way from a root to where it ends.
#[derive(Clone, Debug)]
pub struct Step {
    pub function: String,
    /// The place of the call, in the function before this one.
    pub place: Option<Place>,
    pub indirect: bool,
    /// The facts about the relevant arguments.
    pub args: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum Verdict {
    Proved,
    /// The way to a sleep.
    Alarm(Vec<Step>),
    /// The way to a call it cannot follow, and why.
    Unproven(Vec<Step>, String),
}

#[derive(Debug)]
pub struct Report {
    pub verdict: Verdict,
    pub functions: usize,
    pub contexts: usize,
    /// The needed axioms, by their number.
    pub axioms: BTreeSet<usize>,
}

/// Why a call was not followed, for `--explain`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Explanation {
    pub function: String,
    pub args: Vec<String>,
    pub text: String,
}

/// A call: the function, and the instruction in it.
type Site = (SymId, u32);

pub struct Search<'p> {
    pub interpreter: Interpreter<'p>,
    pub axioms: &'p Axioms,
    /// Whether there may be targets of indirect and of static calls that are not in the program.
    pub partial: bool,
    relevance: Relevance,
    names: &'p Names,
    /// The targets of the calls of a function, by instruction.
    indirect: RefCell<HashMap<Site, Rc<Vec<SymId>>>>,
    asm: RefCell<HashMap<Site, Rc<Calls>>>,
}

struct Node {
    symbol: SymId,
    args: Vec<Abstract>,
    /// Whether the function is called in a scope: see [`crate::scopes`].
    scope: bool,
    parent: usize,
    place: Option<Place>,
    indirect: bool,
}

/// The functions and calls on the way from one root.
#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    known: HashMap<(SymId, Vec<Abstract>, bool), usize>,
    /// Whether the current call is in a scope.
    scope: bool,
    contexts: HashMap<SymId, u32>,
    queue: VecDeque<usize>,
    axioms: BTreeSet<usize>,
    /// The first call that cannot be followed: the caller, where, and why.
    hole: Option<(usize, Option<Place>, String)>,
    alarm: Option<(usize, Option<Place>, String, bool)>,
    explain: Option<(String, BTreeSet<Explanation>)>,
    /// The section to which the root is judged.
    section: Option<Section>,
}

impl<'p> Search<'p> {
    pub fn new(interpreter: Interpreter<'p>, axioms: &'p Axioms, names: &'p Names) -> Self {
        let program = interpreter.program;
        let mut interpreter = interpreter;
        for (axiom, field, mask) in axioms.bits() {
            interpreter.assume(field, axiom, mask);
        }
        Search {
            relevance: Relevance::new(program),
            names,
            indirect: Default::default(),
            asm: Default::default(),
            interpreter,
            axioms,
            partial: false,
        }
    }

    fn name(&self, symbol: SymId) -> &str {
        self.names.of(self.interpreter.program, symbol)
    }

    /// Looks for a way from a function to a sleep: from all of it, or from a section of it. With `explain` also returns
    /// the facts in a function of that name.
    pub fn root(
        &self,
        symbol: SymId,
        args: Vec<Abstract>,
        section: Option<&Section>,
        explain: Option<&str>,
    ) -> (Report, Vec<Explanation>) {
        let mut state = State {
            explain: explain.map(|name| (name.to_string(), BTreeSet::new())),
            section: section.cloned(),
            ..Default::default()
        };
        self.push(&mut state, usize::MAX, symbol, args, None, false);
        if let Some(section) = section {
            // The root may also be called from its section, and is then looked at as a whole.
            state.known.clear();
            state.hole = section.hole.clone().map(|why| (0, None, why));
        }
        while let Some(node) = state.queue.pop_front() {
            self.visit(&mut state, node);
            if state.alarm.is_some() {
                break;
            }
            if state.nodes.len() > CONTEXTS {
                let why =
                    format!("there are more than {CONTEXTS} functions to look at, counted for each set of arguments");
                state.hole.get_or_insert((node, None, why));
                break;
            }
        }
        let verdict = if let Some((node, place, sink, indirect)) = &state.alarm {
            let mut chain = self.chain(&state, *node);
            chain.push(Step {
                function: sink.clone(),
                place: place.clone(),
                indirect: *indirect,
                args: vec![],
            });
            Verdict::Alarm(chain)
        } else if let Some((node, place, why)) = &state.hole {
            let mut chain = self.chain(&state, *node);
            chain.push(Step {
                function: why.clone(),
                place: place.clone(),
                indirect: false,
                args: vec![],
            });
            chain.pop();
            Verdict::Unproven(
                chain,
                match place {
                    Some(place) => format!("{why}, at {}:{}", place.file, place.line),
                    None => why.clone(),
                },
            )
        } else {
            Verdict::Proved
        };
        // A result that is kept may be that of an earlier root, so each may need these.
        for axiom in self.interpreter.used.borrow().iter() {
            self.axioms.mark(*axiom);
            state.axioms.insert(*axiom);
        }
        let functions: BTreeSet<SymId> = state.nodes.iter().map(|node| node.symbol).collect();
        let report = Report {
            verdict,
            functions: functions.len(),
            contexts: state.nodes.len(),
            axioms: state.axioms,
        };
        (
            report,
            state
                .explain
                .map_or_else(Vec::new, |(_, found)| found.into_iter().collect()),
        )
    }

    fn chain(&self, state: &State, mut node: usize) -> Vec<Step> {
        let mut chain = vec![];
        while node != usize::MAX {
            let Node {
                symbol,
                args,
                parent,
                place,
                indirect,
                ..
            } = &state.nodes[node];
            chain.push(Step {
                function: self.name(*symbol).to_string(),
                place: place.clone(),
                indirect: *indirect,
                args: self.show(args),
            });
            node = *parent;
        }
        chain.reverse();
        chain
    }

    /// Returns the facts about arguments as text.
    fn show(&self, args: &[Abstract]) -> Vec<String> {
        let show = |(index, value): (usize, &Abstract)| {
            let text = match value {
                Abstract::Bits { width, zero, one } => match value.constant() {
                    Some(value) => format!("{value:#x}"),
                    None if zero | one == 1 => (if *one == 1 { "odd" } else { "even" }).to_string(),
                    None => format!("{one:#x} in {:#x}/{width}", zero | one),
                },
                Abstract::Address(symbol, 0) => format!("&{}", self.name(*symbol)),
                Abstract::Address(symbol, offset) => format!("&{}+{offset}", self.name(*symbol)),
                _ => return None,
            };
            Some(format!("#{index}={text}"))
        };
        args.iter().enumerate().filter_map(show).collect()
    }

    /// Returns the facts about the relevant arguments of a function, one for each parameter.
    pub fn relevant(&self, symbol: SymId, mut args: Vec<Abstract>) -> Vec<Abstract> {
        let function = self.interpreter.program.function(symbol);
        args.resize(
            function.map_or(0, |function| function.params.len()),
            Abstract::Top,
        );
        for (param, arg) in args.iter_mut().enumerate() {
            if !self.interpreter.precision.values || !self.relevance.has(symbol, param as u32) {
                *arg = Abstract::Top;
            }
        }
        args
    }

    fn push(
        &self,
        state: &mut State,
        parent: usize,
        symbol: SymId,
        args: Vec<Abstract>,
        place: Option<Place>,
        indirect: bool,
    ) {
        let mut args = self.relevant(symbol, args);
        let count = state.contexts.entry(symbol).or_default();
        if *count >= CONTEXTS_PER_FUNCTION {
            args.fill(Abstract::Top);
        }
        let next = state.nodes.len();
        let scope = state.scope;
        let key = (symbol, args.clone(), scope);
        if *state.known.entry(key).or_insert(next) != next {
            return;
        }
        *count += 1;
        state.nodes.push(Node {
            symbol,
            args,
            scope,
            parent,
            place,
            indirect,
        });
        state.queue.push_back(next);
    }

    fn visit(&self, state: &mut State, node: usize) {
        let Node {
            symbol,
            ref args,
            scope,
            ..
        } = state.nodes[node];
        state.scope = scope;
        let program = self.interpreter.program;
        if let Definition::Assembly(callees) = &program.symbols[symbol as usize].definition {
            for callee in callees {
                self.call(state, node, None, program.resolve(*callee), vec![], false);
            }
            return;
        }
        let section = if node == 0 {
            state.section.clone()
        } else {
            None
        };
        let run = match section {
            Some(_) => self.interpreter.run_in_section(symbol),
            None => self.interpreter.run_from(symbol, args, scope),
        };
        let explained = state
            .explain
            .as_ref()
            .is_some_and(|(name, _)| name == self.name(symbol));
        if explained {
            let args = self.show(&state.nodes[node].args);
            self.explain(state, &run, args);
        }
        for (number, block) in run.function.blocks.iter().enumerate() {
            if !run.live[number] {
                continue;
            }
            for inst in block.insts.0..block.insts.1 {
                let Op::Call(call) = &run.function.insts[inst as usize].op else {
                    continue;
                };
                if !(section.as_ref()).is_none_or(|section| section.calls.contains(&inst)) {
                    continue;
                }
                state.scope = run.is_in_scope(inst);
                let place = run.function.place(inst).cloned();
                let args = |this: &Self| {
                    call.args
                        .iter()
                        .map(|arg| run.argument(&this.interpreter, *arg, number as u32))
                        .collect::<Vec<_>>()
                };
                match call.callee {
                    Callee::Direct(callee) => {
                        let callee = program.resolve(callee);
                        if !program.symbols[callee as usize].intrinsic {
                            self.direct(state, node, place, callee, args(self));
                        }
                    }
                    Callee::Asm(text) => {
                        self.inline_assembly(state, node, place, symbol, inst, text, call)
                    }
                    Callee::Indirect(value) => {
                        match run.value_in(value, number as u32, &self.interpreter) {
                            Abstract::Address(target, 0) => {
                                self.call(state, node, place, target, args(self), false);
                                continue;
                            }
                            // A call of a null pointer ends in an oops.
                            target if target.is_null() => continue,
                            _ => {}
                        }
                        let targets = self.targets(symbol, inst, value, call.kcfi);
                        let fields = run.function.fields(value);
                        let fields: Vec<&str> = fields
                            .iter()
                            .map(|key| program.keys[*key as usize].as_str())
                            .collect();
                        // The callers of callbacks have sections: each callback is a root by itself.
                        let callbacks =
                            |fields: &[&str]| fields.iter().all(|key| roots::is_callback(key));
                        if section.is_some() && !fields.is_empty() && callbacks(&fields) {
                            continue;
                        }
                        if let Some(axiom) = self.axioms.of_indirect(self.name(symbol), &fields) {
                            state.axioms.insert(axiom);
                            continue;
                        }
                        if targets.is_empty() || self.partial {
                            let through = if fields.is_empty() {
                                String::new()
                            } else {
                                format!(" through {}", fields.join(" or "))
                            };
                            let why = format!(
                                "an indirect call{through} in {} has {}",
                                self.name(symbol),
                                if self.partial {
                                    "targets that may not be here"
                                } else {
                                    "no target"
                                }
                            );
                            state.hole.get_or_insert((node, place, why));
                            continue;
                        }
                        let args = args(self);
                        for target in targets.iter() {
                            self.call(state, node, place.clone(), *target, args.clone(), true);
                        }
                    }
                }
            }
        }
    }

    fn targets(&self, symbol: SymId, inst: u32, value: Value, kcfi: Option<u32>) -> Rc<Vec<SymId>> {
        let mut known = self.indirect.borrow_mut();
        let targets = || {
            Rc::new(
                self.interpreter
                    .targets
                    .of_call(self.interpreter.program, symbol, value, kcfi),
            )
        };
        known.entry((symbol, inst)).or_insert_with(targets).clone()
    }

    /// Returns the functions that a call in `caller` may call, or none if it is not followed.
    pub fn callees(&self, caller: SymId, inst: u32, call: &Call) -> Option<Vec<SymId>> {
        let program = self.interpreter.program;
        match call.callee {
            Callee::Direct(callee) => {
                let callee = program.resolve(callee);
                match program.name(callee).strip_prefix("__SCT__") {
                    Some(key) => {
                        let field = format!("__SCK__{key}");
                        let axiom = self.axioms.of_indirect(self.name(caller), &[&field]);
                        let targets = self
                            .interpreter
                            .static_calls
                            .of(key)
                            .filter(|_| axiom.is_none())?;
                        Some(targets.iter().copied().collect())
                    }
                    None => Some(vec![callee]),
                }
            }
            Callee::Indirect(value) => {
                let fields = program.function(caller)?.fields(value);
                let fields: Vec<&str> = fields
                    .iter()
                    .map(|key| program.keys[*key as usize].as_str())
                    .collect();
                if self
                    .axioms
                    .of_indirect(self.name(caller), &fields)
                    .is_some()
                {
                    return None;
                }
                Some(self.targets(caller, inst, value, call.kcfi).to_vec())
            }
            Callee::Asm(_) => None,
        }
    }

    /// Returns whether a call is assumed not to sleep, or not to happen.
    pub fn assumes(&self, caller: SymId, callee: SymId) -> bool {
        let (caller, callee) = (self.name(caller), self.name(callee));
        self.axioms.of_call(caller, callee).is_some()
    }

    /// A call by name, which may be that of a static call.
    fn direct(
        &self,
        state: &mut State,
        node: usize,
        place: Option<Place>,
        callee: SymId,
        args: Vec<Abstract>,
    ) {
        let name = self.interpreter.program.name(callee);
        let Some(key) = name.strip_prefix("__SCT__") else {
            return self.call(state, node, place, callee, args, false);
        };
        let field = format!("__SCK__{key}");
        let caller = self.name(state.nodes[node].symbol);
        if let Some(axiom) = self.axioms.of_indirect(caller, &[&field]) {
            state.axioms.insert(axiom);
            return;
        }
        match self.interpreter.static_calls.of(key) {
            Some(targets) if !self.partial => {
                for target in targets {
                    self.call(state, node, place.clone(), *target, args.clone(), true);
                }
            }
            _ => {
                state.hole.get_or_insert((
                    node,
                    place,
                    format!("the targets of the static call {key} are not known"),
                ));
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn inline_assembly(
        &self,
        state: &mut State,
        node: usize,
        place: Option<Place>,
        symbol: SymId,
        inst: u32,
        text: u32,
        call: &Call,
    ) {
        let program = self.interpreter.program;
        let text = &program.asm[text as usize];
        let mut known = self.asm.borrow_mut();
        let calls = known
            .entry((symbol, inst))
            .or_insert_with(|| Rc::new(assembly::inline_calls(program, text, &call.args)))
            .clone();
        drop(known);
        let mut targets = match &*calls {
            Calls::Functions(functions) => functions.clone(),
            Calls::Unknown => vec![],
        };
        for key in assembly::inline_fields(program, text, &call.args) {
            targets.extend(self.interpreter.targets.stored_in(key));
        }
        if targets.is_empty() && *calls == Calls::Unknown {
            let shown = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let why = format!(
                "inline assembly calls something: {}",
                shown.chars().take(60).collect::<String>()
            );
            state.hole.get_or_insert((node, place.clone(), why));
        }
        for target in targets {
            self.direct(state, node, place.clone(), target, vec![]);
        }
    }

    fn call(
        &self,
        state: &mut State,
        node: usize,
        place: Option<Place>,
        callee: SymId,
        args: Vec<Abstract>,
        indirect: bool,
    ) {
        let program = self.interpreter.program;
        let target = &program.symbols[callee as usize];
        let caller = self.name(state.nodes[node].symbol);
        if let Some(axiom) = self.axioms.of_call(caller, self.name(callee)) {
            state.axioms.insert(axiom);
            return;
        }
        if is_sink(&target.name) {
            state
                .alarm
                .get_or_insert((node, place, target.name.clone(), indirect));
            return;
        }
        match &target.definition {
            Definition::Function(_) | Definition::Assembly(_) => {
                self.push(state, node, callee, args, place, indirect)
            }
            // Assembly also refers to variables.
            Definition::Data(_) => {}
            Definition::Alias(_) | Definition::None => {
                if args.is_empty()
                    && target.kcfi.is_none()
                    && caller_is_assembly(program, state.nodes[node].symbol)
                {
                    return;
                }
                state
                    .hole
                    .get_or_insert((node, place, format!("{} has no body", target.name)));
            }
        }
    }

    fn explain(&self, state: &mut State, run: &crate::interpret::Run<'_>, args: Vec<String>) {
        let Some((function, found)) = &mut state.explain else {
            return;
        };
        for (number, block) in run.function.blocks.iter().enumerate() {
            for inst in block.insts.0..block.insts.1 {
                let Op::Call(call) = &run.function.insts[inst as usize].op else {
                    continue;
                };
                let callee = match call.callee {
                    Callee::Direct(callee)
                        if !self.interpreter.program.symbols[callee as usize].intrinsic =>
                    {
                        self.name(callee).to_string()
                    }
                    Callee::Indirect(_) => "an indirect call".into(),
                    _ => continue,
                };
                let place = run.function.place(inst).map_or(String::new(), |place| {
                    format!("{}:{}: ", place.file, place.line)
                });
                let can = if run.live[number] {
                    "can run"
                } else {
                    "cannot run: a branch before it is decided"
                };
                found.insert(Explanation {
                    function: function.clone(),
                    args: args.clone(),
                    text: format!("{place}{callee} {can}"),
                });
            }
        }
    }
}

fn caller_is_assembly(program: &Program, caller: SymId) -> bool {
    matches!(
        program.symbols[caller as usize].definition,
        Definition::Assembly(_)
    )
}
