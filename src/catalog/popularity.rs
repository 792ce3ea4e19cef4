//! How many readers and ratings each book has, and which books have most.

use crate::catalog::ids::Items;
use crate::catalog::makers::Related;
use crate::catalog::times;
use crate::model::data::{self, Editions, Interactions, ItemTraits, Recency};
use crate::model::rating::RatingModel;

/// What lists need to know about the books. Counted over all readers, even if only some get a list.
#[derive(Clone, Debug)]
pub struct Popularity {
    pub traits: ItemTraits,
    /// Readers per book who gave it a rating.
    pub stars: Vec<u32>,
    /// Whether two readers or more, made-up ones included, share the book: only then it relates its reader to
    /// others.
    pub ties: Vec<bool>,
    /// Whether readers mark the book low ([`RatingModel::is_low_for_most`]).
    pub low: Vec<bool>,
    pub editions: Editions,
    /// As [`order`].
    order: Vec<u32>,
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
    traits.recency = Some(Recency::at(now, interactions.item_count, &interactions.items, &moments));
    let last = data::last_moments(interactions, &moments);
    (traits, last.into_iter().map(|last| data::days_between(last, now)).collect())
}

/// The half-life by which the most popular books are found, as a place in [`HALF_LIVES`]: 30 days. Where a shop was
/// replayed, it was the best of 15, 30 and 90.
const OF_LATE: usize = 1;

/// The readers that a book counts as having, where books are ordered by popularity: those of late where there are
/// times.
pub fn weight(traits: &ItemTraits, item: u32) -> f32 {
    match &traits.recency {
        Some(recency) => recency.readers[item as usize][OF_LATE],
        None => traits.readers[item as usize] as f32,
    }
}

/// The books that have readers, most popular first; those that are `low`, by code, after all others.
pub fn order(traits: &ItemTraits, low: &[bool]) -> Vec<u32> {
    // A book that nobody has read is not popular.
    let readers = |item: u32| traits.readers[item as usize];
    let mut order: Vec<u32> = (0..traits.readers.len() as u32).filter(|item| readers(*item) > 0).collect();
    order.sort_unstable_by(|a, b| {
        let (one, other) = (weight(traits, *a), weight(traits, *b));
        let is_low = |item: u32| low.get(item as usize).copied().unwrap_or_default();
        let by_marks = is_low(*a).cmp(&is_low(*b));
        by_marks.then(other.total_cmp(&one)).then(readers(*b).cmp(&readers(*a))).then(a.cmp(b))
    });
    order
}

impl Popularity {
    /// `rated` counts as rated, and `rating` was fitted to it; `confidence` has made-up readers, too.
    pub fn new(
        rated: &Interactions,
        rating: Option<&RatingModel>,
        confidence: &Interactions,
        editions: Editions,
        traits: ItemTraits,
    ) -> Self {
        let ties = confidence.users_per_item().iter().map(|readers| *readers > 1).collect();
        let is_low = |item: usize| rating.is_some_and(|model| model.is_low_for_most(item));
        let low = (0..traits.readers.len()).map(is_low).collect();
        Self::counted(traits, rated.users_per_item(), (ties, low), editions)
    }

    /// From stored counts, and from what [`Popularity::ties`] and [`Popularity::low`] say.
    pub fn counted(
        traits: ItemTraits,
        stars: Vec<u32>,
        (ties, low): (Vec<bool>, Vec<bool>),
        editions: Editions,
    ) -> Self {
        let order = order(&traits, &low);
        Self { traits, stars, ties, low, editions, order }
    }

    /// The `n` most popular books, and how many readers they have (where there are times, of late); no book has more than
    /// those before it.
    pub fn best(&self, n: usize) -> Vec<(u32, f32)> {
        let fewest = |fewest: &mut f32, item: u32| {
            *fewest = fewest.min(weight(&self.traits, item));
            Some((item, *fewest))
        };
        self.beyond(&[], Vec::new()).take(n).scan(f32::INFINITY, fewest).collect()
    }

    /// Most popular books first, without any edition of the books in `own` (rising) or `listed`, and
    /// with one edition of each work.
    pub fn beyond<'a>(&'a self, own: &'a [u32], listed: Vec<u32>) -> impl Iterator<Item = u32> + 'a {
        let mut shown = listed;
        self.order.iter().copied().filter(move |item| {
            let is_shown = |other: u32| self.editions.are_one(*item, other);
            let is_new = !self.editions.has(own, *item) && !shown.iter().copied().any(is_shown);
            if is_new && !self.editions.of(*item).is_empty() {
                shown.push(*item);
            }
            is_new
        })
    }
}
