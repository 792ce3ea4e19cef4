//! Makes the rows of `recommendations` from a trained model, filled up with popular books.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::catalog::popularity::Popularity;
use crate::catalog::recommendation::{Origin, Recommendation};
use crate::config::{self, Objective, ResolvedConfig};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::Factors;
use crate::model::attribution::Attribution;
use crate::model::candidates::{CandidateSearch, FirstStage};
use crate::model::data::{Editions, Interactions, UNKNOWN};
use crate::model::device::Device;
use crate::model::neighbours::Neighbours;
use crate::model::ranker::{Ranker, features};
use crate::model::rating::RatingModel;
use crate::model::rules::Rules;
use crate::model::top_k::{Scored, TopK, Wanted};
use crate::recommender::order::{Standing, as_probabilities, put_behind, ranked};

/// What the score of a book is multiplied by for each night that it has been stale.
const STALE: f32 = 0.8;

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
    pub neighbours: &'a Neighbours,
    /// What orders the candidates of both; `None` to order by factors alone.
    pub ranker: Option<&'a Ranker>,
    /// What readers have read, with confidence weights in the place of ratings.
    pub weighted: &'a Interactions,
    /// The model of stars, if anything was rated.
    pub rating: Option<&'a RatingModel>,
    /// The pairs with stars.
    pub rated: &'a Interactions,
    /// Days since each reader last read anything; empty where ratings have no times.
    pub idle: &'a [f32],
    /// For each attribute the category of each reader.
    pub attributes: &'a [Vec<u32>],
    /// What each reader is not to see; may be shorter.
    pub hidden: &'a Interactions,
    /// What of this they dislike; may be shorter.
    pub dislikes: &'a Interactions,
    /// For how many nights each reader has been shown a book, in the place of ratings; may be shorter.
    pub shown: &'a Interactions,
}

/// Where nothing is hidden, disliked or stale.
pub static NOTHING: Interactions =
    Interactions { offsets: Vec::new(), items: Vec::new(), ratings: Vec::new(), item_count: 0 };

impl<'a> Fitted<'a> {
    /// What proposes candidates.
    pub fn first_stage(&self, popularity: &'a Popularity) -> FirstStage<'a> {
        FirstStage {
            factors: self.ranking,
            item_scales: self.item_scales,
            neighbours: self.neighbours,
            traits: &popularity.traits,
            editions: &popularity.editions,
            idle: self.idle,
            attributes: self.attributes,
            known: self.interactions,
            hidden: self.hidden,
            dislikes: self.dislikes,
        }
    }

    /// The categories of a reader; `None` if none is known.
    fn categories(&self, user: usize) -> Option<Vec<u32>> {
        let known = self.attributes.iter().map(|codes| codes[user]).filter(|code| *code != UNKNOWN);
        Some(known.collect::<Vec<_>>()).filter(|categories| !categories.is_empty())
    }

    /// Whether a reader is expected to mark a book low.
    fn is_low(&self, user: u32, item: u32) -> bool {
        self.rating.is_some_and(|model| model.is_low(user as usize, item as usize))
    }

    /// The logarithm of the factor that a book's score has for standing unread in a reader's list for long.
    fn stale(&self, rules: &config::Rules, user: u32, item: u32) -> f32 {
        if rules.stale_after == 0 || self.shown.is_empty() {
            return 0.0;
        }
        let place = self.shown.items_of(user as usize).binary_search(&item);
        let nights = place.map_or(0.0, |place| self.shown.of(user as usize).1[place]);
        let over = (nights - rules.stale_after as f32 + 1.0).max(0.0);
        over * STALE.ln()
    }

    /// Predicted stars; `None` if neither reader nor book has any, since it would only be the mean.
    pub fn stars(&self, popularity: &Popularity, user: usize, item: u32) -> Option<f32> {
        let known = popularity.stars[item as usize] > 0 || !self.rated.of(user).0.is_empty();
        self.rating.filter(|_| known).map(|model| model.stars(user, item as usize))
    }
}

/// The rules keep to one edition of a work, not the search.
static EACH_ALONE: Editions = Editions::NONE;

/// Which books lists may have.
pub struct Shelves<'a> {
    /// Entries in a list.
    pub top: usize,
    /// How many of those may be books without readers.
    pub new: usize,
    /// Whether a book is new, given its code; `None` for a book that no list may have.
    pub is_new: &'a (dyn Fn(u32) -> Option<bool> + Sync),
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

/// Finds the best books of readers.
pub struct ListSearch<'a> {
    fitted: Fitted<'a>,
    popularity: &'a Popularity,
    config: &'a ResolvedConfig,
    rules: Rules<'a>,
    top: usize,
    new: usize,
    search: Search<'a>,
}

