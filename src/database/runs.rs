//! The history: one row for each run, and the rows that it could not use.

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::catalog::rejects::{self, Rejects};
use crate::config::{Config, Rules};
use crate::database::publish::slots::{LISTS, POPULAR, Slot};
use crate::database::table::Table;
use crate::database::{Database, lists, own_tables, quote};
use crate::error::{Error, Kind, Result};
use crate::run_summary::{Counts, RunKind, RunRecord, RunStatus, RunSummary};

/// Begins a run: adds a row with the status `running`. Other rows with that status are of runs that died,
/// because the caller holds the lock; they are marked as interrupted.
pub fn begin(database: &mut Database, kind: RunKind, device: &str, config: &Config) -> Result<i64> {
    own_tables::prepare(database)?;
    let config = json(config)?;
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
            params![kind.to_string(), now(), env!("CARGO_PKG_VERSION"), device, config],
        )?;
        Ok(transaction.last_insert_rowid())
    })?;
    Ok(run_id)
}

/// Marks a run that completed, in the transaction that publishes its set, if there is one.
pub fn finished(transaction: &Transaction<'_>, run_id: i64, ending: &Ending<'_>) -> Result<()> {
    let RunSummary { status, counts, metrics, timings, .. } = ending.summary;
    transaction.execute(
        "UPDATE nightshelf_runs SET status = ?2, finished_at = ?3, counts = ?4, metrics = ?5, \
         timings = ?6, input_digest = ?7, error = ?8 WHERE run_id = ?1",
        params![
            run_id,
            status.to_string(),
            now(),
            json(counts)?,
            json(metrics)?,
            json(timings)?,
            ending.input_digest,
            ending.error
        ],
    )?;
    Ok(())
}

/// What a completed run writes into its row.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    pub summary: &'a RunSummary,
    /// Equal for equal ratings.
    pub input_digest: &'a str,
    /// Why the run was refused, if it was.
    pub error: Option<&'a str>,
}

/// Marks a rollback that completed.
pub fn rolled_back(transaction: &Transaction<'_>, run_id: i64) -> Result<()> {
    let sql = "UPDATE nightshelf_runs SET status = ?2, finished_at = ?3 WHERE run_id = ?1";
    transaction.execute(sql, params![run_id, RunStatus::Published.to_string(), now()])?;
    Ok(())
}

fn json(facts: &impl Serialize) -> Result<String> {
    serde_json::to_string(facts)
        .map_err(|error| Error::new(Kind::Failed, format!("a run cannot be written down: {error}")))
}

/// Turns a backfill into a nightly run, when that turned out to be due.
pub fn becomes_nightly(database: &mut Database, run_id: i64, device: &str) -> Result<()> {
    database.write("beginning the full run", |transaction| {
        let sql = "UPDATE nightshelf_runs SET kind = ?2, device = ?3 WHERE run_id = ?1";
        Ok(transaction.execute(sql, params![run_id, RunKind::Nightly.to_string(), device])?)
    })?;
    Ok(())
}

/// Marks a run that ended in an error, and stores the rows that it rejected.
pub fn ended(database: &mut Database, run_id: i64, error: &Error, rejects: &Rejects) {
    let status = match error.kind() {
        Kind::Interrupted | Kind::Terminated => RunStatus::Interrupted,
        _ => RunStatus::Failed,
    };
    let sql = "UPDATE nightshelf_runs SET status = ?2, finished_at = ?3, error = ?4 \
               WHERE run_id = ?1 AND status = 'running'";
    let text = error.to_string();
    // The error itself is reported elsewhere; a row that cannot be written now is closed by the next run.
    let _ = database.write_last("noting how the run ended", |transaction| {
        transaction.execute(sql, params![run_id, status.to_string(), now(), text])?;
        note_rejects(transaction, run_id, rejects)
    });
}

/// Replaces what is stored about the rejected rows of one run.
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

/// The nightly runs of the current and the previous set, whose models are still needed.
pub fn published(database: &Database) -> Result<Vec<i64>> {
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
    pub run_id: i64,
    /// The version of nightshelf that made the set.
    pub version: String,
    pub input_digest: Option<String>,
    /// `None` where this version does not understand them.
    pub config: Option<Config>,
    pub counts: Counts,
}

/// Looks up the nightly run whose set is published now; `None` before the first, or if one of its tables was
/// dropped.
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
            Ok(Current {
                run_id: row.get(0)?,
                version: row.get(1)?,
                input_digest: row.get(2)?,
                config: settings(row, 3)?,
                counts: parsed(row, 4)?.unwrap_or_default(),
            })
        });
        Ok(found.optional()?)
    })
}

/// The settings of a run. One of a version before the rules kept to none.
fn settings(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Config>> {
    let text: Option<Value> = parsed(row, column)?;
    let has_rules = text.as_ref().is_some_and(|settings| settings.get("rules").is_some());
    let config: Option<Config> = text.and_then(|settings| serde_json::from_value(settings).ok());
    Ok(config.map(|config| if has_rules { config } else { Config { rules: Rules::none(), ..config } }))
}

/// A JSON column of a row that any version may have written; `None` if this version does not understand it.
fn parsed<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

fn word<T: DeserializeOwned + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let word: String = row.get(column)?;
    Ok(serde_json::from_value(word.into()).unwrap_or_default())
}

/// The last `runs` runs, newest first.
pub fn last(database: &Database, runs: u32) -> Result<Vec<RunRecord>> {
    entries(database, "ORDER BY run_id DESC LIMIT ?1", i64::from(runs))
}

/// The last `runs` nights, newest first, however many other runs came between.
pub fn last_nights(database: &Database, runs: u32) -> Result<Vec<RunRecord>> {
    entries(database, "WHERE kind = 'nightly' ORDER BY run_id DESC LIMIT ?1", i64::from(runs))
}

pub fn entry(database: &Database, run_id: i64) -> Result<Option<RunRecord>> {
    Ok(entries(database, "WHERE run_id = ?1", run_id)?.pop())
}

fn entries(database: &Database, which: &str, parameter: i64) -> Result<Vec<RunRecord>> {
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
            Ok(RunRecord {
                run_id: row.get(0)?,
                kind: word(row, 1)?,
                status: word(row, 2)?,
                started: time(3)?,
                finished: time(4)?,
                version: row.get(5)?,
                device: row.get(6)?,
                counts: parsed(row, 7)?,
                metrics: parsed(row, 8)?,
                timings: parsed(row, 9)?,
                error: row.get(10)?,
            })
        })?;
        Ok(entries.collect::<rusqlite::Result<_>>()?)
    })
}

/// How many rows `recommendations` has, and how many of them one run wrote.
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
