//! The library's interface: trains on slices of ratings and gives lists, without SQLite.

use std::collections::HashMap;
use std::hash::Hash;

use crate::catalog::encode::{self, Encoded, RatingColumns};
use crate::catalog::ids::UserRef;
use crate::catalog::makers::Related;
use crate::catalog::popularity::Popularity;
use crate::catalog::recommendation::{Origin, Recommendation};
use crate::catalog::split::{Scheme, Split};
use crate::config::{Config, HalfLife, KeyKind, ResolvedConfig};
use crate::console::Console;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::Editions;
use crate::model::device::{self, Device};
use crate::model::top_k::Scored;
use crate::quality::metrics::RankingFigures;
use crate::recommender::evaluator::{Evaluator, Holdout};
use crate::recommender::lists::{Fitted, ListMaker};
use crate::recommender::ranking::Lesson;
use crate::recommender::stranger::Stranger;
use crate::recommender::training::{Beginning, Trained, Training};

/// Decides which ratings [`evaluate`] holds out.
const SPLIT_SEED: u64 = 1;

/// An entry of a user's list of recommendations.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<I> {
    pub item: I,
    /// What the list is ordered by, highest first; comparable within one list only. 0 if the model knows too
    /// little of the user and the item is only popular.
    pub score: f32,
    /// Predicted stars, within the scale of the ratings; `None` if neither the user nor the item has a rating
    /// with stars.
    pub stars: Option<f32>,
    /// The user's own item that contributed most to the score, if any did.
    pub because: Option<I>,
}

/// How good lists and predicted stars are on held-out ratings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Means over users.
    pub lists: RankingFigures,
    /// Root mean squared error of predicted stars; `None` if none were predicted.
    pub rmse: Option<f64>,
}

/// A trained model, for users `U` and items `I` of any type.
///
/// ```
/// use nightshelf::{Config, Recommender};
///
/// // User, item, and the stars if the user gave any.
/// let ratings = [
///     ("ann", "Emma", Some(5.0)), ("ann", "Persuasion", Some(4.0)), ("ann", "Sanditon", None),
///     ("bob", "Emma", Some(4.0)), ("bob", "Persuasion", None),
///     ("cat", "Dracula", Some(5.0)), ("cat", "Carmilla", Some(5.0)),
///     ("dan", "Dracula", None),
/// ];
/// let mut config = Config::default();
/// config.model.factors = 8;
/// let model = Recommender::fit(&ratings, &config)?;
///
/// // Ann has read a book that Bob has not, and Cat one that Dan has not.
/// assert_eq!(model.top(&"bob", 1)?[0].item, "Sanditon");
/// assert_eq!(model.top(&"dan", 1)?[0].item, "Carmilla");
/// assert_eq!(model.top(&"dan", 1)?[0].because, Some("Dracula"));
/// // Somebody else likes Emma.
/// assert_eq!(model.like(&["Emma"], 1)?[0].item, "Persuasion");
/// # Ok::<(), nightshelf::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Recommender<U, I> {
    users: HashMap<U, u32>,
    items: Vec<I>,
    item_codes: HashMap<I, u32>,
    encoded: Encoded,
    config: ResolvedConfig,
    popularity: Popularity,
    trained: Trained,
}

