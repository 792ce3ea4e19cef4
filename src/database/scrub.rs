//! Overwrites the file's free pages with zeros, because deleted content would stay readable there.

use crate::database::Database;
use crate::database::batch_size::BatchSize;
use crate::database::table::Table;
use crate::error::Result;

/// A table that takes up free pages and fills them with zeros.
const SCRUB: &str = "nightshelf_scrub";

/// Fills every free page of the file with zeros: old sets stay in free pages until something else is written
/// over them. It works a little at a time; the file does not grow.
pub fn scrub(database: &mut Database) -> Result<()> {
    clear(database)?;
    let pragma = |database: &Database, name: &str| {
        database.read("looking for free pages", |connection| {
            Ok(connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?)
        })
    };
    let page = pragma(database, "page_size")?;
    database.write("scrubbing free pages", |transaction| {
        Ok(transaction.execute_batch(&format!("CREATE TABLE {SCRUB} (zeros BLOB)"))?)
    })?;
    let mut batch = BatchSize::new(1_000);
    loop {
        let pages = pragma(database, "freelist_count")?.min(batch.rows as i64);
        if pages == 0 {
            break;
        }
        // An overflow page holds this many bytes, and the number of the next page.
        let bytes = (pages * (page - 4)).min(500_000_000);
        let ((), held) = database.write("scrubbing free pages", |transaction| {
            transaction.execute(&format!("INSERT INTO {SCRUB} VALUES (zeroblob(?1))"), [bytes])?;
            Ok(())
        })?;
        batch.adapt(held);
    }
    clear(database)
}

/// Gives the scrubbed pages back; also those of a scrub that was interrupted.
pub fn clear(database: &mut Database) -> Result<()> {
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
