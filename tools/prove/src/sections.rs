// SPDX-License-Identifier: GPL-2.0
//! Which calls are made in a non-blocking section: those between `non_block_start()` and `non_block_end()`.
//!
//! Both change a counter of the task. The search is for these changes, in C and in Rust. A function that begins a
//! section and returns in it, as `NonBlockGuard::new()` does, begins one in its callers.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::{
    interpret::{Interpreter, Run},
    ir::*,
};

/// The helper of Rust with nothing but the start of a section: it shows the field of the counter.
const START: &str = "rust_helper_non_block_start";

/// So many sections are followed that a function begins, or that it ends for its callers.
const DEPTH: u32 = 7;

/// So many calls may be between a function that changes the counter, and one whose section it is.
const ROUNDS: u32 = 20;

/// The sections of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The calls in a section, by instruction.
    pub calls: BTreeSet<u32>,
    /// Why there may be more sections than were found.
    pub hole: Option<String>,
}

/// How many sections are open, as seen from the start of a function: the bit `DEPTH + n` is set if there may be `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Depths(u32);

impl Depths {
    const NONE: Depths = Depths(1 << DEPTH);
    const ALL: Depths = Depths((1 << (2 * DEPTH + 1)) - 1);

    fn or(self, other: Depths) -> Depths {
        Depths(self.0 | other.0)
    }

    /// Returns the depths after `by` sections have begun, or whether they are too many.
    fn after(self, by: i32) -> Result<Depths, ()> {
        let depths = match by {
            0.. => Depths(self.0.checked_shl(by.unsigned_abs()).unwrap_or(0)),
            _ => Depths(self.0.checked_shr(by.unsigned_abs()).unwrap_or(0)),
        };
        let lost = depths.0.count_ones() != self.0.count_ones();
        if lost || depths.0 & !Depths::ALL.0 != 0 {
            Err(())
        } else {
            Ok(depths)
        }
    }

    fn in_section(self) -> bool {
        self.0 >> (DEPTH + 1) != 0
    }

    /// Returns the depth, if there is but one.
    fn only(self) -> Option<i32> {
        (self.0.count_ones() == 1).then(|| self.0.trailing_zeros() as i32 - DEPTH as i32)
    }
}

/// Facts about a function that changes the counter, or calls such a function.
struct Summary {
    section: Section,
    /// The sections that it has begun for its callers when it returns. A negative number is of those that it has ended.
    begun: i32,
}

/// Returns the functions with sections, or none if the kernel does not count them.
pub fn find(interpreter: &Interpreter<'_>) -> BTreeMap<SymId, Section> {
    let program = interpreter.program;
    let Some(counter) = counter(program) else {
        return BTreeMap::new();
    };
    let changes: BTreeSet<SymId> = functions(program, |inst| match inst.op {
        Op::Store(_, _, key) => key == counter,
        _ => false,
    });
    let mut known: BTreeMap<SymId, Summary> = BTreeMap::new();
    // Each round adds the callers of the functions that begin or end a section for their callers.
    for round in 0.. {
        let across: HashSet<SymId> = (known.iter())
            .filter(|(_, summary)| summary.begun != 0)
            .map(|(symbol, _)| *symbol)
            .collect();
        let callers = functions(program, |inst| {
            called(program, inst).is_some_and(|callee| across.contains(&callee))
        });
        let begun = |callee: SymId| known.get(&callee).map_or(0, |summary| summary.begun);
        let next: BTreeMap<SymId, Summary> = (changes.union(&callers))
            .map(|symbol| {
                let run = interpreter.run_in_section(*symbol);
                (*symbol, summary(program, &run, counter, &begun))
            })
            .collect();
        let same = next.len() == known.len()
            && next.iter().all(|(symbol, summary)| {
                (known.get(symbol)).is_some_and(|before| before.begun == summary.begun)
            });
        known = next;
        if same {
            break;
        }
        if round == ROUNDS {
            for summary in known.values_mut() {
                let why = "functions that begin or end a section for their callers call each other";
                summary.section.hole.get_or_insert(why.into());
            }
            break;
        }
    }
    for (symbol, summary) in &mut known {
        if summary.begun != 0 && interpreter.targets.is_taken(*symbol) {
            let why = "it begins or ends a section for its callers, and is called by its address";
            summary.section.hole.get_or_insert(why.into());
        }
    }
    known
        .into_iter()
        .map(|(symbol, summary)| (symbol, summary.section))
        .filter(|(_, section)| !section.calls.is_empty() || section.hole.is_some())
        .collect()
}

