//! `nightshelf export`: writes lists, factors and predictions for other programs.

mod frames;
mod matrix;
mod write;

use std::path::Path;

use serde_json::json;

use super::{Outcome, as_json};
use crate::cli::{Export, ExportWhat, Format};
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pipeline::export_training::export_training;
use crate::query::Lookup;
use crate::text::count;

/// Exports what was asked for. `json`: stdout must have a JSON report and nothing else.
///
/// # Errors
/// [`Kind::Config`] for flags or a format that do not fit what is exported; [`Kind::Io`] if the file cannot
/// be written; else as [`Lookup::model`].
pub fn export(context: Context<'_>, args: &Export, json: bool) -> Result<Outcome> {
    let console = context.console;
    let to_stdout = args.out == Path::new("-");
    let unfit = |what: &str, hint: &str| Err(Error::new(Kind::Config, what).hint(hint));
    if json && to_stdout {
        return unfit("--json and what is exported cannot both go to stdout", "name a file with --out");
    }
    let names_some = !args.user.is_empty() || !args.isbn.is_empty();
    if names_some && args.what != ExportWhat::Predictions {
        return unfit(
            "--user and --isbn are for predictions: the rest is exported whole",
            "`nightshelf recommend --user ID --json` gives one reader's list",
        );
    }
    if args.what == ExportWhat::Training {
        if to_stdout || args.format.is_some() {
            return unfit("a training is a folder of several files", "name it with --out, without --format");
        }
        let manifest = export_training(context, &args.target.db, &args.out)?;
        console.say(format!("export     {}; train, then `nightshelf run --factors`", args.out.display()));
        return Ok(as_json(&manifest)?.into());
    }
    let format = format(args, to_stdout)?;
    let lookup = Lookup::open(context, &args.target.db)?;
    let (rows, bytes) = match args.what {
        ExportWhat::Recommendations => write::table(frames::recommendations(&lookup)?, format)?,
        ExportWhat::Readers => write::table(frames::readers(lookup.model()?)?, format)?,
        ExportWhat::Books => write::table(frames::books(&lookup, lookup.model()?)?, format)?,
        // Done above.
        ExportWhat::Training => return Ok(Outcome::default()),
        ExportWhat::Predictions => {
            let matrix = matrix::predictions(&lookup, &args.user, &args.isbn)?;
            match format {
                Format::Table => (matrix.len(), (matrix.table(console) + "\n").into_bytes()),
                Format::Svg => (matrix.len(), matrix.heat_map()?.into_bytes()),
                _ => write::table(matrix.frame()?, format)?,
            }
        }
    };
    if to_stdout {
        console.bytes(&bytes)?;
        return Ok(Outcome::default());
    }
    files::replace(&args.out, &bytes, None)?;
    console.say(format!("export     {} rows to {}", count(rows), args.out.display()));
    Ok(json!({ "rows": rows, "bytes": bytes.len(), "file": args.out.display().to_string() }).into())
}

/// The format that the flag or the file's name says; on stdout there is a default.
fn format(args: &Export, to_stdout: bool) -> Result<Format> {
    let by_name = match args.out.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => Some(Format::Parquet),
        Some("csv") => Some(Format::Csv),
        Some("jsonl" | "ndjson") => Some(Format::Jsonl),
        Some("safetensors") => Some(Format::Safetensors),
        Some("svg") => Some(Format::Svg),
        Some("txt") => Some(Format::Table),
        _ => None,
    };
    let is_matrix = args.what == ExportWhat::Predictions;
    let usual = if is_matrix { Format::Table } else { Format::Csv };
    let format = args.format.or(by_name).or(to_stdout.then_some(usual)).ok_or_else(|| {
        Error::new(Kind::Config, format!("the name {} does not say how to write", args.out.display()))
            .hint("add --format parquet, csv, jsonl or safetensors")
    })?;
    let is_factors = matches!(args.what, ExportWhat::Readers | ExportWhat::Books);
    let fits = match format {
        Format::Parquet | Format::Csv | Format::Jsonl => true,
        Format::Safetensors => is_factors,
        Format::Table | Format::Svg => is_matrix,
    };
    match fits {
        true => Ok(format),
        false => Err(Error::new(Kind::Config, format!("{format:?} does not go with what is exported"))
            .hint("safetensors is for readers and books, table and svg are for predictions")),
    }
}