/// Makes rows of what is found, with reasons, and filled up.
pub struct ListMaker<'a> {
    search: ListSearch<'a>,
    origin: Origin,
    /// `None` if there is nothing to rank by.
    attribution: Option<Attribution<'a>>,
}

/// See [`ListSearch::judged`].
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// As lists have it.
    pub score: f32,
    /// Among the reader's candidates, from 1.
    pub place: u32,
    pub candidates: u32,
    /// Whether the reader is expected to mark it low: it then stands behind all others.
    pub low: bool,
    /// The features, in the order of [`features::ALL`].
    pub features: Vec<f32>,
    /// What each feature adds, as [`Ranker::contributions`].
    pub added: Vec<f32>,
}

/// Where a list's entries come from.
enum Search<'a> {
    /// There is nothing to rank by.
    Nowhere,
    /// The greatest products of these factors.
    Products(Cow<'a, Factors>, Box<TopK<'a>>),
    /// Candidates of several models, in the order of a ranker.
    Candidates(Box<CandidateSearch<'a>>, &'a Ranker),
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
        let new = (top as f64 * config.output.new_books) as usize;
        let rules = popularity.rules(&config.rules);
        let is_new =
            |item: u32| rules.is_candidate(item).then(|| popularity.traits.readers[item as usize] == 0);
        let shelves = Shelves { top, new, is_new: &is_new };
        let search = ListSearch::new(fitted, popularity, config, device, &shelves)?;
        let attribution = match (config.model.objective, fitted.rating) {
            (Objective::Ranking, _) => {
                let own = Attribution::ranking(fitted.ranking, fitted.weighted, config.parameters())?;
                Some(if fitted.neighbours.is_empty() { own } else { own.with_neighbours(fitted.neighbours) })
            }
            (Objective::Rating, Some(model)) => {
                Some(Attribution::stars(model, fitted.rated, config.parameters())?)
            }
            (Objective::Rating, None) => None,
        };
        Ok(Self { search, origin, attribution })
    }

    pub fn readers(&self) -> usize {
        self.search.fitted.interactions.user_count()
    }

    /// See [`ListSearch::judged`].
    pub fn judged(&self, reader: u32, item: u32, interrupt: &Interrupt) -> Result<Option<Judged>> {
        self.search.judged(reader, item, interrupt)
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
        let ListSearch { fitted, popularity, rules, top, new, .. } = &self.search;
        let interactions = fitted.interactions;
        let lists = {
            let users: Vec<u32> = readers.clone().map(|user| user as u32).collect();
            self.search.of(&users, interrupt, done)?
        };
        let attribution = match &self.attribution {
            Some(attribution) => attribution.of(readers.start, &lists, interrupt)?,
            None => vec![Vec::new(); lists.len()],
        };
        let mut rows = Vec::with_capacity(lists.len() * (*top).min(interactions.item_count));
        for (user, (list, attribution)) in readers.zip(lists.iter().zip(&attribution)) {
            let of_user = rules.of_user(interactions.of(user).0, fitted.hidden.items_of(user));
            let mut filled = of_user.list(*top, *new);
            let is_new = |item: u32| popularity.traits.readers[item as usize] == 0;
            list.iter().for_each(|entry| filled.offer(*entry, is_new(entry.item)));
            if !filled.is_full() {
                let like_these = match list.is_empty() {
                    true => fitted.categories(user).map(|categories| popularity.among(&categories, *top)),
                    false => None,
                };
                let like_these = like_these.unwrap_or_default().into_iter();
                for item in like_these.chain(popularity.order_for(of_user.languages())) {
                    if filled.is_full() {
                        break;
                    }
                    if of_user.allows(item) {
                        // Below every score of the model: 0 says that nothing is known.
                        filled.offer(Scored { item, score: 0.0 }, false);
                    }
                }
            }
            for (place, entry) in filled.into_entries().into_iter().enumerate() {
                // What the model proposed stands first, in its order.
                let because = list.get(place).filter(|proposed| proposed.item == entry.item);
                let because = because.map(|_| attribution[place]);
                rows.push(Recommendation {
                    user: user as u32,
                    rank: place as u32 + 1,
                    item: entry.item,
                    because: because.flatten(),
                    score: entry.score,
                    stars: fitted.stars(popularity, user, entry.item).unwrap_or(f32::NAN),
                    origin: if because.is_some() { self.origin } else { Origin::Popular },
                });
            }
        }
        Ok(rows)
    }
}

