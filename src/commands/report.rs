//! `nightshelf report`: writes a page about the last night.

use serde_json::json;

use super::Outcome;
use crate::cli::Report;
use crate::context::Context;
use crate::error::Result;
use crate::files;
use crate::pipeline::page_facts;
use crate::report::page::page;
use crate::text::count;

pub fn report(context: Context<'_>, args: &Report) -> Result<Outcome> {
    let facts = page_facts::gather(context, &args.target.db, args.readers as usize)?;
    let html = page(&facts)?;
    files::replace(&args.out, html.as_bytes(), None)?;
    context.console.say(format!("report     {}: {} kB", args.out.display(), count(html.len() / 1000)));
    Ok(json!({ "file": args.out.display().to_string(), "bytes": html.len() }).into())
}
