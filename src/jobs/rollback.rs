//! Puts the set before the current one back.

use std::path::Path;

use serde_json::json;

use crate::catalog::rejects::Rejects;
use crate::config::Config;
use crate::console::Console;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::store::lock::Lock;
use crate::store::runs::{self, Ending, RunKind, Story};
use crate::store::{Database, publish};

/// Exchanges the published set with the one before. A second time undoes the first.
///
/// # Errors
/// [`crate::error::Kind::Failed`] if there is no set before the current one.
pub fn rollback(db: &Path, config: &Config, console: &Console, interrupt: &Interrupt) -> Result<Outcome> {
    let patience = config.output.patience();
    let mut database = Database::open(db, patience, interrupt.clone())?;
    let _lock = Lock::take(&database)?;
    let settings = serde_json::to_value(config).unwrap_or_default();
    let run_id = runs::begin(&mut database, RunKind::Rollback, "cpu", &settings)?;
    let from = runs::current(&database)?.map(|run| run.run_id);
    let done = publish::rollback(&mut database, |transaction| {
        let story = Story::default();
        runs::finished(transaction, run_id, Ending::Published, &story)
    });
    if let Err(error) = done {
        runs::ended(&mut database, run_id, &error, &Rejects::default());
        return Err(error);
    }
    let to = runs::current(&database)?.map(|run| run.run_id);
    let name = |run: Option<i64>| run.map_or("none".to_owned(), |run| format!("run {run}"));
    console.say(format!("rollback   from {} back to {}; again to undo", name(from), name(to)));
    Ok(json!({ "run_id": run_id, "status": "published", "from": from, "to": to }).into())
}
