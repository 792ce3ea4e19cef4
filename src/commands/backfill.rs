//! `nightshelf backfill`: brings lists up to date after an import.

use super::Outcome;
use super::monitored::monitored;
use super::run::shown;
use crate::cli::Backfill;
use crate::context::Context;
use crate::error::Result;
use crate::pipeline::backfill::{self, Options};

pub fn backfill(context: Context<'_>, args: &Backfill) -> Result<Outcome> {
    let db = &args.target.db;
    let options = Options {
        since_run: args.since_run,
        users: args.users.as_deref(),
        full_if_needed: args.full_if_needed,
        dry_run: args.dry_run,
    };
    monitored(context, "backfill", db, || shown(backfill::run(context, db, options)?))
}
