//! The diary: one row for each time the job ran, and what it could not use.

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::Value;

use crate::catalog::rejects::{self, Rejects};
use crate::error::{Error, Kind, Result};
use crate::store::slots::{LISTS, POPULAR, Slot};
use crate::store::source::Table;
use crate::store::{Database, lists, own_tables, quote};

/// What a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// The whole job.
    Nightly,
    /// New and changed readers, against the model that stands.
    Backfill,
    /// The set before the current one was put back.
    Rollback,
}

impl RunKind {
    fn word(self) -> &'static str {
        match self {
            RunKind::Nightly => "nightly",
            RunKind::Backfill => "backfill",
            RunKind::Rollback => "rollback",
        }
    }
}

/// What a finished run leaves in its row, besides its status.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Rows in, users, items, rows out.
    pub counts: Value,
    /// Figures of the model.
    pub metrics: Value,
    /// Seconds by stage.
    pub timings: Value,
    /// The same for the same ratings.
    pub input_digest: Option<String>,
    /// Why it was refused, if it was.
    pub error: Option<String>,
}

/// Begins a run: a row with the status `running`. Rows that still say so are of runs that died,
/// since whoever calls this holds the lock.
///
/// # Errors
/// Whatever SQLite says.
pub fn begin(database: &mut Database, kind: RunKind, device: &str, config: &Value) -> Result<i64> {
    own_tables::prepare(database)?;
    let (run_id, _) = database.write("beginning the run", |transaction| {
        transaction.execute(
            "UPDATE nightshelf_runs SET status = 'interrupted', finished_at = ?1, \
             error = 'the process ended without a word (killed, or the power went)' \
             WHERE status = 'running'",
            [now()],
        )?;
        transaction.execute(
            "INSERT INTO nightshelf_runs (kind, status, started_at, version, device, config) \
             VALUES (?1, 'running', ?2, ?3, ?4, ?5)",
            params![kind.word(), now(), env!("CARGO_PKG_VERSION"), device, config.to_string()],
        )?;
        Ok(transaction.last_insert_rowid())
    })?;
    Ok(run_id)
}

/// How a run ended that did all of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There is something new to see.
    Published,
    /// There was nothing to do.
    Unchanged,
    /// What came of it is not fit to be seen.
    Refused,
}

impl Ending {
    /// The word in the column `status`.
    pub fn word(self) -> &'static str {
        match self {
            Ending::Published => "published",
            Ending::Unchanged => "unchanged",
            Ending::Refused => "refused",
        }
    }
}

/// Marks a run that did all of its work, in the transaction that publishes, if there is one.
///
/// # Errors
/// Whatever SQLite says.
pub fn finished(transaction: &Transaction<'_>, run_id: i64, ending: Ending, story: &Story) -> Result<()> {
    transaction.execute(
        "UPDATE nightshelf_runs SET status = ?2, finished_at = ?3, counts = ?4, metrics = ?5, \
         timings = ?6, input_digest = ?7, error = ?8 WHERE run_id = ?1",
        params![
            run_id,
            ending.word(),
            now(),
            story.counts.to_string(),
            story.metrics.to_string(),
            story.timings.to_string(),
            story.input_digest,
            story.error
        ],
    )?;
    Ok(())
}

/// Makes a backfill the nightly job that turned out to be due.
///
/// # Errors
/// Whatever SQLite says.
pub fn becomes_nightly(database: &mut Database, run_id: i64, device: &str) -> Result<()> {
    database.write("beginning the full run", |transaction| {
        let sql = "UPDATE nightshelf_runs SET kind = ?2, device = ?3 WHERE run_id = ?1";
        Ok(transaction.execute(sql, params![run_id, RunKind::Nightly.word(), device])?)
    })?;
    Ok(())
}

/// Marks a run that ended in an error, and keeps what it could not use.
pub fn ended(database: &mut Database, run_id: i64, error: &Error, rejects: &Rejects) {
    let status = match error.kind() {
        Kind::Interrupted | Kind::Terminated => "interrupted",
        _ => "failed",
    };
    let sql = "UPDATE nightshelf_runs SET status = ?2, finished_at = ?3, error = ?4 \
               WHERE run_id = ?1 AND status = 'running'";
    let text = error.to_string();
    // The error itself is on its way to the user; a row that cannot be written now is closed by
    // the next run.
    let _ = database.write_last("noting how the run ended", |transaction| {
        transaction.execute(sql, params![run_id, status, now(), text])?;
        note_rejects(transaction, run_id, rejects)
    });
}

/// Replaces what is known of rejected rows of one run.
///
/// # Errors
/// Whatever SQLite says.
pub fn note_rejects(connection: &Connection, run_id: i64, rejects: &Rejects) -> Result<()> {
    connection.execute("DELETE FROM nightshelf_rejects WHERE run_id = ?1", [run_id])?;
    for (reason, count, examples) in rejects.iter() {
        connection.execute(
            "INSERT INTO nightshelf_rejects (run_id, origin, reason, count, examples) \
             VALUES (?1, 'ratings', ?2, ?3, ?4)",
            params![run_id, reason, count as i64, rejects::to_json(examples)],
        )?;
    }
    Ok(())
}

