//! The command line: what may be typed, and nothing else.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::console::Verbosity;

/// Nightly book recommendations, inside your own SQLite database.
///
/// Reads `user_id, isbn, rating` rows from an application's SQLite file, learns what its readers
/// like, and writes a ranked list for each of them into the table `recommendations` of the same
/// file, while the application goes on working.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "\
Start here:
  nightshelf demo                        a made-up bookshop, and what it would recommend
  nightshelf import ratings.csv --db shop.db
  nightshelf run --db shop.db            the nightly job
  nightshelf doctor --db shop.db         what is missing, if something is

Exit codes:
  0 done   1 failed   2 usage   3 the gate refused to publish   65 no usable ratings
  66 no such file   69 no such device   74 reading or writing failed   75 locked, try later
  78 bad configuration   130 interrupted   143 terminated

Every setting of the configuration file can also come from the environment, as NIGHTSHELF_<KEY>
(NIGHTSHELF_FACTORS=128), and, for the common ones, from a flag. Flags win over the environment,
the environment over the file."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Say nothing on stderr but errors.
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Say more: a line an epoch, settings, examples of rejected rows.
    #[arg(long, short, global = true, help_heading = "Output")]
    pub verbose: bool,
    /// Print one JSON object on stdout.
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
}

impl Cli {
    /// How much to say on stderr.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a small bookshop database and run the nightly job on it.
    Demo(Demo),
    /// Load CSV or TSV files of ratings or books into a database.
    Import(Import),
    /// The nightly job: read, normalise, train, judge, publish.
    Run(Run),
    /// After an import: bring the lists of new and changed readers up to date.
    Backfill(Backfill),
    /// Take one reader out of everything that nightshelf keeps.
    Forget(Forget),
    /// Measure the model, and baselines, on ratings that it has not seen.
    Evaluate(Evaluate),
    /// Look for better settings, and write them as a configuration file.
    Tune(Tune),
    /// Put the recommendations before the current ones back.
    Rollback(Target),
    /// Check that the published recommendations keep their promises.
    Check(Target),
    /// Show the last runs: what they did, how well, how long, and how that changes.
    Runs(Runs),
    /// Look for what is wrong, or missing, and say how to put it right.
    Doctor(Doctor),
}

/// Which database.
#[derive(Debug, Args)]
pub struct Target {
    /// The application's SQLite file.
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_DB")]
    pub db: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub settings: Settings,
}

/// `nightshelf demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Where to make the bookshop's database; replaced only if a demo made it.
    #[arg(long, value_name = "FILE", default_value = "demo.db")]
    pub db: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub settings: Settings,
}

/// `nightshelf run`
#[derive(Debug, Args)]
pub struct Run {
    /// The application's SQLite file.
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_DB", required_unless_present = "print_config")]
    pub db: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub settings: Settings,
    /// Do everything but write: the database is left as it is.
    #[arg(long)]
    pub dry_run: bool,
    /// Train and publish although neither ratings nor settings have changed, or the gate objects.
    #[arg(long)]
    pub force: bool,
    /// Print the settings that would be used, as TOML, and stop.
    #[arg(long)]
    pub print_config: bool,
}

/// `nightshelf backfill`
#[derive(Debug, Args)]
#[command(after_help = "\
Readers whose ratings are not those that their list was made from get a new list, readers without
ratings lose theirs, and nobody else's is touched. Rows written so have the source 'fold-in'.")]
pub struct Backfill {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
    /// Readers whose ratings have changed since the nightly run N, whatever was done since. Known
    /// for the runs whose models are kept.
    #[arg(long, value_name = "N", conflicts_with = "users")]
    pub since_run: Option<i64>,
    /// These readers, changed or not: a file with one user_id a line.
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
    /// Do a full night where a backfill will not do: no model, or too much has changed.
    #[arg(long)]
    pub full_if_needed: bool,
    /// Say what would be done, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `nightshelf forget`
#[derive(Debug, Args)]
pub struct Forget {
    /// The reader's user_id.
    #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub user: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
}

/// `nightshelf runs`
#[derive(Debug, Args)]
pub struct Runs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..))]
    pub last: u32,
}

/// `nightshelf doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The application's SQLite file; without it only the machine is looked at.
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_DB")]
    pub db: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub settings: Settings,
}

/// `nightshelf import`
#[derive(Debug, Args)]
pub struct Import {
    /// CSV or TSV files, plain or gzip; `-` is not understood, since an import can be resumed.
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

/// `nightshelf evaluate`
#[derive(Debug, Args)]
pub struct Evaluate {
    /// The application's SQLite file: some of its ratings are held out, to be foretold.
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_DB")]
    pub db: Option<PathBuf>,
    /// What is held out of the database.
    #[arg(long, value_enum, default_value = "random")]
    pub split: SplitKind,
    /// How much of it is held out, from 0 to 1 [default: 0.2, and 0.1 of new-books].
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub share: Option<f64>,
    /// How many ratings of each reader leave-last holds out.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = length)]
    pub last: usize,
    /// Which ratings are drawn: another number, another split.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub split_seed: u64,
    /// Instead of a database: ratings to learn from, as user, item, rating.
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
    #[allow(missing_docs)]
    pub settings: Settings,
}

/// `nightshelf tune`
#[derive(Debug, Args)]
#[command(after_help = "\
Trials with few factors decide which settings are tried with more. Every trial is noted in the table
nightshelf_trials when it is done: the same command goes on where it was stopped. Nothing else in the
database is touched, and a nightly run may go on meanwhile.")]
pub struct Tune {
    #[command(flatten)]
    #[allow(missing_docs)]
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
        self.share.unwrap_or(if self.split == SplitKind::NewBooks { 0.1 } else { 0.2 })
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

impl SplitKind {
    /// As it is typed.
    pub fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
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

/// Settings that have a flag. Each is also a key of the configuration file.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where to compute: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// What lists are ordered by: `ranking` or `rating`.
    #[arg(long, value_name = "OBJECTIVE")]
    pub objective: Option<String>,
    /// How the model is fitted: `als`, `adam` or `sgd`.
    #[arg(long, value_name = "SOLVER")]
    pub solver: Option<String>,
    /// What the isbn column holds: `isbn`, or `text` for any catalogue.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Recommendations a reader.
    #[arg(long, value_name = "N")]
    pub top: Option<String>,
    /// Numbers a reader and a book.
    #[arg(long, value_name = "D")]
    pub factors: Option<String>,
    /// Passes over the ratings.
    #[arg(long, value_name = "E")]
    pub epochs: Option<String>,
    /// Where the random numbers start.
    #[arg(long, value_name = "S")]
    pub seed: Option<String>,
    /// Threads to use; 0 for one a core.
    #[arg(long, value_name = "T")]
    pub threads: Option<String>,
    /// Bytes of memory to take at most, as `2G` or `800M`.
    #[arg(long, value_name = "BYTES")]
    pub max_memory: Option<String>,
    /// Where `run`, `backfill` and `rollback` leave figures in Prometheus's text format.
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<String>,
}

impl Settings {
    /// The flags that were given, as pairs of key and text.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        [
            ("device", &self.device),
            ("objective", &self.objective),
            ("solver", &self.solver),
            ("key", &self.key),
            ("top", &self.top),
            ("factors", &self.factors),
            ("epochs", &self.epochs),
            ("seed", &self.seed),
            ("threads", &self.threads),
            ("max_memory", &self.max_memory),
            ("metrics_file", &self.metrics_file),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
        .collect()
    }
}
