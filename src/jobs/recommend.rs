//! From a fitted model to the rows of `recommendations`.

use std::collections::HashSet;

use crate::catalog::interactions::Interactions;
use crate::config::Objective;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::Factors;
use crate::model::because;
use crate::model::rating::RatingModel;
use crate::model::settled::Settled;
use crate::model::topn::{self, Scored, Wanted};
use crate::store::publish::{Origin, Recommendation};

/// A score under this says nothing of the reader: a book that was read should score 1, so this is
/// a ten-thousandth of the evidence of one reading. What is popular serves better.
const LEAST_EVIDENCE: f32 = 1e-4;

/// A model, and what it is asked about.
#[derive(Debug)]
pub struct Fitted {
    /// The ranking model.
    pub ranking: Factors,
    /// What each book's products are multiplied with to be scores.
    pub lifts: Vec<f32>,
    /// What readers have read, with the weights that the ranking model gives to it.
    pub weighted: Interactions,
    /// The model of stars, if anything was rated.
    pub rating: Option<RatingModel>,
    /// The rated pairs.
    pub rated: Interactions,
}

/// What a list needs to know of all readers, also where only some get one.
#[derive(Debug)]
pub struct Popularity {
    /// How many readers each book has.
    readers: Vec<u32>,
    /// Books, those with most readers first.
    by_readers: Vec<u32>,
    /// Whether anybody gave stars to the book.
    has_stars: Vec<bool>,
    /// Whether the book ties its reader to anybody else, made-up readers counting.
    ties: Vec<bool>,
}

impl Popularity {
    /// Counts who has read and who has rated each book. `evidence` has made-up readers, too.
    pub fn new(interactions: &Interactions, rated: &Interactions, evidence: &Interactions) -> Self {
        let readers = interactions.readers_per_item();
        // What nobody has read is not popular.
        let mut by_readers: Vec<u32> = (0..readers.len() as u32).collect();
        by_readers.retain(|item| readers[*item as usize] > 0);
        by_readers.sort_by_key(|item| (std::cmp::Reverse(readers[*item as usize]), *item));
        let has_stars = rated.readers_per_item().iter().map(|readers| *readers > 0).collect();
        let ties = evidence.readers_per_item().iter().map(|readers| *readers > 1).collect();
        Self { readers, by_readers, has_stars, ties }
    }

    /// The `n` books with most readers, and how many they have.
    pub fn best(&self, n: usize) -> Vec<(u32, u32)> {
        self.by_readers.iter().take(n).map(|item| (*item, self.readers[*item as usize])).collect()
    }
}

/// The share of the books that stand in any list.
pub fn coverage(rows: &[Recommendation], items: usize) -> f64 {
    let shown: HashSet<u32> = rows.iter().map(|row| row.item).collect();
    shown.len() as f64 / items.max(1) as f64
}

/// The share of entries that the model has nothing to do with.
pub fn popular_share(rows: &[Recommendation]) -> f64 {
    let popular = rows.iter().filter(|row| row.origin == Origin::Popular).count();
    popular as f64 / rows.len().max(1) as f64
}

/// Fills the lists of the readers in `interactions`, who have the first rows of users in `fitted`;
/// `origin` is where entries come from that the model gives. By reader and rank.
///
/// # Errors
/// On a signal; [`Kind::Failed`] if a score is not finite.
pub fn fill(
    interactions: &Interactions,
    fitted: &Fitted,
    popularity: &Popularity,
    origin: Origin,
    config: &Settled,
    interrupt: &Interrupt,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Recommendation>> {
    let top = config.output.top;
    let mut lists = rank(interactions, fitted, popularity, config, interrupt, done)?;
    if lists.iter().flatten().any(|entry| !entry.score.is_finite()) {
        return Err(Error::new(Kind::Failed, "recommending: a score is not finite"));
    }
    for (user, list) in lists.iter_mut().enumerate() {
        let tied = || interactions.of(user).0.iter().any(|item| popularity.ties[*item as usize]);
        match config.model.objective {
            // A pair that touches nothing else may have factors of its own, but they mean nothing.
            Objective::Ranking if !tied() => list.clear(),
            Objective::Ranking => {
                list.retain(|entry| entry.score >= LEAST_EVIDENCE * fitted.lifts[entry.item as usize]);
            }
            Objective::Rating if fitted.rated.of(user).0.is_empty() => list.clear(),
            Objective::Rating => {}
        }
    }
    let reasons = match (config.model.objective, &fitted.rating) {
        (Objective::Ranking, _) => {
            because::ranking(&fitted.ranking, &fitted.weighted, config, &lists, interrupt)?
        }
        (Objective::Rating, Some(model)) => because::stars(model, &fitted.rated, config, &lists, interrupt)?,
        (Objective::Rating, None) => lists.iter().map(|list| vec![None; list.len()]).collect(),
    };

    let stars = |user: usize, item: u32| match &fitted.rating {
        // Where nothing is known of the book's nor of the reader's stars, they would be the mean.
        Some(model) if popularity.has_stars[item as usize] || !fitted.rated.of(user).0.is_empty() => {
            model.stars(user, item as usize)
        }
        _ => f32::NAN,
    };
    let mut rows = Vec::with_capacity(lists.len() * top.min(interactions.item_count));
    for (user, (list, reasons)) in lists.iter().zip(&reasons).enumerate() {
        let own = interactions.of(user).0;
        let known = list.iter().zip(reasons).map(|(entry, because)| (*entry, *because, origin));
        let filler = popularity
            .by_readers
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
                stars: stars(user, entry.item),
                origin,
            });
        }
    }
    Ok(rows)
}

/// Everyone's best unseen books by the objective's own score, with no more books without ratings than
/// there may be.
fn rank(
    interactions: &Interactions,
    fitted: &Fitted,
    popularity: &Popularity,
    config: &Settled,
    interrupt: &Interrupt,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Vec<Scored>>> {
    let top = config.output.top;
    let new = (top as f64 * config.output.new_books) as usize;
    let is_new = |item: u32| Some(popularity.readers[item as usize] == 0);
    let search = |factors: &Factors, lifts: &[f32]| {
        let wanted = Wanted { n: top, new, is_new: &is_new, lifts };
        topn::best(factors, interactions, &wanted, interrupt, done)
    };
    match (config.model.objective, &fitted.rating) {
        (Objective::Ranking, _) => search(&fitted.ranking, &fitted.lifts),
        (Objective::Rating, Some(model)) => {
            let mut lists = search(&model.as_products(), &[])?;
            for (user, list) in lists.iter_mut().enumerate() {
                for entry in list.iter_mut() {
                    entry.score = model.raw(user, entry.item as usize);
                }
                // The constant that was left out is the same for the whole list, but rounding is not.
                list.sort();
            }
            Ok(lists)
        }
        (Objective::Rating, None) => Ok(vec![Vec::new(); interactions.user_count()]),
    }
}
