//! Takes a reader out of every table of ours.

use rusqlite::Transaction;

use crate::catalog::vocabulary::UserRef;
use crate::error::Result;
use crate::store::slots::{LISTS, READERS, Slot, previous_rows};
use crate::store::source::Table;
use crate::store::{Database, readers};

/// Takes a reader out of the published set, the set before, and the examples of rejected rows, in
/// one transaction. Returns how many rows and examples there were.
///
/// # Errors
/// Whatever SQLite says; nothing is changed then.
pub fn forget(database: &mut Database, user: UserRef<'_>) -> Result<usize> {
    let (gone, _) = database.write("forgetting a reader", |transaction| {
        let previous = Slot::previous(transaction)?;
        let mut rows = previous_rows(transaction)?;
        let mut gone = 0;
        for table in [LISTS.name, READERS.name] {
            for slot in Slot::SETS.into_iter().map(Some).chain([None]) {
                let name = slot.map_or(table.to_owned(), |slot| slot.name(table));
                if Table::find(transaction, &name)?.is_none() {
                    continue;
                }
                let here = readers::delete(transaction, &name, user)?;
                gone += here;
                // The set before is whole without this reader.
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
        Ok(gone + forget_examples(transaction, user)?)
    })?;
    Ok(gone)
}

fn forget_examples(transaction: &Transaction<'_>, user: UserRef<'_>) -> Result<usize> {
    if Table::find(transaction, "nightshelf_rejects")?.is_none() {
        return Ok(0);
    }
    let id = match user {
        UserRef::Integer(id) => id.to_string(),
        UserRef::Text(id) => id.to_owned(),
    };
    let mut statement = transaction.prepare("SELECT reject_id, examples FROM nightshelf_rejects")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let rows: Vec<(i64, String)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut gone = 0;
    for (reject_id, examples) in rows {
        let Ok(mut examples) = serde_json::from_str::<Vec<String>>(&examples) else {
            continue;
        };
        let before = examples.len();
        examples.retain(|example| !mentions(example, &id));
        if examples.len() < before {
            gone += before - examples.len();
            let examples = serde_json::Value::from(examples).to_string();
            let sql = "UPDATE nightshelf_rejects SET examples = ?2 WHERE reject_id = ?1";
            transaction.execute(sql, (reject_id, examples))?;
        }
    }
    Ok(gone)
}

/// Whether an id stands in a text as a word of its own.
fn mentions(text: &str, id: &str) -> bool {
    let bounds = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    text.match_indices(id)
        .any(|(at, _)| bounds(text[..at].chars().next_back()) && bounds(text[at + id.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_as_a_word_only() {
        for (text, found) in
            [("42, \"x\", 5", true), ("142;x;5", false), ("42", true), ("x42", false), ("a 42é", false)]
        {
            assert_eq!(mentions(text, "42"), found, "{text}");
        }
    }
}
