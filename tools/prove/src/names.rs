// SPDX-License-Identifier: GPL-2.0
//! The names of functions as they are in the source.

use std::{
    collections::HashMap,
    io::Write,
    process::{Command, Stdio},
    thread,
};

use crate::ir::*;

/// The names of Rust functions, demangled.
#[derive(Default)]
pub struct Names(HashMap<SymId, String>);

impl Names {
    /// Has `llvm-cxxfilt` demangle all names. Without that program they stay as they are.
    pub fn new(program: &Program) -> Self {
        let mangled: Vec<SymId> = (0..program.symbols.len() as SymId)
            .filter(|symbol| {
                program.name(*symbol).starts_with("_R") && program.function(*symbol).is_some()
            })
            .collect();
        if mangled.is_empty() {
            return Names::default();
        }
        let lines: Vec<&str> = mangled.iter().map(|symbol| program.name(*symbol)).collect();
        let text = lines.join("\n") + "\n";
        let Some(demangled) = filter(text) else {
            return Names::default();
        };
        Names(
            mangled
                .into_iter()
                .zip(demangled.lines().map(String::from))
                .collect(),
        )
    }

    pub fn of<'a>(&'a self, program: &'a Program, symbol: SymId) -> &'a str {
        self.0
            .get(&symbol)
            .map_or_else(|| program.name(symbol), String::as_str)
    }
}

fn filter(text: String) -> Option<String> {
    let mut child = Command::new("llvm-cxxfilt")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    // It writes before it has read all names, and waits if no one reads: a thread of its own feeds it.
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
