//! The hyper-parameters of all models: as set, and as resolved once the ratings are known.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::data::Interactions;

/// What the lists are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// What a reader will pick up next: implicit feedback, the better lists on books.
    #[default]
    Ranking,
    /// How many stars a reader would give.
    Rating,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// Alternating least squares: closed form, no learning rate.
    #[default]
    Als,
    /// Mini-batches with Adam, through autodiff.
    Adam,
    /// Mini-batches with plain gradient descent, through autodiff.
    Sgd,
}

/// After how long a rating counts half.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum HalfLife {
    /// To be chosen from the ratings.
    #[default]
    Auto,
    Never,
    Days(f64),
}

impl fmt::Display for HalfLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Never => f.write_str("never"),
            Self::Days(days) => write!(f, "{days}"),
        }
    }
}

impl FromStr for HalfLife {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.trim(), text.trim().parse()) {
            ("auto", _) => Ok(Self::Auto),
            ("never", _) => Ok(Self::Never),
            (_, Ok(days)) if f64::is_finite(days) && days > 0.0 => Ok(Self::Days(days)),
            _ => Err(format!("half_life is {text:?}, but must be \"auto\", \"never\" or a number of days")),
        }
    }
}

impl Serialize for HalfLife {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HalfLife {
    /// From a text, or from a number of days.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Days(f64),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Days(days) => days.to_string(),
        };
        text.parse().map_err(D::Error::custom)
    }
}

/// The ranking model, and what both models share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Model {
    pub objective: Objective,
    pub solver: Solver,
    /// d, the numbers in a row of factors.
    pub factors: usize,
    /// Passes over the ratings.
    pub epochs: usize,
    /// λ; 0 to choose it from the data.
    pub regularization: f64,
    /// α₀, the weight of a pair that was not observed; 0 to choose it from the data.
    pub unobserved_weight: f64,
    /// ν: how λ grows with the number of ratings.
    pub exponent: f64,
    /// A pair weighs n_u to minus this power, n_u being the number of its reader's ratings.
    pub activity_exponent: f64,
    /// A pair weighs n_i to minus this power, n_i being the number of its book's readers.
    pub popularity_exponent: f64,
    /// γ: scores are divided by the length of the book's factors to this power, so that books with few
    /// readers are not left behind; below 0 to choose it from the data.
    pub length_exponent: f64,
    /// The weight of each pair of an author and a book ([`crate::confidence`]); 0 leaves authors out.
    pub author_weight: f64,
    /// The same for publishers.
    pub publisher_weight: f64,
    /// K, the most neighbours of a book ([`crate::neighbours`]); 0 for factors alone.
    pub neighbours: usize,
    /// After how long a rating counts half for factors and neighbours, where ratings have times.
    pub half_life: HalfLife,
    /// After how long a reader counts half where books are ordered by popularity.
    pub popularity_half_life: HalfLife,
    /// λ of the neighbours' weights; 0 to choose it from the data.
    pub neighbour_regularization: f64,
    pub seed: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            objective: Objective::Ranking,
            solver: Solver::Als,
            factors: 64,
            epochs: 16,
            regularization: 0.0,
            unobserved_weight: 0.0,
            exponent: 1.0,
            activity_exponent: 0.15,
            popularity_exponent: 0.15,
            length_exponent: -1.0,
            author_weight: 6.0,
            publisher_weight: 1.0,
            half_life: HalfLife::Auto,
            popularity_half_life: HalfLife::Auto,
            neighbours: 50,
            neighbour_regularization: 0.0,
            seed: 42,
        }
    }
}

/// The rating model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rating {
    /// Passes over the ratings, at most: early stopping may take fewer.
    pub rating_epochs: usize,
    /// λ_U, for each rating of a reader.
    pub user_regularization: f64,
    /// λ_I, for each rating of a book; resolving multiplies it by the variance of the ratings.
    pub item_regularization: f64,
    /// β_U: each reader's bias begins with this many ratings that equal its prior.
    pub user_damping: f64,
    /// β_I: the same for each book's bias.
    pub item_damping: f64,
}

impl Default for Rating {
    fn default() -> Self {
        Self {
            rating_epochs: 10,
            user_regularization: 0.05,
            item_regularization: 0.2,
            user_damping: 3.0,
            item_damping: 10.0,
        }
    }
}

/// The mini-batch solvers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Minibatch {
    /// Pairs in a step.
    pub batch_size: usize,
    pub learning_rate: f64,
    /// L2 penalty on every parameter at every step, besides the penalties of the loss.
    pub weight_decay: f64,
}

impl Default for Minibatch {
    fn default() -> Self {
        Self { batch_size: 4096, learning_rate: 0.01, weight_decay: 0.0 }
    }
}

/// The settings, before [`Hyperparameters::resolve`] replaces those that ask for a choice from the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hyperparameters {
    pub model: Model,
    pub rating: Rating,
    pub minibatch: Minibatch,
}

