//! The diary: one row for each time the job ran, and what it could not use.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::Value;

use crate::catalog::rejects::Rejects;
use crate::error::{Error, Kind, Result};
use crate::store::Database;

const SCHEMA: &str = include_str!("../../sql/schema.sql");

/// What a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// The whole job.
    Nightly,
    /// The set before the current one was put back.
    Rollback,
}

impl RunKind {
    fn word(self) -> &'static str {
        match self {
            RunKind::Nightly => "nightly",
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
}

/// Makes our own tables where they are missing.
///
/// # Errors
/// Whatever SQLite says.
pub fn prepare(database: &mut Database) -> Result<()> {
    database.write("making nightshelf's own tables", |transaction| Ok(transaction.execute_batch(SCHEMA)?))?;
    Ok(())
}

/// Begins a run: a row with the status `running`. Rows that still say so are of runs that died,
/// since whoever calls this holds the lock.
///
/// # Errors
/// Whatever SQLite says.
pub fn begin(database: &mut Database, kind: RunKind, device: &str, config: &Value) -> Result<i64> {
    prepare(database)?;
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

/// Marks a run as published, in the transaction that publishes.
///
/// # Errors
/// Whatever SQLite says.
pub fn published(transaction: &Transaction<'_>, run_id: i64, story: &Story) -> Result<()> {
    transaction.execute(
        "UPDATE nightshelf_runs SET status = 'published', finished_at = ?2, counts = ?3, metrics = ?4, \
         timings = ?5, input_digest = ?6 WHERE run_id = ?1",
        params![
            run_id,
            now(),
            story.counts.to_string(),
            story.metrics.to_string(),
            story.timings.to_string(),
            story.input_digest
        ],
    )?;
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
    let connection = database.connection();
    let _ = connection.busy_timeout(Duration::from_secs(1));
    let _ = connection.execute(sql, params![run_id, status, now(), text]);
    let _ = note_rejects(connection, run_id, rejects);
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
            params![run_id, reason, count as i64, Value::from(examples.to_vec()).to_string()],
        )?;
    }
    Ok(())
}

/// The runs of the current set and of the set before, newest first.
///
/// # Errors
/// Whatever SQLite says.
pub fn last_published(database: &Database) -> Result<Vec<i64>> {
    let sql = "SELECT run_id FROM nightshelf_runs WHERE kind = 'nightly' AND status = 'published' \
               ORDER BY run_id DESC LIMIT 2";
    database.read("looking up the last runs", |connection| {
        let mut statement = connection.prepare(sql)?;
        let runs = statement.query_map([], |row| row.get(0))?;
        Ok(runs.collect::<rusqlite::Result<_>>()?)
    })
}

/// The run whose rows are published now, and its input digest and settings.
#[derive(Clone, Debug)]
pub struct Current {
    /// Its number.
    pub run_id: i64,
    /// The digest of its input.
    pub input_digest: Option<String>,
    /// Its settings, as JSON.
    pub config: Option<String>,
}

/// Looks up the run whose rows are published now; `None` before the first.
///
/// # Errors
/// Whatever SQLite says.
pub fn current(database: &Database) -> Result<Option<Current>> {
    database.read("looking up the current set", |connection| {
        let published: bool = connection.query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'recommendations_popular'",
            [],
            |row| row.get(0),
        )?;
        if !published {
            return Ok(None);
        }
        let sql = "SELECT run_id, input_digest, config FROM nightshelf_runs \
                   WHERE run_id = (SELECT max(run_id) FROM recommendations_popular)";
        let found = connection.query_row(sql, [], |row| {
            Ok(Current { run_id: row.get(0)?, input_digest: row.get(1)?, config: row.get(2)? })
        });
        Ok(found.optional()?)
    })
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}
