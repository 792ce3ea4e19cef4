//! Removes a reader from every table of ours.

use rusqlite::Transaction;

use crate::catalog::ids::UserRef;
use crate::catalog::rejects;
use crate::database::Database;
use crate::database::publish::reader_lists;
use crate::database::publish::slots::{LISTS, READERS, SHOWN, Slot, previous_rows};
use crate::database::table::Table;
use crate::error::Result;

/// Removes a reader from the published set, the sets in all slots, and the examples of rejected rows, in one
/// transaction. Returns how many rows and examples there were.
pub fn forget(database: &mut Database, user: UserRef<'_>) -> Result<usize> {
    // Triggers of the application may call functions that only it has, or keep the rows.
    database.without_triggers("forgetting a reader", |transaction| {
        let previous = Slot::previous(transaction)?;
        let mut rows = previous_rows(transaction)?;
        let mut gone = 0;
        for table in [LISTS.name, READERS.name, SHOWN.name] {
            for slot in Slot::SETS.into_iter().map(Some).chain([None]) {
                let name = slot.map_or(table.to_owned(), |slot| slot.name(table));
                let there = Table::find(transaction, &name)?;
                // A table of that name without these columns belongs to the application: it is left alone.
                if there.is_none_or(|there| {
                    !there.has("user_id")
                        || !(there.has("digest") || there.has("because") || there.has("nights"))
                }) {
                    continue;
                }
                let here = reader_lists::delete(transaction, &name, user)?;
                gone += here;
                // The previous set counts as complete without this reader.
                if let Some(left) = rows.as_mut().and_then(|rows| rows.get_mut(table))
                    && slot.is_some()
                    && slot == previous
                {
                    *left = left.saturating_sub(here as u64);
                }
            }
        }
        if let (Some(slot), Some(rows)) = (previous, &rows) {
            slot.note_as_previous(transaction, rows)?;
        }
        forget_samples(transaction)?;
        Ok(gone + forget_examples(transaction, user)?)
    })
}

/// Deletes the samples of our tables that an `ANALYZE` by the application may have taken: they contain ids.
fn forget_samples(transaction: &Transaction<'_>) -> Result<()> {
    if Table::find(transaction, "sqlite_stat4")?.is_some() {
        let sql = "DELETE FROM sqlite_stat4 WHERE tbl LIKE 'nightshelf%' OR tbl LIKE 'recommendations%'";
        transaction.execute(sql, [])?;
    }
    Ok(())
}

/// Removes a reader's rows from the examples of rejected rows, and returns how many there were.
fn forget_examples(transaction: &Transaction<'_>, user: UserRef<'_>) -> Result<usize> {
    if Table::find(transaction, "nightshelf_rejects")?.is_none() {
        return Ok(0);
    }
    let mut statement = transaction.prepare("SELECT reject_id, examples FROM nightshelf_rejects")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let rows: Vec<(i64, String)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut gone = 0;
    for (reject_id, text) in rows {
        // Examples that cannot be read are of an earlier version, and may be about anybody: they are deleted.
        let mut examples = rejects::from_json(&text);
        let before = examples.len();
        examples.retain(|example| !example.is_of(user));
        gone += before - examples.len();
        let left = rejects::to_json(&examples);
        if left != text {
            let sql = "UPDATE nightshelf_rejects SET examples = ?2 WHERE reject_id = ?1";
            transaction.execute(sql, (reject_id, left))?;
        }
    }
    Ok(gone)
}
