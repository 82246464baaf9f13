// SPDX-License-Identifier: GPL-2.0
//! The command line: see `prove --help`.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{IsTerminal, Write},
    process::ExitCode,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Mutex,
    },
    thread,
    time::{Duration, Instant},
};

use prove::{
    assembly,
    axioms::Axioms,
    cache::Cache,
    interpret::{Interpreter, Precision},
    ir::{Object, Program, SymId},
    link::link,
    load::load,
    mutate::mutate,
    names::Names,
    output::{self, Judged},
    roots::{self, Root},
    search::{is_sink, Search, Verdict},
    targets::{Filters, Targets},
};

const USAGE: &str = "usage: prove --objects LIST [OPTION...]
Prove that the callbacks of MMU notifiers cannot sleep.
  --objects LIST     a file that names the objects: a line `UNIT PATH` for each; unit 0 is the kernel image, and each
                     module is one of its own
  --axioms FILE      what is assumed
  --cache FOLDER     keep what was read of each object here, and read it again only if the object changes
  --root FUNCTION    only this function, which need not be a callback
  --within TEXT      only callbacks in objects whose path contains this, or that of another such option
  --partial          modules are missing: no indirect or static call is followed, whose targets may be in them
  --event NUMBER     only for this event of the range
  --explain FUNCTION what is known in this function, and which of its calls cannot run
  --json FILE, --sarif FILE
                     write the verdicts there, too
  --mutate COUNT     put so many sleeps on paths of proved callbacks, and see that each is found
  --seed NUMBER      where they are put
  --without values|objects|fields|kcfi
                     leave out a part of the analysis, to see what it is worth
The exit code is 0 if all is proved, 1 after an alarm, 2 if something is not proved, 3 after an error.";

/// The event of the invalidations of the OOM reaper, from include/linux/mmu_notifier.h.
const MMU_NOTIFY_CLEAR: u32 = 1;

#[derive(Default)]
struct Options {
    objects: String,
    axioms: Option<String>,
    cache: Option<String>,
    roots: Vec<String>,
    within: Vec<String>,
    partial: bool,
    event: Option<u32>,
    explain: Option<String>,
    json: Option<String>,
    sarif: Option<String>,
    mutate: Option<usize>,
    seed: u64,
    without: Vec<String>,
}

impl Options {
    /// Returns whether a root is in one of the selected objects.
    fn selects(&self, program: &Program, root: &Root) -> bool {
        let file = &program.files[program.file[root.symbol as usize] as usize];
        let mut within = self.within.iter();
        self.within.is_empty() || within.any(|within| file.contains(within.as_str()))
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--help" || word == "-h" {
            println!("{USAGE}");
            std::process::exit(0);
        }
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--objects" => options.objects = value()?,
            "--axioms" => options.axioms = Some(value()?),
            "--cache" => options.cache = Some(value()?),
            "--root" => options.roots.push(value()?),
            "--within" => options.within.push(value()?),
            "--partial" => options.partial = true,
            "--event" => {
                options.event = Some(value()?.parse().map_err(|_| "an event is a number")?)
            }
            "--explain" => options.explain = Some(value()?),
            "--json" => options.json = Some(value()?),
            "--sarif" => options.sarif = Some(value()?),
            "--mutate" => {
                options.mutate = Some(value()?.parse().map_err(|_| "a count is a number")?)
            }
            "--seed" => options.seed = value()?.parse().map_err(|_| "a seed is a number")?,
            "--without" => options.without.push(value()?),
            _ => return Err(format!("{word} is not an option: see --help")),
        }
    }
    if options.objects.is_empty() {
        return Err("--objects is missing: see --help".into());
    }
    Ok(options)
}

/// One line that changes on a terminal.
struct Progress {
    last: Instant,
}

impl Progress {
    fn show(&mut self, text: &str) {
        if std::io::stderr().is_terminal() && self.last.elapsed() > Duration::from_millis(200) {
            eprint!("\r\x1b[K{text}");
            self.last = Instant::now();
        }
    }

