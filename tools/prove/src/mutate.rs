// SPDX-License-Identifier: GPL-2.0
//! Puts a sleep on a path of a proved root, to see the proof fail.
//!
//! That a path can run is not taken from the analysis: the root is executed with random numbers, and the sleep is put before
//! an instruction that ran.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    axioms::Axioms,
    execute::{Known, Random, Run},
    interpret::{Interpreter, Precision},
    ir::*,
    names::Names,
    roots::{self, Root},
    search::{Search, Verdict},
    targets::Targets,
};

/// The called functions, with constant arguments, as far as the program has them.
const SLEEPS: [(&str, &[Value]); 4] = [
    ("__might_sleep", &[Value::Int(64, 0), Value::Int(32, 0)]),
    ("mutex_lock", &[Value::Int(64, 0x1000)]),
    (
        "__kmalloc_noprof",
        &[Value::Int(64, 64), Value::Int(32, GFP_KERNEL)],
    ),
    (
        "slab_alloc",
        &[Value::Int(64, 64), Value::Int(32, GFP_KERNEL)],
    ),
];
const GFP_KERNEL: u64 = 0xcc0;

/// Each root is executed so many times.
const RUNS: usize = 40;

/// The result of all mutations.
pub struct Outcome {
    /// The proved roots with a path to put a sleep on.
    pub roots: usize,
    /// The functions, and the functions with instructions, that sleeps can be put into.
    pub functions: usize,
    pub places: usize,
    pub found: usize,
    /// The problems, a sentence for each: a sleep was not found, a run sleeps without one, or the analysis rules a run
    /// out.
    pub missed: Vec<String>,
}

/// Where runs have been: the instructions of each function, and for each whether it ran where an allocation may wait.
type Trace = BTreeMap<SymId, BTreeMap<u32, bool>>;

/// Puts `count` sleeps on paths of the roots that `select` takes, one after the other.
pub fn mutate(
    program: &mut Program,
    targets: &Targets,
    axioms: &Axioms,
    names: &Names,
    (count, seed): (usize, u64),
    select: impl Fn(&Program, &Root) -> bool,
) -> Outcome {
    let mut random = Random(seed);
    let mut outcome = Outcome {
        roots: 0,
        functions: 0,
        places: 0,
        found: 0,
        missed: vec![],
    };
    let traced = traces(
        program,
        targets,
        axioms,
        names,
        &mut random,
        select,
        &mut outcome,
    );
    let functions: BTreeSet<SymId> = traced
        .iter()
        .flat_map(|(_, trace)| trace.keys().copied())
        .collect();
    outcome.roots = traced.len();
    outcome.functions = functions.len();
    let places: BTreeSet<(SymId, u32)> = (traced.iter().flat_map(|(_, trace)| trace))
        .flat_map(|(symbol, insts)| insts.keys().map(|inst| (*symbol, *inst)))
        .collect();
    outcome.places = places.len();
    let sleeps: Vec<(SymId, Vec<Value>)> = SLEEPS
        .iter()
        .filter_map(|(name, args)| {
            let symbol = program.resolve(*program.names.get(*name)?);
            program.function(symbol).map(|_| (symbol, args.to_vec()))
        })
        .collect();
    if traced.is_empty() || sleeps.is_empty() {
        return outcome;
    }
    for _ in 0..count {
        let (root, trace) = &traced[random.below(traced.len())];
        let (symbol, insts) = nth(trace.iter(), &mut random);
        let (&inst, &waits) = nth(insts.iter(), &mut random);
        let sleeps: Vec<_> = (sleeps.iter())
            .filter(|(_, args)| waits || !args.contains(&Value::Int(32, GFP_KERNEL)))
            .collect();
        let (callee, args) = sleeps[random.below(sleeps.len())];
        let function = program.function(*symbol).expect("it ran");
        let place =
            (inst..function.insts.len() as u32).find_map(|inst| function.place(inst).cloned());
        let changed = with_call(function, inst, *callee, args.clone());
        let definition = &mut program.symbols[*symbol as usize].definition;
        let before = std::mem::replace(definition, Definition::Function(Box::new(changed)));
        let search = search(program, targets, axioms, names);
        let args = root.args(&search.interpreter, None);
        let (report, _) = search.root(root.symbol, args, root.section.as_ref(), None);
        if let Verdict::Alarm(_) = report.verdict {
            outcome.found += 1;
        } else {
            outcome.missed.push(format!(
                "{} does not alarm with a call of {} in {}{}",
                names.of(program, root.symbol),
                program.name(*callee),
                names.of(program, *symbol),
                place.map_or(String::new(), |place| format!(
                    " near {}:{}",
                    place.file, place.line
                )),
            ));
        }
        drop(search);
        program.symbols[*symbol as usize].definition = before;
    }
    outcome
}

/// Returns one item of an iterator, which is not empty.
fn nth<T>(mut items: impl ExactSizeIterator<Item = T>, random: &mut Random) -> T {
    let number = random.below(items.len());
    items
        .nth(number)
        .expect("the number is less than the length")
}

fn search<'p>(
    program: &'p Program,
    targets: &'p Targets,
    axioms: &'p Axioms,
    names: &'p Names,
) -> Search<'p> {
    let precision = Precision {
        values: true,
        objects: true,
    };
    Search::new(Interpreter::new(program, targets, precision), axioms, names)
}

/// Executes the proved roots.
fn traces(
    program: &Program,
    targets: &Targets,
    axioms: &Axioms,
    names: &Names,
    random: &mut Random,
    select: impl Fn(&Program, &Root) -> bool,
    outcome: &mut Outcome,
) -> Vec<(Root, Trace)> {
    let search = search(program, targets, axioms, names);
    let mut known = Known::new();
    let mut found = vec![];
    for root in roots::all(&search.interpreter) {
        // A run of a function with a section may end before the section.
        if root.section.is_some() || !select(program, &root) {
            continue;
        }
        let args = root.args(&search.interpreter, None);
        let (report, _) = search.root(root.symbol, args.clone(), None, None);
        if !matches!(report.verdict, Verdict::Proved) {
            continue;
        }
        let mut trace = Trace::new();
        for _ in 0..RUNS {
            let run = Run::new(&search, random, &mut known, root.symbol, &args);
            for (symbol, inst, in_scope) in run.trace {
                *trace.entry(symbol).or_default().entry(inst).or_default() |= !in_scope;
            }
            if let Some(what) = run.ruled_out {
                outcome.missed.push(format!(
                    "{} was executed, and left what the analysis allows: {what}",
                    names.of(program, root.symbol)
                ));
            }
            if run.slept {
                outcome.missed.push(format!(
                    "{} is proved, and slept when it was executed",
                    names.of(program, root.symbol)
                ));
            }
        }
        found.push((root, trace));
    }
    found
}

/// Returns a function with a call before an instruction.
fn with_call(function: &Function, at: u32, callee: SymId, args: Vec<Value>) -> Function {
    let mut changed = function.clone();
    changed.for_each_value_mut(|value| {
        if let Value::Inst(inst) = value {
            *inst += u32::from(*inst >= at);
        }
    });
    for block in &mut changed.blocks {
        let (first, end) = &mut block.insts;
        *first += u32::from(*first > at);
        *end += u32::from(*end > at);
    }
    let call = Call {
        callee: Callee::Direct(callee),
        args,
        kcfi: None,
    };
    let inst = Inst {
        op: Op::Call(Box::new(call)),
        width: 0,
        place: u32::MAX,
    };
    changed.insts.insert(at as usize, inst);
    changed
}