impl<U: Clone + Eq + Hash, I: Clone + Eq + Hash> Recommender<U, I> {
    /// Trains on triples of user, item and stars, where `None` means "read, but not rated". If a pair occurs
    /// more than once, its last rating counts. Ratings outside `config.source.scale` are left out.
    ///
    /// Of the other settings, those under `model`, `rating`, `minibatch` and `compute.device` matter here.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if there are no ratings; [`Kind::Config`] for a setting out of range;
    /// [`Kind::NoDevice`] if there is no such device; [`Kind::Failed`] if training diverges, or a rating is
    /// infinite.
    pub fn fit(ratings: &[(U, I, Option<f32>)], config: &Config) -> Result<Self> {
        let Codes { users, items, item_codes, encoded } = encode(ratings, config)?;
        let interactions = &encoded.interactions;
        let (device, _) = device::choose(&config.compute.device)?;
        let config = ResolvedConfig::new(config, interactions);
        let confidence = ConfidenceMatrix::new(interactions, &[], &config.model, &[]);
        let interrupt = &Interrupt::never();
        let related = &Related::default();
        let training =
            Training { device, interrupt, ratings: &encoded, related, config: &config, held_out: "" };
        let (ratings, scheme) = (&encoded, Scheme::Random(config.gate.holdout));
        let ranker = Lesson { ratings, split: None, related, scheme, windows: 1, device, interrupt }
            .ranker(&config)?;
        let ranker = ranker.map(|choice| choice.ranker);
        let mut trained = training.fit(&Console::silent(), confidence, Beginning::default(), ranker)?;
        let popularity = trained.popularity(Editions::default());
        Ok(Self { users, items, item_codes, encoded, config, popularity, trained })
    }

    /// The `n` best items, without the user's own; for an unknown user, the most popular items.
    ///
    /// # Errors
    /// [`Kind::Failed`] if a score is not finite.
    pub fn top(&self, user: &U, n: usize) -> Result<Vec<Entry<I>>> {
        Ok(self.top_of(std::slice::from_ref(user), n)?.pop().unwrap_or_default())
    }

    /// [`Recommender::top`] for several users, in their order: faster, since what all lists need is made
    /// once.
    ///
    /// # Errors
    /// As [`Recommender::top`].
    pub fn top_of(&self, users: &[U], n: usize) -> Result<Vec<Vec<Entry<I>>>> {
        let n = n.min(self.items.len());
        let item = |code: u32| self.items[code as usize].clone();
        let popular =
            |entry: Scored| Entry { item: item(entry.item), score: 0.0, stars: None, because: None };
        let mut config = self.config.clone();
        config.set_top(n);
        let lists = ListMaker::new(
            self.trained.fitted(&self.encoded.interactions),
            &self.popularity,
            Origin::Model,
            &config,
            Device::Cpu,
        )?;
        let list = |user: &U| match self.users.get(user).map(|code| *code as usize) {
            None => {
                let rules = self.popularity.rules(&config.rules);
                Ok(self.popularity.best(n, &rules).into_iter().map(popular).collect())
            }
            Some(code) => {
                let rows = lists.of(code..code + 1, &Interrupt::never(), &|_| ())?;
                Ok(rows.into_iter().map(|row| self.entry(row)).collect())
            }
        };
        users.iter().map(list).collect()
    }

    /// The `n` best items for somebody who is none of the users, and likes these items; those that are unknown say nothing.
    /// The most popular ones if all are.
    ///
    /// # Errors
    /// [`Kind::Failed`] if a score is not finite.
    pub fn like(&self, items: &[I], n: usize) -> Result<Vec<Entry<I>>> {
        let interrupt = Interrupt::never();
        let mut config = self.config.clone();
        config.set_top(n.min(self.items.len()));
        let liked: Vec<u32> = items.iter().filter_map(|item| self.item_codes.get(item)).copied().collect();
        let Trained { ranking, rating, confidence, .. } = &self.trained;
        let models = (ranking.clone(), rating.clone());
        let weights = confidence.item_weights().to_vec();
        let stranger = Stranger::new(&liked, models, weights, &config, &interrupt)?;
        let fitted = Fitted {
            interactions: &stranger.interactions,
            ranking: &stranger.ranking,
            rating: stranger.rating.as_ref(),
            rated: &stranger.rated,
            weighted: stranger.confidence.rows(),
            idle: &[],
            attributes: &[],
            ..self.trained.fitted(&self.encoded.interactions)
        };
        let lists = ListMaker::new(fitted, &self.popularity, Origin::FoldIn, &config, Device::Cpu)?;
        Ok(lists.of(0..1, &interrupt, &|_| ())?.into_iter().map(|row| self.entry(row)).collect())
    }

