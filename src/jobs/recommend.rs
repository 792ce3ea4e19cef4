//! From a fitted model to the rows of `recommendations`.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::catalog::interactions::Interactions;
use crate::config::Objective;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::because;
use crate::model::settled::Settled;
use crate::model::topn::{Index, Scored};
use crate::model::{Factors, RatingModel};
use crate::store::publish::{Origin, Recommendation};

/// A score under this says nothing of the reader: a book that was read should score 1, so this is
/// a ten-thousandth of the evidence of one reading. Readers whose books nobody else has read have
/// such scores only; they are better served with what is popular.
const LEAST_EVIDENCE: f32 = 1e-4;

/// What was trained tonight.
#[derive(Debug)]
pub struct Fitted {
    /// The ranking model, if the objective is ranking.
    pub ranking: Option<Factors>,
    /// The model of stars, if anything was rated.
    pub rating: Option<RatingModel>,
    /// The rated pairs.
    pub rated: Interactions,
}

/// Everyone's lists, and the one for everyone else.
#[derive(Debug)]
pub struct Shelf {
    /// By reader and rank.
    pub rows: Vec<Recommendation>,
    /// Book and number of readers, most first.
    pub popular: Vec<(u32, u32)>,
}

impl Shelf {
    /// What can be told of the lists without asking anyone.
    pub fn metrics(&self, items: usize) -> Value {
        let shown: HashSet<u32> = self.rows.iter().map(|row| row.item).collect();
        let popular = self.rows.iter().filter(|row| row.origin == Origin::Popular).count();
        json!({
            "coverage": shown.len() as f64 / items.max(1) as f64,
            "popular_share": popular as f64 / self.rows.len().max(1) as f64,
        })
    }
}

/// Fills everyone's list.
///
/// # Errors
/// On a signal; [`Kind::Failed`] if a score is not finite.
pub fn fill(
    interactions: &Interactions,
    fitted: &Fitted,
    config: &Settled,
    interrupt: &Interrupt,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Shelf> {
    let top = config.output.top;
    let mut lists = rank(interactions, fitted, config, interrupt, done)?;
    if lists.iter().flatten().any(|entry| !entry.score.is_finite()) {
        return Err(Error::new(Kind::Failed, "recommending: a score is not finite"));
    }
    for (user, list) in lists.iter_mut().enumerate() {
        match config.model.objective {
            Objective::Ranking => list.retain(|entry| entry.score >= LEAST_EVIDENCE),
            Objective::Rating if fitted.rated.of(user).0.is_empty() => list.clear(),
            Objective::Rating => {}
        }
    }
    let reasons = match (config.model.objective, &fitted.ranking, &fitted.rating) {
        (Objective::Ranking, Some(factors), _) => {
            because::ranking(factors, interactions, config, &lists, interrupt)?
        }
        (Objective::Rating, _, Some(model)) => {
            because::rating(model, &fitted.rated, config, &lists, interrupt)?
        }
        _ => lists.iter().map(|list| vec![None; list.len()]).collect(),
    };

    let readers = interactions.readers_per_item();
    let mut by_readers: Vec<u32> = (0..readers.len() as u32).collect();
    by_readers.sort_by_key(|item| (std::cmp::Reverse(readers[*item as usize]), *item));
    let stars = Stars::new(fitted);
    let mut rows = Vec::with_capacity(lists.len() * top);
    for (user, (list, reasons)) in lists.iter().zip(&reasons).enumerate() {
        let own = interactions.of(user).0;
        let known = list.iter().zip(reasons).map(|(entry, because)| (*entry, *because, Origin::Model));
        let filler = by_readers
            .iter()
            .filter(|item| own.binary_search(item).is_err())
            .filter(|item| !list.iter().any(|entry| entry.item == **item))
            // Below every score of the model: it says that nothing is known.
            .map(|item| (Scored { item: *item, score: 0.0 }, None, Origin::Popular));
        for (place, (entry, because, origin)) in known.chain(filler).take(top).enumerate() {
            rows.push(Recommendation {
                user: user as u32,
                rank: place as u32 + 1,
                item: entry.item,
                because,
                score: entry.score,
                stars: stars.of(user, entry.item as usize),
                origin,
            });
        }
    }
    let popular = by_readers.iter().take(config.output.popular).map(|item| (*item, readers[*item as usize]));
    Ok(Shelf { rows, popular: popular.collect() })
}

/// Everyone's best unseen books by the objective's own score.
fn rank(
    interactions: &Interactions,
    fitted: &Fitted,
    config: &Settled,
    interrupt: &Interrupt,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Vec<Scored>>> {
    let search = |factors: &Factors| {
        Index::new(factors).search(factors, interactions, config.output.top, interrupt, done)
    };
    match (config.model.objective, &fitted.ranking, &fitted.rating) {
        (Objective::Ranking, Some(factors), _) => search(factors),
        (Objective::Rating, _, Some(model)) => {
            let mut lists = search(&model.as_products())?;
            for (user, list) in lists.iter_mut().enumerate() {
                for entry in list.iter_mut() {
                    entry.score = model.raw(user, entry.item as usize);
                }
                // The constant that was left out is the same for the whole list, but rounding is not.
                list.sort();
            }
            Ok(lists)
        }
        _ => Ok(vec![Vec::new(); interactions.user_count()]),
    }
}

/// Expected stars, where anything is known of the reader's or of the book's.
struct Stars<'a> {
    model: Option<&'a RatingModel>,
    rated: &'a Interactions,
    item_is_rated: Vec<bool>,
}

impl<'a> Stars<'a> {
    fn new(fitted: &'a Fitted) -> Self {
        let item_is_rated = fitted.rated.readers_per_item().iter().map(|readers| *readers > 0).collect();
        Self { model: fitted.rating.as_ref(), rated: &fitted.rated, item_is_rated }
    }

    fn of(&self, user: usize, item: usize) -> f32 {
        match self.model {
            Some(model) if self.item_is_rated[item] || !self.rated.of(user).0.is_empty() => {
                model.stars(user, item)
            }
            _ => f32::NAN,
        }
    }
}
