//! Reads the application's table of books, where it has one.

use std::borrow::Cow;

use rusqlite::Row;

use crate::catalog::makers::BookTexts;
use crate::config::{Config, Source};
use crate::database::source::scan;
use crate::database::table::Table;
use crate::database::{Database, quote, values};
use crate::error::Result;

/// Calls `each` with the ISBN, in any spelling, and the texts of every book, which are never blank; with none if the
/// table or its column of ISBNs is missing.
///
/// `begin` is called before the first book, and again if others lock the database half-way: then it starts
/// over.
pub fn read<T>(
    database: &Database,
    config: &Config,
    begin: impl Fn() -> T,
    mut each: impl FnMut(&mut T, &str, BookTexts<'_>),
) -> Result<T> {
    let source = &config.source;
    database.read_in_goes("reading the books", |connection| {
        let mut found = begin();
        let Some(table) = Table::find(connection, &source.books)? else {
            return Ok(found);
        };
        if !table.has(&source.book_isbn) {
            return Ok(found);
        }
        let column = |name: &str| if table.has(name) { quote(name) } else { "NULL".into() };
        let Source { book_isbn, title, author, publisher, year, genre, description, series, volume, .. } =
            source;
        let columns = [book_isbn, title, author, publisher, year, genre, description, series, volume]
            .map(|name| column(name));
        let (rowid, order) = match table.has_rowid {
            true => (", rowid", " WHERE rowid >= ?1 ORDER BY rowid"),
            false => ("", ""),
        };
        let from = quote(&table.name);
        let sql = format!("SELECT {}{rowid} FROM {from}{order}", columns.join(", "));
        let mut statement = connection.prepare(&sql)?;
        scan(database, &mut statement, table.has_rowid, |row| {
            let texts: [Option<Cow<'_, str>>; 9] = std::array::from_fn(|column| text(row, column));
            let [isbn, title, author, publisher, year, genre, description, series, volume] =
                texts.each_ref().map(Option::as_deref);
            if let Some(isbn) = isbn {
                let texts = BookTexts { title, author, publisher, year, genre, description, series, volume };
                each(&mut found, isbn, texts);
            }
            Ok(())
        })?;
        Ok(found)
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Option<Cow<'a, str>> {
    values::text(row.get_ref(column).ok()?).filter(|text| !text.trim().is_empty())
}
