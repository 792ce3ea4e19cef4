//! For jobs that run unattended: logs when they begin and end, and writes the metrics file.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::Local;

use super::Outcome;
use crate::context::Context;
use crate::database::{Database, runs};
use crate::error::Result;
use crate::report::prometheus::{self, Attempt};
use crate::run_summary::RunStatus;

/// How many runs of the history are searched for the last good one of each kind.
const HISTORY: u32 = 500;

/// How long reading the history may wait for other programs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a job, and logs how it ended, even if it failed.
pub(super) fn monitored(
    context: Context<'_>,
    command: &str,
    db: &Path,
    job: impl FnOnce() -> Result<(RunStatus, Outcome)>,
) -> Result<Outcome> {
    let since = Instant::now();
    let console = context.console;
    let now = || Local::now().format("%Y-%m-%d %H:%M:%S %:z");
    let version = env!("CARGO_PKG_VERSION");
    console.say(format!("start      {}: nightshelf {version} {command}, {}", now(), db.display()));
    let done = job();
    let how = done.as_ref().map_or("without success".to_owned(), |(status, _)| status.to_string());
    console.say(format!("end        {}: {how}, after {:.1} s", now(), since.elapsed().as_secs_f64()));
    let file = &context.config.output.metrics_file;
    if !file.is_empty() {
        let error = done.as_ref().map_or_else(Some, |(_, outcome)| outcome.failure.as_ref());
        let code = error.map_or(0, |error| error.kind().exit_code());
        let attempt = Attempt { command, code, took: since.elapsed() };
        // If the history cannot be read, its figures are left out: the exit code tells why.
        let entries = Database::open(db, PATIENCE, context.interrupt.clone())
            .and_then(|database| runs::last(&database, HISTORY))
            .unwrap_or_default();
        if let Err(error) = prometheus::write(Path::new(file), db, &attempt, &entries) {
            // The job itself has not failed.
            console.warn(format!("no figures for Prometheus: {error}"));
        }
    }
    done.map(|(_, outcome)| outcome)
}
