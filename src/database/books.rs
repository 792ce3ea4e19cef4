//! The application's table of books, where it has one.

use std::borrow::Cow;

use rusqlite::Row;

use crate::config::Config;
use crate::database::source::{Table, scan};
use crate::database::{Database, quote, values};
use crate::error::Result;

/// What the table says of one book. Texts are as they stand there, and never blank.
#[derive(Clone, Debug)]
pub struct Book<'a> {
    /// In any spelling.
    pub isbn: Cow<'a, str>,
    /// What it is called.
    pub title: Option<Cow<'a, str>>,
    /// Who wrote it.
    pub author: Option<Cow<'a, str>>,
    /// Who published it.
    pub publisher: Option<Cow<'a, str>>,
}

/// Shows each book to `each`; none where there is no such table, or none of the column of ISBNs.
///
/// `begin` is called before the first, and again if others kept the database locked half-way.
///
/// # Errors
/// Whatever SQLite says.
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
