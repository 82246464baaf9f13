// SPDX-License-Identifier: GPL-2.0
//! The verdicts, as a table, as JSON and as SARIF.

use crate::{
    mutate::Outcome,
    search::{Report, Step, Verdict},
};

/// A root and its verdict.
pub struct Judged {
    pub function: String,
    pub callback: String,
    /// The file of the function.
    pub file: String,
    pub report: Report,
    /// The result of a second search, for example no alarm for a given event.
    pub note: String,
    pub seconds: f64,
}

impl Judged {
    pub fn verdict(&self) -> &'static str {
        match self.report.verdict {
            Verdict::Proved => "PROVED",
            Verdict::Alarm(_) => "ALARM",
            Verdict::Unproven(..) => "UNPROVEN",
        }
    }
}

/// Returns a step as a person reads it.
fn line(step: &Step) -> String {
    let arrow = if step.indirect { "~> " } else { "-> " };
    let place = step.place.as_ref().map_or(String::new(), |place| {
        format!("{}:{}: ", place.file, place.line)
    });
    let args = if step.args.is_empty() {
        String::new()
    } else {
        format!(" ({})", step.args.join(", "))
    };
    format!("{place}{arrow}{}{args}", step.function)
}

/// Returns the row of a root, and below it the chain of calls.
pub fn row(judged: &Judged, width: usize) -> String {
    let mut text = format!(
        "  {:<8}  {:<width$}  {}",
        judged.verdict(),
        judged.function,
        judged.callback
    );
    if !judged.note.is_empty() {
        text += &format!("  ({})", judged.note);
    }
    text.push('\n');
    let (chain, why) = match &judged.report.verdict {
        Verdict::Proved => return text,
        Verdict::Alarm(chain) => (chain, None),
        Verdict::Unproven(chain, why) => (chain, Some(why)),
    };
    for step in &chain[1..] {
        text += &format!("            {}\n", line(step));
    }
    if let Some(why) = why {
        text += &format!("            {why}\n");
    }
    text
}

/// Returns the result of sleeps on paths of proved roots.
pub fn mutants(outcome: &Outcome, count: usize, seed: u64) -> String {
    let mut text = format!(
        "{} proved callbacks, executed: {} instructions of {} functions\n\
         {count} sleeps put before one of them, with seed {seed}: {} found\n",
        outcome.roots, outcome.places, outcome.functions, outcome.found
    );
    for missed in &outcome.missed {
        text += &format!("  {missed}\n");
    }
    text
}

/// Returns a string as JSON.
fn string(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => json += "\\\"",
            '\\' => json += "\\\\",
            '\n' => json += "\\n",
            c if c < ' ' => json += &format!("\\u{:04x}", c as u32),
            c => json.push(c),
        }
    }
    json + "\""
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn json_step(step: &Step) -> String {
    let (file, line) = step
        .place
        .as_ref()
        .map_or(("", 0), |place| (&*place.file, place.line));
    format!(
        "{{\"function\": {}, \"file\": {}, \"line\": {line}, \"indirect\": {}, \"args\": {}}}",
        string(&step.function),
        string(file),
        step.indirect,
        array(step.args.iter().map(|arg| string(arg)))
    )
}

/// Returns all verdicts as JSON; `axioms` are the texts of the axioms by their number.
pub fn json(all: &[Judged], axioms: &[String]) -> String {
    let root = |judged: &Judged| {
        let (chain, why) = match &judged.report.verdict {
            Verdict::Proved => (&[][..], ""),
            Verdict::Alarm(chain) => (&chain[..], ""),
            Verdict::Unproven(chain, why) => (&chain[..], why.as_str()),
        };
        format!(
            "{{\"function\": {}, \"callback\": {}, \"file\": {}, \"verdict\": {}, \"note\": {}, \"why\": {}, \
             \"functions\": {}, \"contexts\": {}, \"axioms\": {}, \"chain\": {}}}",
            string(&judged.function),
            string(&judged.callback),
            string(&judged.file),
            string(judged.verdict()),
            string(&judged.note),
            string(why),
            judged.report.functions,
            judged.report.contexts,
            array(judged.report.axioms.iter().map(|axiom| string(&axioms[*axiom]))),
            array(chain.iter().map(json_step))
        )
    };
    format!(
        "{{\"roots\": [\n  {}\n]}}\n",
        all.iter().map(root).collect::<Vec<_>>().join(",\n  ")
    )
}

/// Returns the alarms, and the unproved roots as warnings, as SARIF 2.1.0.
pub fn sarif(all: &[Judged]) -> String {
    let result = |judged: &Judged| {
        let (chain, level, text) = match &judged.report.verdict {
            Verdict::Proved => return None,
            Verdict::Alarm(chain) => (chain, "error", format!("{} may sleep", judged.function)),
            Verdict::Unproven(chain, why) => (
                chain,
                "warning",
                format!("{} is not proved: {why}", judged.function),
            ),
        };
        let location = |step: &Step| {
            step.place.as_ref().map(|place| {
                format!(
                    "{{\"physicalLocation\": {{\"artifactLocation\": {{\"uri\": {}}}, \"region\": {{\"startLine\": {}}}}}, \
                     \"message\": {{\"text\": {}}}}}",
                    string(&place.file),
                    place.line.max(1),
                    string(&step.function)
                )
            })
        };
        let locations: Vec<String> = chain.iter().filter_map(location).collect();
        let flow = array(
            locations
                .iter()
                .map(|location| format!("{{\"location\": {location}}}")),
        );
        let first = array(locations.first().cloned().into_iter());
        let flows = if locations.is_empty() {
            String::new()
        } else {
            format!(", \"codeFlows\": [{{\"threadFlows\": [{{\"locations\": {flow}}}]}}]")
        };
        Some(format!(
            "{{\"ruleId\": \"non-blocking\", \"level\": \"{level}\", \"message\": {{\"text\": {}}}, \
             \"locations\": {first}{flows}}}",
            string(&text)
        ))
    };
    format!(
        "{{\"version\": \"2.1.0\", \"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\", \"runs\": [{{\
         \"tool\": {{\"driver\": {{\"name\": \"prove\", \"rules\": [{{\"id\": \"non-blocking\"}}]}}}}, \"results\": {}}}]}}\n",
        array(all.iter().filter_map(result))
    )
}
