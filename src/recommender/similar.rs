//! Books like a book: what `recommendations_similar` has, and `nightshelf similar` shows.
//!
//! Two books are alike as far as their factors point the same way, and as far as one foretells the other among its
//! neighbours. What few readers share says little, and what everybody reads is like everything: both count less.

use rayon::prelude::*;

use crate::catalog::popularity::Popularity;
use crate::config::ResolvedConfig;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::neighbours::Neighbours;
use crate::model::rules::Rules;
use crate::model::top_k::Scored;
use crate::model::{Factors, dot};
use crate::model_store::StoredModel;

/// With this many readers, a book keeps half of its cosine.
const SUPPORT: f32 = 10.0;

/// What a weight of a neighbour counts beside a cosine. On four sets 0.5 to 2 foretell a second book equally well.
const BY_NEIGHBOURS: f32 = 1.0;

/// Books that one task goes through.
const BOOKS: usize = 64;

/// The published length of a list.
pub const LENGTH: usize = 10;

/// What likeness is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Factors,
    Neighbours,
    Both,
}

/// A book, and those that are most like it, best first.
pub type SimilarBooks = (u32, Vec<Scored>);

/// Finds similar books.
pub struct SimilarSearch<'a> {
    factors: &'a Factors,
    neighbours: &'a Neighbours,
    popularity: &'a Popularity,
    rules: Rules<'a>,
    /// 1 / |y| of each book.
    scales: Vec<f32>,
    /// Readers that a book of any list must have, and the books that have them.
    least: u32,
    known: Vec<u32>,
    by: By,
}

impl<'a> SimilarSearch<'a> {
    pub fn new(
        factors: &'a Factors,
        neighbours: &'a Neighbours,
        popularity: &'a Popularity,
        config: &ResolvedConfig,
        by: By,
    ) -> Self {
        let scale = |row: &[f32]| 1.0 / dot(row, row).sqrt().max(f32::MIN_POSITIVE);
        let least = u32::try_from(config.output.similar_readers).unwrap_or(u32::MAX).max(1);
        Self {
            scales: factors.items.par_chunks_exact(factors.width.max(1)).map(scale).collect(),
            known: (0..)
                .zip(&popularity.traits.readers)
                .filter(|(_, readers)| **readers >= least)
                .map(|(item, _)| item)
                .collect(),
            factors,
            neighbours,
            popularity,
            rules: popularity.rules(&config.rules),
            least,
            by,
        }
    }

    /// Of a model as it is kept.
    pub fn of_model(model: &'a StoredModel, by: By) -> Self {
        Self::new(&model.ranking, &model.neighbours, &model.books.popularity, &model.config, by)
    }

    pub fn popularity(&self) -> &'a Popularity {
        self.popularity
    }

    /// Whether enough readers share a book for it to have a list, or be in one.
    pub fn is_known(&self, item: u32) -> bool {
        self.popularity.traits.readers.get(item as usize).is_some_and(|readers| *readers >= self.least)
    }

    /// The lists of some books; none for those that too few readers share.
    ///
    /// # Errors
    /// On a signal.
    pub fn of_all(&self, items: &[u32], interrupt: &Interrupt) -> Result<Vec<SimilarBooks>> {
        let known: Vec<u32> = items.iter().copied().filter(|item| self.is_known(*item)).collect();
        let lists: Vec<Vec<SimilarBooks>> = known
            .par_chunks(BOOKS)
            .map(|items| {
                interrupt.check()?;
                Ok(items.iter().map(|item| (*item, self.of(*item, LENGTH))).collect())
            })
            .collect::<Result<_>>()?;
        Ok(lists.into_iter().flatten().filter(|(_, list)| !list.is_empty()).collect())
    }

    /// The `n` candidates that are most like a book, none an edition of it or of another in the list.
    pub fn of(&self, item: u32, n: usize) -> Vec<Scored> {
        let near = self.near(item);
        let found = if near.len() < n { &self.known } else { &near };
        let weights = self.neighbours.rows();
        let weight = |of: u32, other: u32| {
            let (near, weights) = weights.of(of as usize);
            near.binary_search(&other).map_or(0.0, |place| weights[place])
        };
        let likeness = |other: u32| {
            let cosine = match self.by {
                By::Neighbours => 0.0,
                _ => {
                    let readers = self.popularity.traits.readers[other as usize] as f32;
                    self.cosine(item, other) * readers / (readers + SUPPORT)
                }
            };
            let weight = match self.by {
                By::Neighbours | By::Both if near.binary_search(&other).is_ok() => {
                    weight(item, other) + weight(other, item)
                }
                _ => 0.0,
            };
            Scored { item: other, score: cosine + BY_NEIGHBOURS * weight }
        };
        // Whoever looks at a book is taken to have it, but for its series: its first volume may be unread.
        let own = [item];
        let reader = self.rules.of_page(&own);
        let mut alike: Vec<Scored> = found
            .iter()
            .copied()
            .filter(|other| self.is_known(*other) && reader.allows(*other))
            .map(likeness)
            .filter(|entry| entry.score > 0.0)
            .collect();
        // Some may be left out as too many of an author.
        let enough = 8 * n;
        if alike.len() > enough {
            alike.select_nth_unstable(enough);
            alike.truncate(enough);
        }
        alike.sort_unstable();
        let mut list = reader.list(n, 0);
        alike.into_iter().for_each(|entry| list.offer(entry, false));
        list.into_entries()
    }

    /// The books that are neighbours of a book, or have it as one.
    fn near(&self, item: u32) -> Vec<u32> {
        if self.neighbours.is_empty() {
            return Vec::new();
        }
        let (near, (reached, _)) =
            (self.neighbours.rows().of(item as usize).0, self.neighbours.reached_from(item));
        let mut all = [near, reached].concat();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn cosine(&self, item: u32, other: u32) -> f32 {
        let product = dot(self.factors.item(item as usize), self.factors.item(other as usize));
        product * self.scales[item as usize] * self.scales[other as usize]
    }
}
