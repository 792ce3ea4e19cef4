//! Large changes in short transactions, so that nobody waits long for the lock.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::database::batch_size::BatchSize;
use crate::database::publish::shape::Shape;
use crate::database::publish::slots::{LISTS, PUBLISHED, Published, RowCounts, Slot};
use crate::database::table::Table;
use crate::database::{Database, pause, quote};
use crate::error::{Error, Kind, Result};
use crate::failpoint;

/// Rows that the first of many transactions deletes or copies; later ones adapt.
pub(super) const FIRST_BATCH: usize = 10_000;

/// The most rows that a table may be dropped with. Dropping only marks pages as free, which takes some 50 ns
/// a row: less than [`crate::database::HOLD`] for all of these together, and a tenth of the time that
/// deleting them takes.
const DROPPED: u64 = 500_000;

/// Rows that the first of many goes counts; later ones adapt.
const COUNTED: usize = 200_000;

/// The columns that a table's rows are stored by: the rowid, or the primary key where there is none. Reading
/// a table in this order visits each row once, whatever indexes it has.
struct RowKey(Vec<String>);

impl RowKey {
    fn of(connection: &Connection, table: &str) -> Result<Self> {
        let sql = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
        let without_rowid: bool = connection.query_row(sql, [table], |row| row.get(0))?;
        let sql = "SELECT name, pk FROM pragma_table_xinfo(?1) ORDER BY pk";
        let columns: Vec<(String, i64)> = connection
            .prepare(sql)?
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        if without_rowid {
            return Ok(Self(columns.iter().filter(|(_, pk)| *pk > 0).map(|(name, _)| quote(name)).collect()));
        }
        let is_hidden = |rowid: &&str| columns.iter().any(|(name, _)| name.eq_ignore_ascii_case(rowid));
        let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(|rowid| !is_hidden(rowid));
        rowid.map(|rowid| Self(vec![rowid.to_owned()])).ok_or_else(|| {
            Error::new(
                Kind::Config,
                format!("the rows of {table} cannot be told apart: columns hide its rowid"),
            )
            .hint("give one of its columns rowid, oid and _rowid_ another name")
        })
    }

    fn columns(&self) -> String {
        self.0.join(", ")
    }

    /// A numbered question mark for each column, the first with the number `first`.
    fn marks(&self, first: usize) -> String {
        (first..first + self.0.len()).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ")
    }

    /// The key of the row `rows` places after `reached` (empty: from the start); `None` if fewer rows are
    /// left.
    fn after(
        &self,
        table: &str,
        reached: &[Value],
        rows: u64,
        connection: &Connection,
    ) -> Result<Option<Vec<Value>>> {
        let key = self.columns();
        let from = match reached {
            [] => String::new(),
            _ => format!("WHERE ({key}) > ({})", self.marks(1)),
        };
        let sql = format!("SELECT {key} FROM {table} {from} ORDER BY {key} LIMIT 1 OFFSET {}", rows - 1);
        Ok(connection.prepare_cached(&sql)?.query_row(params_from_iter(reached), row).optional()?)
    }
}

/// Deletes the rows of a slot in batches, and drops its tables.
pub fn clear(database: &mut Database, slot: Slot) -> Result<()> {
    let looking = "looking for an old set";
    let vacuum = |connection: &Connection| {
        Ok(connection.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0))?)
    };
    // In this mode each commit moves pages to where others became free, so it takes longer.
    let is_full_vacuum = database.read(looking, vacuum)? == 1;
    for Published { name, .. } in PUBLISHED {
        let name = slot.name(name);
        let found = database.read(looking, |connection| match Shape::find(connection, &name)? {
            Some(shape) => Ok(Some((shape.indexes.len() as u64, RowKey::of(connection, &name)?))),
            None => Ok(None),
        })?;
        let Some((indexes, key)) = found else {
            continue;
        };
        let few = if is_full_vacuum { FIRST_BATCH as u64 } else { DROPPED } / (1 + indexes);
        let table = quote(&name);
        let delete = format!("DELETE FROM {table} WHERE ({}) <= ({})", key.columns(), key.marks(1));
        let mut left = rows(database, &name)?;
        let mut batch = BatchSize::new(FIRST_BATCH);
        while left > few {
            let (deleted, held) = database.write("clearing an old set", |transaction| {
                let Some(last) = key.after(&table, &[], batch.rows as u64, transaction)? else {
                    return Ok(left);
                };
                Ok(transaction.prepare_cached(&delete)?.execute(params_from_iter(last))? as u64)
            })?;
            failpoint::reach("clear.batch");
            left = left.saturating_sub(deleted);
            batch.adapt(held);
        }
        let drop = format!("DROP TABLE {table}");
        database.write("clearing an old set", |transaction| Ok(transaction.execute_batch(&drop)?))?;
        failpoint::reach("clear.dropped");
    }
    Ok(())
}

