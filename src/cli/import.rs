//! What may be typed after `nightshelf import`.

use std::path::PathBuf;

use clap::Args;

use super::Target;
use crate::ingest::Hints;

/// `nightshelf import`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nightshelf import BX-Books.csv BX-Book-Ratings.csv.gz --db shop.db
  nightshelf import goodreads_library_export.csv --user anna --db club.db
  nightshelf import sales.csv --db shop.db --columns user=Customer,isbn=EAN,rated_at=Date

The same command goes on where it was stopped; a file that was read whole leaves the same rows again.")]
pub struct Import {
    /// CSV, TSV, JSON, XLSX or Parquet; plain, gzip or zip. `-` is not understood, since an import can be resumed.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub hints: Hints,
    /// Begin each file anew, although an earlier import of it was cut off half-way.
    #[arg(long)]
    pub restart: bool,
}
