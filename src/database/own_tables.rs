//! nightshelf's own tables besides the published ones: made where they are missing, rebuilt where an earlier
//! version made them `STRICT`.

use rusqlite::{Connection, Transaction};

use crate::database::publish::shape::Shape;
use crate::database::table::Table;
use crate::database::{Database, quote};
use crate::error::Result;

const SCHEMA: &str = include_str!("../../sql/schema.sql");

const TABLES: [&str; 5] =
    ["nightshelf_meta", "nightshelf_runs", "nightshelf_rejects", "nightshelf_imports", "nightshelf_trials"];

/// Makes our own tables where they are missing, and rebuilds those that are `STRICT` as ordinary ones.
pub fn prepare(database: &mut Database) -> Result<()> {
    let (missing, strict) = database.read("looking for nightshelf's own tables", |connection| {
        let (mut missing, mut strict) = (false, false);
        for table in TABLES {
            missing |= Table::find(connection, table)?.is_none();
            strict |= is_strict(connection, table)?;
        }
        Ok((missing, strict))
    })?;
    if strict {
        database.for_exchange()?.write("changing nightshelf's own tables over", |transaction| {
            TABLES.iter().try_for_each(|table| leave_strict(transaction, table))
        })?;
    }
    if missing {
        database.write("making nightshelf's own tables", make)?;
    }
    Ok(())
}

/// Makes our own tables where they are missing.
pub fn make(transaction: &Transaction<'_>) -> Result<()> {
    Ok(transaction.execute_batch(SCHEMA)?)
}

fn is_strict(connection: &Connection, table: &str) -> Result<bool> {
    Ok(Shape::find(connection, table)?.is_some_and(|shape| shape.is_strict()))
}

/// Rebuilds a `STRICT` table as an ordinary one, with the indexes and triggers that somebody has added to it.
fn leave_strict(transaction: &Transaction<'_>, table: &str) -> Result<()> {
    let Some(shape) = Shape::find(transaction, table)?.filter(Shape::is_strict) else {
        return Ok(());
    };
    let before = format!("nightshelf_before_{table}");
    let (own, old) = (quote(table), quote(&before));
    for trigger in &shape.triggers {
        transaction.execute_batch(&format!("DROP TRIGGER main.{}", quote(&trigger.name)))?;
    }
    transaction.execute_batch(&format!("ALTER TABLE main.{own} RENAME TO {old}"))?;
    transaction.execute_batch(&shape.clone().without_strict().create("main", table))?;
    transaction.execute_batch(&format!("INSERT INTO {own} SELECT * FROM {old}"))?;
    if table == "nightshelf_runs" {
        // A run id is never given twice, whatever rows have been deleted.
        let sql = "UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM sqlite_sequence WHERE name IN (?1, ?2)) \
                   WHERE name = ?1";
        transaction.execute(sql, [table, &before])?;
        // Two error messages of that version named readers.
        let sql = format!(
            "UPDATE {own} SET error = 'see the log of that run' \
             WHERE error LIKE '%have no ratings, such as %' OR error LIKE '%a score of reader %'"
        );
        transaction.execute_batch(&sql)?;
    }
    if table == "nightshelf_rejects" {
        // That version cut its examples, so nobody can tell which reader they are about.
        transaction.execute_batch(&format!("UPDATE {own} SET examples = '[]'"))?;
    }
    transaction.execute_batch(&format!("DROP TABLE {old}"))?;
    for index in &shape.indexes {
        transaction.execute_batch(&index.create("main", &index.name, table))?;
    }
    for trigger in &shape.triggers {
        transaction.execute_batch(&trigger.sql)?;
    }
    Ok(())
}
