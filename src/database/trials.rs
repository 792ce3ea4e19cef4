//! What `tune` has found out so far: so that it can go on tomorrow.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::database::Database;
use crate::database::own_tables::prepare;
use crate::database::runs::now;
use crate::database::source::Table;
use crate::error::Result;

/// A trial that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its number; 0 is that of the settings as they were.
    pub number: usize,
    /// With how many factors.
    pub factors: usize,
    /// What was set, key by key.
    pub settings: BTreeMap<String, String>,
    /// The figure that is searched for, more being better.
    pub score: f64,
    /// How long it took.
    pub seconds: f64,
}

impl Trial {
    /// What was set, as pairs.
    pub fn pairs(&self) -> Vec<(&str, String)> {
        self.settings.iter().map(|(key, value)| (key.as_str(), value.clone())).collect()
    }
}

/// Every trial of a task.
///
/// # Errors
/// Whatever SQLite says.
pub fn of(database: &Database, task: &str) -> Result<Vec<Trial>> {
    database.read("looking up earlier trials", |connection| {
        if Table::find(connection, "nightshelf_trials")?.is_none() {
            return Ok(Vec::new());
        }
        let sql = "SELECT trial, factors, settings, score, seconds FROM nightshelf_trials WHERE task = ?1 \
                   ORDER BY trial, factors";
        let mut statement = connection.prepare(sql)?;
        let trials = statement.query_map([task], |row| {
            let settings: String = row.get(2)?;
            Ok(Trial {
                number: row.get::<_, u32>(0)? as usize,
                factors: row.get::<_, u32>(1)? as usize,
                settings: serde_json::from_str(&settings).unwrap_or_default(),
                score: row.get(3)?,
                seconds: row.get(4)?,
            })
        })?;
        Ok(trials.collect::<rusqlite::Result<_>>()?)
    })
}

/// Notes a trial.
///
/// # Errors
/// Whatever SQLite says.
pub fn note(database: &mut Database, task: &str, figure: &str, trial: &Trial) -> Result<()> {
    prepare(database)?;
    let (number, factors) = (trial.number as i64, trial.factors as i64);
    database.write("noting a trial", |transaction| {
        transaction.execute(
            "INSERT OR REPLACE INTO nightshelf_trials \
             (task, trial, factors, figure, score, settings, seconds, finished_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                task,
                number,
                factors,
                figure,
                trial.score,
                serde_json::to_string(&trial.settings).unwrap_or_default(),
                trial.seconds,
                now()
            ],
        )?;
        Ok(())
    })?;
    Ok(())
}

/// Forgets the trials of a task.
///
/// # Errors
/// Whatever SQLite says.
pub fn forget(database: &mut Database, task: &str) -> Result<()> {
    prepare(database)?;
    database.write("forgetting earlier trials", |transaction| {
        Ok(transaction.execute("DELETE FROM nightshelf_trials WHERE task = ?1", [task])?)
    })?;
    Ok(())
}
