//! Publishes a set: exchanges the names of its tables with those of the current set.
//!
//! `recommendations` must change all at once, while others read it, whatever its size, and keep the indexes,
//! triggers and views that the application has put on it. Deleting and inserting in one transaction would
//! hold the write lock for seconds.
//!
//! So a new set is written into a free [`Slot`], into tables of exactly the shape of the published ones, in
//! short transactions. Then one transaction gives the current tables the names of the other free slot, and
//! the new ones the published names: `ALTER TABLE … RENAME TO`, a few milliseconds for ten rows and for ten
//! million. Under `PRAGMA legacy_alter_table` views, triggers of other tables and foreign keys go on naming
//! the published table. Triggers on it are dropped before and made again after. Indexes of a constraint move
//! with their table, and SQLite names them after it. An index that the application made has a counterpart
//! under another name in the new set, so its name alternates from night to night.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::database::publish::shape::Shape;
use crate::database::publish::slots::{LISTS, POPULAR, PUBLISHED, RowCounts, Slot, previous_rows};
use crate::database::quote;
use crate::error::{Error, Kind, Result};
use crate::failpoint;

/// Up to this many rows, an index is dropped in less than 50 ms.
const LARGE: u64 = 1_000_000;

/// Makes empty tables in a slot, in the shape that the published ones have now.
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

/// Drops those indexes of the previous set that have the names the application gave, where the current set's
/// indexes have other names: so the next set can have them. (The previous set is complete without them; a
/// rollback copies it.)
pub fn free_users_names(transaction: &Transaction<'_>) -> Result<()> {
    let Some(previous) = Slot::previous(transaction)? else {
        return Ok(());
    };
    // For a large table, or where each commit moves pages, this would take long: there an index has the
    // application's name every third night only, since it stays with one of three slots.
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

/// The name that the application gave to an index: without the prefix of a slot.
fn users_name(index: &str) -> &str {
    let slot = |index: &str| {
        ["a", "b", "c"]
            .iter()
            .find_map(|slot| index.strip_prefix(&format!("nightshelf_{slot}_")).map(str::len))
    };
    slot(index).map_or(index, |rest| &index[index.len() - rest..])
}

/// A free name for the counterpart of an index: if possible, the one that the application gave.
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
    Err(Error::new(Kind::Config, format!("there is no free name for a counterpart of the index {users}"))
        .hint("drop the indexes whose names begin with nightshelf_"))
}

/// Whether a slot's tables have the shape of the published ones.
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

/// Makes the set in the slot `new` the current one. The current set moves to the empty slot `retired` and
/// becomes the previous set; `rows` are the numbers of rows in its tables.
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
    // A table that an ORM made and nobody filled is no set to go back to: there is no popular table beside
    // it.
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
