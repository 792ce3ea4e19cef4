//! Makes the rows of `recommendations` from a trained model, filled up with popular books.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::catalog::popularity::Popularity;
use crate::catalog::recommendation::{Origin, Recommendation};
use crate::config::{Objective, ResolvedConfig};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::Factors;
use crate::model::attribution::Attribution;
use crate::model::data::Interactions;
use crate::model::device::Device;
use crate::model::rating::RatingModel;
use crate::model::top_k::{Scored, TopK, Wanted};

/// The lowest score at which the model's entries stay. A book that was read is fitted to score 1. What scores a
/// ten-thousandth of that owes it to noise, and a popular book serves better.
const LEAST_SCORE: f32 = 1e-4;

/// A trained model, and the ratings that its lists are made from.
#[derive(Clone, Copy, Debug)]
pub struct Fitted<'a> {
    /// What readers have read. These readers are the first user rows of all other fields.
    pub interactions: &'a Interactions,
    pub ranking: &'a Factors,
    /// For each book, what a product of factors is multiplied by to give a score.
    pub item_scales: &'a [f32],
    /// What readers have read, with confidence weights in the place of ratings.
    pub weighted: &'a Interactions,
    /// The model of stars, if anything was rated.
    pub rating: Option<&'a RatingModel>,
    /// The pairs with stars.
    pub rated: &'a Interactions,
}

impl Fitted<'_> {
    /// Predicted stars; `None` if neither reader nor book has any, since it would only be the mean.
    pub fn stars(&self, popularity: &Popularity, user: usize, item: u32) -> Option<f32> {
        let known = popularity.stars[item as usize] > 0 || !self.rated.of(user).0.is_empty();
        self.rating.filter(|_| known).map(|model| model.stars(user, item as usize))
    }
}

/// Figures of all lists together, counted while they are made.
#[derive(Debug, Default)]
pub struct ListStatistics {
    pub rows: usize,
    popular: usize,
    shown: HashSet<u32>,
}

impl ListStatistics {
    pub fn add(&mut self, rows: &[Recommendation]) {
        self.rows += rows.len();
        self.popular += rows.iter().filter(|row| row.origin == Origin::Popular).count();
        self.shown.extend(rows.iter().map(|row| row.item));
    }

    /// The share of all `items` books that are in any list.
    pub fn coverage(&self, items: usize) -> f64 {
        self.shown.len() as f64 / items.max(1) as f64
    }

    /// The share of entries that are popular books, not the model's.
    pub fn popular_share(&self) -> f64 {
        self.popular as f64 / self.rows.max(1) as f64
    }
}

pub struct ListMaker<'a> {
    fitted: Fitted<'a>,
    popularity: &'a Popularity,
    origin: Origin,
    config: &'a ResolvedConfig,
    /// Factors, search and reasons; `None` if there is nothing to rank by.
    ranking: Option<(Cow<'a, Factors>, TopK<'a>, Attribution<'a>)>,
}

impl<'a> ListMaker<'a> {
    /// Prepares what all lists need. `origin` is that of the model's entries.
    ///
    /// # Errors
    /// [`Kind::Failed`] if the factors are not finite.
    pub fn new(
        fitted: Fitted<'a>,
        popularity: &'a Popularity,
        origin: Origin,
        config: &'a ResolvedConfig,
        device: Device,
    ) -> Result<Self> {
        let top = config.output.top;
        let is_new = |item: u32| Some(popularity.readers[item as usize] == 0);
        let new = (top as f64 * config.output.new_books) as usize;
        let wanted = Wanted { n: top, new, is_new: &is_new };
        let ranking = match (config.model.objective, fitted.rating) {
            (Objective::Ranking, _) => {
                let attribution = Attribution::ranking(fitted.ranking, fitted.weighted, config.parameters())?;
                Some((
                    Cow::Borrowed(fitted.ranking),
                    TopK::new(fitted.ranking, fitted.item_scales, &popularity.editions, device, &wanted)?,
                    attribution,
                ))
            }
            (Objective::Rating, Some(model)) => {
                let products = model.as_products();
                let best = TopK::new(&products, &[], &popularity.editions, device, &wanted)?;
                Some((
                    Cow::Owned(products),
                    best,
                    Attribution::stars(model, fitted.rated, config.parameters())?,
                ))
            }
            (Objective::Rating, None) => None,
        };
        Ok(Self { fitted, popularity, origin, config, ranking })
    }

