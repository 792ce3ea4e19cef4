//! `nightshelf import`: loads files of ratings or books into the application's tables.

use serde_json::json;

use super::Outcome;
use crate::cli::Import;
use crate::context::Context;
use crate::error::Result;
use crate::pipeline::import::{self, Request};

pub fn import(context: Context<'_>, args: &Import) -> Result<Outcome> {
    let (db, Import { files, hints, restart, .. }) = (&args.target.db, args);
    let loaded = import::load(context, db, Request { files, hints, restart: *restart })?;
    if loaded.failure.is_none() {
        context.console.say(format!("next: nightshelf run --db {}", db.display()));
    }
    Ok(Outcome { failure: loaded.failure, ..Outcome::from(json!({ "files": loaded.files })) })
}
