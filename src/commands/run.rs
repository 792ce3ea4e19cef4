//! `nightshelf run`: the nightly job.

use super::monitored::monitored;
use super::{Outcome, as_json};
use crate::cli::Run;
use crate::context::Context;
use crate::error::Result;
use crate::pipeline::night::{self, Finished, Options};
use crate::run_summary::RunStatus;

/// Runs the nightly job, or only prints the settings that it would have.
pub fn run(context: Context<'_>, args: &Run) -> Result<Outcome> {
    let db = match &args.db {
        Some(db) if !args.print_config => db,
        _ => return Ok(Outcome { text: context.config.to_toml(), ..Outcome::default() }),
    };
    let options = Options { dry_run: args.dry_run, force: args.force, factors: args.fitted_factors() };
    monitored(context, "run", db, || shown(night::run(context, db, options)?))
}

pub(super) fn shown(Finished { summary, refusal }: Finished) -> Result<(RunStatus, Outcome)> {
    Ok((summary.status, Outcome { json: as_json(&summary)?, failure: refusal, ..Outcome::default() }))
}
