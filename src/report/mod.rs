//! The report about a night: takes plain facts, and gives one self-contained HTML file.
//!
//! It knows nothing of databases and models. Text from a database is escaped by the library that writes the
//! page ([`page`], [`fleet`]) or draws the plots ([`plots`]). [`prometheus`] writes the metrics file.

pub mod fleet;
pub mod night;
pub mod page;
pub mod plots;
pub mod prometheus;

use night::{Night, Run};

use crate::run_summary::Proof;

/// Everything that the page shows.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The name of the database's file.
    pub shop: String,
    /// When the page was made: `on … at …`.
    pub made: String,
    /// The night whose lists are published; `None` if nothing is published yet.
    pub night: Option<Night>,
    /// The last runs, oldest first.
    pub runs: Vec<Run>,
    /// `None` if no ratings can be used.
    pub ratings: Option<Ratings>,
    pub lists: Option<Lists>,
    /// What readers picked up in the last runs; `None` if nothing was counted.
    pub proof: Option<(usize, Proof)>,
    /// A few well-known books, and what is like them.
    pub similar: Vec<(BookName, Vec<BookName>)>,
    /// A sample of readers: the first few are shown, all can be looked up.
    pub readers: Vec<ReaderCard>,
}

#[derive(Clone, Debug, Default)]
pub struct Ratings {
    /// Stars, and how many ratings have them.
    pub stars: Vec<(String, u64)>,
    /// Ratings without stars.
    pub implicit: u64,
    pub hygiene: Vec<Hygiene>,
    /// All rows of the table.
    pub rows: u64,
}

/// Rows that are not as they should be, and some examples of them.
#[derive(Clone, Debug, Default)]
pub struct Hygiene {
    /// What is wrong with them, and what was done.
    pub what: String,
    pub rows: u64,
    pub examples: Vec<String>,
}

/// Which books the lists show.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// How many books are in any list, and how many are known.
    pub shown: (u64, u64),
    /// The share of entries that are popular books, not the model's.
    pub popular: f64,
    /// The shares of ratings and of entries that go to the tenth of the books with most readers.
    pub head: (f64, f64),
    /// Groups of books by number of readers: label, share of ratings, share of entries.
    pub groups: Vec<(String, f64, f64)>,
    /// The same of languages and of categories, those first that are read most.
    pub languages: Vec<(String, f64, f64)>,
    pub categories: Vec<(String, f64, f64)>,
}

/// What a reader likes and is shown.
#[derive(Clone, Debug, Default)]
pub struct ReaderCard {
    pub id: String,
    /// The books they liked best, with the stars they gave.
    pub liked: Vec<(BookName, Option<f64>)>,
    /// How many books they have read.
    pub read: usize,
    pub list: Vec<Card>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookName {
    /// The title, or the ISBN where there is none.
    pub title: String,
    pub author: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Card {
    pub book: BookName,
    /// Predicted stars.
    pub stars: Option<f64>,
    /// Why it is recommended, as a phrase; may be empty.
    pub because: String,
}
