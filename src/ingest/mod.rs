//! Reads files of ratings or books from elsewhere, as one stream of records.
//!
//! [`Dialect::sniff`] looks at a file's first records; [`Records`] reads them all. An [`Origin`] is a file or a table in
//! a zip; [`lines`] unpacks it and [`text`] brings it to UTF-8. Lines are cut into fields ([`cutting`]); [`json`],
//! [`parquet`] and [`sheet`] have rows already. What a column holds is judged by its name ([`fields`]) and its values
//! ([`contents`]): in a file by [`judge`], in a database by [`columns`],
//! from the [`readings`] that each table has, over the [`links`] of its [`schema`], and the [`events`] that its name tells. [`states`] and [`filter`] know what is no reading.

#[cfg(test)]
pub mod anything;
pub mod columns;
mod contents;
mod cutting;
mod dialect;
mod events;
mod fields;
mod filter;
mod json;
mod judge;
mod lines;
mod links;
mod origin;
mod parquet;
mod readings;
mod records;
mod schema;
mod sheet;
pub mod states;
#[cfg(test)]
mod tests;
mod text;
mod vocabulary;

use clap::{Args, ValueEnum};

use crate::config::DateOrder;
pub use contents::is_missing;
pub use dialect::Dialect;
pub use fields::{Field, is_isbn_name};
pub use filter::LEFT_OUT;
pub use origin::Origin;
pub use records::{Record, Records};

/// How to read a text file, where its first lines do not tell.
#[derive(Debug, Default, Args)]
pub struct Hints {
    /// What the files hold; looked for in their first lines otherwise.
    #[arg(long, value_enum)]
    pub kind: Option<FileKind>,
    /// What stands between two fields: `,` `;` `tab` `|` or `::`; looked for otherwise.
    #[arg(long, value_name = "TEXT")]
    pub separator: Option<String>,
    /// How letters are stored; UTF-8 where the bytes allow it, else Latin-1.
    #[arg(long, value_enum)]
    pub encoding: Option<Encoding>,
    /// Whether the first line names the columns; looked for otherwise.
    #[arg(long, value_name = "BOOL")]
    pub header: Option<bool>,
    /// Which column is which, as `user=Customer,isbn=EAN`; or all in order, as `user,isbn,-,rating`, where `-` skips one.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', allow_hyphen_values = true)]
    pub columns: Vec<String>,
    /// The reader whose own library a file is, where no column names one.
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// Take only records with one of these values in a column; may be given several times.
    #[arg(long = "where", value_name = "COLUMN=VALUE[,VALUE]")]
    pub conditions: Vec<String>,
    /// What comes first in dates such as 03/04/2024, where the file does not tell.
    #[arg(long, value_enum)]
    pub dates: Option<Dates>,
    /// The sheet of a spreadsheet; the first otherwise.
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
}

/// What comes first in a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dates {
    /// The day
    DayFirst,
    /// The month
    MonthFirst,
}

impl From<Dates> for DateOrder {
    fn from(dates: Dates) -> Self {
        match dates {
            Dates::DayFirst => Self::DayFirst,
            Dates::MonthFirst => Self::MonthFirst,
        }
    }
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
