//! Write everything, then flip one thing.
//!
//! `recommendations` must change all at once, under readers, whatever its size, and keep the
//! indexes, triggers and views that the user has put on it. Deleting and inserting in one
//! transaction would hold the write lock for seconds; renaming a table would leave the user's
//! indexes and triggers on the old one.
//!
//! So each published table has two twins of exactly its shape, the slots *a* and *b*:
//! `nightshelf_a_recommendations` with an index `nightshelf_a_…` for each of the user's. A new set
//! is written into the free slot, in small transactions that nobody notices. Then one transaction
//! exchanges the *root pages* of the table and of its twin, and of each index and its twin, in
//! `sqlite_schema`: a few numbers, the same few for ten rows and for ten million. Names, and with
//! them views and triggers, stay where they are. The slot now holds the set from before, which is
//! what `rollback` exchanges again.
//!
//! SQLite's documentation warns of writing to `sqlite_schema`, and rightly. What makes it sound
//! here: both b-trees were made by SQLite from the same `CREATE` statement but for the name, which
//! is checked in the very transaction that exchanges them; and the schema version is raised, so
//! every connection reads the schema anew before its next statement.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::error::{Error, Kind, Result};
use crate::store::quote;
use crate::store::source::Table;

/// A table that is published: it changes all at once with the others.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// What readers of the application call it.
    pub name: &'static str,
    definition: &'static str,
    /// The columns of its primary key.
    pub key: &'static str,
    columns: &'static [&'static str],
}

/// Everyone's lists.
pub const LISTS: Published = Published {
    name: "recommendations",
    definition: include_str!("../../sql/recommendations.sql"),
    key: "user_id, rank",
    columns: &[
        "user_id",
        "rank",
        "isbn",
        "isbn13",
        "score",
        "predicted_rating",
        "source",
        "because",
        "run_id",
    ],
};

/// The list for whom the others do not know.
pub const POPULAR: Published = Published {
    name: "recommendations_popular",
    definition: include_str!("../../sql/recommendations_popular.sql"),
    key: "rank",
    columns: &["rank", "isbn", "isbn13", "score", "run_id"],
};

/// What each list was made from.
pub const READERS: Published = Published {
    name: "nightshelf_readers",
    definition: include_str!("../../sql/readers.sql"),
    key: "user_id",
    columns: &["user_id", "digest"],
};

/// The published tables.
pub const PUBLISHED: [Published; 3] = [LISTS, POPULAR, READERS];

/// One of the two twins of each published table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `nightshelf_a_…`
    A,
    /// `nightshelf_b_…`
    B,
}

impl Slot {
    /// What a published table or index is called in this slot.
    pub fn name(self, published: &str) -> String {
        match self {
            Slot::A => format!("nightshelf_a_{published}"),
            Slot::B => format!("nightshelf_b_{published}"),
        }
    }

    fn other(self) -> Self {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    fn letter(self) -> &'static str {
        match self {
            Slot::A => "a",
            Slot::B => "b",
        }
    }

    /// The slot that holds the set before the current one.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn previous(connection: &Connection) -> Result<Option<Self>> {
        let sql = "SELECT value FROM nightshelf_meta WHERE key = 'previous_slot'";
        let letter: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
        Ok(match letter.as_deref() {
            Some("a") => Some(Slot::A),
            Some("b") => Some(Slot::B),
            _ => None,
        })
    }

    /// The slot that a new set may be written to.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn free(connection: &Connection) -> Result<Self> {
        Ok(Self::previous(connection)?.map_or(Slot::A, Slot::other))
    }
}

/// A table or an index, as `sqlite_schema` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    name: String,
    sql: String,
    root: i64,
}

