//! Titles of books for output that people read, from the application's table of books where it has one.

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

/// Title and author of a book, as text that is safe anywhere but in HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    pub title: String,
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
    /// Reads the table of books; empty if there is no such table, or it lacks the ISBNs or the titles.
    pub fn load(database: &Database, config: &Config) -> Result<Self> {
        let empty = || Self { config: config.clone(), ..Self::default() };
        books::read(database, config, empty, |titles, isbn, texts| {
            let Some(title) = texts.title else {
                return;
            };
            let title = Title { title: plain(title), author: texts.author.map(plain) };
            if let Some(key) = keys::key(isbn, config) {
                titles.by_key.insert(key, title);
            }
        })
    }

    /// Of some books only, by the spellings that the table of books has.
    pub fn of_books(database: &Database, config: &Config, isbns: &[&str]) -> Result<Self> {
        let mut titles = Self { config: config.clone(), ..Self::default() };
        books::read_some(database, config, isbns, |isbn, title, author| {
            let title = Title { title: plain(title), author: author.map(plain) };
            if let Some(key) = keys::key(isbn, config) {
                titles.by_key.insert(key, title);
            }
        })?;
        Ok(titles)
    }

    /// Title and author for any spelling of an ISBN; the spelling itself if there is no title.
    pub fn of(&self, spelling: &str) -> String {
        self.find(spelling).map_or_else(|| plain(spelling), Title::to_string)
    }

    /// As [`Titles::of`], but `None` if there is no title.
    pub fn title(&self, spelling: &str) -> Option<String> {
        self.find(spelling).map(Title::to_string)
    }

    /// The title for any spelling of an ISBN.
    pub fn find(&self, spelling: &str) -> Option<&Title> {
        self.by_key.get(&keys::key(spelling, &self.config)?)
    }

    pub fn has(&self, spelling: &str) -> bool {
        self.find(spelling).is_some()
    }

    pub fn of_key(&self, key: &str) -> Option<&Title> {
        self.by_key.get(key)
    }

    /// The keys of the books whose title and author contain all these words; none unless a word has two
    /// letters.
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
