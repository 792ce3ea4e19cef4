//! Write everything, then exchange names.
//!
//! `recommendations` must change all at once, under readers, whatever its size, and keep the indexes, triggers
//! and views that the user has put on it. Deleting and inserting in one transaction would hold the write lock
//! for seconds.
//!
//! So a new set is written into a free [`Slot`], into tables of exactly the shape of the published ones, in small
//! transactions that nobody notices. Then one transaction gives the current tables the names of the other free
//! slot, and the new ones the published names: `ALTER TABLE … RENAME TO`, a few milliseconds for ten rows and for
//! ten million. Under `PRAGMA legacy_alter_table` views, triggers of other tables and foreign keys go on naming the
//! published table; triggers on it are dropped before and made again after; indexes that stand behind a
//! constraint move with their table, and SQLite names them after it. An index of the user's has a twin under
//! another name in the new set, so its name alternates from night to night.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::database::publish::shape::Shape;
use crate::database::publish::slots::{LISTS, POPULAR, PUBLISHED, RowCounts, Slot, previous_rows};
use crate::database::quote;
use crate::error::{Error, Kind, Result};
use crate::failpoint;

/// Rows whose index is dropped in less than 50 ms.
const LARGE: u64 = 1_000_000;

/// Makes the tables of a slot, empty, in the shape that the published ones have now.
///
/// # Errors
/// Whatever SQLite says.
pub fn prepare(transaction: &Transaction<'_>, slot: Slot) -> Result<()> {
    for table in &PUBLISHED {
        let (shape, name) = (table.shape(transaction)?, slot.name(table.name));
        transaction.execute_batch(&shape.create("main", &name))?;
        for index in &shape.indexes {
            let own = free_name(transaction, &index.name)?;
            transaction.execute_batch(&index.create("main", &own, &name))?;
        }
    }
    Ok(())
}

/// Takes from the set before those indexes that bear the names that the user has given, where the current set's
/// bear others: so the next set's can have them. (It is whole without them; to go back to it, it is copied.)
///
/// # Errors
/// Whatever SQLite says.
pub fn free_users_names(transaction: &Transaction<'_>) -> Result<()> {
    let Some(previous) = Slot::previous(transaction)? else {
        return Ok(());
    };
    // Of a large table, or where each commit moves pages, it would take long: there names come back every third night.
    let is_full_vacuum: i64 = transaction.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    let rows = previous_rows(transaction)?.and_then(|rows| rows.get(LISTS.name).copied());
    if is_full_vacuum == 1 || rows.is_none_or(|rows| rows > LARGE) {
        return Ok(());
    }
    for table in &PUBLISHED {
        let Some(before) = Shape::find(transaction, &previous.name(table.name))? else {
            continue;
        };
        for index in table.shape(transaction)?.indexes {
            let name = users_name(&index.name);
            if before.indexes.iter().any(|index| index.name.eq_ignore_ascii_case(name)) {
                transaction.execute_batch(&format!("DROP INDEX main.{}", quote(name)))?;
            }
        }
    }
    Ok(())
}

/// What the user calls an index: without what a slot has put before it.
fn users_name(index: &str) -> &str {
    let slot = |index: &str| {
        ["a", "b", "c"]
            .iter()
            .find_map(|slot| index.strip_prefix(&format!("nightshelf_{slot}_")).map(str::len))
    };
    slot(index).map_or(index, |rest| &index[index.len() - rest..])
}

/// A name for the twin of an index: the user's own, if it is free.
fn free_name(connection: &Connection, index: &str) -> Result<String> {
    let users = users_name(index);
    let others = ["a", "b", "c", "d"].map(|slot| format!("nightshelf_{slot}_{users}"));
    let taken = "SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE";
    let mut statement = connection.prepare_cached(taken)?;
    for name in std::iter::once(users.to_owned()).chain(others) {
        if statement.query_row([&name], |_| Ok(())).optional()?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::new(Kind::Config, format!("there is no free name for a twin of the index {users}"))
        .hint("drop the indexes whose names begin with nightshelf_"))
}

/// Whether a slot's tables have the shape of the published ones.
///
/// # Errors
/// Whatever SQLite says.
pub fn fits(connection: &Connection, slot: Slot) -> Result<bool> {
    for table in &PUBLISHED {
        let expected = table.shape(connection)?;
        match Shape::find(connection, &slot.name(table.name))? {
            Some(found) if found.is_like(&expected) => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Makes the set in the slot `new` the current one. The current one goes into the empty slot `retired`, with
/// `rows` in its tables, and is the set before from now on.
///
/// # Errors
/// [`Kind::Failed`] if the shape of a published table was changed since the slot was prepared.
pub fn exchange(transaction: &Transaction<'_>, new: Slot, retired: Slot, rows: &RowCounts) -> Result<()> {
    if !fits(transaction, new)? {
        return Err(Error::new(
            Kind::Failed,
            "the table recommendations, or an index on it, was changed while the new set was written",
        )
        .hint("run again: the new set will take the new shape"));
    }
    // A table that an ORM has made and nobody has filled is no set to go back to: it has no popular list beside it.
    let had_a_set =
        Shape::find(transaction, LISTS.name)?.is_some() && Shape::find(transaction, POPULAR.name)?.is_some();
    for table in &PUBLISHED {
        let live = Shape::find(transaction, table.name)?;
        for trigger in live.iter().flat_map(|live| &live.triggers) {
            transaction.execute_batch(&format!("DROP TRIGGER main.{}", quote(&trigger.name)))?;
        }
        if let Some(live) = &live {
            rename(transaction, &live.table, &retired.name(table.name))?;
        }
        rename(transaction, &new.name(table.name), live.as_ref().map_or(table.name, |live| &live.table))?;
        for trigger in live.iter().flat_map(|live| &live.triggers) {
            transaction.execute_batch(&trigger.sql)?;
        }
        failpoint::reach("exchange.renamed");
    }
    match had_a_set {
        true => retired.note_as_previous(transaction, rows),
        false => Slot::note_no_previous(transaction),
    }
}

fn rename(transaction: &Transaction<'_>, from: &str, to: &str) -> Result<()> {
    Ok(transaction.execute_batch(&format!("ALTER TABLE main.{} RENAME TO {}", quote(from), quote(to)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_called_as_their_user_calls_them() {
        for (index, users) in [
            ("by_book", "by_book"),
            ("nightshelf_b_by_book", "by_book"),
            ("nightshelf_own", "nightshelf_own"),
        ] {
            assert_eq!(users_name(index), users);
        }
    }
}
