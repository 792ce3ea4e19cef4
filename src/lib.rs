//! Nightly book recommendations, inside your own SQLite database.
//!
//! Rows come out of SQLite, become columns, become integer codes, become two factor matrices,
//! become ranked lists, and go back into SQLite; every step is one module with one plain type at
//! its door.
//!
//! ```text
//! SQLite ─► RatingColumns ─► Normalised ─► Encoded (u32 codes) ─► fit ─► Factors
//!        source          frame          frame                    model     │
//! SQLite ◄──────────── Recommendation ◄──────────────── Scored ◄───────────┘
//!        publish, slots              recommend         topn
//! ```
//!
//! # The rooms
//!
//! | module | what it is for | knows |
//! | --- | --- | --- |
//! | [`cli`], [`config`] | what was typed, and what that means | nothing else |
//! | [`jobs`] | the commands, each a table of contents | all rooms below |
//! | [`store`] | SQLite: manners, reading, publishing, the diary | SQL |
//! | [`catalog`] | books, readers, who read what | polars |
//! | [`model`] | training, lists, reasons | burn |
//! | [`quality`] | figures and baselines | codes only |
//! | [`console`], [`error`], [`interrupt`] | what people see; what went wrong; when to stop | nothing else |
//!
//! Dependence points down this table, never up: `catalog` knows no SQL and no tensors, `model` no
//! SQL and no columns, `store` no tensors. burn's `Backend` type stays inside [`model`].
//!
//! # Example
//!
//! The whole job on a database of one's own:
//!
//! ```
//! use nightshelf::config::Config;
//! use nightshelf::console::Console;
//! use nightshelf::interrupt::Interrupt;
//! use nightshelf::jobs::nightly::{self, Night};
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
//! let config = Config::default();
//! let night = Night { db: &db, config: &config, dry_run: false, force: false };
//! nightly::run(&night, &Console::silent(), &Interrupt::never())?;
//!
//! // Ann and Bob share a book, in two spellings. Bob has not read Ann's other one.
//! let isbn: String =
//!     club.query_row("SELECT isbn FROM recommendations WHERE user_id = 'bob'", [], |row| row.get(0))?;
//! assert_eq!(isbn, "0-8044-2957-X");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod catalog;
pub mod cli;
pub mod config;
pub mod console;
pub mod error;
pub mod interrupt;
pub mod jobs;
pub mod model;
pub mod quality;
pub mod store;
