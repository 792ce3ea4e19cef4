//! Takes a reader out of every table of ours, and out of the pages that were freed before.

use rusqlite::Transaction;

use crate::catalog::vocabulary::UserRef;
use crate::error::Result;
use crate::store::slots::{Batch, LISTS, READERS, Slot};
use crate::store::source::Table;
use crate::store::{Database, readers};

/// Takes a reader out of the published set, the set before, and the examples of rejected rows, in
/// one transaction. Returns how many rows and examples there were.
///
/// # Errors
/// Whatever SQLite says; nothing is changed then.
pub fn forget(database: &mut Database, user: UserRef<'_>) -> Result<usize> {
    let (gone, _) = database.write("forgetting a reader", |transaction| {
        let mut gone = 0;
        for table in [LISTS.name, READERS.name] {
            for name in [table.to_owned(), Slot::A.name(table), Slot::B.name(table)] {
                if Table::find(transaction, &name)?.is_some() {
                    gone += readers::delete(transaction, &name, user)?;
                }
            }
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

/// The table that free pages pass through on their way to being zeros.
const SCRUB: &str = "nightshelf_scrub";

/// Fills every free page of the file with zeros: sets of earlier nights lie there, until something
/// else is written over them. A little at a time; the file does not grow.
///
/// # Errors
/// Whatever SQLite says, busy or full.
pub fn scrub(database: &mut Database) -> Result<()> {
    clear_scrub(database)?;
    let pragma = |database: &Database, name: &str| {
        database.read("looking for free pages", |connection| {
            Ok(connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?)
        })
    };
    let page = pragma(database, "page_size")?;
    database.write("scrubbing free pages", |transaction| {
        Ok(transaction.execute_batch(&format!("CREATE TABLE {SCRUB} (zeros BLOB)"))?)
    })?;
    let mut batch = Batch { rows: 1_000 };
    loop {
        let pages = pragma(database, "freelist_count")?.min(batch.rows as i64);
        if pages == 0 {
            break;
        }
        // A page of a long value holds that many bytes, beside the number of the next one.
        let bytes = (pages * (page - 4)).min(500_000_000);
        let ((), held) = database.write("scrubbing free pages", |transaction| {
            transaction.execute(&format!("INSERT INTO {SCRUB} VALUES (zeroblob(?1))"), [bytes])?;
            Ok(())
        })?;
        batch.adapt(held);
    }
    clear_scrub(database)
}

/// Gives the scrubbed pages back; also those of a scrub that was cut off.
///
/// # Errors
/// Whatever SQLite says, busy or full.
pub fn clear_scrub(database: &mut Database) -> Result<()> {
    let there = database
        .read("looking for scrubbed pages", |connection| Ok(Table::find(connection, SCRUB)?.is_some()))?;
    let mut left = there;
    while left {
        let sql = format!("DELETE FROM {SCRUB} WHERE rowid IN (SELECT rowid FROM {SCRUB} LIMIT 1)");
        database.write("giving scrubbed pages back", |transaction| {
            left = transaction.execute(&sql, [])? > 0;
            if !left {
                transaction.execute_batch(&format!("DROP TABLE {SCRUB}"))?;
            }
            Ok(())
        })?;
    }
    Ok(())
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