/// A table first, then its indexes by name; `None` if there is no such table.
pub(super) fn objects(connection: &Connection, table: &str) -> Result<Option<Vec<Object>>> {
    let sql = "SELECT name, sql, rootpage FROM sqlite_schema \
               WHERE tbl_name = ?1 COLLATE NOCASE AND type IN ('table', 'index') AND sql IS NOT NULL \
               ORDER BY type DESC, name";
    let objects = connection
        .prepare(sql)?
        .query_map([table], |row| Ok(Object { name: row.get(0)?, sql: row.get(1)?, root: row.get(2)? }))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(if objects.is_empty() { None } else { Some(objects) })
}

/// The objects' definitions under the names of a slot.
fn renamed(objects: &[Object], slot: Slot) -> Result<Vec<String>> {
    let table = slot.name(&objects[0].name);
    let definition = |(place, object): (usize, &Object)| {
        let own = if place == 0 { table.clone() } else { slot.name(&object.name) };
        let on = (place > 0).then_some(table.as_str());
        rename(&object.sql, &own, on).ok_or_else(|| {
            Error::new(
                Kind::Failed,
                format!("cannot understand how {} was made: {}", object.name, object.sql),
            )
            .hint("drop it and make it again in plain SQL, without comments before its name")
        })
    };
    objects.iter().enumerate().map(definition).collect()
}

/// A `CREATE TABLE` or `CREATE INDEX` statement, as stored by SQLite, with other names.
fn rename(sql: &str, name: &str, on: Option<&str>) -> Option<String> {
    let prefixes = ["CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX "];
    let prefix = prefixes.into_iter().find(|prefix| sql.starts_with(prefix))?;
    let rest = after_name(sql[prefix.len()..].trim_start())?;
    let Some(on) = on else {
        return Some(format!("{prefix}{}{rest}", quote(name)));
    };
    let rest = rest.trim_start();
    let keyword = rest.get(..2)?;
    let rest = keyword.eq_ignore_ascii_case("on").then(|| rest[2..].trim_start())?;
    Some(format!("{prefix}{} ON {}{}", quote(name), quote(on), after_name(rest)?))
}

/// What follows a name, quoted in any of SQLite's ways or bare.
fn after_name(sql: &str) -> Option<&str> {
    let first = sql.chars().next()?;
    let close = match first {
        '"' | '`' | '\'' => first,
        '[' => ']',
        _ => {
            let end = sql.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))?;
            return (end > 0).then(|| &sql[end..]);
        }
    };
    let mut rest = &sql[1..];
    loop {
        rest = &rest[rest.find(close)? + close.len_utf8()..];
        // A doubled quote stands for itself.
        match rest.strip_prefix(close) {
            Some(more) if close != ']' => rest = more,
            _ => return Some(rest),
        }
    }
}

/// Refuses a database that has a table under one of our names that is not ours.
///
/// # Errors
/// [`Kind::Config`], naming the table and what to do.
pub fn refuse_foreign_tables(connection: &Connection) -> Result<()> {
    PUBLISHED.iter().try_for_each(|table| refuse_foreign(connection, table))
}

fn refuse_foreign(connection: &Connection, published: &Published) -> Result<()> {
    let table = published.name;
    let Some(found) = Table::find(connection, table)? else {
        return Ok(());
    };
    match published.columns.iter().find(|column| !found.has(column)) {
        None => Ok(()),
        Some(missing) => Err(Error::new(
            Kind::Config,
            format!(
                "there is a {table} in this database that nightshelf did not make: it has no column {missing}"
            ),
        )
        .hint(format!("rename it: nightshelf writes its own table of the name {table}"))),
    }
}

/// Makes the tables of a slot, empty, in the shape that the published ones have now.
///
/// # Errors
/// [`Kind::Config`] if a table of a published name is not ours.
pub fn prepare(transaction: &Transaction<'_>, slot: Slot) -> Result<()> {
    refuse_foreign_tables(transaction)?;
    for table in &PUBLISHED {
        for statement in shape(transaction, table, slot)? {
            transaction.execute_batch(&statement)?;
        }
    }
    Ok(())
}

