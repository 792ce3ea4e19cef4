//! `nightshelf backfill`: brings lists up to date after an import; `nightshelf refresh`: after a change of what may be
//! recommended.

use super::Outcome;
use super::monitored::monitored;
use super::run::shown;
use crate::cli::{Backfill, Target};
use crate::context::Context;
use crate::error::Result;
use crate::pipeline::backfill::{self, Options};

pub fn backfill(context: Context<'_>, args: &Backfill) -> Result<Outcome> {
    let db = &args.target.db;
    let options = Options {
        refresh: false,
        since_run: args.since_run,
        users: args.users.as_deref(),
        full_if_needed: args.full_if_needed,
        dry_run: args.dry_run,
    };
    monitored(context, "backfill", db, || shown(backfill::run(context, db, options)?))
}

/// Makes those lists anew that have a book which may be shown no more.
pub fn refresh(context: Context<'_>, args: &Target) -> Result<Outcome> {
    let options = Options { refresh: true, ..Options::default() };
    monitored(context, "refresh", &args.db, || shown(backfill::run(context, &args.db, options)?))
}
