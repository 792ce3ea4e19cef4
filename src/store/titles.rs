//! Titles, where the application has a table of books: for what people see.

use std::collections::HashMap;

use crate::catalog::spellings;
use crate::config::Config;
use crate::console::plain;
use crate::error::Result;
use crate::store::source::Table;
use crate::store::{Database, quote};

/// Titles by key: the ISBN-13, or the folded text.
#[derive(Clone, Debug, Default)]
pub struct Titles {
    by_key: HashMap<String, String>,
    config: Config,
}

impl Titles {
    /// Reads the books; empty where there is no such table or it lacks a column.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn load(database: &Database, config: &Config) -> Result<Self> {
        let source = &config.source;
        database.read("reading the books", |connection| {
            let mut titles = Self { config: config.clone(), ..Self::default() };
            let Some(table) = Table::find(connection, &source.books)? else {
                return Ok(titles);
            };
            if !(table.has(&source.book_isbn) && table.has(&source.title)) {
                return Ok(titles);
            }
            let author = if table.has(&source.author) { quote(&source.author) } else { "NULL".into() };
            let sql = format!(
                "SELECT {}, {}, {author} FROM {}",
                quote(&source.book_isbn),
                quote(&source.title),
                quote(&table.name)
            );
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let text = |index: usize| -> Option<String> {
                    let value = row.get_ref(index).ok()?;
                    match value {
                        rusqlite::types::ValueRef::Integer(number) => Some(number.to_string()),
                        other => other.as_str().ok().map(str::to_owned),
                    }
                };
                if let (Some(isbn), Some(title)) = (text(0), text(1)) {
                    let title = match text(2).filter(|author| !author.trim().is_empty()) {
                        Some(author) => format!("{title}, {author}"),
                        None => title,
                    };
                    titles.by_key.insert(titles.key(&isbn), plain(&title));
                }
            }
            Ok(titles)
        })
    }

    /// What to call a book, in any spelling of its ISBN.
    pub fn of(&self, spelling: &str) -> String {
        self.by_key.get(&self.key(spelling)).cloned().unwrap_or_else(|| plain(spelling))
    }

    /// Whether a book has a title here.
    pub fn has(&self, spelling: &str) -> bool {
        self.by_key.contains_key(&self.key(spelling))
    }

    fn key(&self, spelling: &str) -> String {
        spellings::key(spelling, &self.config).unwrap_or_default()
    }
}