    fn entry(&self, row: Recommendation) -> Entry<I> {
        let item = |code: u32| self.items[code as usize].clone();
        Entry {
            item: item(row.item),
            score: row.score,
            stars: (!row.stars.is_nan()).then_some(row.stars),
            because: row.because.map(item),
        }
    }

    /// The stars that the user is predicted to give to the item; `None` if either is unknown, or neither has
    /// a rating with stars.
    pub fn stars(&self, user: &U, item: &I) -> Option<f32> {
        let (user, item) = (*self.users.get(user)?, *self.item_codes.get(item)?);
        self.trained.fitted(&self.encoded.interactions).stars(&self.popularity, user as usize, item)
    }

    /// The factors of an item, `config.model.factors` numbers; `None` if the item is unknown.
    pub fn factors(&self, item: &I) -> Option<&[f32]> {
        self.item_codes.get(item).map(|code| self.trained.ranking.item(*code as usize))
    }

    /// How many users and items there are.
    pub fn size(&self) -> (usize, usize) {
        (self.users.len(), self.items.len())
    }
}

/// Holds out a `share` of all ratings, trains on the others, and measures how well lists of `k` items find
/// the held-out ones. Returns the figures of the model, and those of the most popular items.
///
/// ```
/// let ratings: Vec<(u32, u32, Option<f32>)> = (0..4000u32)
///     .map(|n| (n % 200, n * n / 7 % 90 + n % 200 % 4 * 90, Some((n % 5 + 1) as f32)))
///     .collect();
/// let mut config = nightshelf::Config::default();
/// config.model.factors = 16;
/// let (model, popular) = nightshelf::evaluate(&ratings, &config, 0.2, 10)?;
/// assert!(model.lists.ndcg > popular.lists.ndcg, "users come in four kinds");
/// # Ok::<(), nightshelf::error::Error>(())
/// ```
///
/// # Errors
/// [`Kind::Config`] unless 0 < `share` < 1 and `k` ≥ 1; [`Kind::NoRatings`] if too few ratings are left to
/// learn from; else as [`Recommender::fit`].
pub fn evaluate<U: Clone + Eq + Hash, I: Clone + Eq + Hash>(
    ratings: &[(U, I, Option<f32>)],
    config: &Config,
    share: f64,
    k: usize,
) -> Result<(Figures, Figures)> {
    if !(share > 0.0 && share < 1.0) || k == 0 {
        let what = format!("a share of {share} cannot be hidden, or lists of {k} be judged");
        return Err(Error::new(Kind::Config, what).hint("share lies between 0 and 1, k is 1 or more"));
    }
    let encoded = encode(ratings, config)?.encoded;
    let (device, _) = device::choose(&config.compute.device)?;
    let split = Split::draw(&encoded, Scheme::Random(share), SPLIT_SEED)?;
    let holdout = Holdout {
        split: &split,
        items: &encoded.items,
        related: &Related::default(),
        attributes: &[],
        scale: encoded.scale,
        only_new: false,
        longest: k.min(encoded.items.len()),
        most_readers: usize::MAX,
        windows: 1,
    };
    let (console, interrupt) = (Console::silent(), Interrupt::never());
    let evaluator = Evaluator::new(holdout, device, &console, &interrupt);
    let scheme = Scheme::Random(config.gate.holdout);
    let related = &Related::default();
    let lesson = Lesson {
        ratings: &encoded,
        split: Some(&split),
        related,
        scheme,
        windows: 1,
        device,
        interrupt: &interrupt,
    };
    let ranker = lesson.ranker(config)?.map(|choice| choice.ranker);
    let model = evaluator.predict("model", &evaluator.fit("model", config)?, ranker.as_ref())?;
    let figures = |answers| Figures {
        lists: RankingFigures::average(&evaluator.by_case(answers, k).unwrap_or_default()),
        rmse: evaluator.errors(answers).map(|(rmse, _)| rmse),
    };
    Ok((figures(&model), figures(&evaluator.popularity(HalfLife::Auto))))
}

/// The encoded ratings, and which users and items the codes stand for.
struct Codes<U, I> {
    users: HashMap<U, u32>,
    items: Vec<I>,
    item_codes: HashMap<I, u32>,
    encoded: Encoded,
}

