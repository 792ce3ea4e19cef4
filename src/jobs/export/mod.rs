//! `nightshelf export`: lists, factors and predictions for other programs.

mod frames;
pub(super) mod write;

use std::path::Path;

use serde_json::json;

use crate::cli::{Export, ExportWhat, Format};
use crate::config::Config;
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::jobs::answers::Desk;

/// Exports what was asked for.
///
/// # Errors
/// [`Kind::Config`] for a format that does not go with what is exported; [`Kind::Io`] if the file cannot be
/// written; else as [`Desk::model`].
pub fn export(args: &Export, config: &Config, console: &Console, interrupt: &Interrupt) -> Result<Outcome> {
    let to_stdout = args.out == Path::new("-");
    let format = format(args, to_stdout)?;
    let desk = Desk::open(&args.target.db, config, console, interrupt)?;
    let matrix = match args.what {
        ExportWhat::Predictions => Some(frames::predictions(&desk, &args.user, &args.isbn)?),
        _ => None,
    };
    let bytes = |frame| write::table(frame, format);
    let (rows, bytes) = match (args.what, &matrix) {
        (ExportWhat::Recommendations, _) => bytes(frames::recommendations(&desk)?)?,
        (ExportWhat::Readers, _) => bytes(frames::readers(desk.model()?)?)?,
        (ExportWhat::Books, _) => bytes(frames::books(&desk, desk.model()?)?)?,
        (ExportWhat::Predictions, None) => (0, Vec::new()),
        (ExportWhat::Predictions, Some(matrix)) => match format {
            Format::Table => (matrix.users.len(), (matrix.table(console) + "\n").into_bytes()),
            Format::Svg => (matrix.users.len(), matrix.heat_map()?.into_bytes()),
            _ => bytes(matrix.frame()?)?,
        },
    };
    match to_stdout {
        true => console.bytes(&bytes)?,
        false => write::file(&args.out, &bytes)?,
    }
    if !to_stdout {
        console.say(format!("export     {} rows to {}", count(rows), args.out.display()));
    }
    Ok(json!({ "rows": rows, "bytes": bytes.len(), "file": args.out.display().to_string() }).into())
}

/// In which format to write.
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
