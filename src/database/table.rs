//! Looks up tables and views with their columns, by name, as SQLite does.

use rusqlite::Connection;

use crate::database::quote;
use crate::error::{Error, Kind, Result, nearest};
use crate::text::plain;

/// A table or a view.
#[derive(Debug)]
pub struct Table {
    /// As the schema spells it.
    pub name: String,
    /// As the schema spells them.
    pub columns: Vec<String>,
    /// Whether `rowid` gives an order of the rows: not in a view or a `WITHOUT ROWID` table, nor where a
    /// column has that name.
    pub has_rowid: bool,
}

impl Table {
    /// Looks up a table or a view; case does not matter.
    pub fn find(connection: &Connection, name: &str) -> Result<Option<Self>> {
        let sql = "SELECT name, type, wr FROM pragma_table_list \
                   WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
        let found = connection.query_row(sql, [name], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
        });
        let (name, kind, without_rowid) = match found {
            Ok(found) => found,
            Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let columns = connection
            .prepare("SELECT name FROM pragma_table_xinfo(?1)")?
            .query_map([&name], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        let hidden = columns.iter().any(|column| column.eq_ignore_ascii_case("rowid"));
        Ok(Some(Self { name, columns, has_rowid: kind == "table" && !without_rowid && !hidden }))
    }

    /// Whether there is such a column; case does not matter.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.eq_ignore_ascii_case(name))
    }

    /// The quoted name of a column that must exist. `key` is the setting that names it.
    pub(super) fn column(&self, key: &str, name: &str) -> Result<String> {
        // Checked here because SQLite takes an unknown name in double quotes for a string literal.
        if self.has(name) {
            return Ok(quote(name));
        }
        let near = nearest(name, self.columns.iter().map(String::as_str)).unwrap_or("the right one");
        Err(Error::new(
            Kind::Config,
            plain(&format!("the table {} has no column {name}; it has {}", self.name, self.columns.join(", "))),
        )
        .hint(format!(
            "set {key} = {near:?} under [source] in the configuration file, or let `nightshelf init` look for it"
        )))
    }
}
