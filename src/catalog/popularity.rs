//! How many readers and ratings each book has, and which books have most.

use crate::catalog::ids::Items;
use crate::catalog::makers::Related;
use crate::catalog::times;
use crate::model::data::{self, Editions, Interactions, ItemTraits, Recency};

/// What lists need to know about the books. Counted over all readers, even if only some get a list.
#[derive(Clone, Debug)]
pub struct Popularity {
    pub traits: ItemTraits,
    /// Readers per book who gave it a rating.
    pub stars: Vec<u32>,
    /// Whether two readers or more, made-up ones included, share the book: only then it relates its reader to
    /// others.
    pub ties: Vec<bool>,
    pub editions: Editions,
    /// The books that have readers, those with most first.
    by_readers: Vec<u32>,
}

/// What is known of all books, and for how many days each reader has read nothing (empty without times), as seen
/// when the newest rating was given. `moments` has the time of each of `interactions`, as
/// [`crate::catalog::encode::Encoded::moments`].
pub fn traits(
    interactions: &Interactions,
    moments: &[f64],
    items: &Items,
    related: &Related,
) -> (ItemTraits, Vec<f32>) {
    let mut traits = ItemTraits {
        readers: interactions.users_per_item(),
        descriptions: related.descriptions(items),
        recency: None,
    };
    let Some(moments) = times::in_seconds(moments) else {
        return (traits, Vec::new());
    };
    let now = moments.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    traits.recency = Some(Recency::at(now, interactions, &moments));
    (traits, data::idle_days(now, interactions, &moments))
}

impl Popularity {
    /// `rated` counts as rated; `confidence` has made-up readers, too.
    pub fn new(
        rated: &Interactions,
        confidence: &Interactions,
        editions: Editions,
        traits: ItemTraits,
    ) -> Self {
        let ties = confidence.users_per_item().iter().map(|readers| *readers > 1).collect();
        Self::counted(traits, rated.users_per_item(), ties, editions)
    }

    /// From stored counts.
    pub fn counted(traits: ItemTraits, stars: Vec<u32>, ties: Vec<bool>, editions: Editions) -> Self {
        let readers = &traits.readers;
        // A book that nobody has read is not popular.
        let mut by_readers: Vec<u32> = (0..readers.len() as u32).collect();
        by_readers.retain(|item| readers[*item as usize] > 0);
        by_readers.sort_by_key(|item| (std::cmp::Reverse(readers[*item as usize]), *item));
        Self { traits, stars, ties, editions, by_readers }
    }

    /// The `n` books with most readers, and how many they have.
    pub fn best(&self, n: usize) -> Vec<(u32, u32)> {
        self.beyond(&[], Vec::new()).take(n).map(|item| (item, self.traits.readers[item as usize])).collect()
    }

    /// Books with most readers first, without any edition of the books in `own` (rising) or `listed`, and
    /// with one edition of each work.
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
