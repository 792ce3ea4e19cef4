//! Titles, where the application has a table of books: for what people see.

use std::collections::HashMap;

use crate::catalog::keys;
use crate::config::Config;
use crate::database::{Database, books};
use crate::error::Result;
use crate::text::plain;

/// Titles by key: the ISBN-13, or the folded text.
#[derive(Clone, Debug, Default)]
pub struct Titles {
    by_key: HashMap<String, Title>,
    config: Config,
}

/// What a book is called, as text that may be shown anywhere but in HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// The title.
    pub title: String,
    /// Who wrote it.
    pub author: Option<String>,
}

impl std::fmt::Display for Title {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.author {
            Some(author) => write!(f, "{}, {author}", self.title),
            None => f.write_str(&self.title),
        }
    }
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
            let title = Title { title: plain(&title), author: book.author.as_deref().map(plain) };
            if let Some(key) = keys::key(&book.isbn, config) {
                titles.by_key.insert(key, title);
            }
        })
    }

    /// What to call a book, in any spelling of its ISBN.
    pub fn of(&self, spelling: &str) -> String {
        self.find(spelling).map_or_else(|| plain(spelling), Title::to_string)
    }

    /// What to call a book that has a title here.
    pub fn title(&self, spelling: &str) -> Option<String> {
        self.find(spelling).map(Title::to_string)
    }

    /// Title and author of a book, in any spelling of its ISBN.
    pub fn find(&self, spelling: &str) -> Option<&Title> {
        self.by_key.get(&keys::key(spelling, &self.config)?)
    }

    /// Whether a book has a title here.
    pub fn has(&self, spelling: &str) -> bool {
        self.find(spelling).is_some()
    }

    /// What to call the book with this key, if it has a title.
    pub fn of_key(&self, key: &str) -> Option<&Title> {
        self.by_key.get(key)
    }

    /// The keys of the books in whose title or author all these words stand; none for a word without a letter.
    pub fn search(&self, words: &str) -> Vec<&str> {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        if !words.iter().any(|word| word.chars().filter(|c| c.is_alphabetic()).count() > 1) {
            return Vec::new();
        }
        let matches = |title: &Title| {
            let title = title.to_string().to_lowercase();
            words.iter().all(|word| title.contains(word.as_str()))
        };
        self.by_key.iter().filter(|(_, title)| matches(title)).map(|(key, _)| key.as_str()).collect()
    }
}