/// Returns the counter of the sections of a task: the helper of Rust adds to it.
fn counter(program: &Program) -> Option<KeyId> {
    let start = program.function(program.resolve(*program.names.get(START)?))?;
    let mut keys = start.insts.iter().filter_map(|inst| match inst.op {
        Op::Store(value, _, key) if change(start, value, key) == Some(1) => Some(key),
        _ => None,
    });
    keys.next()
}

/// Returns the constant, if `value` is the sum of the field and a constant.
fn change(function: &Function, value: Value, field: KeyId) -> Option<i32> {
    let Value::Inst(sum) = value else {
        return None;
    };
    let Op::Binary(Binary::Add, Value::Inst(old), Value::Int(32, by)) =
        function.insts[sum as usize].op
    else {
        return None;
    };
    match function.insts[old as usize].op {
        Op::Load(_, key) if key == field && field != NO_KEY => Some(by as u32 as i32),
        _ => None,
    }
}

fn called(program: &Program, inst: &Inst) -> Option<SymId> {
    match &inst.op {
        Op::Call(call) => match call.callee {
            Callee::Direct(callee) => Some(program.resolve(callee)),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the functions with an instruction for which `with` returns `true`.
fn functions(program: &Program, with: impl Fn(&Inst) -> bool) -> BTreeSet<SymId> {
    (0..program.symbols.len() as SymId)
        .filter(|symbol| {
            program
                .function(*symbol)
                .is_some_and(|function| function.insts.iter().any(&with))
        })
        .collect()
}

/// Goes through a function, and notes how many sections may be open at each call.
fn summary(
    program: &Program,
    run: &Run<'_>,
    counter: KeyId,
    begun: &dyn Fn(SymId) -> i32,
) -> Summary {
    let function = run.function;
    let mut section = Section::default();
    let mut at: Vec<Option<Depths>> = vec![None; function.blocks.len()];
    at[0] = Some(Depths::NONE);
    let mut work = vec![0u32];
    let mut returned: Option<Depths> = None;
    while let Some(block) = work.pop() {
        let mut depths = at[block as usize].expect("only blocks with depths are looked at");
        let (first, end) = function.blocks[block as usize].insts;
        for number in first..end {
            let inst = &function.insts[number as usize];
            let by = match &inst.op {
                // The counter of a new task.
                Op::Store(Value::Int(_, 0), _, key) if *key == counter => 0,
                Op::Store(value, _, key) if *key == counter => change(function, *value, counter)
                    .unwrap_or_else(|| {
                        let why = "the counter of sections is set to another value";
                        section.hole.get_or_insert(why.into());
                        0
                    }),
                Op::Call(_) => {
                    if depths.in_section() {
                        section.calls.insert(number);
                    }
                    called(program, inst).map_or(0, begun)
                }
                _ => 0,
            };
            depths = depths.after(by).unwrap_or_else(|()| {
                let why = "a section that begins in a loop is not seen to end";
                section.hole.get_or_insert(why.into());
                depths
            });
        }
        let end = &function.blocks[block as usize].end;
        if let End::Return(_) = end {
            returned = Some(returned.map_or(depths, |before| before.or(depths)));
        }
        for to in end.successors() {
            if !run.goes(block, to) {
                continue;
            }
            let before = at[to as usize];
            let after = before.map_or(depths, |before| before.or(depths));
            if before != Some(after) {
                at[to as usize] = Some(after);
                work.push(to);
            }
        }
    }
    let begun = match returned.unwrap_or(Depths::NONE).only() {
        Some(begun) => begun,
        None => {
            let why = "a section is open at one return, and not at another";
            section.hole.get_or_insert(why.into());
            0
        }
    };
    Summary { section, begun }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_are_not_lost() {
        let depth = DEPTH as i32;
        assert_eq!(Depths::NONE.after(depth).unwrap().only(), Some(depth));
        assert_eq!(Depths::NONE.after(-depth).unwrap().only(), Some(-depth));
        // By as many bits as a number has, too.
        for by in [depth + 1, 32, 40, i32::MAX] {
            assert_eq!(Depths::NONE.after(by), Err(()));
            assert_eq!(Depths::NONE.after(-by), Err(()));
        }
        assert_eq!(Depths::NONE.after(i32::MIN), Err(()));
    }
}
