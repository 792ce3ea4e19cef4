//! Samples the tables of an unknown database, so that `init` can find the ratings.

use std::borrow::Cow;

use rusqlite::Connection;

use crate::database::table::Table;
use crate::database::{Database, quote, values};
use crate::error::{Error, Kind, Result};
use crate::ingest::columns::{Place, SampledTable};

/// Rows that are read from each table.
const SAMPLE: usize = 1000;

/// Different values of a column that are looked at.
const MOST_VALUES: usize = 100;

/// The most rows that are counted where there is no rowid, as in a view.
const MOST_COUNTED: i64 = 1_000_000;

/// Samples all tables and views of the application, none of ours.
pub fn survey(database: &Database) -> Result<Vec<SampledTable>> {
    let names: Vec<(String, bool)> = database.read("looking at the tables", |connection| {
        let sql = "SELECT name, type = 'view' FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view') \
                   AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'nightshelf_%' \
                   AND name NOT IN ('recommendations', 'recommendations_popular', 'recommendations_popular_by', \
                   'recommendations_similar') ORDER BY name";
        Ok(connection.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?)
    })?;
    let look = |(name, is_view): &(String, bool)| {
        database.read("looking at a table", |connection| table(connection, name, *is_view))
    };
    Ok(names.iter().map(look).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn table(connection: &Connection, name: &str, is_view: bool) -> Result<Option<SampledTable>> {
    // A view may be broken, or call a function that only the application has: then it is left out.
    let Table { name, columns, has_rowid } = match Table::find(connection, name) {
        Ok(Some(table)) => table,
        Err(error) if error.kind() == Kind::Busy => return Err(error),
        _ => return Ok(None),
    };
    // Counting all rows of a view may take any time.
    let most = if has_rowid { i64::MAX } else { MOST_COUNTED };
    let count = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT {most})", quote(&name));
    let names: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    let sql = format!("SELECT {} FROM {} LIMIT {SAMPLE}", names.join(", "), quote(&name));
    let look = || -> rusqlite::Result<(i64, Vec<Vec<Option<String>>>)> {
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| {
            (0..columns.len())
                .map(|column| Ok(values::text(row.get_ref(column)?).map(Cow::into_owned)))
                .collect()
        })?;
        let sample = rows.collect::<rusqlite::Result<_>>()?;
        Ok((connection.query_row(&count, [], |row| row.get(0))?, sample))
    };
    let (rows, sample) = match look().map_err(Error::from) {
        Ok(found) => found,
        Err(error) if error.kind() == Kind::Busy => return Err(error),
        Err(_) => return Ok(None),
    };
    let references = connection
        .prepare("SELECT \"from\", \"table\", coalesce(\"to\", '') FROM pragma_foreign_key_list(?1)")?
        .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(SampledTable { name, is_view, rows: rows.unsigned_abs(), columns, sample, references }))
}

/// The different values of a column, of all rows, in order.
pub fn values(database: &Database, place: &Place) -> Result<Vec<String>> {
    let (table, column) = (quote(&place.table), quote(&place.column));
    let sql = format!("SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL LIMIT {MOST_VALUES}");
    let mut found = database.read("looking at a column", |connection| {
        let mut statement = connection.prepare(&sql)?;
        let values = statement.query_map([], |row| Ok(values::text(row.get_ref(0)?).map(Cow::into_owned)))?;
        Ok(values.collect::<rusqlite::Result<Vec<_>>>()?)
    })?;
    found.sort_unstable();
    Ok(found.into_iter().flatten().collect())
}
