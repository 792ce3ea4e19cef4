//! What everybody reads.

use crate::model::data::{Editions, Interactions};

/// What a list needs to know of the books, from all readers, also where only some get one.
#[derive(Clone, Debug)]
pub struct Popularity {
    /// How many readers each book has.
    pub readers: Vec<u32>,
    /// How many of them gave stars to it.
    pub stars: Vec<u32>,
    /// Whether the book ties its reader to anybody else, made-up readers counting.
    pub ties: Vec<bool>,
    /// Which of them are one work.
    pub editions: Editions,
    /// Books, those with most readers first.
    by_readers: Vec<u32>,
}

impl Popularity {
    /// Counts who has read and who has rated each book. `confidence` has made-up readers, too.
    pub fn new(
        interactions: &Interactions,
        rated: &Interactions,
        confidence: &Interactions,
        editions: Editions,
    ) -> Self {
        let ties = confidence.users_per_item().iter().map(|readers| *readers > 1).collect();
        Self::counted(interactions.users_per_item(), rated.users_per_item(), ties, editions)
    }

    /// From what was counted before.
    pub fn counted(readers: Vec<u32>, stars: Vec<u32>, ties: Vec<bool>, editions: Editions) -> Self {
        // What nobody has read is not popular.
        let mut by_readers: Vec<u32> = (0..readers.len() as u32).collect();
        by_readers.retain(|item| readers[*item as usize] > 0);
        by_readers.sort_by_key(|item| (std::cmp::Reverse(readers[*item as usize]), *item));
        Self { readers, stars, ties, editions, by_readers }
    }

    /// The `n` books with most readers, and how many they have.
    pub fn best(&self, n: usize) -> Vec<(u32, u32)> {
        self.beyond(&[], Vec::new()).take(n).map(|item| (item, self.readers[item as usize])).collect()
    }

    /// Books, those with most readers first, without those that a reader has, `own`, or finds `listed`; and of
    /// each work one edition.
    pub fn beyond<'a>(&'a self, own: &'a [u32], listed: Vec<u32>) -> impl Iterator<Item = u32> + 'a {
        let mut shown = listed;
        self.by_readers.iter().copied().filter(move |item| {
            let is_shown = |other: u32| self.editions.are_one(*item, other);
            let is_new = !self.editions.has(own, *item) && !shown.iter().copied().any(is_shown);
            if is_new && !self.editions.of(*item).is_empty() {
                shown.push(*item);
            }
            is_new
        })
    }
}
