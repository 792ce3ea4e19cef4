//! Which books are editions of one work. A list shows one edition of each work.

/// The work of a book that has no other edition.
pub const ALONE: u32 = u32::MAX;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editions {
    /// The work of each book, [`ALONE`] for one without other editions. Books past the end have none either.
    works: Vec<u32>,
    /// Codes of the books of each work, rising, work by work.
    items: Vec<u32>,
    /// Where the books of each work begin, and one past the last.
    starts: Vec<u32>,
}

impl Editions {
    /// Each book is a work of its own.
    pub const NONE: Self = Self { works: Vec::new(), items: Vec::new(), starts: Vec::new() };

    /// From a number for each book: equal for editions of one work, [`ALONE`] for a book without others.
    pub fn of_works(mut works: Vec<u32>) -> Self {
        let mut books: Vec<(u32, u32)> = works.iter().copied().zip(0..).collect();
        books.retain(|(work, _)| *work != ALONE);
        books.sort_unstable();
        works.fill(ALONE);
        let (mut items, mut starts) = (Vec::new(), vec![0]);
        for work in books.chunk_by(|a, b| a.0 == b.0).filter(|work| work.len() > 1) {
            for (_, item) in work {
                works[*item as usize] = starts.len() as u32 - 1;
                items.push(*item);
            }
            starts.push(items.len() as u32);
        }
        if items.is_empty() {
            return Self::default();
        }
        Self { works, items, starts }
    }

    /// A number for each of the first `books` books: equal for editions of one work, [`ALONE`] for a book
    /// without others.
    pub fn works(&self, books: usize) -> Vec<u32> {
        (0..books).map(|item| self.works.get(item).copied().unwrap_or(ALONE)).collect()
    }

    /// The number of works with several editions, and the number of their books.
    pub fn count(&self) -> (usize, usize) {
        (self.starts.len().saturating_sub(1), self.items.len())
    }

    /// The codes of all editions of a book's work, rising; empty if it is the only one.
    pub fn of(&self, item: u32) -> &[u32] {
        match self.works.get(item as usize) {
            Some(work) if *work != ALONE => {
                let work = *work as usize;
                &self.items[self.starts[work] as usize..self.starts[work + 1] as usize]
            }
            _ => &[],
        }
    }

    /// Whether a book or another edition of it is in `books`, whose codes must rise.
    pub fn has(&self, books: &[u32], item: u32) -> bool {
        let editions = self.of(item);
        match editions.len() {
            0 => books.binary_search(&item).is_ok(),
            few if few <= books.len() => editions.iter().any(|other| books.binary_search(other).is_ok()),
            _ => books.iter().any(|other| self.are_one(item, *other)),
        }
    }

    /// Whether two books are the same or editions of one work.
    pub fn are_one(&self, item: u32, other: u32) -> bool {
        let work = |item: u32| self.works.get(item as usize).copied().unwrap_or(ALONE);
        item == other || (work(item) != ALONE && work(item) == work(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_are_known_by_any_of_their_editions() {
        let editions = Editions::of_works(vec![5, 9, 7, 5]);
        assert_eq!((editions.of(3), editions.of(2), editions.count()), (&[0, 3][..], &[][..], (1, 2)));
        assert_eq!(Editions::of_works(editions.works(4)), editions);
        assert!(editions.are_one(0, 3) && editions.are_one(2, 2) && !editions.are_one(2, 3));
        assert!(editions.has(&[0, 2], 3) && !editions.has(&[2, 4], 3) && editions.has(&[4], 4));
        assert!(editions.has(&[0], 3) && !editions.has(&[2], 3) && !editions.has(&[], 3));
        // Whatever stands in a file.
        assert_eq!(Editions::of_works(vec![7, u32::MAX, u32::MAX - 1, 7]).of(3), [0, 3]);
    }
}
