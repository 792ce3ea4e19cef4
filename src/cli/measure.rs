//! What may be typed after `nightshelf evaluate` and `nightshelf tune`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Settings, Target};

/// `nightshelf evaluate`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nightshelf evaluate --db shop.db --k 10,20
  nightshelf evaluate --db shop.db --split new-books
  nightshelf evaluate --train train.tsv.gz --test test.tsv.gz --compare factors=32")]
pub struct Evaluate {
    /// The application's SQLite file: some of its ratings are held out, to be foretold.
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_DB")]
    pub db: Option<PathBuf>,
    /// What is held out of the database [default: time if most ratings have a time, else random].
    #[arg(long, value_enum)]
    pub split: Option<SplitKind>,
    /// How much of it is held out, from 0 to 1 [default: 0.2, and 0.1 of new-books].
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub share: Option<f64>,
    /// How many ratings of each reader leave-last holds out.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = length)]
    pub last: usize,
    /// Which ratings are drawn: another number, another split.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub split_seed: u64,
    /// Instead of a database: ratings to learn from, as user, item, rating and perhaps a time.
    #[arg(long, value_name = "FILE", requires = "test")]
    pub train: Option<PathBuf>,
    /// Ratings to be foretold, of the same readers.
    #[arg(long, value_name = "FILE", requires = "train")]
    pub test: Option<PathBuf>,
    /// What is known of the books: isbn, title, author, year, publisher; from a database, its own table
    /// if this is not given.
    #[arg(long, value_name = "FILE")]
    pub books: Option<PathBuf>,
    /// Lengths of list to measure at.
    #[arg(long, value_name = "K", value_delimiter = ',', default_value = "10", value_parser = length)]
    pub k: Vec<usize>,
    /// A variant to put beside it, such as `factors=8` or `solver=adam`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub compare: Vec<String>,
    #[command(flatten)]
    pub settings: Settings,
}

/// `nightshelf tune`
#[derive(Debug, Args)]
#[command(after_help = "\
Trials with few factors decide which settings are tried with more. Every trial is noted in the table
nightshelf_trials when it is done: the same command goes on where it was stopped. Nothing else in the
database is touched, and a nightly run may go on meanwhile.

Example:
  nightshelf tune --db shop.db --minutes 60 && nightshelf run --db shop.db --config tuned.toml")]
pub struct Tune {
    #[command(flatten)]
    pub target: Target,
    /// How many settings to try.
    #[arg(long, value_name = "N", default_value_t = 35, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub trials: u32,
    /// How long to look, at most; the trial at hand is finished, and the winner confirmed.
    #[arg(long, value_name = "M", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub minutes: u64,
    /// Where to write the settings.
    #[arg(long, value_name = "FILE", default_value = "tuned.toml")]
    pub out: PathBuf,
    /// Forget the trials that were made before.
    #[arg(long)]
    pub restart: bool,
}

impl Evaluate {
    /// How much is held out.
    pub fn share(&self) -> f64 {
        self.share.unwrap_or(if self.split == Some(SplitKind::NewBooks) { 0.1 } else { 0.2 })
    }
}

/// What an evaluation holds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitKind {
    /// a share of all ratings, at random
    Random,
    /// one rating of each reader, at random
    LeaveOneOut,
    /// the newest ratings of each reader; needs rated_at
    LeaveLast,
    /// the newest share of all ratings, from one moment on; needs rated_at
    Time,
    /// a share of the readers, who are solved against the model from most of their ratings
    Users,
    /// all ratings of a share of the books, known by author and publisher alone
    NewBooks,
}

/// A part of a whole.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if 0.0 < share && share < 1.0 => Ok(share),
        _ => Err("must be a number between 0 and 1".into()),
    }
}

/// The length of a list: a list of none cannot be measured.
fn length(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number from 1".into()),
        Ok(length) => Ok(length),
    }
}
