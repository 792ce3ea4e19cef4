//! `nightshelf runs`: the last nights, each figure beside how it has changed.

use std::path::Path;

use chrono::Local;
use serde_json::{Value, json};

use crate::config::Config;
use crate::console::{Console, count, plain};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::store::Database;
use crate::store::runs::{self, Entry};

/// A figure of a run: its heading, where it stands, and how it is written.
type Figure = (&'static str, fn(&Entry) -> Option<f64>, fn(f64) -> String);

const FIGURES: [Figure; 7] = [
    ("seconds", |run| run.timings["total_s"].as_f64(), |seconds| format!("{seconds:.1}")),
    ("ratings", |run| run.counts["ratings"]["kept"].as_f64(), whole),
    ("readers", |run| run.counts["users"].as_f64(), whole),
    ("rows", |run| run.counts["recommendations"].as_f64(), whole),
    ("nDCG@20", |run| run.metrics["ndcg"].as_f64(), |figure| format!("{figure:.4}")),
    ("loss", |run| run.metrics["loss"].as_f64(), |loss| format!("{loss:.4}")),
    ("coverage", |run| run.metrics["coverage"].as_f64(), |share| format!("{:.1}%", share * 100.0)),
];

fn whole(number: f64) -> String {
    count(number as u64)
}

/// Shows the last `last` runs, the newest below.
///
/// # Errors
/// As [`Database::open`] and [`Database::read`].
pub fn runs(
    db: &Path,
    last: u32,
    config: &Config,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let patience = config.output.patience();
    let database = Database::open(db, patience, interrupt.clone())?;
    // One more of each kind may be needed to say how the first ones have changed.
    let mut entries = runs::last(&database, last.saturating_mul(2).max(last))?;
    entries.reverse();
    let first = entries.len().saturating_sub(last as usize);
    if entries.is_empty() {
        let text = "no runs yet: `nightshelf run --db FILE` makes the first".to_owned();
        return Ok(Outcome { text, json: json!({ "runs": [] }), failure: None });
    }
    let header: Vec<&str> =
        ["run", "when", "kind", "status"].into_iter().chain(FIGURES.map(|(name, ..)| name)).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut told = Vec::new();
    let mut notes = String::new();
    for (place, run) in entries.iter().enumerate().skip(first) {
        // A run that had nothing to do is no worse for having taken less time.
        let published = |other: &&Entry| other.kind == run.kind && other.status == "published";
        let before = entries[..place].iter().rev().find(published).filter(|_| run.status == "published");
        let changes: Vec<_> =
            FIGURES.iter().map(|(_, figure, _)| Some((figure(run)?, before.and_then(figure)))).collect();
        let when = run
            .started
            .map_or("?".into(), |time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string());
        let head = [run.run_id.to_string(), when, run.kind.clone(), run.status.clone()];
        let figures = changes.iter().zip(&FIGURES).map(|(change, (_, _, show))| match change {
            Some((now, before)) => format!("{}{}", show(*now), trend(*now, *before)),
            None => String::new(),
        });
        rows.push(head.into_iter().chain(figures).collect());
        told.push(as_json(run, &changes));
        if let Some(error) = &run.error {
            notes.push_str(&format!("\nrun {}: {}", run.run_id, plain(error)));
        }
    }
    let numbers: Vec<usize> = (0..header.len()).filter(|place| *place == 0 || *place > 3).collect();
    let text = console.table(&header, rows, &numbers) + &notes;
    Ok(Outcome { text, json: json!({ "runs": told }), failure: None })
}

/// How a figure has changed since the run before of the same kind that published: ` +1.2%`.
fn trend(now: f64, before: Option<f64>) -> String {
    match before {
        Some(before) if before != 0.0 => {
            let change = (now / before - 1.0) * 100.0;
            if change.abs() < 0.05 { " =".into() } else { format!(" {change:+.1}%") }
        }
        _ => String::new(),
    }
}

fn as_json(run: &Entry, changes: &[Option<(f64, Option<f64>)>]) -> Value {
    let mut changed = serde_json::Map::new();
    for (change, (name, ..)) in changes.iter().zip(&FIGURES) {
        if let Some((now, Some(before))) = change {
            changed.insert((*name).to_owned(), json!(now - before));
        }
    }
    json!({
        "run_id": run.run_id,
        "kind": run.kind,
        "status": run.status,
        "started_at": run.started.map(|time| time.to_rfc3339()),
        "finished_at": run.finished.map(|time| time.to_rfc3339()),
        "version": run.version,
        "device": run.device,
        "counts": run.counts,
        "metrics": run.metrics,
        "timings": run.timings,
        "error": run.error,
        "change": changed,
    })
}
