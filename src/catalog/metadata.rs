//! What the application's table of books adds to the ratings: which books belong together, and which books
//! nobody has rated yet.
//!
//! A book without ratings has no factors of its own, but its author's other books can give it some. So it
//! joins the vocabulary, and from then on it is a book like any other, with made-up readers only.

use std::collections::{HashMap, HashSet};

use crate::catalog::encode::Encoded;
use crate::catalog::ids::NewBook;
use crate::catalog::keys::Keying;
use crate::catalog::makers::{Groups, Particulars, Related};
use crate::config::Config;
use crate::error::Result;

/// Collects the rows of the table of books.
#[derive(Debug, Default)]
pub struct BookTable {
    rows: u64,
    books: Vec<KnownBook>,
    /// Books without ratings; their provisional codes follow those of the books with ratings.
    unrated: Vec<NewBook>,
    codes: HashMap<String, u32>,
}

/// A book by its provisional code.
#[derive(Debug)]
struct KnownBook {
    item: u32,
    particulars: Particulars,
}

impl BookTable {
    /// Adds a row. `codes` are those of the books with ratings.
    pub fn add(
        &mut self,
        codes: &HashMap<&str, u32>,
        keying: Keying<'_>,
        isbn: &str,
        particulars: Particulars,
    ) {
        self.rows += 1;
        let Some((key, is_isbn)) = keying.key(isbn) else {
            return;
        };
        let item = match codes.get(key.as_str()) {
            Some(code) => *code,
            None if particulars.authors.is_empty() => return,
            None => {
                let next = (codes.len() + self.unrated.len()) as u32;
                let code = *self.codes.entry(key.clone()).or_insert(next);
                if code == next {
                    self.unrated.push(NewBook { key, spelling: isbn.trim().to_owned(), is_isbn });
                }
                code
            }
        };
        self.books.push(KnownBook { item, particulars });
    }

    /// Groups the books. Unrated books by authors of rated books join `ratings`, if lists may show such.
    pub fn finish(self, ratings: &mut Encoded, config: &Config) -> Result<Related> {
        let with_unrated = config.output.new_books > 0.0 && config.model.author_weight > 0.0;
        let rated = ratings.items.len() as u32;
        let known: HashSet<&str> = self
            .books
            .iter()
            .filter(|book| book.item < rated)
            .flat_map(|book| book.particulars.authors.iter().map(String::as_str))
            .collect();
        let mut joins = vec![false; self.unrated.len()];
        for book in self.books.iter().filter(|book| with_unrated && book.item >= rated) {
            joins[(book.item - rated) as usize] |=
                book.particulars.authors.iter().any(|author| known.contains(author.as_str()));
        }
        // Provisional codes to final ones; `None` for books that stay outside.
        let mut codes: Vec<Option<u32>> = (0..rated).map(Some).collect();
        codes.resize(codes.len() + joins.len(), None);
        if joins.contains(&true) {
            let (places, joining): (Vec<usize>, Vec<NewBook>) =
                self.unrated.into_iter().enumerate().filter(|(place, _)| joins[*place]).unzip();
            let (old, new) = ratings.join(&joining)?;
            codes = old.into_iter().map(Some).collect();
            codes.resize(codes.len() + joins.len(), None);
            for (place, code) in places.into_iter().zip(new) {
                codes[rated as usize + place] = Some(code);
            }
        }
        let mut found = vec![false; rated as usize];
        let rated_books = self.books.iter().filter(|book| book.item < rated);
        rated_books.for_each(|book| found[book.item as usize] = true);
        let in_table = (self.rows, found.iter().filter(|is_found| **is_found).count());
        let mut groups = Groups::default();
        for book in self.books {
            groups.add(codes[book.item as usize], book.particulars);
        }
        let mut related = groups.finish(ratings.items.len());
        related.in_table = in_table;
        Ok(related)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::encode::{RatingColumns, encode, normalise};
    use crate::catalog::ids::UserRef;
    use crate::catalog::makers::BookTexts;
    use crate::config::KeyKind;
    use crate::model::data::{Group, Maker};

    #[test]
    fn new_books_of_known_authors_join_and_nothing_else_moves() {
        let mut config = Config::default();
        config.items.key = KeyKind::Text;
        let mut columns = RatingColumns::default();
        for (place, (user, book)) in [(1, "m"), (1, "d"), (2, "t")].into_iter().enumerate() {
            columns.push(UserRef::Integer(user), book, 5.0, place as f64);
        }
        let before = encode(normalise(columns, &config).expect("normalised")).expect("encoded");
        let mut with_table = |new_books| {
            config.output.new_books = new_books;
            let mut ratings = before.clone();
            let (codes, keying) = (before.items.codes(), Keying::of(&before.items, &config));
            let mut table = BookTable::default();
            let books = [
                ("t", Some("Ann Ash"), Some("P")),
                ("a", Some("ash, ann"), Some("P")),
                ("z", Some("Ann Ash"), None),
                ("z", Some("Ann Ash"), None),
                ("n", Some("Nobody Known"), Some("P")),
                ("o", None, Some("P")),
            ];
            for (isbn, author, publisher) in books {
                let texts = BookTexts { title: Some(isbn), author, publisher, ..BookTexts::default() };
                table.add(&codes, keying, isbn, Particulars::new(texts));
            }
            (table.finish(&mut ratings, &config).expect("groups"), ratings)
        };
        let (related, ratings) = with_table(0.5);
        let keys: Vec<&str> = (0..5).map(|code| ratings.items.key(code)).collect();
        assert_eq!(keys, ["a", "d", "m", "t", "z"]);
        let rated: Vec<bool> = (0..5).map(|code| ratings.items.is_rated(code)).collect();
        assert_eq!(rated, [false, true, true, true, false]);
        assert_eq!((ratings.items.len(), ratings.items.rated_count()), (5, 3));
        assert_eq!(ratings.interactions.of(0).0, [1, 2]);
        assert_eq!(ratings.interactions.of(1).0, [3]);
        assert_eq!(ratings.interactions.item_count, 5);
        assert_eq!(ratings.reader_digests(), before.reader_digests());
        let group = |maker, items: &[u32]| Group { maker, items: items.to_vec() };
        assert_eq!(related.groups, [group(Maker::Author, &[0, 3, 4]), group(Maker::Publisher, &[0, 3])]);
        let (related, ratings) = with_table(0.0);
        assert!(related.groups.is_empty());
        assert_eq!(ratings.interactions, before.interactions);
    }
}