impl<'a> ListSearch<'a> {
    /// Prepares what all searches need.
    ///
    /// # Errors
    /// [`Kind::NoDevice`] if there is no such device.
    pub fn new(
        fitted: Fitted<'a>,
        popularity: &'a Popularity,
        config: &'a ResolvedConfig,
        device: Device,
        shelves: &Shelves<'_>,
    ) -> Result<Self> {
        let Shelves { top, new, is_new } = *shelves;
        let rules = popularity.rules(&config.rules);
        // The rules keep to one edition: the best is not always one that they allow.
        let editions = &EACH_ALONE;
        let wanted = Wanted { n: top, new, is_new, users: fitted.interactions.user_count() };
        let search = match (config.model.objective, fitted.rating, fitted.ranker) {
            (Objective::Ranking, _, None) => {
                let best = TopK::new(fitted.ranking, fitted.item_scales, editions, device, &wanted)?;
                Search::Products(Cow::Borrowed(fitted.ranking), Box::new(best))
            }
            (Objective::Ranking, _, Some(ranker)) => {
                let stage = fitted.first_stage(popularity);
                let candidates = CandidateSearch::new(stage, rules.clone(), top, is_new, new, device)?;
                Search::Candidates(Box::new(candidates), ranker)
            }
            (Objective::Rating, Some(model), _) => {
                let products = model.as_products();
                let best = TopK::new(&products, &[], editions, device, &wanted)?;
                Search::Products(Cow::Owned(products), Box::new(best))
            }
            (Objective::Rating, None, _) => Search::Nowhere,
        };
        Ok(Self { fitted, popularity, config, rules, top, new, search })
    }

    /// One book as the ranker sees it for a reader, beside all of their candidates; `None` if lists have no ranker.
    pub fn judged(&self, reader: u32, item: u32, interrupt: &Interrupt) -> Result<Option<Judged>> {
        let Search::Candidates(candidates, ranker) = &self.search else {
            return Ok(None);
        };
        let found = candidates.of_one(reader, item, interrupt)?;
        let mut scores = Vec::with_capacity(found.items.len());
        ranker.score(&found.features, &mut scores);
        for (score, item) in scores.iter_mut().zip(&found.items) {
            *score += self.fitted.stale(&self.config.rules, reader, *item);
        }
        put_behind(&found, &mut scores, usize::MAX, &|item| self.fitted.is_low(reader, item));
        as_probabilities(&mut scores);
        let place = found.items.binary_search(&item).unwrap_or_default();
        let row = &found.features[place * features::COUNT..][..features::COUNT];
        let ahead = scores.iter().filter(|score| **score > scores[place]).count();
        Ok(Some(Judged {
            score: scores[place],
            place: ahead as u32 + 1,
            candidates: found.items.len() as u32,
            low: self.fitted.is_low(reader, item),
            features: row.to_vec(),
            added: ranker.contributions(row),
        }))
    }

