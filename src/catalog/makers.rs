//! Groups books by author and by publisher, and as editions of one work.

use std::borrow::Cow;
use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use crate::catalog::editions::{self, WorkKey};
use crate::catalog::ids::Items;
use crate::catalog::language;
use crate::config::Config;
use crate::model::data::{Descriptions, Editions, Group, Maker, UNKNOWN};

/// An author or publisher with more books than this says nothing about taste. (Of 100, 300 and 1,000, 300 is
/// the best on Book-Crossing.)
const MOST_BOOKS: usize = 300;

/// Who made a book and what it is called, in forms that can be compared.
#[derive(Clone, Debug)]
pub struct Particulars {
    pub authors: Vec<String>,
    publisher: Option<String>,
    name: Option<WorkKey>,
}

impl Particulars {
    pub fn new(title: Option<&str>, author: Option<&str>, publisher: Option<&str>) -> Self {
        let maker = |name: Option<&str>| name.map(folded).filter(|name| !name.is_empty());
        let name = title.zip(author).and_then(|(title, author)| WorkKey::new(title, author));
        let authors = author.into_iter().flat_map(people).filter_map(|author| maker(Some(author))).collect();
        Self { authors, publisher: maker(publisher), name }
    }
}

/// Which books share a maker, and which are editions of one work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Related {
    /// Books with a maker in common, from which the ranking model learns.
    pub groups: Vec<Group>,
    editions: Editions,
}

impl Related {
    /// What is known of each of `items`.
    pub fn descriptions(&self, items: &Items) -> Descriptions {
        let language = |item: usize| items.isbn13(item).map_or(UNKNOWN, language::of_isbn13);
        let languages = (0..items.len()).map(language).collect();
        Descriptions::of_groups(&self.groups, items.len(), languages)
    }

    /// The editions of which a list shows only one; empty if `one_edition` is off.
    pub fn editions(&self, config: &Config) -> Cow<'_, Editions> {
        match config.output.one_edition {
            true => Cow::Borrowed(&self.editions),
            false => Cow::Owned(Editions::default()),
        }
    }
}

/// Collects what books have in common while the table of books is read.
#[derive(Debug, Default)]
pub struct Groups {
    by_name: HashMap<(Maker, String), Vec<u32>>,
    named: Vec<(WorkKey, Option<u32>)>,
}

impl Groups {
    /// `item` is the book's code, if it has one.
    pub fn add(&mut self, item: Option<u32>, particulars: Particulars) {
        let Particulars { authors, publisher, name } = particulars;
        if let Some(item) = item {
            let authors = authors.into_iter().map(|name| (Maker::Author, name));
            for maker in authors.chain(publisher.map(|name| (Maker::Publisher, name))) {
                self.by_name.entry(maker).or_default().push(item);
            }
        }
        self.named.extend(name.map(|name| (name, item)));
    }

    /// Keeps groups of two or more books, in an order that depends only on their contents.
    pub fn finish(self) -> Related {
        let mut groups: Vec<Group> = self
            .by_name
            .into_iter()
            .map(|((maker, _), mut items)| {
                items.sort_unstable();
                items.dedup();
                Group { maker, items }
            })
            .filter(|group| (2..=MOST_BOOKS).contains(&group.items.len()))
            .collect();
        groups.sort_unstable_by(|a, b| (a.maker, &a.items).cmp(&(b.maker, &b.items)));
        Related { groups, editions: editions::of_names(self.named) }
    }
}

/// Words that begin a last name of several words.
const PARTICLES: [&str; 14] =
    ["da", "de", "del", "della", "der", "di", "du", "la", "le", "st", "st.", "ten", "van", "von"];

/// The people in a field of authors: `A. Lindgren; B. Collodi`, `J.K. Rowling, Mary GrandPré`. A comma stands between
/// people if there are several words on each side of it; but as that may also be a last name and first names, such a field
/// names one more, the whole. `Tolkien, J. R. R.` and `Le Guin, Ursula K.` are one.
fn people(field: &str) -> Vec<&str> {
    field.split([';', '&', '/']).flat_map(|part| part.split(" and ")).flat_map(people_with_commas).collect()
}

fn people_with_commas(part: &str) -> Vec<&str> {
    let names: Vec<&str> = part.split(',').collect();
    let words = |name: &str| name.split_whitespace().count();
    let first = part.split_whitespace().next().unwrap_or_default().to_lowercase();
    match names.iter().all(|name| words(name) > 1) && !PARTICLES.contains(&first.as_str()) {
        true if names.len() > 1 => std::iter::once(part).chain(names).collect(),
        _ => vec![part],
    }
}

/// A name in a form that can be compared: `Tolkien, J. R. R.` and `J.R.R. TOLKIEN` become the same.
fn folded(name: &str) -> String {
    let (last, first) = name.split_once(',').unwrap_or((name, ""));
    [first, last]
        .iter()
        .flat_map(|part| part.nfkd())
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_author_in_many_spellings_is_one_group() {
        let mut groups = Groups::default();
        for (item, name) in [
            (5, "J.R.R. Tolkien"),
            (3, "TOLKIEN, J. R. R."),
            (3, "j r r tolkien"),
            (4, "Émile Zola"),
            (1, "?"),
            (2, "?"),
        ] {
            groups.add(Some(item), Particulars::new(None, Some(name), None));
        }
        groups.add(Some(7), Particulars::new(Some("Letters"), None, Some("J.R.R. Tolkien")));
        groups.add(Some(8), Particulars::new(None, Some("Emile Zola"), None));
        groups.add(Some(9), Particulars::new(None, Some("Mary GrandPré, J.R.R. Tolkien"), None));
        groups.add(Some(10), Particulars::new(None, Some("Le Guin, Ursula K.; Mary Grandpre"), None));
        groups.add(Some(11), Particulars::new(None, Some("Ursula K. Le Guin"), None));
        let found = groups.finish().groups;
        let author = |items: &[u32]| Group { maker: Maker::Author, items: items.to_vec() };
        assert_eq!(found, [author(&[3, 5, 9]), author(&[4, 8]), author(&[9, 10]), author(&[10, 11])]);
    }
}
