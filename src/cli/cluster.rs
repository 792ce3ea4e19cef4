//! What may be typed, as a rule by a script, when factors are fitted elsewhere.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `nightshelf half-step`
#[derive(Debug, Args)]
#[command(after_help = "\
For jobs/spark/train.py, and for other engines than Spark: tables come and go as Arrow streams on stdin and
stdout. docs/cluster.md says what is in them.")]
pub struct HalfStep {
    #[command(subcommand)]
    pub what: HalfStepWhat,
}

#[derive(Debug, Subcommand)]
pub enum HalfStepWhat {
    /// Solve rows against the features of the other side: columns code, columns and weights in; code, factors and loss out.
    Solve {
        #[command(flatten)]
        of: Rows,
        /// The other side's features, as `prepare` wrote them.
        #[arg(long, value_name = "FILE")]
        features: PathBuf,
    },
    /// Write the features of a side to a file, for the other side to be solved against: columns code and factors in.
    Prepare {
        #[command(flatten)]
        of: Rows,
        /// The file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Those that a training begins with, in the place of rows on stdin.
        #[arg(long)]
        beginning: bool,
    },
}

/// Which rows of which training.
#[derive(Debug, Args)]
pub struct Rows {
    /// The folder of `export training`, or its manifest itself, as JSON.
    #[arg(long, value_name = "FOLDER")]
    pub manifest: String,
    /// Which of its trainings.
    #[arg(long, value_enum)]
    pub part: PartName,
    /// Whose rows.
    #[arg(long, value_enum)]
    pub side: SideName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PartName {
    /// without what the gate holds out
    Judged,
    /// everything
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SideName {
    /// readers, made-up ones included
    Readers,
    /// books
    Books,
}
