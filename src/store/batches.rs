//! Large changes, a little at a time: nobody waits long for the lock.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::error::Result;
use crate::store::slots::{PUBLISHED, Published, Slot, objects};
use crate::store::source::Table;
use crate::store::{Database, HOLD, quote};

/// Rows that are deleted or copied in the first transaction of many; later ones adapt.
const FIRST_BATCH: usize = 10_000;

/// Rows that a table may be dropped with. Their pages only become free ones, which takes some 50 ns a row:
/// less than [`HOLD`] for all of these together, and a tenth of the time that deleting them takes.
const DROPPED: usize = 500_000;

/// Rows that are counted in one go.
const COUNTED: usize = 50_000;

/// Empties a slot and drops its tables.
///
/// # Errors
/// Whatever SQLite says, busy or full.
pub fn clear(database: &mut Database, slot: Slot) -> Result<()> {
    let looking = "looking for an old set";
    let vacuum = |connection: &Connection| {
        Ok(connection.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0))?)
    };
    // In this mode, each commit moves other pages to where pages became free.
    let is_full_vacuum = database.read(looking, vacuum)? == 1;
    for Published { name, key, .. } in PUBLISHED {
        let name = slot.name(name);
        let Some(objects) = database.read(looking, |connection| objects(connection, &name))? else {
            continue;
        };
        let few = if is_full_vacuum { FIRST_BATCH } else { DROPPED } / objects.len();
        let table = quote(&name);
        let last = format!("SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET ?1");
        let delete = format!("DELETE FROM {table} WHERE ({key}) <= ({})", marks(key));
        let mut left = rows_at_most(database, &table, key)?;
        let mut batch = Batch::default();
        while left > few {
            let (deleted, held) = database.write("clearing an old set", |transaction| {
                let last =
                    transaction.prepare_cached(&last)?.query_row([batch.rows as i64 - 1], row).optional()?;
                let Some(last) = last else {
                    return Ok(left);
                };
                Ok(transaction.prepare_cached(&delete)?.execute(params_from_iter(last))?)
            })?;
            left = left.saturating_sub(deleted);
            batch.adapt(held);
        }
        let drop = format!("DROP TABLE {table}");
        database.write("clearing an old set", |transaction| Ok(transaction.execute_batch(&drop)?))?;
    }
    Ok(())
}

/// How many rows a table has, or a few more.
fn rows_at_most(database: &Database, table: &str, key: &str) -> Result<usize> {
    let first = format!("SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {COUNTED}");
    let next = format!(
        "SELECT {key} FROM {table} WHERE ({key}) > ({}) ORDER BY {key} LIMIT 1 OFFSET {COUNTED}",
        marks(key)
    );
    let mut sql = &first;
    let (mut rows, mut reached) = (COUNTED, Vec::new());
    loop {
        let found = database.read("counting the rows of an old set", |connection| {
            Ok(connection.prepare_cached(sql)?.query_row(params_from_iter(&reached), row).optional()?)
        })?;
        match found {
            Some(key) => (reached, sql) = (key, &next),
            None => return Ok(rows),
        }
        rows += COUNTED + 1;
    }
}

/// As many question marks as a key has columns.
fn marks(key: &str) -> String {
    key.split(',').map(|_| "?").collect::<Vec<_>>().join(", ")
}

/// All columns of a row.
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<Value>> {
    (0..row.as_ref().column_count()).map(|column| row.get(column)).collect()
}

/// Copies one slot into another, which must be prepared and empty, a little at a time.
///
/// # Errors
/// Whatever SQLite says, busy or full.
pub fn copy(database: &mut Database, from: Slot, to: Slot) -> Result<()> {
    for Published { name, key, .. } in PUBLISHED {
        let (source, target) = (from.name(name), to.name(name));
        let columns = database.read("looking at the set from before", |connection| {
            columns_in_both(connection, &source, &target)
        })?;
        // A set of a version that did not note yet what lists were made from.
        let Some(columns) = columns else {
            continue;
        };
        let (source, target) = (quote(&source), quote(&target));
        let mut batch = Batch::default();
        let mut offset = 0;
        loop {
            let sql = format!(
                "INSERT INTO {target} ({columns}) SELECT {columns} FROM {source} \
                 ORDER BY {key} LIMIT ?1 OFFSET ?2"
            );
            let (copied, held) = database.write("copying the set from before", |transaction| {
                Ok(transaction.prepare_cached(&sql)?.execute((batch.rows as i64, offset as i64))?)
            })?;
            offset += copied;
            if copied < batch.rows {
                break;
            }
            batch.adapt(held);
        }
    }
    Ok(())
}

/// `None` if one of the tables is not there.
fn columns_in_both(connection: &Connection, one: &str, other: &str) -> Result<Option<String>> {
    let (Some(one), Some(other)) = (Table::find(connection, one)?, Table::find(connection, other)?) else {
        return Ok(None);
    };
    let shared: Vec<_> = one.columns.iter().filter(|name| other.has(name)).map(|name| quote(name)).collect();
    Ok(Some(shared.join(", ")))
}

/// How many rows fit into one transaction of [`HOLD`].
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Rows to write next.
    pub rows: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { rows: FIRST_BATCH }
    }
}

impl Batch {
    /// Learns from how long the last transaction held the lock.
    pub fn adapt(&mut self, held: std::time::Duration) {
        let ratio = HOLD.as_secs_f64() / held.as_secs_f64().max(1e-3);
        self.rows = ((self.rows as f64 * ratio.clamp(0.25, 1.5)) as usize).clamp(200, 100_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;
    use std::time::Duration;

    #[test]
    fn a_large_set_is_deleted_a_little_at_a_time_and_then_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shop.db");
        let rows = 120_000;
        let connection = Connection::open(&path).expect("a database");
        let sql = format!(
            "PRAGMA auto_vacuum = FULL;
             CREATE TABLE nightshelf_a_recommendations (user_id ANY, rank INTEGER, PRIMARY KEY (user_id, rank))
                 STRICT, WITHOUT ROWID;
             WITH RECURSIVE n (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM n WHERE at + 1 < {rows})
                 INSERT INTO nightshelf_a_recommendations
                 SELECT iif(at % 20 < 10, at / 10, 'reader ' || (at / 10)), at % 10 FROM n"
        );
        connection.execute_batch(&sql).expect("rows");
        drop(connection);
        let mut database = Database::open(&path, Duration::from_secs(5), Interrupt::never()).expect("opened");
        let found =
            rows_at_most(&database, "nightshelf_a_recommendations", "user_id, rank").expect("counted");
        assert!((rows..=rows + COUNTED + 3).contains(&found), "{found}");
        clear(&mut database, Slot::A).expect("cleared");
        let of = |sql| database.connection().query_row(sql, [], |row| row.get::<_, i64>(0)).expect("asked");
        assert_eq!(of("SELECT count(*) FROM sqlite_schema"), 0);
        assert!(of("PRAGMA page_count") < 10);
    }
}
