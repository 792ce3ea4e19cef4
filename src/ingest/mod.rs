//! Reads files of ratings or books from elsewhere, as one stream of records.
//!
//! [`Dialect::sniff`] looks at a file's first records; [`Records`] reads them all. Text comes in [`lines`],
//! which are cut into fields ([`cutting`]); Parquet has rows already ([`parquet`]). A column of a file is
//! recognised by its name ([`fields`]), a column of a database also by its content ([`columns`]). A new
//! format would be one more source of rows beside text and Parquet.

pub mod columns;
mod cutting;
mod dialect;
mod fields;
mod lines;
mod parquet;
mod records;
#[cfg(test)]
mod tests;

use clap::{Args, ValueEnum};

pub use dialect::Dialect;
pub use fields::Field;
pub use records::{Record, Records};

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

/// A number as people write it, with a point or a comma; never infinite.
pub fn number(text: &str) -> Option<f64> {
    let parsed = text.parse::<f64>().or_else(|_| text.replace(',', ".").parse());
    parsed.ok().filter(|number| number.is_finite())
}
