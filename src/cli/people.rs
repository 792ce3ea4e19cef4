//! What may be typed to have a question answered, a page made or a table exported.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::{Fleet, Target};

/// A reader.
#[derive(Debug, Args)]
pub struct UserArg {
    /// The reader's user_id.
    #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub user: String,
}

/// A book.
#[derive(Debug, Args)]
pub struct BookArg {
    /// The book's ISBN in any spelling, with or without hyphens.
    #[arg(long, value_name = "ISBN", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub isbn: String,
}

/// `nightshelf recommend`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  nightshelf recommend --db shop.db --user 276747
  nightshelf recommend --db shop.db --like 0-439-13959-7 --like 9780316666343 --json

Shows the list that is published. A reader who has ratings but no list yet gets one made on the spot,
which is not written down; a reader whom nobody knows, what most people read. With --like, a list is made
for somebody who is in no table, and likes these books.")]
pub struct Recommend {
    /// The reader's user_id.
    #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new(),
          required_unless_present = "like", conflicts_with = "like")]
    pub user: Option<String>,
    /// A book that a stranger likes; may be repeated.
    #[arg(long, value_name = "ISBN", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub like: Vec<String>,
    #[command(flatten)]
    pub target: Target,
}

/// `nightshelf predict`, `nightshelf explain`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  nightshelf explain --db shop.db --user 276747 --isbn 0-06-093053-9

Both answer from the model of the published lists and from the reader's ratings of this moment.")]
pub struct Pair {
    #[command(flatten)]
    pub user: UserArg,
    #[command(flatten)]
    pub book: BookArg,
    #[command(flatten)]
    pub target: Target,
}

impl Pair {
    /// Who and what was typed.
    pub fn words(&self) -> (&str, &str) {
        (&self.user.user, &self.book.isbn)
    }
}

/// `nightshelf similar`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  nightshelf similar --db shop.db --isbn 978-0-439-13959-5

Likeness is the cosine between the two books in the model, from -1 to 1, drawn towards 0 for books that
few have read. --top says how many.")]
pub struct Similar {
    #[command(flatten)]
    pub book: BookArg,
    #[command(flatten)]
    pub target: Target,
}

/// `nightshelf export`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nightshelf export recommendations --db shop.db --out lists.parquet
  nightshelf export books --db shop.db --format jsonl | head
  nightshelf export predictions --db shop.db --user 254 --user 638 --isbn 0385504209 --isbn 0971880107
  nightshelf export training --db shop.db --out training      for jobs/spark/train.py and `run --factors`")]
pub struct Export {
    /// What to export.
    #[arg(value_enum)]
    pub what: ExportWhat,
    /// Where to: a file, or - for stdout; of a training, a folder.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
    /// How to write it [default: what the file's name ends in; csv, and for predictions table, on stdout].
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Of predictions: a reader's user_id; may be repeated.
    #[arg(long, value_name = "ID", allow_hyphen_values = true, required_if_eq("what", "predictions"))]
    pub user: Vec<String>,
    /// Of predictions: a book's ISBN; may be repeated.
    #[arg(long, value_name = "ISBN", allow_hyphen_values = true, required_if_eq("what", "predictions"))]
    pub isbn: Vec<String>,
    #[command(flatten)]
    pub target: Target,
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportWhat {
    /// the published lists, with titles
    Recommendations,
    /// the readers' factors in the model of the published lists
    Readers,
    /// the books' factors in it, how many readers they have, and what scores are multiplied with
    Books,
    /// score and expected stars of some readers (--user) for some books (--isbn)
    Predictions,
    /// what a cluster needs to fit the factors of a night: a folder, named with --out
    Training,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Parquet; factors as a column of lists
    Parquet,
    /// CSV with a line of names; factors as columns f1, f2, …
    Csv,
    /// one JSON object a line
    Jsonl,
    /// readers and books only: one table of 32-bit numbers, `factors`, in the order of the other formats
    Safetensors,
    /// predictions only: a table to be read
    Table,
    /// predictions only: a heat map
    Svg,
}

/// `nightshelf report`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nightshelf report --db shop.db --out night.html
  nightshelf report --db '/srv/shops/*.db' --out shops.html   a line for each of many databases, the worst first

One page that needs no network and no other file: what the last night did and how well, what was wrong
with the ISBNs, who gets what, and what some readers see. It shows what a few readers have read: give it
to people who may see that, or leave them out with --readers 0.")]
pub struct Report {
    /// The page.
    #[arg(long, value_name = "FILE", default_value = "nightshelf.html")]
    pub out: PathBuf,
    /// How many readers can be looked up in it.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=5000))]
    pub readers: u32,
    #[command(flatten)]
    pub fleet: Fleet,
}

/// `nightshelf generate`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nightshelf generate man --out man/
  nightshelf generate completions bash > /etc/bash_completion.d/nightshelf")]
pub struct Generate {
    /// What to generate.
    #[command(subcommand)]
    pub what: Generated,
}

/// What can be generated.
#[derive(Debug, Subcommand)]
pub enum Generated {
    /// Manual pages: nightshelf.1 and one for each command.
    Man {
        /// The folder to write them to; without it the page of nightshelf itself goes to stdout.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Completions for a shell, on stdout.
    Completions {
        /// Which shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}
