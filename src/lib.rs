//! Nightly book recommendations, inside your own SQLite database.
//!
//! As a library, nightshelf has three doors:
//!
//! - [`Recommender`] and [`evaluate`]: slices in, lists and figures out; no SQLite, any ids.
//! - [`night`]: the whole nightly job on a database, as `nightshelf run` does it.
//! - [`isbn`]: what book does a spelling mean?
//!
//! [`Config`] has the settings of all of them, [`error`] what can go wrong. Everything else belongs to the
//! program, may change with any version, and is not shown here.
//!
//! ```
//! use nightshelf::run_summary::RunStatus;
//! use nightshelf::{Config, night};
//!
//! let folder = tempfile::tempdir()?;
//! let db = folder.path().join("club.db");
//! let club = rusqlite::Connection::open(&db)?;
//! club.execute_batch(
//!     "CREATE TABLE ratings (user_id TEXT, isbn TEXT, rating INTEGER);
//!      INSERT INTO ratings VALUES ('ann', '978-0-306-40615-7', 9), ('ann', '0-8044-2957-X', 8),
//!                                 ('bob', '0306406152', 10);",
//! )?;
//!
//! let report = night(&db, &Config::default())?;
//! assert_eq!(report.status, RunStatus::Published);
//!
//! // Ann and Bob share a book, in two spellings. Bob has not read Ann's other one.
//! let isbn: String =
//!     club.query_row("SELECT isbn FROM recommendations WHERE user_id = 'bob'", [], |row| row.get(0))?;
//! assert_eq!(isbn, "0-8044-2957-X");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// The map, for whoever works on it. Each line uses only lines below it (tests/promises/layers.rs):
//
//   commands                   what was typed, the call, what is shown; demo: a made-up bookshop
//   pipeline                   what a night, a backfill and an import are made of
//   query                      one reader or one book, asked about at a prompt
//   context                    what nearly all of the above get: settings, console, signals
//   recommender; report        trains, makes lists, evaluates, without SQLite; the page, Prometheus
//   database; model_store; quality; cluster   SQLite beside a live application; a model on disk; figures, baselines;
//                              training elsewhere
//   cli                        clap structs and nothing else
//   ingest                     files of others: what they are, and one stream of records
//   catalog                    books and readers: ISBNs, ids, codes, titles, authors
//   config, console, error, files, run_summary, text and the like: one file each, for all
//   crates/{cpu,cuda}          the arithmetic on a device, behind one trait (Engine)
//   crates/model               burn: codes in, factors and lists out

#[doc(hidden)]
pub mod catalog;
#[doc(hidden)]
pub mod cli;
mod cluster;
#[doc(hidden)]
pub mod commands;
pub mod config;
#[doc(hidden)]
pub mod console;
mod context;
mod database;
mod demo;
pub mod error;
#[doc(hidden)]
pub mod failpoint;
mod files;
mod ingest;
mod machine;
#[doc(hidden)]
pub mod model_store;
mod pipeline;
mod quality;
mod query;
mod recommender;
mod report;
pub mod run_summary;
mod sidecar;
mod text;

use std::path::Path;

#[doc(hidden)]
pub use nightshelf_model as model;
#[doc(hidden)]
pub use nightshelf_model::{interrupt, panics};

#[doc(inline)]
pub use catalog::isbn;
#[doc(inline)]
pub use config::Config;
#[doc(inline)]
pub use quality::metrics::RankingFigures;
pub use recommender::{Entry, Figures, Recommender, evaluate};
#[doc(inline)]
pub use run_summary::RunSummary;

use context::Context;
use pipeline::night::{self as nightly, Options};

/// Runs the nightly job on a database and returns what it did, as `nightshelf run --json` prints it.
///
/// # Errors
/// Any [kind](error::Kind); the lists of before stand then. [`Refused`](error::Kind::Refused) if the gate
/// objects.
pub fn night(db: &Path, config: &Config) -> error::Result<RunSummary> {
    config.check().map_err(|problem| error::Error::new(error::Kind::Config, problem))?;
    let (console, interrupt) = (console::Console::silent(), interrupt::Interrupt::never());
    let context = Context { config, console: &console, interrupt: &interrupt };
    let finished = nightly::run(context, db, Options::default())?;
    finished.refusal.map_or(Ok(finished.summary), Err)
}
