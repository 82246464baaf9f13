// SPDX-License-Identifier: GPL-2.0
//! Assumptions, which are not proved: one line for each, with its reason.
//!
//! ```text
//! edge CALLER CALLEE    # the call does not happen, or does not sleep
//! edge CALLER *         # neither do the indirect calls of CALLER
//! field STRUCT#INDEX    # nor calls through this field, or static call __SCK__NAME
//! function NAME         # nor this function, whoever calls it
//! end NAME              # after this call nothing matters: the machine stops
//! absent NAME*          # the compiler removes the call, or fails
//! bits STRUCT#INDEX MASK  # these bits of a number in a field are never set
//! ```

use std::{cell::RefCell, collections::BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Edge,
    Field,
    Function,
    End,
    Absent,
    Bits,
}

#[derive(Debug)]
pub struct Axiom {
    kind: Kind,
    name: String,
    callee: String,
    /// The line without its reason.
    pub text: String,
    pub reason: String,
    pub line: usize,
}

#[derive(Debug, Default)]
pub struct Axioms {
    pub all: Vec<Axiom>,
    used: RefCell<BTreeSet<usize>>,
}

impl Axiom {
    /// Returns whether the axiom is about a name, which may end in `*`.
    fn is_about(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => self.name == name,
        }
    }
}

impl Axioms {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut axioms = Axioms::default();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why: &str| Err(format!("line {line_number}: {why}: {line}"));
            let Some((statement, reason)) = line.split_once(" # ") else {
                return wrong("there is no reason");
            };
            let words: Vec<&str> = statement.split_whitespace().collect();
            let (kind, name, callee) = match words[..] {
                ["edge", caller, callee] => (Kind::Edge, caller, callee),
                ["field", name] => (Kind::Field, name, ""),
                ["function", name] => (Kind::Function, name, ""),
                ["end", name] => (Kind::End, name, ""),
                ["absent", name] => (Kind::Absent, name, ""),
                ["bits", name, mask] => (Kind::Bits, name, mask),
                _ => return wrong("this is no axiom"),
            };
            if kind == Kind::Bits && number(callee).is_none() {
                return wrong("the mask is no number");
            }
            if axioms
                .all
                .iter()
                .any(|axiom| axiom.kind == kind && axiom.name == name && axiom.callee == callee)
            {
                return wrong("this is there twice");
            }
            axioms.all.push(Axiom {
                kind,
                name: name.into(),
                callee: callee.into(),
                text: words.join(" "),
                reason: reason.trim().into(),
                line: line_number,
            });
        }
        Ok(axioms)
    }

    fn find(&self, with: impl Fn(&Axiom) -> bool) -> Option<usize> {
        let index = self.all.iter().position(with)?;
        self.used.borrow_mut().insert(index);
        Some(index)
    }

    /// Returns the axiom about a call, if there is one.
    pub fn of_call(&self, caller: &str, callee: &str) -> Option<usize> {
        self.find(|axiom| match axiom.kind {
            Kind::Edge => axiom.name == caller && axiom.callee == callee,
            Kind::Function | Kind::End => axiom.name == callee,
            Kind::Absent => axiom.is_about(callee),
            Kind::Field | Kind::Bits => false,
        })
    }

    /// Returns the axiom about the indirect calls of a function, or about those through a field.
    pub fn of_indirect(&self, caller: &str, fields: &[&str]) -> Option<usize> {
        self.find(|axiom| match axiom.kind {
            Kind::Edge => axiom.name == caller && axiom.callee == "*",
            Kind::Field => matches!(fields, [field] if axiom.is_about(field)),
            _ => false,
        })
    }

    /// Returns the bits never set in a field, with the number of the axiom.
    pub fn bits(&self) -> impl Iterator<Item = (usize, &str, u64)> {
        let all = self
            .all
            .iter()
            .enumerate()
            .filter(|(_, axiom)| axiom.kind == Kind::Bits);
        all.filter_map(|(index, axiom)| Some((index, axiom.name.as_str(), number(&axiom.callee)?)))
    }

    /// Notes the need for an axiom.
    pub fn mark(&self, axiom: usize) {
        self.used.borrow_mut().insert(axiom);
    }

    /// Returns the functions named in axioms.
    pub fn names(&self) -> BTreeSet<String> {
        self.all
            .iter()
            .flat_map(|axiom| [axiom.name.clone(), axiom.callee.clone()])
            .collect()
    }

    /// Returns the axioms no call needed.
    pub fn unused(&self) -> Vec<&Axiom> {
        let used = self.used.borrow();
        self.all
            .iter()
            .enumerate()
            .filter(|(index, _)| !used.contains(index))
            .map(|(_, axiom)| axiom)
            .collect()
    }

    /// Returns the axioms about functions that the program does not have, given a test for those that it has.
    pub fn about_nothing(&self, has: impl Fn(&str) -> bool) -> Vec<&Axiom> {
        let missing = |axiom: &&Axiom| match axiom.kind {
            Kind::Edge => !has(&axiom.name) || (axiom.callee != "*" && !has(&axiom.callee)),
            Kind::Function | Kind::End => !has(&axiom.name),
            Kind::Field | Kind::Absent | Kind::Bits => false,
        };
        self.all.iter().filter(missing).collect()
    }
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
