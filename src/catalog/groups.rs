//! Books that belong together: by author, and by publisher.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

/// A publisher of more books than this says nothing of taste. (Of 100, 300 and 1,000 the best on
/// Book-Crossing.)
const MOST_BOOKS: usize = 300;

/// Who made a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Maker {
    /// Who wrote it.
    Author,
    /// Who published it.
    Publisher,
}

/// Books of one author, or of one publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they have in common.
    pub maker: Maker,
    /// Codes of the books, rising.
    pub items: Vec<u32>,
}

/// Gathers groups while a list of books is read.
#[derive(Debug, Default)]
pub struct Groups {
    by_name: HashMap<(Maker, String), Vec<u32>>,
}

impl Groups {
    /// Adds what is known of a book. Its maker's name is [`folded`].
    pub fn add(&mut self, item: u32, maker: Maker, name: String) {
        if !name.is_empty() {
            self.by_name.entry((maker, name)).or_default().push(item);
        }
    }

    /// The groups of two books and more, in an order that depends on nothing but what is in them.
    pub fn finish(self) -> Vec<Group> {
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
        groups
    }
}

/// A name as one may compare it: `Tolkien, J. R. R.` and `J.R.R. TOLKIEN` are the same.
pub fn folded(name: &str) -> String {
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
            groups.add(item, Maker::Author, folded(name));
        }
        groups.add(7, Maker::Publisher, folded("J.R.R. Tolkien"));
        groups.add(8, Maker::Author, folded("Emile Zola"));
        let found = groups.finish();
        let author = |items: &[u32]| Group { maker: Maker::Author, items: items.to_vec() };
        assert_eq!(found, [author(&[3, 5]), author(&[4, 8])]);
    }
}
