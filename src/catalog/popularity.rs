//! How many readers and ratings each book has, and which books have most.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::catalog::ids::Items;
use crate::catalog::makers::Related;
use crate::catalog::times;
use crate::config::Rules;
use crate::model::data::{self, Affinity, Editions, Interactions, ItemTraits, Recency, nearest_half_life};
use crate::model::hyperparameters::HalfLife;
use crate::model::rating::RatingModel;
use crate::model::rules as lists;
use crate::model::top_k::Scored;

/// The most popular books, among which everybody's list is filled up first.
const FIRST: usize = 200;

/// Books that are kept of each language.
const OF_LANGUAGE: usize = 500;

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
    /// Whether each book may be recommended; empty if all may.
    pub candidates: Vec<bool>,
    /// As [`order`], of the candidates.
    order: Vec<u32>,
    /// The first few of these in each language.
    of_languages: HashMap<u32, Vec<u32>>,
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
    order.par_sort_unstable_by(|a, b| {
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
        let popularity = Self {
            traits,
            stars,
            ties,
            low,
            editions,
            candidates: Vec::new(),
            order: Vec::new(),
            of_languages: HashMap::new(),
        };
        popularity.with_candidates(Vec::new())
    }

    /// With only these books to recommend; with all if `candidates` is empty.
    pub fn with_candidates(mut self, candidates: Vec<bool>) -> Self {
        self.candidates = candidates;
        let is_candidate =
            |item: &u32| self.candidates.get(*item as usize).is_none_or(|is_candidate| *is_candidate);
        self.order = order(&self.traits, &self.low).into_iter().filter(is_candidate).collect();
        self.of_languages.clear();
        for (item, rank) in self.order.iter().zip(0..) {
            if let Some(language) = self.traits.descriptions.languages.get(*item as usize) {
                let of_language = self.of_languages.entry(*language).or_default();
                if of_language.len() < OF_LANGUAGE {
                    of_language.push(rank);
                }
            }
        }
        self
    }

    /// The rules of lists, for these books.
    pub fn rules(&self, settings: &Rules) -> lists::Rules<'_> {
        lists::Rules::new(settings, &self.editions, &self.traits.descriptions, &self.candidates)
    }

    /// The `n` most popular books, and how many readers they have (where there are times, of late); no book has more than
    /// those before it.
    pub fn best(&self, n: usize, rules: &lists::Rules<'_>) -> Vec<Scored> {
        self.best_of(&self.order, n, rules)
    }

    /// As [`Popularity::best`], of some books, most popular first.
    pub fn best_of(&self, order: &[u32], n: usize, rules: &lists::Rules<'_>) -> Vec<Scored> {
        let stranger = rules.of_user(&[], &[]);
        let mut list = stranger.list(n, 0);
        for item in order {
            if list.is_full() {
                break;
            }
            if stranger.allows(*item) {
                list.offer(Scored { item: *item, score: self.traits.popularity(*item) }, false);
            }
        }
        list.into_entries()
    }

    /// The lists of some categories, by name and books; none for a category of which nothing may be recommended.
    pub fn best_by(
        &self,
        categories: &[(String, Vec<u32>)],
        n: usize,
        rules: &lists::Rules<'_>,
    ) -> Vec<(String, Vec<Scored>)> {
        let mut rank = vec![u32::MAX; self.traits.readers.len()];
        self.order.iter().zip(0..).for_each(|(item, place)| rank[*item as usize] = place);
        let list = |(name, books): &(String, Vec<u32>)| {
            let mut order: Vec<u32> =
                books.iter().copied().filter(|item| rank[*item as usize] < u32::MAX).collect();
            order.sort_unstable_by_key(|item| rank[*item as usize]);
            let list = self.best_of(&order, n, rules);
            (!list.is_empty()).then(|| (name.clone(), list))
        };
        categories.par_iter().filter_map(list).collect()
    }

    /// All books, most popular first, but for those in the first few: where a reader's languages make a difference, what is
    /// in them, lest all that are popular in others be looked through.
    pub fn order_for(&self, languages: &[u32]) -> impl Iterator<Item = u32> {
        let first = if languages.is_empty() { self.order.len() } else { FIRST.min(self.order.len()) };
        let mut own: Vec<u32> = languages
            .iter()
            .filter_map(|language| self.of_languages.get(language))
            .flatten()
            .copied()
            .collect();
        own.sort_unstable();
        let own = own.into_iter().map(|rank| self.order[rank as usize]);
        self.order[..first].iter().copied().chain(own).chain(self.order[first..].iter().copied())
    }

    /// The first few books (20 times `longest`, the most that a list has) for readers of some categories: those that such
    /// readers read more often stand further up.
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
        found.into_iter().map(|(_, _, item)| item).collect()
    }

    /// The books, most popular first.
    pub fn order(&self) -> &[u32] {
        &self.order
    }
}
