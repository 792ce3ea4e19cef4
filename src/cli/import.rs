//! What may be typed after `nightshelf import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Target;

/// `nightshelf import`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nightshelf import BX-Books.csv BX-Book-Ratings.csv.gz --db shop.db
  nightshelf import ratings.dat --db films.db --key text --columns user,isbn,rating,rated_at

The same command goes on where it was stopped; a file that was read whole leaves the same rows again.")]
pub struct Import {
    /// CSV or TSV files, plain or gzip, or Parquet; `-` is not understood, since an import can be resumed.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub hints: Hints,
    /// Begin each file anew, although an earlier import of it was cut off half-way.
    #[arg(long)]
    pub restart: bool,
}

/// How to read a text file, where its first lines do not tell.
#[derive(Debug, Default, Args)]
pub struct Hints {
    /// What the files hold; looked for in their first lines otherwise.
    #[arg(long, value_enum)]
    pub kind: Option<FileKind>,
    /// What stands between two fields: `,` `;` `tab` or `::`; looked for otherwise.
    #[arg(long, value_name = "TEXT")]
    pub separator: Option<String>,
    /// How letters are stored; UTF-8 where the bytes allow it, else Latin-1.
    #[arg(long, value_enum)]
    pub encoding: Option<Encoding>,
    /// Whether the first line names the columns; looked for otherwise.
    #[arg(long, value_name = "BOOL")]
    pub header: Option<bool>,
    /// The file's columns in order, such as `user,isbn,rating,rated_at` or
    /// `isbn,title,author,year,publisher`; `-` skips one.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub columns: Vec<String>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileKind {
    /// user, isbn, rating, and perhaps a time
    Ratings,
    /// isbn, title, author, year, publisher
    Books,
}

/// How a file's letters are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// UTF-8
    Utf8,
    /// Latin-1 (Windows-1252)
    Latin1,
}