/// How many rows each table of a set has. `name` turns a published name into the table's name in that set;
/// tables that do not exist are left out.
pub fn rows_of_set(database: &Database, name: impl Fn(&str) -> String) -> Result<RowCounts> {
    let mut counts = RowCounts::new();
    for table in &PUBLISHED {
        let name = name(table.name);
        let there =
            database.read("counting rows", |connection| Ok(Table::find(connection, &name)?.is_some()))?;
        if there {
            counts.insert(table.name.to_owned(), rows(database, &name)?);
        }
    }
    Ok(counts)
}

fn rows(database: &Database, name: &str) -> Result<u64> {
    let table = quote(name);
    if database.journal_mode()? == "wal" {
        return database.read("counting rows", |connection| count(connection, &format!("FROM {table}"), &[]));
    }
    // In goes, because without WAL nobody can commit during a read.
    let key = database.read("counting rows", |connection| RowKey::of(connection, name))?;
    let (mut counted, mut reached, mut batch) = (0, Vec::new(), BatchSize::new(COUNTED));
    loop {
        let (since, rows) = (std::time::Instant::now(), batch.rows as u64);
        let next =
            database.read("counting rows", |connection| key.after(&table, &reached, rows, connection))?;
        match next {
            Some(next) => (reached, counted) = (next, counted + rows),
            None => break,
        }
        batch.adapt(since.elapsed());
        pause(since.elapsed());
    }
    let rest = match reached.as_slice() {
        [] => format!("FROM {table}"),
        _ => format!("FROM {table} WHERE ({}) > ({})", key.columns(), key.marks(1)),
    };
    Ok(counted + database.read("counting rows", |connection| count(connection, &rest, &reached))?)
}

fn count(connection: &Connection, from: &str, parameters: &[Value]) -> Result<u64> {
    let sql = format!("SELECT count(*) {from}");
    let rows = connection.query_row(&sql, params_from_iter(parameters), |row| row.get::<_, i64>(0))?;
    Ok(rows.unsigned_abs())
}

/// All columns of a row.
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<Value>> {
    (0..row.as_ref().column_count()).map(|column| row.get(column)).collect()
}

/// Checks that the columns of ids have the same types in two slots: another type might change the ids.
///
/// # Errors
/// [`Kind::Failed`] if not.
pub fn check_keeps_types(database: &Database, from: Slot, to: Slot) -> Result<()> {
    let types = |slot: Slot| {
        database.read("looking at the set from before", |connection| {
            // ANY in a STRICT table means the same as no type in others.
            let sql = "SELECT iif(lower(type) = 'any', '', lower(type)) FROM pragma_table_xinfo(?1) \
                       WHERE lower(name) IN ('user_id', 'isbn') ORDER BY lower(name)";
            let mut statement = connection.prepare(sql)?;
            let types = statement.query_map([slot.name(LISTS.name)], |row| row.get(0))?;
            Ok(types.collect::<rusqlite::Result<Vec<String>>>()?)
        })
    };
    match types(from)? == types(to)? {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Failed,
            "user_id or isbn of recommendations has another type now than in the set before",
        )
        .hint("the current set stands; `nightshelf run --force` makes a new one")),
    }
}

