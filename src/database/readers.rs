//! Reads the application's table of readers, where the settings name one.

use crate::catalog::attributes::ReaderTable;
use crate::config::Config;
use crate::database::source::scan;
use crate::database::table::Table;
use crate::database::{Database, quote, values};
use crate::error::{Error, Kind, Result};

/// All readers with their attributes; none if no table is named.
///
/// # Errors
/// [`Kind::Config`] if the table or a column of that name is missing.
pub fn read(database: &Database, config: &Config) -> Result<ReaderTable> {
    let source = &config.source;
    if source.readers.is_empty() {
        return Ok(ReaderTable::default());
    }
    let attributes: Vec<&str> =
        source.attributes.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    database.read_in_goes("reading the readers", |connection| {
        let mut found = ReaderTable::default();
        let missing = |what: String, key: &str| {
            Err(Error::new(Kind::Config, what)
                .hint(format!("look at {key} under [source] in the configuration file")))
        };
        let Some(table) = Table::find(connection, &source.readers)? else {
            return missing(format!("there is no table {} of readers", source.readers), "readers");
        };
        for (key, name) in std::iter::once(("reader", source.reader.as_str()))
            .chain(attributes.iter().map(|name| ("attributes", *name)))
        {
            if !table.has(name) {
                return missing(format!("the table {} has no column {name}", table.name), key);
            }
        }
        let columns: Vec<String> =
            std::iter::once(source.reader.as_str()).chain(attributes.iter().copied()).map(quote).collect();
        let (rowid, order) = match table.has_rowid {
            true => (", rowid", " WHERE rowid >= ?1 ORDER BY rowid"),
            false => ("", ""),
        };
        let sql = format!("SELECT {}{rowid} FROM {}{order}", columns.join(", "), quote(&table.name));
        let mut statement = connection.prepare(&sql)?;
        scan(database, &mut statement, table.has_rowid, |row| {
            if let Ok(user) = values::reader(row.get_ref(0)?) {
                let value = |column: usize| Some(values::text(row.get_ref(column).ok()?)?.into_owned());
                found.add(user, (1..=attributes.len()).map(value).collect());
            }
            Ok(())
        })?;
        Ok(found)
    })
}
