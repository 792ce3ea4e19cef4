//! `nightshelf runs`: shows the last runs, each figure with its change; or many databases at a glance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::Local;
use serde::Serialize;
use serde_json::json;

use super::{Outcome, as_json};
use crate::cli::Runs;
use crate::context::Context;
use crate::database::runs;
use crate::error::Result;
use crate::pipeline::fleet::{self, Named};
use crate::report::fleet::{HEADER, NUMBERS};
use crate::run_summary::{RunRecord, RunStatus};
use crate::text::{count, plain};

/// A figure of a run: its heading, its value, and its format.
type Figure = (&'static str, fn(&RunRecord) -> Option<f64>, fn(f64) -> String);

const FIGURES: [Figure; 9] = [
    ("seconds", |run| run.timings.as_ref()?.total(), |seconds| format!("{seconds:.1}")),
    ("ratings", |run| counted(run.counts.as_ref()?.ratings.kept), whole),
    ("readers", |run| counted(run.counts.as_ref()?.users), whole),
    ("rows", |run| counted(run.counts.as_ref()?.recommendations), whole),
    ("nDCG@20", |run| run.metrics.as_ref()?.figures.as_ref()?.ndcg, |figure| format!("{figure:.4}")),
    ("loss", |run| run.metrics.as_ref()?.loss, |loss| format!("{loss:.4}")),
    ("picked up", |run| counted(Some(run.metrics.as_ref()?.proof.as_ref()?.picks)), whole),
    ("in lists", |run| counted(Some(run.metrics.as_ref()?.proof.as_ref()?.hits)), whole),
    ("coverage", |run| run.metrics.as_ref()?.coverage, |share| format!("{:.1}%", share * 100.0)),
];

fn counted(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

fn whole(number: f64) -> String {
    count(number as u64)
}

/// Shows the last runs of a database, the newest at the bottom; or many databases, the worst first.
pub fn runs(context: Context<'_>, args: &Runs) -> Result<Outcome> {
    match fleet::files(&args.fleet.dbs)? {
        Named::One(db) => history(context, &db, args.last),
        Named::Many(files) => many(context, &files),
    }
}

fn many(context: Context<'_>, files: &[PathBuf]) -> Result<Outcome> {
    let shops = fleet::look(context, files);
    let rows = shops.iter().map(|shop| shop.cells().to_vec()).collect();
    let mut text = context.console.table(&HEADER, rows, &NUMBERS);
    for shop in &shops {
        if let Some(remark) = &shop.remark {
            text.push_str(&format!("\n{}: {remark}", shop.db));
        }
    }
    let failure = fleet::unreadable(&shops);
    Ok(Outcome { text, json: json!({ "databases": as_json(&shops)? }), failure })
}

fn history(context: Context<'_>, db: &Path, last: u32) -> Result<Outcome> {
    let console = context.console;
    let database = context.open(db)?;
    // Runs before the shown ones are needed to say how the first ones have changed.
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
        // Only published runs are compared: a run that had nothing to do is not better for taking less time.
        let is_published = |run: &RunRecord| run.status == RunStatus::Published;
        let is_like_it = |other: &&RunRecord| other.kind == run.kind && is_published(other);
        let before = entries[..place].iter().rev().find(is_like_it).filter(|_| is_published(run));
        let changes: Vec<_> =
            FIGURES.iter().map(|(_, figure, _)| Some((figure(run)?, before.and_then(figure)))).collect();
        let when = run
            .started
            .map_or("?".into(), |time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string());
        let head = [run.run_id.to_string(), when, run.kind.to_string(), run.status.to_string()];
        let figures = changes.iter().zip(&FIGURES).map(|(change, (_, _, show))| match change {
            Some((now, before)) => format!("{}{}", show(*now), trend(*now, *before)),
            None => String::new(),
        });
        rows.push(head.into_iter().chain(figures).collect());
        told.push(as_json(&Told { run, change: changed(&changes) })?);
        if let Some(error) = &run.error {
            notes.push_str(&format!("\nrun {}: {}", run.run_id, plain(error)));
        }
    }
    let numbers: Vec<usize> = (0..header.len()).filter(|place| *place == 0 || *place > 3).collect();
    let text = console.table(&header, rows, &numbers) + &notes;
    Ok(Outcome { text, json: json!({ "runs": told }), failure: None })
}

/// How a figure has changed since the last published run of the same kind: ` +1.2%`.
fn trend(now: f64, before: Option<f64>) -> String {
    match before {
        Some(before) if before != 0.0 => {
            let change = (now / before - 1.0) * 100.0;
            if change.abs() < 0.05 { " =".into() } else { format!(" {change:+.1}%") }
        }
        _ => String::new(),
    }
}

/// A run as JSON, and by how much its figures have changed.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    run: &'a RunRecord,
    change: BTreeMap<&'static str, f64>,
}

fn changed(changes: &[Option<(f64, Option<f64>)>]) -> BTreeMap<&'static str, f64> {
    let changes = changes.iter().zip(&FIGURES);
    changes
        .filter_map(|(change, (name, ..))| change.and_then(|(now, before)| Some((*name, now - before?))))
        .collect()
}
