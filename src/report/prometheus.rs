//! `--metrics-file`: figures in Prometheus's text format, for node_exporter's textfile collector.
//!
//! The file is written after every attempt, even a failed one, and from the history, so it is right whichever
//! command wrote it last. Each database needs its own file.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use serde::Serialize;
use serde_json::Value;

use crate::error::Result;
use crate::files;
use crate::run_summary::{Proof, RunKind, RunRecord, RunStatus, Timings};

/// Runs that are counted together: one alone has few hits.
const PROOF_RUNS: usize = 14;

/// The command that has just ended.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub command: &'a str,
    /// The exit code.
    pub code: u8,
    pub took: Duration,
}

/// Writes the figures into `file`, replacing it in one step.
pub fn write(file: &Path, db: &Path, attempt: &Attempt<'_>, entries: &[RunRecord]) -> Result<()> {
    let before = fs::read_to_string(file).unwrap_or_default();
    let text = exposition(&db.to_string_lossy(), attempt, entries, &before);
    // Readable for the collector, which runs as another user, whatever our umask says. It takes only names
    // that end in .prom, so it never sees half a file.
    files::replace(file, text.as_bytes(), Some(0o644))
}

/// The file's text; `before` is its old text, from which the last attempts of other commands are kept.
fn exposition(db: &str, attempt: &Attempt<'_>, entries: &[RunRecord], before: &str) -> String {
    let mut page = Exposition { text: String::new(), db: escaped(db) };
    let now = Utc::now().timestamp_millis() as f64 / 1e3;
    for (name, help, value) in [
        ("exit_code", "Exit code of the last attempt.", f64::from(attempt.code)),
        ("attempt_timestamp_seconds", "When the last attempt ended.", now),
        ("attempt_duration_seconds", "How long the last attempt took.", attempt.took.as_secs_f64()),
    ] {
        page.about(name, help);
        page.gauge(name, &[("command", attempt.command)], value);
        let (family, own) =
            (format!("nightshelf_{name}{{db=\"{}\",", page.db), format!("command=\"{}\"}}", attempt.command));
        for line in before.lines().filter(|line| line.starts_with(&family) && !line.contains(&own)) {
            page.text.push_str(line);
            page.text.push('\n');
        }
    }

    let last = |kind| entries.iter().find(|entry| entry.kind == kind && entry.is_good());
    let kinds: Vec<&RunRecord> =
        [RunKind::Nightly, RunKind::Backfill, RunKind::Rollback].into_iter().filter_map(last).collect();
    page.about(
        "last_success_timestamp_seconds",
        "When the last run ended that published, or had no need to.",
    );
    for run in &kinds {
        if let Some(finished) = run.finished {
            let time = finished.timestamp_millis() as f64 / 1e3;
            page.gauge("last_success_timestamp_seconds", &[("kind", &run.kind.to_string())], time);
        }
    }
    page.about("last_success_run_id", "Its number in nightshelf_runs.");
    for run in &kinds {
        page.gauge("last_success_run_id", &[("kind", &run.kind.to_string())], run.run_id as f64);
    }
    page.about("stage_seconds", "How long each of its stages took.");
    for run in &kinds {
        for (stage, seconds) in run.timings.iter().flat_map(Timings::iter) {
            let labels = [("kind", run.kind.to_string()), ("stage", stage.to_owned())];
            page.gauge(
                "stage_seconds",
                &labels.each_ref().map(|(name, text)| (*name, text.as_str())),
                seconds,
            );
        }
    }

    // The input of the last good run of any kind, and the figures of the last training.
    let came_in = |entry: &RunRecord| entry.counts.clone().filter(|counts| counts.users.is_some());
    if let Some(counts) = entries.iter().filter(|entry| entry.is_good()).find_map(came_in) {
        page.about("ratings", "Rows of the ratings table, by what became of them.");
        page.numbers("ratings", &counts.ratings);
        page.about("users", "Readers with a rating.");
        page.value("users", counts.users);
        page.about("items", "Books with a rating.");
        page.value("items", counts.items);
    }
    let is_trained =
        |entry: &&RunRecord| entry.kind == RunKind::Nightly && entry.status == RunStatus::Published;
    if let Some(run) = entries.iter().find(is_trained) {
        page.about("recommendations", "Rows that the last published night wrote.");
        page.value("recommendations", run.counts.as_ref().and_then(|counts| counts.recommendations));
        page.about("model", "Figures of the last trained model: loss, coverage and so on.");
        page.numbers("model", &run.metrics);
    }
    let is_published = |entry: &&RunRecord| entry.status == RunStatus::Published;
    let proofs = entries.iter().filter(is_published).filter_map(|run| run.metrics.as_ref()?.proof.as_ref());
    let proofs: Vec<&Proof> = proofs.take(PROOF_RUNS).collect();
    if !proofs.is_empty() {
        page.about(
            "proof",
            "What readers with a list picked up in the last 14 published runs, and what of it stood in it.",
        );
        page.numbers("proof", &Proof::sum(proofs));
    }
    page.text
}

/// The text so far: gauges about one database.
struct Exposition {
    text: String,
    db: String,
}

impl Exposition {
    fn about(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP nightshelf_{name} {help}\n# TYPE nightshelf_{name} gauge");
    }

    fn gauge(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.text, "nightshelf_{name}{{db=\"{}\"", self.db);
        for (label, text) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.text, "}} {value}");
    }

    /// Writes nothing for `None`.
    fn value(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.gauge(name, &[], value as f64);
        }
    }

    /// A gauge for each field of `facts` that is a number, labelled with the field's name.
    fn numbers(&mut self, name: &str, facts: &impl Serialize) {
        if let Ok(Value::Object(fields)) = serde_json::to_value(facts) {
            for (what, value) in &fields {
                if let Some(value) = value.as_f64() {
                    self.gauge(name, &[("what", what)], value);
                }
            }
        }
    }
}

/// Escapes a label's value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_escaped() {
        let attempt = Attempt { command: "run", code: 75, took: Duration::from_millis(1500) };
        let text = exposition("a \"b\"\\c\n.db", &attempt, &[], "");
        let line = "nightshelf_exit_code{db=\"a \\\"b\\\"\\\\c\\n.db\",command=\"run\"} 75";
        assert!(text.lines().any(|found| found == line), "{text}");
        // Another command's attempt stays, and there is one line for each.
        let backfill = Attempt { command: "backfill", code: 0, ..attempt };
        let both = exposition("a \"b\"\\c\n.db", &backfill, &[], &text);
        let again = exposition("a \"b\"\\c\n.db", &backfill, &[], &both);
        for text in [both, again] {
            let codes = text.lines().filter(|line| line.starts_with("nightshelf_exit_code"));
            assert_eq!(codes.count(), 2, "{text}");
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }
}
