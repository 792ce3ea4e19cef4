//! The page about a night: plain facts in, one self-contained file of HTML out.
//!
//! Knows nothing of databases and models. All text is text: what comes from a database is escaped by
//! the library that writes the page ([`page`]) or draws the plots ([`plots`]).

pub mod page;
pub mod plots;
pub mod prometheus;

/// Everything that the page tells.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What the database is called.
    pub shop: String,
    /// When the page was made.
    pub made: String,
    /// The night whose lists are published, if any were ever.
    pub night: Option<Night>,
    /// The last runs, oldest first.
    pub runs: Vec<Run>,
    /// What was read, if it could be.
    pub ratings: Option<Ratings>,
    /// Who gets what.
    pub lists: Option<Lists>,
    /// Some readers; the first few are shown, all can be looked up.
    pub readers: Vec<ReaderCard>,
}

/// One night.
#[derive(Clone, Debug, Default)]
pub struct Night {
    /// Its run.
    pub run_id: i64,
    /// When.
    pub when: String,
    /// On what.
    pub device: String,
    /// By which version.
    pub version: String,
    /// Numbers of people and things, with their names.
    pub tiles: Vec<(String, String)>,
    /// Curves of the loss, one going on where the one before ends: their names, and a value for each pass.
    pub losses: Vec<(String, Vec<f64>)>,
    /// Figures of the model on ratings that it had not seen.
    pub figures: Vec<(String, String)>,
    /// What the gate compared.
    pub gate: Option<Gate>,
    /// Why the gate did not look, or what it objected to.
    pub remarks: Vec<String>,
    /// Seconds by stage.
    pub stages: Vec<(String, f64)>,
    /// The most megabytes that had been taken when each stage ended.
    pub memory: Vec<(String, f64)>,
    /// Most memory of all, in bytes.
    pub most_memory: Option<u64>,
}

/// The model beside what needs no model.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// What was measured.
    pub figure: String,
    /// On how many readers.
    pub readers: u64,
    /// The model's figure, and its interval where known.
    pub model: f64,
    /// 95%.
    pub interval: Option<[f64; 2]>,
    /// What it is compared with, and that one's figure.
    pub baseline: (String, f64),
    /// How far ahead the model is, and within which interval.
    pub lead: (f64, [f64; 2]),
    /// The run before, its figure, and tonight's for the same readers.
    pub before: Option<(i64, f64, f64)>,
}

/// One run of the history.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its number.
    pub run_id: i64,
    /// When.
    pub when: String,
    /// Nightly, backfill or rollback, and how it ended.
    pub what: String,
    /// Seconds.
    pub seconds: Option<f64>,
    /// Rows published.
    pub rows: Option<u64>,
    /// The gate's figure, and the baseline's.
    pub quality: Option<(f64, Option<f64>)>,
    /// What went wrong.
    pub error: Option<String>,
}

/// What the table of ratings holds.
#[derive(Clone, Debug, Default)]
pub struct Ratings {
    /// How many ratings have how many stars.
    pub stars: Vec<(String, u64)>,
    /// Read, but not rated.
    pub implicit: u64,
    /// Rows by what was done to them, with examples.
    pub hygiene: Vec<Hygiene>,
    /// All rows.
    pub rows: u64,
}

/// Rows that were not taken as they stood.
#[derive(Clone, Debug, Default)]
pub struct Hygiene {
    /// What was done.
    pub what: String,
    /// To how many rows.
    pub rows: u64,
    /// Some of them.
    pub examples: Vec<String>,
}

/// Which books the lists show.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// Books in any list, and books that are known.
    pub shown: (u64, u64),
    /// The share of entries that only repeat what is popular.
    pub popular: f64,
    /// The share of ratings, and of entries, that go to the tenth of the books with most readers.
    pub head: (f64, f64),
    /// Books by their numbers of readers: what group, its share of ratings, and of entries.
    pub groups: Vec<(String, f64, f64)>,
}

/// What a reader likes and is shown.
#[derive(Clone, Debug, Default)]
pub struct ReaderCard {
    /// Who.
    pub id: String,
    /// Books they liked best, and the stars they gave.
    pub liked: Vec<(BookName, Option<f64>)>,
    /// How many books they have read.
    pub read: usize,
    /// Their list.
    pub list: Vec<Card>,
}

/// What a book is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookName {
    /// The title, or the ISBN where there is none.
    pub title: String,
    /// Who wrote it.
    pub author: Option<String>,
}

/// An entry of a list.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// The book.
    pub book: BookName,
    /// Expected stars.
    pub stars: Option<f64>,
    /// Why.
    pub because: String,
}