impl Hyperparameters {
    /// Chooses what depends on the ratings; see [`Resolved`].
    pub fn resolve(&self, interactions: &Interactions) -> Resolved {
        const LEAST_PENALTY: f64 = 4.5;
        // Near the best on all tables but dense ones, which are small enough to be searched.
        const NEIGHBOUR_REGULARIZATION: f64 = 40.0;
        // On small tables the rule would smother what few ratings say.
        const GREATEST_REGULARIZATION: f64 = 0.1;
        let pairs = interactions.user_count() as f64 * interactions.item_count as f64;
        let mut resolved = self.clone();
        let (_, deviation) = interactions.stars();
        // If all ratings are equal there is nothing to learn, and any penalty above zero will do.
        resolved.rating.item_regularization *= if deviation > 0.0 { deviation * deviation } else { 1.0 };

        let model = &mut resolved.model;
        // Density does not count books that nobody has rated.
        let items = interactions.users_per_item().into_iter().filter(|users| *users > 0).count();
        let density = interactions.len() as f64 / (interactions.user_count() * items).max(1) as f64;
        if model.unobserved_weight == 0.0 {
            model.unobserved_weight = density.sqrt().clamp(0.02, 0.3);
        }
        if model.length_exponent < 0.0 {
            model.length_exponent = (0.18 * (0.05 / density.max(1e-9)).log10()).clamp(0.0, 0.3);
        }
        if model.regularization == 0.0 {
            let penalty = LEAST_PENALTY / (model.unobserved_weight * pairs.sqrt());
            model.regularization = penalty.min(GREATEST_REGULARIZATION);
        }
        if model.neighbour_regularization == 0.0 {
            model.neighbour_regularization = NEIGHBOUR_REGULARIZATION;
        }
        Resolved(resolved)
    }
}

/// Hyper-parameters resolved for given ratings.
///
/// **Ranking.** Values left at 0 are chosen.
///
/// α₀ = √density, from 0.02 to 0.3: the denser the table, the more a missing pair says. Beside half and twice
/// that, it is best or within 2% of the best on all data sets of docs/figures.md.
///
/// λ is such that λ α₀ √(#users #items) = 4.5, but at most 0.1. The left side is the geometric mean of the
/// penalties that every reader and every book carry whatever their number of ratings. Where a group of readers
/// shares a group of books, a factor of theirs lowers the loss only if their ratings weigh more. Scaled like this, one constant serves tables of any size: of the
/// values tried from 1.5 to 12 it was best or near the best on three data sets, with 6,754 × 13,670 (density
/// 0.25%), 79,785 × 218,645 (0.004%) and 943 × 1,682 (5%) readers and books, and the settings published for
/// far larger ones (Rendle et al. 2021) come to 6 and 15. A fixed λ that is good for the first collapses the
/// second to one list for everybody.
///
/// γ = 0.18 log₁₀(0.05 / density), from 0 to 0.3: the fewer ratings there are for each book and reader, the
/// more the penalty holds back books with few readers ([`crate::confidence::ConfidenceMatrix::item_scales`]).
/// At a density of 5% (MovieLens 100K) any γ above 0 loses, 0.1 half a percent of nDCG. At 0.25%, 0.2 gains
/// 1%, and 3% where authors are known. At 0.003%, 0.3 gains 10% and 0.5 gains 12%. Beyond 0.3 the books'
/// lengths are so much alike that the search for the best has to look at nearly all books: it takes three
/// times as long as with 0.
///
/// **Rating.** λ_I is multiplied by the variance of the ratings. If ratings are multiplied by ten, the loss
/// grows by a hundred and so does |x_u|², but the books' directions keep their length.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved(Hyperparameters);

impl From<Hyperparameters> for Resolved {
    /// Takes hyper-parameters that an earlier training resolved.
    fn from(resolved: Hyperparameters) -> Self {
        Self(resolved)
    }
}

impl Deref for Resolved {
    type Target = Hyperparameters;

    fn deref(&self) -> &Hyperparameters {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(users: u32, items: u32, each: u32) -> Interactions {
        let triples =
            (0..users).flat_map(|user| (0..each).map(move |n| (user, (user * 7 + n * n) % items, 5.0)));
        Interactions::from_triples(users as usize, items as usize, &triples.collect::<Vec<_>>()).0
    }

    #[test]
    fn what_was_set_stays_and_the_rest_follows_the_table() {
        let mut parameters = Hyperparameters::default();
        let small = parameters.resolve(&table(100, 90, 10));
        let large = parameters.resolve(&table(5000, 9000, 10));
        assert!(small.model.unobserved_weight > large.model.unobserved_weight);
        assert!(small.model.regularization > large.model.regularization);
        assert!(small.model.regularization <= 0.1);
        assert!(small.model.length_exponent == 0.0 && large.model.length_exponent > 0.2);
        parameters.model.regularization = 0.5;
        parameters.model.unobserved_weight = 0.25;
        parameters.model.neighbour_regularization = 20.0;
        parameters.model.length_exponent = 0.5;
        let set = parameters.resolve(&table(100, 90, 10));
        assert_eq!(set.model, parameters.model);
        // All ratings equal: the penalties stay above zero.
        assert_eq!(set.rating, parameters.rating);
    }
}
