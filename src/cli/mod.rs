//! The command line: what may be typed, and nothing else.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::console::Verbosity;

pub use cluster::{HalfStep, HalfStepWhat, PartName, Rows, SideName};
pub use import::Import;
pub use measure::{Evaluate, SplitKind, Tune};
pub use people::{
    Export, ExportWhat, Format, Generate, Generated, Pair, Recommend, Report, Similar, UserArg,
};

mod cluster;
mod import;
mod measure;
mod people;

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
  nightshelf init --db shop.db           finds ratings and books in your database
  nightshelf import ratings.csv --db shop.db
  nightshelf run --db shop.db            the nightly job
  nightshelf report --db shop.db         a page about it
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

    /// The settings that were typed with the command; `None` for one that takes none.
    pub fn settings(&self) -> Option<&Settings> {
        Some(match &self.command {
            Command::Demo(args) => &args.settings,
            Command::Init(args) => &args.settings,
            Command::Import(args) => &args.target.settings,
            Command::Run(args) => &args.settings,
            Command::Backfill(args) => &args.target.settings,
            Command::Forget(args) => &args.target.settings,
            Command::Recommend(args) => &args.target.settings,
            Command::Predict(args) | Command::Explain(args) => &args.target.settings,
            Command::Similar(args) => &args.target.settings,
            Command::Evaluate(args) => &args.settings,
            Command::Tune(args) => &args.target.settings,
            Command::Refresh(target) | Command::Rollback(target) | Command::Check(target) => &target.settings,
            Command::Runs(args) => &args.fleet.settings,
            Command::Doctor(args) => &args.settings,
            Command::Report(args) => &args.fleet.settings,
            Command::Export(args) => &args.target.settings,
            Command::Generate(_) | Command::HalfStep(_) => return None,
        })
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a small bookshop database and run the nightly job on it.
    Demo(Demo),
    /// Look at a database of yours, and write a configuration file for it.
    Init(Init),
    /// Load CSV, TSV or Parquet files of ratings or books into a database.
    Import(Import),
    /// The nightly job: read, normalise, train, judge, publish.
    Run(Run),
    /// After an import: bring the lists of new and changed readers up to date.
    Backfill(Backfill),
    /// Make lists anew that have a book which may be shown no more.
    Refresh(Target),
    /// Take one reader out of everything that nightshelf keeps.
    Forget(Forget),
    /// Show what a reader is recommended, and why.
    Recommend(Recommend),
    /// Say what the model expects of a reader and a book.
    Predict(Pair),
    /// Show books that are like one.
    Similar(Similar),
    /// Show which of a reader's own books carry the score of another, and how much.
    Explain(Pair),
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
    /// Make a page about the last night, with plots.
    Report(Report),
    /// Write lists, factors, predictions or a whole training for other programs.
    Export(Export),
    /// The arithmetic of a training on a cluster: rows in, factors out.
    HalfStep(HalfStep),
    /// Write manual pages and completions, for packagers.
    Generate(Generate),
}

/// Which database.
#[derive(Debug, Args)]
pub struct Target {
    /// The application's SQLite file.
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_DB")]
    pub db: PathBuf,
    #[command(flatten)]
    pub settings: Settings,
}

/// Which databases: one, or many at a glance.
#[derive(Debug, Args)]
pub struct Fleet {
    /// The application's SQLite file; several times, or as 'shops/*.db', for many at a glance, the worst first.
    #[arg(long = "db", value_name = "FILE", env = "NIGHTSHELF_DB", required = true)]
    pub dbs: Vec<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
}

/// `nightshelf demo`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  nightshelf demo --db /tmp/demo.db")]
pub struct Demo {
    /// Where to make the bookshop's database; replaced only if a demo made it.
    #[arg(long, value_name = "FILE", default_value = "demo.db")]
    pub db: PathBuf,
    #[command(flatten)]
    pub settings: Settings,
}

/// `nightshelf init`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  nightshelf init --db shop.db

Finds the tables of ratings and of books by their names and by what stands in them, shows what it found,
and writes that into a file for --config. The database is only read.")]
pub struct Init {
    /// The application's SQLite file.
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_DB")]
    pub db: PathBuf,
    /// Where to write the settings.
    #[arg(long, value_name = "FILE", default_value = "nightshelf.toml")]
    pub out: PathBuf,
    /// Write over a file that is there.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub settings: Settings,
}

/// `nightshelf run`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nightshelf run --db shop.db --dry-run                   everything but writing
  nightshelf run --db shop.db --config nightshelf.toml
  NIGHTSHELF_FACTORS=64 nightshelf run --db shop.db --quiet

Ends with 0 if lists were published or nothing has changed, 3 if the gate refused, 65 if there are no usable
ratings, 75 if another run is at work or the database stayed locked. In all cases but the first the lists of
before stand.")]
pub struct Run {
    /// The application's SQLite file.
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_DB", required_unless_present = "print_config")]
    pub db: Option<PathBuf>,
    #[command(flatten)]
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

impl Run {
    /// Factors that a cluster has fitted: what `--factors` names, if that is no number. (A folder whose name is one can be
    /// written as `./64`.)
    pub fn fitted_factors(&self) -> Option<&Path> {
        let named = self.settings.factors.as_deref()?;
        named.parse::<f64>().is_err().then(|| Path::new(named))
    }
}

/// `nightshelf backfill`
#[derive(Debug, Args)]
#[command(after_help = "\
Readers whose ratings are not those that their list was made from get a new list, readers without
ratings lose theirs, and nobody else's is touched. Rows written so have the source 'fold-in'.

Examples:
  nightshelf import new.csv --db shop.db && nightshelf backfill --db shop.db
  nightshelf backfill --db shop.db --full-if-needed")]
pub struct Backfill {
    #[command(flatten)]
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
#[command(after_help = "\
Delete the reader's ratings first, or the next run takes them up again.

Example:
  nightshelf forget --db shop.db --user 276747")]
pub struct Forget {
    #[command(flatten)]
    pub user: UserArg,
    #[command(flatten)]
    pub target: Target,
}

/// `nightshelf runs`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nightshelf runs --db shop.db --last 30
  nightshelf runs --db '/srv/shops/*.db'                  a line for each of many databases, the worst first")]
pub struct Runs {
    #[command(flatten)]
    pub fleet: Fleet,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..))]
    pub last: u32,
}

/// `nightshelf doctor`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nightshelf doctor                                       the machine alone
  nightshelf doctor --db shop.db --config nightshelf.toml

Ends with 1 if it finds a problem.")]
pub struct Doctor {
    /// The application's SQLite file; without it only the machine is looked at.
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_DB")]
    pub db: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
}

/// Settings that have a flag. Each is also a key of the configuration file.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "NIGHTSHELF_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where to compute: `auto`, `cpu`, `cuda`, `vulkan`, or one of several: `cuda:N`, `vulkan:N`.
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
    /// Bytes of memory to take at most, as `2G` or `800M`; else what the machine or its cgroup allows.
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
