//! What the user's own queries name: which books may be recommended, what each reader is not to see or does not like,
//! and which books are of which category.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

use crate::catalog::ids::{Items, UserId, Users};
use crate::catalog::keys::Keying;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::model::data::Interactions;

/// The rows of the queries, as they are read.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// ISBNs; `None` without a query.
    pub candidates: Option<Vec<String>>,
    pub excluded: Vec<(UserId, String)>,
    pub disliked: Vec<(UserId, String)>,
    /// ISBN and category; `None` without a query.
    pub categories: Option<Vec<(String, String)>>,
    /// Rows without a reader or a book.
    pub unusable: u64,
}

/// The same in the codes of readers and books.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Whether each book may be recommended; empty if all may.
    pub candidates: Vec<bool>,
    /// What each reader is not to see, dislikes among it.
    pub hidden: Interactions,
    pub disliked: Interactions,
    /// The books of each category, rising, by name.
    pub categories: Vec<(String, Vec<u32>)>,
    /// How many of the rows name a book that nobody has read, or a reader without a rating.
    pub unknown: u64,
}

impl Rows {
    /// Finds the codes. `genres` are the categories where no query says otherwise.
    ///
    /// # Errors
    /// [`Kind::Config`] if no book may be recommended.
    pub fn resolve(
        self,
        users: &Users,
        items: &Items,
        genres: &[(String, Vec<u32>)],
        config: &Config,
    ) -> Result<Selection> {
        let (user_codes, item_codes, keying) = (users.codes(), items.codes(), Keying::of(items, config));
        let book = |isbn: &str| keying.key(isbn).and_then(|(key, _)| item_codes.get(key.as_str()).copied());
        let mut unknown = 0;
        let mut candidates = Vec::new();
        if let Some(isbns) = self.candidates {
            candidates = vec![false; items.len()];
            for isbn in &isbns {
                match book(isbn) {
                    Some(item) => candidates[item as usize] = true,
                    None => unknown += 1,
                }
            }
            if !candidates.contains(&true) {
                let what = format!("the query in [candidates] names none of the {} books", items.len());
                return Err(Error::new(Kind::Config, what)
                    .hint("it should give the ISBN of each book that may be recommended, in any spelling"));
            }
        }
        let mut pairs = |rows: Vec<(UserId, String)>| -> Vec<(u32, u32, f32)> {
            let pair = |(user, isbn): &(UserId, String)| {
                Some((user_codes.get(&user.borrow()).copied()?, book(isbn)?, f32::NAN))
            };
            let known: Vec<_> = rows.iter().filter_map(pair).collect();
            unknown += (rows.len() - known.len()) as u64;
            known
        };
        let disliked = pairs(self.disliked);
        let hidden = [pairs(self.excluded), disliked.clone()].concat();
        let rows = |pairs: &[(u32, u32, f32)]| Interactions::from_triples(users.len(), items.len(), pairs).0;
        let categories = match self.categories {
            None => genres.to_vec(),
            Some(named) => {
                let mut by_name: BTreeMap<String, Vec<u32>> = BTreeMap::new();
                for (isbn, name) in named {
                    match book(&isbn) {
                        Some(item) => by_name.entry(name).or_default().push(item),
                        None => unknown += 1,
                    }
                }
                by_name.into_iter().map(|(name, books)| (name, sorted(books))).collect()
            }
        };
        let (hidden, disliked) = (rows(&hidden), rows(&disliked));
        Ok(Selection { candidates, hidden, disliked, categories, unknown })
    }
}

impl Selection {
    /// Whether a book may be recommended.
    pub fn is_candidate(&self, item: u32) -> bool {
        self.candidates.get(item as usize).is_none_or(|is_candidate| *is_candidate)
    }

    /// Whether a reader is not to see a book.
    pub fn is_hidden(&self, user: u32, item: u32) -> bool {
        self.hidden.items_of(user as usize).binary_search(&item).is_ok()
    }

    /// Adds all that lists depend on to a digest.
    pub fn digest(&self, hash: &mut Xxh3) {
        let candidates: Vec<u8> =
            self.candidates.iter().map(|is_candidate| u8::from(*is_candidate)).collect();
        hash.update(&candidates);
        for rows in [&self.hidden, &self.disliked] {
            hash.update(&rows.digest().to_le_bytes());
        }
        for (name, books) in &self.categories {
            hash.update(name.as_bytes());
            books.iter().for_each(|item| hash.update(&item.to_le_bytes()));
        }
    }
}

fn sorted(mut books: Vec<u32>) -> Vec<u32> {
    books.sort_unstable();
    books.dedup();
    books
}