    fn end(&self) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

fn read(path: &str, named: &BTreeSet<String>, cache: Option<&Cache>) -> Result<Object, String> {
    let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    if bytes.starts_with(b"\x7fELF") {
        return assembly::object(path, &bytes);
    }
    let load = || {
        load(path, &|function| {
            is_sink(function) || named.contains(function)
        })
    };
    match cache {
        Some(cache) => cache.object(path, &bytes, load),
        None => load(),
    }
}

/// Reads the objects with a thread for each processor.
fn read_all(
    list: &str,
    named: &BTreeSet<String>,
    cache: Option<&Cache>,
    progress: &mut Progress,
) -> Result<Vec<(Object, u32)>, String> {
    let text = fs::read_to_string(list).map_err(|error| format!("{list}: {error}"))?;
    let mut paths = vec![];
    for line in text.lines() {
        let (unit, path) = line
            .split_once(' ')
            .ok_or(format!("{list}: a line has a unit and a path: {line}"))?;
        paths.push((
            unit.parse::<u32>()
                .map_err(|_| format!("{list}: a unit is a number: {line}"))?,
            path,
        ));
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some((_, path)) = paths.get(index) else {
                    break;
                };
                let object = read(path, named, cache);
                done.lock()
                    .expect("no thread panics with the lock")
                    .insert(index, object);
            });
        }
        loop {
            let count = next.load(Ordering::Relaxed).min(paths.len());
            if count == paths.len() {
                break;
            }
            progress.show(&format!("reading {count} of {} objects", paths.len()));
            thread::sleep(Duration::from_millis(50));
        }
    });
    let done = done.into_inner().expect("no thread panicked");
    done.into_iter()
        .map(|(index, object)| Ok((object?, paths[index].0)))
        .collect()
}

fn is_section_of_test(program: &Program, root: &Root) -> bool {
    let file = &program.files[program.file[root.symbol as usize] as usize];
    root.section.is_some() && file.contains("/tests/")
}

/// Returns the roots that the options select.
fn find_roots(options: &Options, search: &Search<'_>, names: &Names) -> Result<Vec<Root>, String> {
    let program = search.interpreter.program;
    let all = roots::all(&search.interpreter);
    if options.roots.is_empty() {
        let selected = all
            .into_iter()
            .filter(|root| options.selects(program, root));
        // Tests sleep in sections on purpose.
        let (tests, selected): (Vec<_>, Vec<_>) = selected
            .partition(|root| options.within.is_empty() && is_section_of_test(program, root));
        if !tests.is_empty() {
            println!("{} sections of tests are left out", tests.len());
        }
        return Ok(selected);
    }
    let mut selected = vec![];
    for name in &options.roots {
        let before = selected.len();
        for (symbol, definition) in program.symbols.iter().enumerate() {
            let symbol = symbol as SymId;
            let named = definition.name == *name || names.of(program, symbol) == name;
            if definition.function().is_none() || !named {
                continue;
            }
            let mut known = all.iter().filter(|root| root.symbol == symbol);
            let callback = known.find(|root| root.section.is_none());
            selected.push(Root {
                symbol,
                kind: callback.map_or("asked for", |root| root.kind),
                range: callback.and_then(|root| root.range),
                section: None,
            });
        }
        if selected.len() == before {
            return Err(format!("there is no function {name}"));
        }
    }
    Ok(selected)
}