    /// The model's own entries for each of some readers, best first.
    ///
    /// # Errors
    /// [`Kind::Failed`] if a score is not finite.
    pub fn of(
        &self,
        readers: &[u32],
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Scored>>> {
        let Self { fitted, popularity, config, .. } = self;
        let interactions = fitted.interactions;
        let is_known = |user: &u32| match config.model.objective {
            // A reader whose books nobody else has read may have factors, but they mean nothing.
            Objective::Ranking => {
                interactions.of(*user as usize).0.iter().any(|item| popularity.ties[*item as usize])
            }
            Objective::Rating => !fitted.rated.of(*user as usize).0.is_empty(),
        };
        let known: Vec<u32> = readers.iter().copied().filter(is_known).collect();
        done(readers.len() - known.len());
        let found = match &self.search {
            Search::Nowhere => vec![Vec::new(); known.len()],
            Search::Products(factors, best) => self.products(factors, best, &known, interrupt, done)?,
            Search::Candidates(candidates, ranker) => {
                candidates.of(&known, interrupt, done, |user, found| {
                    let standing = Standing {
                        is_low: &|item| fitted.is_low(user, item),
                        stale: &|item| fitted.stale(&config.rules, user, item),
                    };
                    ranked(candidates, (user, found), ranker, (self.top, self.new), &standing)
                })?
            }
        };
        if found.iter().flatten().any(|entry| !entry.score.is_finite()) {
            return Err(Error::new(Kind::Failed, "recommending: a score is not finite"));
        }
        let mut found = known.into_iter().zip(found).peekable();
        let list = |user: &u32| found.next_if(|(known, _)| known == user).map(|(_, list)| list);
        Ok(readers.iter().map(list).map(Option::unwrap_or_default).collect())
    }

    /// The best products that the rules allow: of ever longer lists, until each has enough of them or has all that there
    /// is.
    fn products(
        &self,
        factors: &Factors,
        best: &TopK<'_>,
        known: &[u32],
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Scored>>> {
        let Self { fitted, popularity, rules, top, new, .. } = self;
        let mut lists = vec![Vec::new(); known.len()];
        let mut places: Vec<usize> = (0..known.len()).collect();
        let mut length = 2 * top + 10;
        while !places.is_empty() {
            let users: Vec<u32> = places.iter().map(|place| known[*place]).collect();
            let found = best.longest(length, factors, fitted.interactions, &users, interrupt)?;
            let mut short = Vec::new();
            for ((place, user), mut found) in places.iter().zip(&users).zip(found) {
                let is_all = found.len() < length;
                self.in_full(*user as usize, &mut found);
                let (own, hidden) =
                    (fitted.interactions.of(*user as usize).0, fitted.hidden.items_of(*user as usize));
                let of_user = rules.of_user(own, hidden);
                let mut list = of_user.list(*top, *new);
                for entry in found.iter().filter(|entry| of_user.allows(entry.item)) {
                    list.offer(*entry, popularity.traits.readers[entry.item as usize] == 0);
                }
                // What owes its score to noise is left out, and all behind it would be, too.
                if list.is_full() || is_all || found.len() < length {
                    lists[*place] = list.into_entries();
                } else {
                    short.push(*place);
                }
            }
            done(places.len() - short.len());
            (places, length) = (short, 4 * length);
        }
        Ok(lists)
    }

    /// Completes the scores of a search by products, and leaves out what owes its score to noise.
    fn in_full(&self, user: usize, list: &mut Vec<Scored>) {
        let fitted = &self.fitted;
        match (self.config.model.objective, fitted.rating) {
            (Objective::Rating, Some(model)) => {
                for entry in &mut *list {
                    entry.score = model.raw(user, entry.item as usize);
                }
                // The search leaves out a constant, the same for the whole list; with it, rounding may
                // change the order.
                list.sort();
            }
            _ => {
                list.retain(|entry| entry.score >= LEAST_SCORE * fitted.item_scales[entry.item as usize]);
                for entry in &mut *list {
                    entry.score *= fitted.stale(&self.config.rules, user as u32, entry.item).exp();
                }
                list.sort();
                let is_low = |entry: &Scored| fitted.is_low(user as u32, entry.item);
                list.sort_by_key(is_low);
                // Whoever stands further back has no higher score.
                let mut least = f32::INFINITY;
                for entry in list {
                    least = least.min(entry.score);
                    entry.score = least;
                }
            }
        }
    }
}
