//! Finds what is published and may be shown no more: books that are no candidates now, or hidden from their reader.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::catalog::encode::Encoded;
use crate::catalog::ids::Items;
use crate::catalog::selection::Selection;
use crate::database::publish::reader_lists;
use crate::database::publish::slots::{POPULAR, POPULAR_BY, Published, SIMILAR};
use crate::database::table::Table;
use crate::database::{Database, lists, quote};
use crate::error::Result;

/// Codes of books by the two ways in which published rows name them.
pub struct BookCodes<'a> {
    by_isbn13: HashMap<&'a str, u32>,
    by_spelling: HashMap<&'a str, u32>,
}

impl<'a> BookCodes<'a> {
    pub fn new(items: &'a Items) -> Self {
        let by_spelling = (0..items.len()).map(|code| (items.spelling(code), code as u32)).collect();
        Self { by_isbn13: items.codes(), by_spelling }
    }

    /// The book of a row; `None` if no rating names it any more.
    pub fn of(&self, isbn: &str, isbn13: Option<&str>) -> Option<u32> {
        let by_isbn13 = isbn13.and_then(|isbn13| self.by_isbn13.get(isbn13));
        by_isbn13.or_else(|| self.by_spelling.get(isbn)).copied()
    }
}

/// What has to be made anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fallen {
    /// Codes of readers, rising.
    pub readers: Vec<u32>,
    /// Whether the popular lists have such a book.
    pub popular: bool,
    /// Spellings of the books whose lists of similar ones have such a book.
    pub similar: Vec<String>,
}

/// Looks through all published tables.
pub fn find(database: &Database, ratings: &Encoded, selection: &Selection) -> Result<Fallen> {
    let mut fallen = Fallen::default();
    if selection.candidates.is_empty() && selection.hidden.is_empty() {
        return Ok(fallen);
    }
    let (users, codes) = (ratings.users.codes(), BookCodes::new(&ratings.items));
    let is_candidate =
        |item: Option<u32>| item.map_or(selection.candidates.is_empty(), |item| selection.is_candidate(item));
    lists::scan(
        database,
        "isbn, isbn13",
        |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?)),
        |user, (isbn, isbn13)| {
            let user = reader_lists::id(user.into()).and_then(|id| users.get(&id).copied());
            let Some(user) = user.filter(|user| fallen.readers.last() != Some(user)) else { return };
            let item = codes.of(&isbn.unwrap_or_default(), isbn13.as_deref());
            let is_hidden = item.is_some_and(|item| selection.is_hidden(user, item));
            if is_hidden || !is_candidate(item) {
                fallen.readers.push(user);
            }
        },
    )?;
    fallen.readers.sort_unstable();
    fallen.readers.dedup();
    database.read("looking at what is popular and similar", |connection| {
        let mut found = Fallen { readers: std::mem::take(&mut fallen.readers), ..Fallen::default() };
        for table in [POPULAR, POPULAR_BY] {
            each(connection, table, ["''", "isbn", "isbn13"], |_, isbn, isbn13| {
                found.popular |= !is_candidate(codes.of(isbn, isbn13));
            })?;
        }
        each(connection, SIMILAR, ["isbn", "similar_isbn", "similar_isbn13"], |of, isbn, isbn13| {
            if !is_candidate(codes.of(isbn, isbn13)) && found.similar.last().is_none_or(|last| last != of) {
                found.similar.push(of.to_owned());
            }
        })?;
        fallen = found;
        Ok(())
    })?;
    Ok(fallen)
}

/// Calls `each` with three columns of all rows of a published table, in the order of its key; does nothing if there is no
/// such table.
pub(super) fn each(
    connection: &Connection,
    table: Published,
    columns: [&str; 3],
    mut each: impl FnMut(&str, &str, Option<&str>),
) -> Result<()> {
    if Table::find(connection, table.name)?.is_none() {
        return Ok(());
    }
    let sql = format!("SELECT {} FROM {}", columns.join(", "), quote(table.name));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column: usize| row.get_ref(column).ok().and_then(|value| value.as_str().ok());
        each(text(0).unwrap_or_default(), text(1).unwrap_or_default(), text(2));
    }
    Ok(())
}
