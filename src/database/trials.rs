//! The trials that `tune` has made, stored so that it can resume.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::database::Database;
use crate::database::own_tables::prepare;
use crate::database::runs::now;
use crate::database::table::Table;
use crate::error::Result;

#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// 0 is the trial of the settings as they were.
    pub number: usize,
    pub factors: usize,
    /// The settings that were changed, by key.
    pub settings: BTreeMap<String, String>,
    /// The figure that `tune` searches for; more is better.
    pub score: f64,
    pub seconds: f64,
}

impl Trial {
    pub fn pairs(&self) -> Vec<(&str, String)> {
        self.settings.iter().map(|(key, value)| (key.as_str(), value.clone())).collect()
    }
}

/// All trials of a task, by number and factors.
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

/// Stores a trial, in the place of one with the same number and factors.
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

pub fn forget(database: &mut Database, task: &str) -> Result<()> {
    prepare(database)?;
    database.write("forgetting earlier trials", |transaction| {
        Ok(transaction.execute("DELETE FROM nightshelf_trials WHERE task = ?1", [task])?)
    })?;
    Ok(())
}
