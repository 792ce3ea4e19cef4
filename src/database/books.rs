//! Reads the application's table of books, where it has one.

use std::borrow::Cow;

use rusqlite::Row;

use crate::config::Config;
use crate::database::source::scan;
use crate::database::table::Table;
use crate::database::{Database, quote, values};
use crate::error::Result;

/// A row of the table of books. Texts are as they are stored, and never blank.
#[derive(Clone, Debug)]
pub struct Book<'a> {
    /// In any spelling.
    pub isbn: Cow<'a, str>,
    pub title: Option<Cow<'a, str>>,
    pub author: Option<Cow<'a, str>>,
    pub publisher: Option<Cow<'a, str>>,
}

/// Calls `each` with every book; with none if the table or its column of ISBNs is missing.
///
/// `begin` is called before the first book, and again if others lock the database half-way: then it starts
/// over.
pub fn read<T>(
    database: &Database,
    config: &Config,
    begin: impl Fn() -> T,
    mut each: impl FnMut(&mut T, Book<'_>),
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
        let [isbn, title, author, publisher] =
            [&source.book_isbn, &source.title, &source.author, &source.publisher].map(|name| column(name));
        let (rowid, order) = match table.has_rowid {
            true => (", rowid", " WHERE rowid >= ?1 ORDER BY rowid"),
            false => ("", ""),
        };
        let from = quote(&table.name);
        let sql = format!("SELECT {isbn}, {title}, {author}, {publisher}{rowid} FROM {from}{order}");
        let mut statement = connection.prepare(&sql)?;
        scan(database, &mut statement, table.has_rowid, |row| {
            if let Some(isbn) = text(row, 0) {
                let (title, author, publisher) = (text(row, 1), text(row, 2), text(row, 3));
                each(&mut found, Book { isbn, title, author, publisher });
            }
            Ok(())
        })?;
        Ok(found)
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Option<Cow<'a, str>> {
    values::text(row.get_ref(column).ok()?).filter(|text| !text.trim().is_empty())
}
