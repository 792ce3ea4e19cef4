//! How many readers and ratings each book has, and which books have most.

use std::sync::Arc;

use crate::catalog::ids::Items;
use crate::catalog::makers::Related;
use crate::catalog::times;
use crate::model::data::{self, Affinity, Editions, Interactions, ItemTraits, Recency, nearest_half_life};
use crate::model::hyperparameters::HalfLife;
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
/// [`crate::catalog::encode::Encoded::moments`], and `attributes`
/// the category of each reader for each attribute. Books are popular by `half_life`.
pub fn traits(
    interactions: &Interactions,
    moments: &[f64],
    attributes: &[Vec<u32>],
    (items, related): (&Items, &Related),
    half_life: HalfLife,
) -> (ItemTraits, Vec<f32>) {
    let mut traits = ItemTraits {
        readers: interactions.users_per_item(),
        descriptions: related.descriptions(items),
        affinity: Arc::new(Affinity::new(interactions, attributes)),
        recency: None,
        late: nearest_half_life(half_life),
    };
    let Some(moments) = times::in_seconds(moments) else {
        return (traits, Vec::new());
    };
    let now = moments.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    traits.recency = Some(Recency::at(now, interactions.item_count, &interactions.items, &moments));
    let last = data::last_moments(interactions, &moments);
    (traits, last.into_iter().map(|last| data::days_between(last, now)).collect())
}

/// The books that have readers, most popular first; those that are `low`, by code, after all others.
pub fn order(traits: &ItemTraits, low: &[bool]) -> Vec<u32> {
    // A book that nobody has read is not popular.
    let readers = |item: u32| traits.readers[item as usize];
    let mut order: Vec<u32> = (0..traits.readers.len() as u32).filter(|item| readers(*item) > 0).collect();
    order.sort_unstable_by(|a, b| {
        let (one, other) = (traits.popularity(*a), traits.popularity(*b));
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
            *fewest = fewest.min(self.traits.popularity(item));
            Some((item, *fewest))
        };
        self.beyond(&self.order, &[], Vec::new()).take(n).scan(f32::INFINITY, fewest).collect()
    }

    /// All books for readers of some categories, most popular first: of the first few (20 times `longest`, the most that a
    /// list has), those that such readers read more often stand further up.
    pub fn among(&self, categories: &[u32], longest: usize) -> Vec<u32> {
        let affinity = &self.traits.affinity;
        let lifted = |item: u32| {
            self.traits.popularity(item) * affinity.of(item as usize, categories.iter().copied()).exp()
        };
        // A book far down is lifted into the first few only by what chance makes of few readers.
        let mut found: Vec<(bool, f32, u32)> = self
            .order
            .iter()
            .take(20 * longest)
            .map(|item| (self.low[*item as usize], lifted(*item), *item))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let rest = self.order.iter().skip(found.len()).copied();
        found.iter().map(|(_, _, item)| *item).chain(rest).collect()
    }

    /// The books, most popular first.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Books in some order, without any edition of the books in `own` (rising) or `listed`, and
    /// with one edition of each work.
    pub fn beyond<'a>(
        &'a self,
        order: &'a [u32],
        own: &'a [u32],
        listed: Vec<u32>,
    ) -> impl Iterator<Item = u32> + 'a {
        let mut shown = listed;
        order.iter().copied().filter(move |item| {
            let is_shown = |other: u32| self.editions.are_one(*item, other);
            let is_new = !self.editions.has(own, *item) && !shown.iter().copied().any(is_shown);
            if is_new && !self.editions.of(*item).is_empty() {
                shown.push(*item);
            }
            is_new
        })
    }
}
