//! From a fitted model to the rows of `recommendations`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::catalog::editions::Editions;
use crate::catalog::interactions::Interactions;
use crate::config::Objective;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::Factors;
use crate::model::because::Reasons;
use crate::model::device::Device;
use crate::model::rating::RatingModel;
use crate::model::settled::Settled;
use crate::model::topn::{Best, Scored, Wanted};
use crate::store::publish::{Origin, Recommendation};

/// A score under this says nothing of the reader: a book that was read should score 1, so this is
/// a ten-thousandth of the evidence of one reading. What is popular serves better.
const LEAST_EVIDENCE: f32 = 1e-4;

/// A model, and what it is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Fitted<'a> {
    /// What readers have read; theirs are the first rows of users in all that follows.
    pub interactions: &'a Interactions,
    /// The ranking model.
    pub ranking: &'a Factors,
    /// What each book's products are multiplied with to be scores.
    pub lifts: &'a [f32],
    /// What readers have read, with the weights that the ranking model gives to it.
    pub weighted: &'a Interactions,
    /// The model of stars, if anything was rated.
    pub rating: Option<&'a RatingModel>,
    /// The rated pairs.
    pub rated: &'a Interactions,
}

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
    /// Counts who has read and who has rated each book. `evidence` has made-up readers, too.
    pub fn new(
        interactions: &Interactions,
        rated: &Interactions,
        evidence: &Interactions,
        editions: Editions,
    ) -> Self {
        let ties = evidence.readers_per_item().iter().map(|readers| *readers > 1).collect();
        Self::counted(interactions.readers_per_item(), rated.readers_per_item(), ties, editions)
    }

    /// From what was counted before.
    pub fn counted(readers: Vec<u32>, stars: Vec<u32>, ties: Vec<bool>, editions: Editions) -> Self {
        // What nobody has read is not popular.
        let mut by_readers: Vec<u32> = (0..readers.len() as u32).collect();
        by_readers.retain(|item| readers[*item as usize] > 0);
        by_readers.sort_by_key(|item| (std::cmp::Reverse(readers[*item as usize]), *item));
        Self { readers, stars, ties, editions, by_readers }
    }

    /// What the model of stars expects of a reader and a book; `None` where nothing is known of the
    /// stars of either, and it would be the mean.
    pub fn stars(&self, fitted: &Fitted<'_>, user: usize, item: u32) -> Option<f32> {
        let known = self.stars[item as usize] > 0 || !fitted.rated.of(user).0.is_empty();
        fitted.rating.filter(|_| known).map(|model| model.stars(user, item as usize))
    }

    /// The `n` books with most readers, and how many they have.
    pub fn best(&self, n: usize) -> Vec<(u32, u32)> {
        self.beyond(&[], &[]).take(n).map(|item| (item, self.readers[item as usize])).collect()
    }

    /// Books, those with most readers first, without those that a reader has, `own`, or finds `listed`; and of
    /// each work one edition.
    fn beyond<'a>(&'a self, own: &'a [u32], listed: &'a [Scored]) -> impl Iterator<Item = u32> {
        let mut shown: Vec<u32> = Vec::new();
        self.by_readers.iter().copied().filter(move |item| {
            let is_shown = |other: u32| self.editions.are_one(*item, other);
            let is_new = !self.editions.has(own, *item)
                && !listed.iter().any(|entry| is_shown(entry.item))
                && !shown.iter().copied().any(is_shown);
            if is_new && !self.editions.of(*item).is_empty() {
                shown.push(*item);
            }
            is_new
        })
    }
}

/// What can be said of all lists together, while they go by.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many rows there are.
    pub rows: usize,
    popular: usize,
    shown: HashSet<u32>,
}

impl Tally {
    /// Counts some rows.
    pub fn add(&mut self, rows: &[Recommendation]) {
        self.rows += rows.len();
        self.popular += rows.iter().filter(|row| row.origin == Origin::Popular).count();
        self.shown.extend(rows.iter().map(|row| row.item));
    }

    /// The share of the books that stand in any list.
    pub fn coverage(&self, items: usize) -> f64 {
        self.shown.len() as f64 / items.max(1) as f64
    }