/// Copies one slot into another, which must be prepared and empty, in short transactions.
pub fn copy(database: &mut Database, from: Slot, to: Slot) -> Result<()> {
    for Published { name, .. } in PUBLISHED {
        let (source, target) = (from.name(name), to.name(name));
        let found = database.read("looking at the set from before", |connection| {
            match columns_in_both(connection, &source, &target)? {
                Some(columns) => Ok(Some((columns, RowKey::of(connection, &source)?))),
                None => Ok(None),
            }
        })?;
        // A set of an early version, which did not store yet what lists were made from.
        let Some((columns, key)) = found else {
            continue;
        };
        let (source, target) = (quote(&source), quote(&target));
        let insert = format!("INSERT INTO {target} ({columns}) SELECT {columns} FROM {source}");
        let (columns, marks) = (key.columns(), [key.marks(1), key.marks(1 + key.0.len())]);
        let mut batch = BatchSize::new(FIRST_BATCH);
        let mut reached: Option<Vec<Value>> = None;
        loop {
            let ((next, copied), held) = database.write("copying the set from before", |transaction| {
                let from = reached.clone().unwrap_or_default();
                let next = key.after(&source, &from, batch.rows as u64, transaction)?;
                let [first, second] = &marks;
                let which = match (&reached, &next) {
                    (None, None) => String::new(),
                    (None, Some(_)) => format!(" WHERE ({columns}) <= ({first})"),
                    (Some(_), None) => format!(" WHERE ({columns}) > ({first})"),
                    (Some(_), Some(_)) => {
                        format!(" WHERE ({columns}) > ({first}) AND ({columns}) <= ({second})")
                    }
                };
                let sql = format!("{insert}{which} ORDER BY {columns}");
                let bounds = from.iter().chain(next.iter().flatten());
                let copied = transaction.prepare_cached(&sql)?.execute(params_from_iter(bounds))?;
                Ok((next, copied))
            })?;
            failpoint::reach("copy.batch");
            if next.is_none() {
                break;
            }
            reached = next;
            if copied == batch.rows {
                batch.adapt(held);
            }
        }
    }
    Ok(())
}

/// The columns that two tables share, without generated ones; `None` if one of the tables does not exist.
fn columns_in_both(connection: &Connection, one: &str, other: &str) -> Result<Option<String>> {
    if Table::find(connection, one)?.is_none() || Table::find(connection, other)?.is_none() {
        return Ok(None);
    }
    let sql = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 AND name COLLATE NOCASE IN \
               (SELECT name FROM pragma_table_xinfo(?2) WHERE hidden = 0)";
    let shared: Vec<String> = connection
        .prepare(sql)?
        .query_map([one, other], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(shared.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")))
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
             CREATE TABLE nightshelf_a_recommendations (user_id, rank INTEGER, PRIMARY KEY (user_id, rank))
                 WITHOUT ROWID;
             WITH RECURSIVE n (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM n WHERE at + 1 < {rows})
                 INSERT INTO nightshelf_a_recommendations
                 SELECT iif(at % 20 < 10, at / 10, 'reader ' || (at / 10)), at % 10 FROM n"
        );
        connection.execute_batch(&sql).expect("rows");
        drop(connection);
        let mut database = Database::open(&path, Duration::from_secs(5), Interrupt::never()).expect("opened");
        let name = "nightshelf_a_recommendations";
        assert_eq!(super::rows(&database, name).expect("counted"), rows);
        let wal = Connection::open(&path).expect("opened");
        wal.pragma_update(None, "journal_mode", "wal").expect("in WAL mode");
        assert_eq!(super::rows(&database, name).expect("counted"), rows);
        let [slot, _] = database.read("looking", Slot::free).expect("a slot");
        clear(&mut database, slot).expect("cleared");
        let of = |sql| wal.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("asked");
        assert_eq!(of("SELECT count(*) FROM sqlite_schema"), 0);
        assert!(of("PRAGMA page_count") < 10);
    }
}
