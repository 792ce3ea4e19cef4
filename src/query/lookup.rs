//! [`Lookup`]: the database, its titles and its model, and which reader or book a word means.

use std::cmp::Reverse;
use std::path::Path;

use serde_json::{Value, json};

use crate::catalog::ids::{UserId, UserRef};
use crate::catalog::keys::Keying;
use crate::context::Context;
use crate::database::lists::{self, Listed};
use crate::database::publish::slots;
use crate::database::titles::Titles;
use crate::database::{Database, runs};
use crate::error::{Error, Kind, Result};
use crate::model_store::{StoredItems, StoredModel};
use crate::text::plain;

/// How many suggestions are made if nothing fits.
const NEAREST: usize = 5;

#[derive(Debug)]
pub struct Lookup<'a> {
    pub context: Context<'a>,
    pub database: Database,
    pub titles: Titles,
}

impl<'a> Lookup<'a> {
    pub fn open(context: Context<'a>, db: &Path) -> Result<Self> {
        let database = context.open(db)?;
        database.read("looking at the database", slots::refuse_foreign_tables)?;
        let titles = Titles::load(&database, context.config)?;
        Ok(Self { context, database, titles })
    }

    /// Without any title: to read all takes longer than most answers.
    pub fn without_titles(context: Context<'a>, db: &Path) -> Result<Self> {
        let database = context.open(db)?;
        database.read("looking at the database", slots::refuse_foreign_tables)?;
        Ok(Self { context, database, titles: Titles::default() })
    }

    /// With the titles of some books, by their spellings.
    pub fn with_titles_of(mut self, isbns: &[&str]) -> Result<Self> {
        self.titles = Titles::of_books(&self.database, self.context.config, isbns)?;
        Ok(self)
    }

    /// The model of the published lists.
    ///
    /// # Errors
    /// [`Kind::Failed`] if nothing is published yet; [`Kind::Config`] if `key` or `invalid` has changed
    /// since.
    pub fn model(&self) -> Result<StoredModel> {
        let current = runs::current(&self.database)?.ok_or_else(nothing_published)?;
        let model =
            StoredModel::read(&self.database.folder(), current.run_id, current.input_digest.as_deref())?;
        match model.config.items == self.context.config.items {
            true => Ok(model),
            false => Err(Error::new(Kind::Config, "key or invalid was changed: books have other names now")
                .hint("use the configuration of the last run, or `nightshelf run` anew")),
        }
    }

    /// The code of the book that a word means.
    ///
    /// # Errors
    /// [`Kind::NoInput`] if the model does not know the book; the hint names similar ones.
    pub fn book(&self, books: &StoredItems, word: &str) -> Result<u32> {
        let key = Keying::of(&books.items, self.context.config).key(word).map(|(key, _)| key);
        if let Some(code) = key.as_deref().and_then(|key| books.items.find(key)) {
            return Ok(code);
        }
        let title = key.as_deref().and_then(|key| self.titles.of_key(key));
        let message = match title {
            Some(title) => format!("nobody has read {} ({title}) so far as the model knows", plain(word)),
            None => format!("there is no book {} in the model", plain(word)),
        };
        let error = Error::new(Kind::NoInput, message);
        if title.is_some() {
            return Err(error.hint("a book is known from the first run after somebody has rated it"));
        }
        let near = self.books_like(books, word, key.as_deref());
        Err(match near.is_empty() {
            true => error.hint("give its ISBN as the ratings have it, with or without hyphens"),
            false => error.hint(format!("did you mean one of these?\n{}", near.join("\n"))),
        })
    }

    /// Books that may be meant: with these words in the title, or else with a key at most two edits away.
    fn books_like(&self, books: &StoredItems, word: &str, key: Option<&str>) -> Vec<String> {
        let (items, readers) = (&books.items, &books.popularity.traits.readers);
        let titled = self.titles.search(word);
        let mut found: Vec<(usize, Reverse<u32>, u32)> = match titled.is_empty() {
            false => titled
                .into_iter()
                .filter_map(|key| items.find(key))
                .map(|code| (0, Reverse(readers[code as usize]), code))
                .collect(),
            true => {
                let key = key.unwrap_or(word);
                let distance = |code: &u32| strsim::osa_distance(key, items.key(*code as usize));
                (0..items.len() as u32)
                    .map(|code| (distance(&code), Reverse(readers[code as usize]), code))
                    .filter(|(distance, ..)| *distance <= 2)
                    .collect()
            }
        };
        found.sort_unstable();
        let show = |(_, _, code): &(usize, Reverse<u32>, u32)| {
            let spelling = items.spelling(*code as usize);
            match self.titles.has(spelling) {
                true => format!("  {}  {}", plain(spelling), self.titles.of(spelling)),
                false => format!("  {}", plain(spelling)),
            }
        };
        found.iter().take(NEAREST).map(show).collect()
    }

    /// The readers with a list whose ids are most like a word, the most similar first.
    pub fn readers_like(&self, word: &str) -> Result<Vec<UserId>> {
        let number: Option<i64> = word.parse().ok();
        let far = |id: &UserId| match id {
            UserId::Integer(id) => (
                strsim::osa_distance(word, &id.to_string()),
                number.map_or(u64::MAX, |number| number.abs_diff(*id)),
            ),
            UserId::Text(id) => (strsim::osa_distance(&word.to_lowercase(), &id.to_lowercase()), 0),
        };
        let longest = (word.chars().count() / 2).max(1);
        let mut known: Vec<_> =
            lists::readers(&self.database)?.into_iter().map(|id| (far(&id), id)).collect();
        known.retain(|((distance, _), _)| *distance <= longest);
        known.sort_by_key(|(far, _)| *far);
        known.truncate(NEAREST);
        Ok(known.into_iter().map(|(_, id)| id).collect())
    }

    /// The error for an id that nobody has; its hint names similar ones.
    pub fn unknown_reader(&self, word: &str) -> Result<Error> {
        let error = Error::new(Kind::NoInput, format!("the ratings table has no reader {}", plain(word)));
        let near = names(&self.readers_like(word)?);
        Ok(match near.is_empty() {
            true => error.hint("give the user_id as it stands in the ratings table"),
            false => error.hint(format!("the nearest known ids are {near}")),
        })
    }
}

pub fn nothing_published() -> Error {
    Error::new(Kind::Failed, "nothing is published in this database yet")
        .hint("`nightshelf run --db FILE` makes the first lists")
}

/// Ids for people, with commas between them.
pub fn names(ids: &[UserId]) -> String {
    ids.iter().map(|id| plain(&id.borrow().to_string())).collect::<Vec<_>>().join(", ")
}

pub fn id_json(id: UserRef<'_>) -> Value {
    match id {
        UserRef::Integer(id) => json!(id),
        UserRef::Text(id) => json!(id),
    }
}

pub fn listed_json(row: &Listed, titles: &Titles) -> Value {
    let title = |isbn: &str| titles.title(isbn);
    json!({
        "rank": row.rank,
        "isbn": row.isbn,
        "isbn13": row.isbn13,
        "title": title(&row.isbn),
        "score": row.score,
        "predicted_rating": row.stars,
        "source": row.source,
        "because": row.because,
        "because_title": row.because.as_deref().and_then(title),
        "run_id": row.run_id,
    })
}
