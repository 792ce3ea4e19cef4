//! Titles, where the application has a table of books: for what people see.

use std::collections::HashMap;

use crate::catalog::spellings;
use crate::config::Config;
use crate::console::plain;
use crate::error::Result;
use crate::store::{Database, books};

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
        let empty = || Self { config: config.clone(), ..Self::default() };
        books::read(database, config, empty, |titles, book| {
            let Some(title) = book.title else {
                return;
            };
            let title = match book.author {
                Some(author) => format!("{title}, {author}"),
                None => title.into_owned(),
            };
            titles.by_key.insert(titles.key(&book.isbn), plain(&title));
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
