//! Books that belong together: by author, by publisher, and as editions of one work.

use std::borrow::Cow;
use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use crate::catalog::editions::{self, Name};
use crate::config::Config;
use crate::model::data::{Editions, Group, Maker};

/// A publisher of more books than this says nothing of taste. (Of 100, 300 and 1,000 the best on
/// Book-Crossing.)
const MOST_BOOKS: usize = 300;

/// Who made a book and what it is called, as one may compare it.
#[derive(Clone, Debug)]
pub struct Particulars {
    /// Who wrote it.
    pub author: Option<String>,
    publisher: Option<String>,
    name: Option<Name>,
}

impl Particulars {
    /// From what is written somewhere.
    pub fn new(title: Option<&str>, author: Option<&str>, publisher: Option<&str>) -> Self {
        let maker = |name: Option<&str>| name.map(folded).filter(|name| !name.is_empty());
        let name = title.zip(author).and_then(|(title, author)| Name::new(title, author));
        Self { author: maker(author), publisher: maker(publisher), name }
    }
}

/// How books belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Related {
    /// Books with a maker in common, from which the ranking model learns.
    pub groups: Vec<Group>,
    editions: Editions,
}

impl Related {
    /// Books of which a list shows one; none where each may be shown.
    pub fn editions(&self, config: &Config) -> Cow<'_, Editions> {
        match config.output.one_edition {
            true => Cow::Borrowed(&self.editions),
            false => Cow::Owned(Editions::default()),
        }
    }
}

/// Gathers what books have in common while a list of them is read.
#[derive(Debug, Default)]
pub struct Groups {
    by_name: HashMap<(Maker, String), Vec<u32>>,
    named: Vec<(Name, Option<u32>)>,
}

impl Groups {
    /// Adds what is known of a book, by its code if it has one.
    pub fn add(&mut self, item: Option<u32>, particulars: Particulars) {
        let Particulars { author, publisher, name } = particulars;
        for (maker, name) in [(Maker::Author, author), (Maker::Publisher, publisher)] {
            if let (Some(name), Some(item)) = (name, item) {
                self.by_name.entry((maker, name)).or_default().push(item);
            }
        }
        self.named.extend(name.map(|name| (name, item)));
    }

    /// The groups of two books and more, in an order that depends on nothing but what is in them.
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

/// A name as one may compare it: `Tolkien, J. R. R.` and `J.R.R. TOLKIEN` are the same.
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
        let found = groups.finish().groups;
        let author = |items: &[u32]| Group { maker: Maker::Author, items: items.to_vec() };
        assert_eq!(found, [author(&[3, 5]), author(&[4, 8])]);
    }
}
