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
//! assert_eq!(report["status"], "published");
//!
//! // Ann and Bob share a book, in two spellings. Bob has not read Ann's other one.
//! let isbn: String =
//!     club.query_row("SELECT isbn FROM recommendations WHERE user_id = 'bob'", [], |row| row.get(0))?;
//! assert_eq!(isbn, "0-8044-2957-X");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// The house, for whoever works on it. (CONTRIBUTING.md has the map of files.)
//
// Rows come out of SQLite, become columns, become integer codes, become two factor matrices, become
// ranked lists, and go back into SQLite; every step is one module with one plain type at its door.
//
//   SQLite ─► RatingColumns ─► Normalised ─► Encoded (u32 codes) ─► fit ─► Factors
//          source          frame          frame                    model     │
//   SQLite ◄──────────── Recommendation ◄──────────────── Scored ◄───────────┘
//          publish, exchange             lists           topn
//
//   cli, config                 what was typed, and what that means        know nothing else
//   jobs, recommender           the commands; the same on slices           all rooms below
//   store                       SQLite: manners, reading, publishing       SQL
//   catalog                     books, readers, who read what              polars
//   model                       training, lists, reasons                   burn
//   quality                     figures and baselines                      codes only
//   report                      the page and its plots                     plain facts
//   console, error, interrupt   what people see; what went wrong; when to stop
//   machine, files, panics      how much memory there is; whole files; libraries that panic
//   failpoint                   where a test makes the process die or wait
//
// Dependence points down this table, never up: `catalog` knows no SQL and no tensors, `model` no SQL and
// no columns, `store` no tensors. burn's `Backend` type stays inside `model`.

#[doc(hidden)]
pub mod catalog;
#[doc(hidden)]
pub mod cli;
pub mod config;
#[doc(hidden)]
pub mod console;
pub mod error;
#[doc(hidden)]
pub mod failpoint;
mod files;
#[doc(hidden)]
pub mod interrupt;
#[doc(hidden)]
pub mod jobs;
#[doc(hidden)]
pub mod machine;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod panics;
#[doc(hidden)]
pub mod quality;
mod recommender;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod store;

use std::path::Path;

use serde_json::Value;

#[doc(inline)]
pub use catalog::isbn;
#[doc(inline)]
pub use config::Config;
#[doc(inline)]
pub use quality::metrics::RankingFigures;
pub use recommender::{Entry, Figures, Recommender, evaluate};

/// Runs the nightly job on a database and returns its report, the object that `nightshelf run --json` prints.
///
/// # Errors
/// Any [kind](error::Kind); the lists of before stand then. [`Refused`](error::Kind::Refused) if the gate
/// objects.
pub fn night(db: &Path, config: &Config) -> error::Result<Value> {
    config.check().map_err(|problem| error::Error::new(error::Kind::Config, problem))?;
    let night = jobs::nightly::Night { db, config, dry_run: false, force: false };
    let outcome = jobs::nightly::run(&night, &console::Console::silent(), &interrupt::Interrupt::never())?;
    outcome.failure.map_or(Ok(outcome.json), Err)
}
