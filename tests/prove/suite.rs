// SPDX-License-Identifier: GPL-2.0
//! Runs the prover on files whose verdicts are known: the rules in `rules/*.ll`, and the controls in C and in Rust.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use prove::{
    assembly,
    axioms::Axioms,
    cache::Cache,
    interpret::{Interpreter, Precision},
    ir::Program,
    link::link,
    load::load,
    mutate::mutate,
    names::Names,
    output,
    roots::{self, Root},
    search::{is_sink, Search, Verdict},
    targets::{Filters, Targets},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/prove");

/// The parts of the analysis that a control can need.
const RULES: [&str; 4] = ["values", "objects", "fields", "kcfi"];

/// A verdict in short: `PROVED`, or the name of the last function, or the call that could not be followed.
type Verdicts = Vec<(String, &'static str, String)>;

fn program(paths: &[PathBuf]) -> Program {
    let read = |path: &PathBuf| {
        let name = path.to_str().expect("the paths are text");
        let bytes = fs::read(path).expect("the file is there");
        let object = if bytes.starts_with(b"\x7fELF") {
            assembly::object(name, &bytes)
        } else {
            load(name, &is_sink)
        };
        (object.expect("the file can be read"), 0)
    };
    link(paths.iter().map(read).collect())
}

/// Judges the callbacks of a program, or the functions that are named, without one of the rules.
fn judge(program: &Program, without: &str, axioms: &str, functions: &[&str]) -> Verdicts {
    let axioms = Axioms::parse(axioms).expect("these are axioms");
    let targets = Targets::new(
        program,
        Filters {
            fields: without != "fields",
            kcfi: without != "kcfi",
        },
    );
    let precision = Precision {
        values: without != "values",
        objects: without != "objects",
    };
    let names = Names::new(program);
    let search = Search::new(
        Interpreter::new(program, &targets, precision),
        &axioms,
        &names,
    );
    let named = |name: &&str| Root {
        symbol: program.names[*name],
        kind: "named",
        range: None,
        section: None,
    };
    let found = if functions.is_empty() {
        roots::all(&search.interpreter)
    } else {
        functions.iter().map(named).collect()
    };
    let judge = |root: &Root| {
        let name = names.of(program, root.symbol).to_string();
        let args = root.args(&search.interpreter, None);
        let (report, _) = search.root(root.symbol, args, root.section.as_ref(), None);
        match report.verdict {
            Verdict::Proved => (name, "PROVED", String::new()),
            Verdict::Alarm(chain) => (
                name,
                "ALARM",
                chain.last().expect("it ends in a sleep").function.clone(),
            ),
            Verdict::Unproven(_, why) => (name, "UNPROVEN", why),
        }
    };
    found.iter().map(judge).collect()
}

/// Runs a compiler, and returns the file that it made.
fn compile(name: &str, compiler: &str, args: &[&str]) -> PathBuf {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut command = Command::new(compiler);
    command
        .args(args)
        .arg("-o")
        .arg(&out)
        .current_dir(FOLDER)
        .env("RUSTC_BOOTSTRAP", "1");
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{compiler} cannot be run: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    out
}

fn compile_c(name: &str) -> PathBuf {
    let flags = "-c -O2 -std=gnu11 -fno-builtin -fsanitize=kcfi -fsanitize-cfi-icall-experimental-normalize-integers \
                 -gline-tables-only -emit-llvm -Xclang -disable-llvm-passes";
    let source = format!("{name}.c");
    let mut args: Vec<&str> = flags.split_whitespace().collect();
    args.push(&source);
    compile(&format!("{name}.o"), "clang-19", &args)
}

/// Each control is named by the verdict that it must have, and by the rule without which it has another.
fn check_controls(program: &Program, least: usize) {
    let mut wrong = vec![];
    let verdicts = judge(program, "", "", &[]);
    let short = |name: &str| {
        name.rsplit("::")
            .next()
            .expect("there is a last part")
            .to_string()
    };
    let wanted = |name: &str| match short(name).split('_').next() {
        Some("n") => Some("PROVED"),
        Some("p") => Some("ALARM"),
        Some("u") => Some("UNPROVEN"),
        _ => None,
    };
    let names = Names::new(program);
    let mut controls: BTreeSet<&str> = (0..program.symbols.len() as u32)
        .filter(|symbol| program.function(*symbol).is_some())
        .map(|symbol| names.of(program, symbol))
        .filter(|name| wanted(name).is_some())
        .collect();
    assert!(
        controls.len() >= least,
        "there are only {} controls",
        controls.len()
    );
    for (name, verdict, why) in verdicts {
        let Some(wanted) = wanted(&name) else {
            continue;
        };
        controls.remove(name.as_str());
        if verdict != wanted {
            wrong.push(format!("{name} is {verdict}, not {wanted}: {why}"));
        }
    }
    wrong.extend(controls.iter().map(|name| format!("{name} is no root")));
    for rule in RULES {
        for (name, verdict, _) in judge(program, rule, "", &[]) {
            if short(&name).starts_with(&format!("n_{rule}_")) && verdict == "PROVED" {
                wrong.push(format!("{name} is PROVED without {rule}, too"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn controls_in_c() {
    check_controls(
        &program(&["kernel", "controls", "strong"].map(compile_c)),
        96,
    );
}

#[test]
fn controls_in_rust() {
    let kernel = compile_c("kernel");
    let flags =
        "--crate-type lib --edition 2021 -Copt-level=2 -Cpanic=abort -Ccodegen-units=1 -Csymbol-mangling-version=v0 -Cdebuginfo=2 -Zmerge-functions=disabled \
                 -Zsanitizer=kcfi -Zsanitizer-cfi-normalize-integers --emit=llvm-bc controls.rs";
    let rust = compile(
        "controls.bc",
        "rustc",
        &flags.split_whitespace().collect::<Vec<_>>(),
    );
    check_controls(&program(&[kernel, rust]), 18);
}

/// The first lines of each file list the expected verdicts, as in `; ALARM f: __might_sleep`, and with which axioms.
#[test]
fn rules() {
    let mut wrong = vec![];
    let mut count = 0;
    for entry in fs::read_dir(Path::new(FOLDER).join("rules")).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        let text = fs::read_to_string(&path).expect("it is text");
        let program = program(std::slice::from_ref(&path));
        let lines = |start: &str| -> Vec<String> {
            text.lines()
                .filter_map(|line| line.strip_prefix(start))
                .map(String::from)
                .collect()
        };
        let axioms = lines("; axiom ").join("\n");
        for verdict in ["PROVED", "ALARM", "UNPROVEN"] {
            for line in lines(&format!("; {verdict} ")) {
                count += 1;
                let (name, wanted) = line.split_once(": ").unwrap_or((&line, ""));
                let found = judge(&program, "", &axioms, &[name]).remove(0);
                if found.1 != verdict || !found.2.starts_with(wanted) {
                    wrong.push(format!(
                        "{}: {} is {}: {}",
                        path.display(),
                        name,
                        found.1,
                        found.2
                    ));
                }
            }
        }
    }
    assert!(count >= 30, "only {count} verdicts were checked");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn assembly_calls_what_it_refers_to() {
    let source = "assembly.s";
    let object = compile("assembly.o", "clang-19", &["-c", source]);
    let kernel = compile_c("kernel");
    let program = program(&[kernel, object]);
    let verdict = |name: &str| {
        let axioms = Axioms::default();
        let targets = Targets::new(
            &program,
            Filters {
                fields: true,
                kcfi: true,
            },
        );
        let names = Names::default();
        let precision = Precision {
            values: true,
            objects: true,
        };
        let search = Search::new(
            Interpreter::new(&program, &targets, precision),
            &axioms,
            &names,
        );
        match search
            .root(program.names[name], vec![], None, None)
            .0
            .verdict
        {
            Verdict::Proved => "PROVED",
            Verdict::Alarm(_) => "ALARM",
            Verdict::Unproven(..) => "UNPROVEN",
        }
    };
    assert_eq!(verdict("copies"), "PROVED");
    assert_eq!(verdict("sleeps"), "ALARM");
    assert_eq!(verdict("jumps"), "ALARM");
    assert_eq!(verdict("allocates"), "ALARM");
}

/// Executed with random numbers, the controls that are proved come to no sleep, and to each that is put on their way.
#[test]
fn sleeps_on_paths_are_found() {
    let mut program = program(&["kernel", "controls", "strong"].map(compile_c));
    let filters = Filters {
        fields: true,
        kcfi: true,
    };
    let targets = Targets::new(&program, filters);
    let names = Names::default();
    let axioms = Axioms::default();
    let (count, seed) = (300, 1);
    let outcome = mutate(
        &mut program,
        &targets,
        &axioms,
        &names,
        (count, seed),
        |_, _| true,
    );
    let text = output::mutants(&outcome, count, seed);
    assert!(outcome.missed.is_empty(), "{text}");
    assert_eq!(outcome.found, count, "{text}");
    assert!(outcome.roots >= 20 && outcome.places >= 150, "{text}");
}

/// The cache returns an object as it was read, until the object changes.
#[test]
fn objects_are_kept() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let folder = folder.to_str().expect("the path is text");
    let _ = fs::remove_dir_all(folder);
    let path = compile_c("controls");
    let path = path.to_str().expect("the path is text");
    let contents = fs::read(path).expect("the file is there");
    let fresh = load(path, &is_sink).expect("it can be read");
    let ask = |settings: &str, contents: &[u8]| {
        let mut read = false;
        let cache = Cache::new(folder, settings).expect("the folder can be made");
        let object = cache.object(path, contents, || {
            read = true;
            load(path, &is_sink)
        });
        let object = object.expect("it can be read");
        assert!(object == fresh, "another object");
        read
    };
    assert!(ask("", &contents));
    assert!(!ask("", &contents));
    // Another object, other settings, and a file that is cut off.
    assert!(ask("", &[&contents[..], b" "].concat()));
    assert!(ask("", &contents));
    assert!(ask("other", &contents));
    assert!(!ask("other", &contents));
    let mut files = fs::read_dir(folder).expect("the folder is there");
    let file = files
        .next()
        .expect("a file is in it")
        .expect("it can be read")
        .path();
    assert!(files.next().is_none(), "more than one file for a path");
    let kept = fs::read(&file).expect("it can be read");
    for end in [0, 8, kept.len() / 2, kept.len() - 1] {
        fs::write(&file, &kept[..end]).expect("it can be written");
        assert!(ask("other", &contents), "cut off at {end}");
    }
}

#[test]
fn axioms_have_reasons() {
    assert!(Axioms::parse("edge a b\n").is_err());
    assert!(Axioms::parse("edge a b # \nedge a b # twice\n").is_err());
    assert!(Axioms::parse("edges a b # no such\n").is_err());
    let axioms = Axioms::parse("# a comment\n\nedge a b # a reason\nfunction c # another\n")
        .expect("these are axioms");
    assert_eq!(axioms.of_call("a", "b"), Some(0));
    assert_eq!(axioms.of_call("x", "b"), None);
    assert_eq!(axioms.unused().len(), 1);
    assert_eq!(axioms.about_nothing(|name| name != "b").len(), 1);
}