/// The statements that make a slot's twin of a published table.
fn shape(connection: &Connection, table: &Published, slot: Slot) -> Result<Vec<String>> {
    match objects(connection, table.name)? {
        Some(live) => renamed(&live, slot),
        None => {
            let create = &table.definition[table.definition.find("CREATE").unwrap_or_default()..];
            Ok(rename(create.trim_end(), &slot.name(table.name), None).into_iter().collect())
        }
    }
}

/// Whether a slot's tables have exactly the shape of the published ones.
///
/// # Errors
/// Whatever SQLite says.
pub fn fits(connection: &Connection, slot: Slot) -> Result<bool> {
    for table in &PUBLISHED {
        let expected = shape(connection, table, slot)?;
        let found = objects(connection, &slot.name(table.name))?.unwrap_or_default();
        if !expected.iter().eq(found.iter().map(|object| &object.sql)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Exchanges the published tables with those of a slot, and notes where the set from before is.
///
/// # Errors
/// [`Kind::Failed`] if the shape of a published table was changed since the slot was prepared.
pub fn flip(transaction: &Transaction<'_>, slot: Slot) -> Result<()> {
    if !fits(transaction, slot)? {
        return Err(Error::new(
            Kind::Failed,
            "the table recommendations, or an index on it, was changed while the new set was written",
        )
        .hint("run again: the new set will take the new shape"));
    }
    let had_a_set = objects(transaction, LISTS.name)?.is_some();
    for table in &PUBLISHED {
        if objects(transaction, table.name)?.is_none() {
            transaction.execute_batch(table.definition)?;
        }
    }
    let mut exchanges = Vec::new();
    for table in &PUBLISHED {
        let live = objects(transaction, table.name)?.unwrap_or_default();
        let twins = objects(transaction, &slot.name(table.name))?.unwrap_or_default();
        for (live, twin) in live.iter().zip(&twins) {
            exchanges.push((live.name.clone(), twin.root));
            exchanges.push((twin.name.clone(), live.root));
        }
    }
    transaction.pragma_update(None, "writable_schema", true)?;
    for (name, root) in exchanges {
        let sql = "UPDATE sqlite_schema SET rootpage = ?2 WHERE name = ?1 AND type IN ('table', 'index')";
        transaction.execute(sql, (name, root))?;
    }
    let version: i64 = transaction.pragma_query_value(None, "schema_version", |row| row.get(0))?;
    transaction.pragma_update(None, "schema_version", (version + 1) & 0x7fff_ffff)?;
    // Also makes this connection forget the schema it knows.
    transaction.execute_batch("PRAGMA writable_schema = RESET")?;
    if had_a_set {
        let sql = "INSERT OR REPLACE INTO nightshelf_meta VALUES ('previous_slot', ?1)";
        transaction.execute(sql, [slot.letter()])?;
    } else {
        transaction.execute("DELETE FROM nightshelf_meta WHERE key = 'previous_slot'", [])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_renamed_however_they_quote() {
        for (sql, on, expected) in [
            ("CREATE TABLE t(a)", None, "CREATE TABLE \"n\"(a)"),
            ("CREATE TABLE \"a \"\"t\"(a)", None, "CREATE TABLE \"n\"(a)"),
            ("CREATE TABLE [t t] (a)", None, "CREATE TABLE \"n\" (a)"),
            ("CREATE INDEX i ON t(a)", Some("m"), "CREATE INDEX \"n\" ON \"m\"(a)"),
            ("CREATE UNIQUE INDEX `i i`\n  on 't' (a)", Some("m"), "CREATE UNIQUE INDEX \"n\" ON \"m\" (a)"),
        ] {
            assert_eq!(rename(sql, "n", on).as_deref(), Some(expected), "{sql}");
        }
        for sql in
            ["CREATE VIEW v AS SELECT 1", "CREATE TABLE", "CREATE INDEX i", "CREATE INDEX /* */ i ON t(a)"]
        {
            assert_eq!(rename(sql, "n", Some("m")), None, "{sql}");
        }
    }
}
