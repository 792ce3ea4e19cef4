//! `nightshelf rollback`: puts the previous set in the place of the current one, at once.

use serde_json::json;

use super::Outcome;
use super::monitored::monitored;
use crate::catalog::rejects::Rejects;
use crate::cli::Target;
use crate::context::Context;
use crate::database::lock::Lock;
use crate::database::{publish, runs};
use crate::error::Result;
use crate::model::device::Device;
use crate::run_summary::{RunKind, RunStatus};

/// Exchanges the current set with the previous one; doing it again undoes it.
///
/// # Errors
/// [`crate::error::Kind::Failed`] if there is no previous set.
pub fn rollback(context: Context<'_>, args: &Target) -> Result<Outcome> {
    monitored(context, "rollback", &args.db, || {
        let mut database = context.open(&args.db)?;
        let _lock = Lock::take(&database)?;
        let device = Device::Cpu.to_string();
        let run_id = runs::begin(&mut database, RunKind::Rollback, &device, context.config)?;
        let from = runs::current(&database)?.map(|run| run.run_id);
        let done = publish::rollback(&mut database, |transaction| runs::rolled_back(transaction, run_id));
        if let Err(error) = done {
            runs::ended(&mut database, run_id, &error, &Rejects::default());
            return Err(error);
        }
        let to = runs::current(&database)?.map(|run| run.run_id);
        let name = |run: Option<i64>| run.map_or("none".to_owned(), |run| format!("run {run}"));
        context.console.say(format!("rollback   from {} back to {}; again to undo", name(from), name(to)));
        let status = RunStatus::Published;
        let json = json!({ "run_id": run_id, "status": status, "from": from, "to": to });
        Ok((status, json.into()))
    })
}