    /// The share of entries that the model has nothing to do with.
    pub fn popular_share(&self) -> f64 {
        self.popular as f64 / self.rows.max(1) as f64
    }
}

/// Makes lists.
#[derive(Debug)]
pub struct Lists<'a> {
    fitted: Fitted<'a>,
    popularity: &'a Popularity,
    origin: Origin,
    config: &'a Settled,
    /// What lists are ranked by; `None` if there is nothing to rank by.
    ranking: Option<(Cow<'a, Factors>, Best<'a>, Reasons<'a>)>,
}

impl<'a> Lists<'a> {
    /// Prepares what all lists need. `origin` is where entries come from that the model gives.
    ///
    /// # Errors
    /// If the factors are not finite.
    pub fn new(
        fitted: Fitted<'a>,
        popularity: &'a Popularity,
        origin: Origin,
        config: &'a Settled,
        device: Device,
    ) -> Result<Self> {
        let top = config.output.top;
        let is_new = |item: u32| Some(popularity.readers[item as usize] == 0);
        let new = (top as f64 * config.output.new_books) as usize;
        let wanted = Wanted { n: top, new, is_new: &is_new };
        let ranking = match (config.model.objective, fitted.rating) {
            (Objective::Ranking, _) => {
                let reasons = Reasons::ranking(fitted.ranking, fitted.weighted, config)?;
                Some((
                    Cow::Borrowed(fitted.ranking),
                    Best::new(fitted.ranking, fitted.lifts, &popularity.editions, device, &wanted)?,
                    reasons,
                ))
            }
            (Objective::Rating, Some(model)) => {
                let products = model.as_products();
                let best = Best::new(&products, &[], &popularity.editions, device, &wanted)?;
                Some((Cow::Owned(products), best, Reasons::stars(model, fitted.rated, config)?))
            }
            (Objective::Rating, None) => None,
        };
        Ok(Self { fitted, popularity, origin, config, ranking })
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.fitted.interactions.user_count()
    }

    /// The lists of some readers, by reader and rank.
    ///
    /// # Errors
    /// On a signal; [`Kind::Failed`] if a score is not finite.
    pub fn of(
        &self,
        readers: Range<usize>,
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Recommendation>> {
        let Self { fitted, popularity, config, .. } = self;
        let interactions = fitted.interactions;
        let (lists, reasons) = self.ranked(readers.clone(), interrupt, done)?;
        let top = config.output.top;
        let mut rows = Vec::with_capacity(lists.len() * top.min(interactions.item_count));
        for (user, (list, reasons)) in readers.zip(lists.iter().zip(&reasons)) {
            let own = interactions.of(user).0;
            let known = list.iter().zip(reasons).map(|(entry, because)| (*entry, *because, self.origin));
            let filler = popularity
                .beyond(own, list)
                // Below every score of the model: it says that nothing is known.
                .map(|item| (Scored { item, score: 0.0 }, None, Origin::Popular));
            for (place, (entry, because, origin)) in known.chain(filler).take(top).enumerate() {
                rows.push(Recommendation {
                    user: user as u32,
                    rank: place as u32 + 1,
                    item: entry.item,
                    because,
                    score: entry.score,
                    stars: popularity.stars(fitted, user, entry.item).unwrap_or(f32::NAN),
                    origin,
                });
            }
        }
        Ok(rows)
    }

    /// What the model itself would show, and why.
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
        let Some((factors, best, reasons)) = &self.ranking else {
            return Ok((lists, vec![Vec::new(); readers.len()]));
        };
        let is_known = |user: &u32| match config.model.objective {
            // A pair that touches nothing else may have factors of its own, but they mean nothing.
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
                    // The constant that was left out is the same for the whole list, but rounding is not.
                    list.sort();
                }
                _ => list.retain(|entry| entry.score >= LEAST_EVIDENCE * fitted.lifts[entry.item as usize]),
            }
            lists[user - readers.start] = list;
        }
        let because = reasons.of(readers.start, &lists, interrupt)?;
        Ok((lists, because))
    }
}