    pub fn readers(&self) -> usize {
        self.fitted.interactions.user_count()
    }

    /// The lists of some readers, ordered by reader and rank. `done` is told how many more readers are
    /// finished.
    ///
    /// # Errors
    /// [`Kind::Failed`] if a score is not finite.
    pub fn of(
        &self,
        readers: Range<usize>,
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Recommendation>> {
        let Self { fitted, popularity, config, .. } = self;
        let interactions = fitted.interactions;
        let (lists, attribution) = self.ranked(readers.clone(), interrupt, done)?;
        let top = config.output.top;
        let mut rows = Vec::with_capacity(lists.len() * top.min(interactions.item_count));
        for (user, (list, attribution)) in readers.zip(lists.iter().zip(&attribution)) {
            let own = interactions.of(user).0;
            let known = list.iter().zip(attribution).map(|(entry, because)| (*entry, *because, self.origin));
            let filler = popularity
                .beyond(own, list.iter().map(|entry| entry.item).collect())
                // Below every score of the model: 0 says that nothing is known.
                .map(|item| (Scored { item, score: 0.0 }, None, Origin::Popular));
            for (place, (entry, because, origin)) in known.chain(filler).take(top).enumerate() {
                rows.push(Recommendation {
                    user: user as u32,
                    rank: place as u32 + 1,
                    item: entry.item,
                    because,
                    score: entry.score,
                    stars: fitted.stars(popularity, user, entry.item).unwrap_or(f32::NAN),
                    origin,
                });
            }
        }
        Ok(rows)
    }

    /// The model's own entries for each reader, and for each entry the reader's book that explains it.
    #[expect(clippy::type_complexity, reason = "two lists of lists, side by side")]
    fn ranked(
        &self,
        readers: Range<usize>,
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<Vec<Scored>>, Vec<Vec<Option<u32>>>)> {
        let Self { fitted, popularity, config, .. } = self;
        let interactions = fitted.interactions;
        let mut lists = vec![Vec::new(); readers.len()];
        let Some((factors, best, attribution)) = &self.ranking else {
            return Ok((lists, vec![Vec::new(); readers.len()]));
        };
        let is_known = |user: &u32| match config.model.objective {
            // A reader whose books nobody else has read may have factors, but they mean nothing.
            Objective::Ranking => {
                interactions.of(*user as usize).0.iter().any(|item| popularity.ties[*item as usize])
            }
            Objective::Rating => !fitted.rated.of(*user as usize).0.is_empty(),
        };
        let known: Vec<u32> = readers.clone().map(|user| user as u32).filter(is_known).collect();
        done(readers.len() - known.len());
        let found = best.of(factors, interactions, &known, interrupt, done)?;
        if found.iter().flatten().any(|entry| !entry.score.is_finite()) {
            return Err(Error::new(Kind::Failed, "recommending: a score is not finite"));
        }
        for (user, mut list) in known.into_iter().zip(found) {
            let user = user as usize;
            match (config.model.objective, fitted.rating) {
                (Objective::Rating, Some(model)) => {
                    for entry in &mut list {
                        entry.score = model.raw(user, entry.item as usize);
                    }
                    // The search leaves out a constant, the same for the whole list; with it, rounding may
                    // change the order.
                    list.sort();
                }
                _ => {
                    list.retain(|entry| entry.score >= LEAST_SCORE * fitted.item_scales[entry.item as usize])
                }
            }
            lists[user - readers.start] = list;
        }
        let because = attribution.of(readers.start, &lists, interrupt)?;
        Ok((lists, because))
    }
}
