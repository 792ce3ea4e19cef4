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

/// Calls `each` with the ISBN, the title and the author of those of some books that the table has under these spellings.
pub fn read_some(
    database: &Database,
    config: &Config,
    isbns: &[&str],
    mut each: impl FnMut(&str, &str, Option<&str>),
) -> Result<()> {
    let source = &config.source;
    database.read("looking for titles", |connection| {
        let Some(table) = Table::find(connection, &source.books)? else { return Ok(()) };
        if !table.has(&source.book_isbn) || !table.has(&source.title) {
            return Ok(());
        }
        let author = if table.has(&source.author) { quote(&source.author) } else { "NULL".into() };
        let (isbn, title) = (quote(&source.book_isbn), quote(&source.title));
        let marks = vec!["?"; isbns.len()].join(", ");
        let sql =
            format!("SELECT {isbn}, {title}, {author} FROM {} WHERE {isbn} IN ({marks})", quote(&table.name));
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(isbns))?;
        while let Some(row) = rows.next()? {
            let [isbn, title, author] = [text(row, 0), text(row, 1), text(row, 2)];
            if let (Some(isbn), Some(title)) = (isbn, title) {
                each(&isbn, &title, author.as_deref());
            }
        }
        Ok(())
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Option<Cow<'a, str>> {
    values::text(row.get_ref(column).ok()?).filter(|text| !text.trim().is_empty())
}