/// The nightly runs of the current set and of the set before, whose models are still of use.
///
/// # Errors
/// Whatever SQLite says.
pub fn on_the_shelf(database: &Database) -> Result<Vec<i64>> {
    database.read("looking up the last runs", |connection| {
        let mut tables = vec![POPULAR.name.to_owned()];
        tables.extend(Slot::previous(connection)?.map(|slot| slot.name(POPULAR.name)));
        let mut runs = Vec::new();
        for table in tables {
            if Table::find(connection, &table)?.is_some() {
                let sql = format!("SELECT max(run_id) FROM {}", quote(&table));
                runs.extend(connection.query_row(&sql, [], |row| row.get::<_, Option<i64>>(0))?);
            }
        }
        Ok(runs)
    })
}

/// The nightly run whose set is published now.
#[derive(Clone, Debug)]
pub struct Current {
    /// Its number.
    pub run_id: i64,
    /// The version of nightshelf that it was.
    pub version: String,
    /// The digest of its input.
    pub input_digest: Option<String>,
    /// Its settings, as JSON.
    pub config: Option<String>,
    /// Its counts.
    pub counts: Value,
}

/// Looks up the nightly run whose set is published now; `None` before the first, or if somebody
/// has dropped one of its tables.
///
/// # Errors
/// Whatever SQLite says.
pub fn current(database: &Database) -> Result<Option<Current>> {
    database.read("looking up the current set", |connection| {
        for table in [LISTS.name, POPULAR.name, "nightshelf_runs"] {
            if Table::find(connection, table)?.is_none() {
                return Ok(None);
            }
        }
        let sql = "SELECT run_id, version, input_digest, config, counts FROM nightshelf_runs \
                   WHERE run_id = (SELECT max(run_id) FROM recommendations_popular)";
        let found = connection.query_row(sql, [], |row| {
            let counts: Option<String> = row.get(4)?;
            Ok(Current {
                run_id: row.get(0)?,
                version: row.get(1)?,
                input_digest: row.get(2)?,
                config: row.get(3)?,
                counts: counts.and_then(|counts| serde_json::from_str(&counts).ok()).unwrap_or_default(),
            })
        });
        Ok(found.optional()?)
    })
}

/// A row of the diary.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number.
    pub run_id: i64,
    /// `nightly`, `backfill` or `rollback`.
    pub kind: String,
    /// How it ended, or `running`.
    pub status: String,
    /// When it began.
    pub started: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// The version of nightshelf.
    pub version: String,
    /// The device.
    pub device: Option<String>,
    /// Rows in and out.
    pub counts: Value,
    /// Figures of the model, or of what a backfill changed.
    pub metrics: Value,
    /// Seconds by stage.
    pub timings: Value,
    /// What went wrong.
    pub error: Option<String>,
}

/// The last runs, newest first; none where nothing ever ran.
///
/// # Errors
/// Whatever SQLite says.
pub fn last(database: &Database, runs: u32) -> Result<Vec<Entry>> {
    entries(database, "ORDER BY run_id DESC LIMIT ?1", i64::from(runs))
}

/// One run, if it is still written down.
///
/// # Errors
/// Whatever SQLite says.
pub fn entry(database: &Database, run_id: i64) -> Result<Option<Entry>> {
    Ok(entries(database, "WHERE run_id = ?1", run_id)?.pop())
}

fn entries(database: &Database, which: &str, parameter: i64) -> Result<Vec<Entry>> {
    database.read("looking up the last runs", |connection| {
        if Table::find(connection, "nightshelf_runs")?.is_none() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT run_id, kind, status, started_at, finished_at, version, device, counts, metrics, \
             timings, error FROM nightshelf_runs {which}"
        );
        let mut statement = connection.prepare(&sql)?;
        let entries = statement.query_map([parameter], |row| {
            let time = |column| -> rusqlite::Result<Option<DateTime<Utc>>> {
                let text: Option<String> = row.get(column)?;
                Ok(text.and_then(|text| DateTime::parse_from_rfc3339(&text).ok()).map(|time| time.to_utc()))
            };
            let json = |column| -> rusqlite::Result<Value> {
                let text: Option<String> = row.get(column)?;
                Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
            };
            Ok(Entry {
                run_id: row.get(0)?,
                kind: row.get(1)?,
                status: row.get(2)?,
                started: time(3)?,
                finished: time(4)?,
                version: row.get(5)?,
                device: row.get(6)?,
                counts: json(7)?,
                metrics: json(8)?,
                timings: json(9)?,
                error: row.get(10)?,
            })
        })?;
        Ok(entries.collect::<rusqlite::Result<_>>()?)
    })
}

/// How many rows are published, and how many of them are of one run.
///
/// # Errors
/// Whatever SQLite says.
pub fn rows_of(database: &Database, run_id: i64) -> Result<(u64, u64)> {
    let (mut all, mut own) = (0, 0);
    lists::scan(
        database,
        "run_id",
        |row| row.get::<_, i64>(0),
        |_, run| {
            all += 1;
            own += u64::from(run == run_id);
        },
    )?;
    Ok((all, own))
}

/// RFC 3339, UTC.
pub fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}
