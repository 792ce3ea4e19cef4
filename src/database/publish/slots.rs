//! The published tables, and the slots for sets that are not current.
//!
//! A set is all published tables of one night. The current set has their plain names. Beside it there are
//! three slots: one holds the previous set, one takes the set that is being written, and one takes the
//! current set when it is replaced ([`super::exchange`]).

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::database::publish::shape::Shape;
use crate::database::table::Table;
use crate::error::{Error, Kind, Result};

/// A published table: all of them change at once.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// The name by which the application reads it.
    pub name: &'static str,
    definition: &'static str,
    columns: &'static [&'static str],
}

/// All readers' lists.
pub const LISTS: Published = Published {
    name: "recommendations",
    definition: include_str!("../../../sql/recommendations.sql"),
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

/// The popular list, for people who have no list of their own.
pub const POPULAR: Published = Published {
    name: "recommendations_popular",
    definition: include_str!("../../../sql/recommendations_popular.sql"),
    columns: &["rank", "isbn", "isbn13", "score", "run_id"],
};

/// The popular list of each category.
pub const POPULAR_BY: Published = Published {
    name: "recommendations_popular_by",
    definition: include_str!("../../../sql/recommendations_popular_by.sql"),
    columns: &["category", "rank", "isbn", "isbn13", "score", "run_id"],
};

/// For each book those that are most like it.
pub const SIMILAR: Published = Published {
    name: "recommendations_similar",
    definition: include_str!("../../../sql/recommendations_similar.sql"),
    columns: &["isbn", "rank", "similar_isbn", "similar_isbn13", "score", "run_id"],
};

/// The digest of the ratings that each list was made from.
pub const READERS: Published = Published {
    name: "nightshelf_readers",
    definition: include_str!("../../../sql/readers.sql"),
    columns: &["user_id", "digest"],
};

/// For how many nights what stands in the lists has stood there; empty unless lists are kept fresh.
pub const SHOWN: Published = Published {
    name: "nightshelf_shown",
    definition: include_str!("../../../sql/shown.sql"),
    columns: &["user_id", "isbn", "nights"],
};

pub const PUBLISHED: [Published; 6] = [LISTS, POPULAR, POPULAR_BY, SIMILAR, READERS, SHOWN];

impl Published {
    /// The shape that the table has now, or will get if it is missing.
    ///
    /// # Errors
    /// [`Kind::Config`] if something of that name is not a table.
    pub fn shape(&self, connection: &Connection) -> Result<Shape> {
        let found = Shape::find(connection, self.name)?;
        if self.name == READERS.name {
            // Nobody's but ours: it gets the columns that this version has.
            return Ok(match found {
                Some(found) => Shape { body: self.own_shape().body, ..found },
                None => self.own_shape(),
            });
        }
        let shape = found.unwrap_or_else(|| self.own_shape());
        // An earlier nightshelf made strict tables with the type ANY; a strict table of the application has
        // other types.
        let is_ours = self.name != LISTS.name || shape.has_any();
        Ok(match is_ours && shape.is_strict() {
            true => shape.without_strict().in_the_words_of(&self.own_shape()),
            false => shape,
        })
    }

    /// Whether it is a `STRICT` table that an earlier nightshelf made.
    pub fn is_outdated(&self, connection: &Connection) -> Result<bool> {
        let found = Shape::find(connection, self.name)?;
        Ok(found.is_some_and(|found| found.is_strict()) && !self.shape(connection)?.is_strict())
    }

    /// The shape that nightshelf gives it.
    pub fn own_shape(&self) -> Shape {
        Shape::of_definition(self.name, self.definition)
    }
}

/// A place for a set that is not the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(&'static str);

impl Slot {
    /// The slots for sets.
    pub const SETS: [Self; 3] = [Self("a"), Self("b"), Self("c")];
    /// The slots in which an exchange is tried with empty tables, and rolled back.
    pub const TRIAL: [Self; 2] = [Self("trial"), Self("aside")];

    /// The name of a published table in this slot.
    pub fn name(self, published: &str) -> String {
        format!("nightshelf_{}_{published}", self.0)
    }

    /// The slot of the previous set.
    pub fn previous(connection: &Connection) -> Result<Option<Self>> {
        let letter = meta(connection, "previous_slot")?;
        Ok(Self::SETS.into_iter().find(|slot| Some(slot.0) == letter.as_deref()))
    }

    /// Two others: for a new set, and for the current one when it is replaced. Tables in them are left over.
    pub fn free(connection: &Connection) -> Result<[Self; 2]> {
        let previous = Self::previous(connection)?;
        let [a, b, c] = Self::SETS;
        Ok(match previous {
            Some(slot) if slot == a => [b, c],
            Some(slot) if slot == b => [a, c],
            _ => [a, b],
        })
    }

    /// All slots but that of the previous set.
    pub fn unused(connection: &Connection) -> Result<Vec<Self>> {
        let previous = Self::previous(connection)?;
        Ok(Self::SETS.into_iter().filter(|slot| Some(*slot) != previous).collect())
    }

    /// Whether the set in this slot has `STRICT` tables where the published ones are not `STRICT`.
    pub fn is_outdated(self, connection: &Connection) -> Result<bool> {
        for table in &PUBLISHED {
            let here = Shape::find(connection, &self.name(table.name))?;
            if here.is_some_and(|here| here.is_strict()) && !table.shape(connection)?.is_strict() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stores that the previous set is here, and how many rows each of its tables has.
    pub fn note_as_previous(self, transaction: &Transaction<'_>, rows: &RowCounts) -> Result<()> {
        let rows = serde_json::to_string(rows).unwrap_or_default();
        for (key, value) in [("previous_slot", self.0), ("previous_rows", &rows)] {
            transaction.execute("INSERT OR REPLACE INTO nightshelf_meta VALUES (?1, ?2)", [key, value])?;
        }
        Ok(())
    }

    /// Stores that there is no previous set.
    pub fn note_no_previous(transaction: &Transaction<'_>) -> Result<()> {
        let sql = "DELETE FROM nightshelf_meta WHERE key IN ('previous_slot', 'previous_rows')";
        transaction.execute(sql, [])?;
        Ok(())
    }
}

/// Whether a table of the current or the previous set is a `STRICT` one of an earlier nightshelf.
pub fn are_outdated(connection: &Connection) -> Result<bool> {
    let before = Slot::previous(connection)?.map_or(Ok(false), |slot| slot.is_outdated(connection))?;
    PUBLISHED.iter().try_fold(before, |any, table| Ok(any || table.is_outdated(connection)?))
}

/// Tables with a foreign key to a published table, whose rows are replaced every night.
pub fn children(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT child.name FROM pragma_table_list AS child, pragma_foreign_key_list(child.name) AS key \
               WHERE child.schema = 'main' AND child.type = 'table' AND child.name NOT LIKE 'nightshelf_%' \
               AND key.\"table\" = ?1 COLLATE NOCASE ORDER BY 1";
    let mut children = Vec::new();
    for table in &PUBLISHED {
        let mut statement = connection.prepare(sql)?;
        let found = statement.query_map([table.name], |row| row.get(0))?;
        children.extend(found.collect::<rusqlite::Result<Vec<String>>>()?);
    }
    Ok(children)
}

/// How many rows each table of a set has, by its published name.
pub type RowCounts = BTreeMap<String, u64>;

/// How many rows the previous set had when it was replaced; `None` if an earlier version did not store that.
pub fn previous_rows(connection: &Connection) -> Result<Option<RowCounts>> {
    Ok(meta(connection, "previous_rows")?.and_then(|rows| serde_json::from_str(&rows).ok()))
}

fn meta(connection: &Connection, key: &str) -> Result<Option<String>> {
    if Table::find(connection, "nightshelf_meta")?.is_none() {
        return Ok(None);
    }
    let sql = "SELECT value FROM nightshelf_meta WHERE key = ?1";
    Ok(connection.query_row(sql, [key], |row| row.get(0)).optional()?)
}

/// Refuses a database in which a table with one of our names is not ours, or cannot be exchanged.
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
    if let Some(missing) = published.columns.iter().find(|column| !found.has(column)) {
        return Err(Error::new(
            Kind::Config,
            format!(
                "there is a {table} in this database that nightshelf did not make: it has no column {missing}"
            ),
        )
        .hint(format!("rename it: nightshelf writes its own table of the name {table}")));
    }
    let sql = "SELECT \"table\" FROM pragma_foreign_key_list(?1) LIMIT 1";
    if let Some(parent) = connection.query_row(sql, [table], |row| row.get::<_, String>(0)).optional()? {
        return Err(Error::new(
            Kind::Config,
            format!(
                "{table} refers to {parent} with a foreign key: the sets that stand beside it would, too, and keep \
                 the application from deleting rows of {parent}, or be deleted with them"
            ),
        )
        .hint(
            "make it without one (Django: db_constraint=False; Rails: no foreign_key; SQLAlchemy and Prisma: a plain \
             column); nightshelf itself takes out readers who have no ratings any more",
        ));
    }
    match published.shape(connection)?.naming_itself() {
        None => Ok(()),
        Some((statement, plain)) => Err(Error::new(
            Kind::Config,
            format!(
                "{table} is exchanged every night, and SQLite cannot rename a table that is named before a \
                 column: {statement}"
            ),
        )
        .hint(format!("drop it and make it again with the column alone: {plain}"))),
    }
}