fn run() -> Result<u8, String> {
    let options = options()?;
    let start = Instant::now();
    let mut progress = Progress { last: start };
    let axioms = match &options.axioms {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
            Axioms::parse(&text).map_err(|why| format!("{path}: {why}"))?
        }
        None => Axioms::default(),
    };
    let named = axioms.names();
    let cache = match &options.cache {
        Some(folder) => Some(Cache::new(folder, &named)?),
        None => None,
    };
    let objects = read_all(&options.objects, &named, cache.as_ref(), &mut progress)?;
    let count = objects.len();
    progress.show("linking");
    let mut program = link(objects);
    let with = |part: &str| !options.without.iter().any(|without| without == part);
    progress.show("following function pointers");
    let targets = Targets::new(
        &program,
        Filters {
            fields: with("fields"),
            kcfi: with("kcfi"),
        },
    );
    let names = Names::new(&program);
    if let Some(count) = options.mutate {
        progress.show("putting sleeps on paths");
        let outcome = mutate(
            &mut program,
            &targets,
            &axioms,
            &names,
            (count, options.seed),
            |program, root| options.selects(program, root),
        );
        progress.end();
        print!("{}", output::mutants(&outcome, count, options.seed));
        return Ok(u8::from(!outcome.missed.is_empty()));
    }
    let precision = Precision {
        values: with("values"),
        objects: with("objects"),
    };
    let mut search = Search::new(
        Interpreter::new(&program, &targets, precision),
        &axioms,
        &names,
    );
    search.partial = options.partial;
    let roots = find_roots(&options, &search, &names)?;
    if roots.is_empty() {
        return Err("there is no callback or section in these objects".into());
    }
    let ready = start.elapsed();
    let mut judged = vec![];
    let label = |symbol: SymId| names.of(&program, symbol).to_string();
    let width = roots
        .iter()
        .map(|root| label(root.symbol).chars().count())
        .max()
        .unwrap_or(0)
        .min(70);
    for (number, root) in roots.iter().enumerate() {
        progress.show(&format!(
            "{} of {} roots: {}",
            number + 1,
            roots.len(),
            label(root.symbol)
        ));
        let began = Instant::now();
        let judge = |event, explain| {
            let args = root.args(&search.interpreter, event);
            search.root(root.symbol, args, root.section.as_ref(), explain)
        };
        let (report, explanations) = judge(options.event, options.explain.as_deref());
        let mut note = String::new();
        let alarm = matches!(report.verdict, Verdict::Alarm(_));
        if alarm && root.range.is_some() && options.event.is_none() {
            let (again, _) = judge(Some(MMU_NOTIFY_CLEAR), None);
            note = match again.verdict {
                Verdict::Proved => {
                    "PROVED for the event CLEAR, which is that of the OOM reaper".into()
                }
                Verdict::Unproven(..) => {
                    "UNPROVEN for the event CLEAR, which is that of the OOM reaper".into()
                }
                Verdict::Alarm(_) => String::new(),
            };
        }
        let file = program.files[program.file[root.symbol as usize] as usize].clone();
        let seconds = began.elapsed().as_secs_f64();
        judged.push(Judged {
            function: label(root.symbol),
            callback: root.kind.into(),
            file,
            report,
            note,
            seconds,
        });
        progress.end();
        print!(
            "{}",
            output::row(judged.last().expect("was just pushed"), width)
        );
        for explanation in explanations {
            println!(
                "            in {} ({}): {}",
                explanation.function,
                explanation.args.join(", "),
                explanation.text
            );
        }
        std::io::stdout()
            .flush()
            .map_err(|error| error.to_string())?;
    }
    let of = |verdict: &str| {
        judged
            .iter()
            .filter(|judged| judged.verdict() == verdict)
            .count()
    };
    let (proved, alarms, unproven) = (of("PROVED"), of("ALARM"), of("UNPROVEN"));
    println!("\n{proved} PROVED, {alarms} ALARM, {unproven} UNPROVEN");
    println!(
        "{count} objects, {} functions; read in {:.0} s, judged in {:.0} s",
        program
            .symbols
            .iter()
            .filter(|symbol| symbol.function().is_some())
            .count(),
        ready.as_secs_f64(),
        (start.elapsed() - ready).as_secs_f64()
    );
    let used: BTreeSet<usize> = judged
        .iter()
        .flat_map(|judged| &judged.report.axioms)
        .copied()
        .collect();
    if !used.is_empty() {
        println!("\nassumed:");
    }
    for axiom in used {
        println!("  {}: {}", axioms.all[axiom].text, axioms.all[axiom].reason);
    }
    // With modules missing, most axioms are about functions that are not there.
    if !options.partial {
        let has = |name: &str| {
            (0..program.symbols.len() as SymId).any(|id| names.of(&program, id) == name)
        };
        for axiom in axioms.about_nothing(has) {
            println!(
                "warning: there is no such function: {} (line {})",
                axiom.text, axiom.line
            );
        }
    }
    if !options.partial && options.roots.is_empty() && options.within.is_empty() {
        for axiom in axioms.unused() {
            println!(
                "warning: nothing needs this: {} (line {})",
                axiom.text, axiom.line
            );
        }
    }
    let texts: Vec<String> = axioms.all.iter().map(|axiom| axiom.text.clone()).collect();
    let write = |path: &Option<String>, text: String| match path {
        Some(path) => fs::write(path, text).map_err(|error| format!("{path}: {error}")),
        None => Ok(()),
    };
    write(&options.json, output::json(&judged, &texts))?;
    write(&options.sarif, output::sarif(&judged))?;
    Ok(if alarms > 0 {
        1
    } else if unproven > 0 {
        2
    } else {
        0
    })
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(3)
        }
    }
}
