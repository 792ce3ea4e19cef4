//! `nightshelf report`: writes a page about the last night, or about many databases.

use chrono::Local;
use serde_json::json;

use super::{Outcome, as_json};
use crate::cli::Report;
use crate::context::Context;
use crate::error::Result;
use crate::files;
use crate::pipeline::fleet::{self, Named};
use crate::pipeline::page_facts;
use crate::report::page::page;
use crate::text::count;

pub fn report(context: Context<'_>, args: &Report) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let html = match fleet::files(&args.fleet.dbs)? {
        Named::One(db) => page(&page_facts::gather(context, &db, args.readers as usize)?)?,
        Named::Many(files) => {
            let shops = fleet::look(context, &files);
            outcome.json = json!({ "databases": as_json(&shops)? });
            outcome.failure = fleet::unreadable(&shops);
            crate::report::fleet::page(&shops, &Local::now().format("on %Y-%m-%d at %H:%M").to_string())
        }
    };
    files::replace(&args.out, html.as_bytes(), None)?;
    context.console.say(format!("report     {}: {} kB", args.out.display(), count(html.len() / 1000)));
    if outcome.json.is_null() {
        outcome.json = json!({});
    }
    outcome.json["file"] = json!(args.out.display().to_string());
    outcome.json["bytes"] = json!(html.len());
    Ok(outcome)
}