/// Numbers users and items by first appearance, and encodes these numbers as a night encodes ids.
fn encode<U: Clone + Eq + Hash, I: Clone + Eq + Hash>(
    ratings: &[(U, I, Option<f32>)],
    config: &Config,
) -> Result<Codes<U, I>> {
    config.check().map_err(|problem| Error::new(Kind::Config, problem))?;
    if ratings.iter().any(|(_, _, stars)| stars.is_some_and(f32::is_infinite)) {
        return Err(Error::new(Kind::Failed, "a rating is infinite"));
    }
    let (mut users, mut items): (HashMap<&U, i64>, HashMap<&I, usize>) = Default::default();
    let mut in_order: Vec<&I> = Vec::new();
    let mut columns = RatingColumns::default();
    for (user, item, stars) in ratings {
        let next = users.len() as i64;
        let user = *users.entry(user).or_insert(next);
        let item = *items.entry(item).or_insert_with(|| {
            in_order.push(item);
            in_order.len() - 1
        });
        // Padded with zeros, so that texts sort as the numbers do.
        columns.push(
            UserRef::Integer(user),
            &format!("{item:020}"),
            stars.unwrap_or(f32::NAN),
            f64::NEG_INFINITY,
        );
    }
    let mut config = config.clone();
    config.items.key = KeyKind::Text;
    let encoded = encode::encode(encode::normalise(columns, &config)?)?;
    if encoded.interactions.is_empty() {
        return Err(Error::new(Kind::NoRatings, "there are no ratings to learn from"));
    }
    // A user whose ratings all lie outside the scale has no code.
    let code_of_user = encoded.users.codes();
    let users = users.into_iter().filter_map(|(user, number)| {
        code_of_user.get(&UserRef::Integer(number)).map(|code| (user.clone(), *code))
    });
    let items: Vec<I> = (0..encoded.items.len())
        .filter_map(|code| encoded.items.key(code).parse::<usize>().ok())
        .map(|number| in_order[number].clone())
        .collect();
    let users = users.collect();
    let item_codes = items.iter().cloned().zip(0u32..).collect();
    Ok(Codes { users, items, item_codes, encoded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let ratings = [(1u8, 'a', Some(3.0)), (1, 'b', None), (2, 'a', Some(4.0)), (2, 'c', Some(1.0))];
        let mut config = Config::default();
        config.model.factors = 4;
        let model = Recommender::fit(&ratings, &config).expect("fitted");
        assert_eq!(model.size(), (2, 3));
        let popular: Vec<char> =
            model.top(&9, 2).expect("a list").into_iter().map(|entry| entry.item).collect();
        assert_eq!(popular, ['a', 'b']);
        let own: Vec<char> = model.top(&1, 5).expect("a list").into_iter().map(|entry| entry.item).collect();
        assert_eq!(own, ['c'], "only what is unread");
        assert!(model.stars(&1, &'c').is_some_and(|stars| (1.0..=5.0).contains(&stars)));
        assert_eq!((model.stars(&9, &'a'), model.stars(&1, &'z')), (None, None));
        assert_eq!(model.factors(&'a').map(<[f32]>::len), Some(4));
        assert_eq!(model.top_of(&[1, 9], 0).expect("lists"), [[], []]);
        for (share, k) in [(0.0, 5), (1.0, 5), (f64::NAN, 5), (0.5, 0)] {
            assert_eq!(evaluate(&ratings, &config, share, k).expect_err("no").kind(), Kind::Config);
        }
        assert_eq!(model.top_of(&[1, 9], usize::MAX).expect("lists").len(), 2);
        let mut wrong = config.clone();
        (wrong.model.factors, wrong.model.neighbours) = (0, 0);
        assert_eq!(Recommender::fit(&ratings, &wrong).expect_err("no factors").kind(), Kind::Config);
        let none: [(u8, char, Option<f32>); 0] = [];
        assert_eq!(Recommender::fit(&none, &config).expect_err("nothing").kind(), Kind::NoRatings);
    }
}
