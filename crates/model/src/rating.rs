//! The rating model: how many stars a reader would give to a book.
//!
//! Most books have a handful of ratings, too few to place them by. But the ranking model has already placed
//! them by who reads what, and books that the same people read tend to please or displease a reader together.
//! So this model starts from the ranking model's directions:
//!
//! ```text
//! r̂_ui = μ + b_u + b_i + x_u·(ŷ_i + δ_i)
//! ```
//!
//! with ŷ_i the direction of book i in the ranking model ([`Directions`]). It is fitted in two stages, so
//! that taste explains only what generosity and quality do not: first the biases ([`crate::biases`]), then,
//! for their residuals e,
//!
//! ```text
//! Σ_R (e_ui − x_u·(ŷ_i + δ_i))² + λ_U Σ_u (n_u + 70) |x_u|² + λ_I σ² Σ_i (n_i + 10) |δ_i|²
//! ```
//!
//! by alternating least squares; σ is the standard deviation of the ratings. That what was read at all helps
//! to predict how it was liked: Koren 2008, "Factorization meets the neighborhood"; λ by counts: Zhou et al.
//! 2008, "Large-scale parallel collaborative filtering".

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::biases::Biases;
use crate::data::Interactions;
use crate::error::Result;
use crate::hyperparameters::{Rating, Resolved};
use crate::interrupt::Interrupt;
use crate::kernels::{DeviceOf, Kernels, Ridge, Side};
use crate::tensors::{numbers, table};
use crate::{Factors, Stars, Watch, als, dot, not_finite};

/// Ratings added to each reader's count in λ, since a few ratings say little of taste. From 20 (with twice
/// the λ) to 100 (with half of it) the value makes no difference on MovieLens 100K and half a thousandth on
/// Book-Crossing.
const USER_START: f64 = 70.0;

/// Ratings added to each book's count in λ.
const ITEM_START: f64 = 10.0;

/// The share of the squared error that another epoch must remove to be worth its time.
const WORTH_AN_EPOCH: f64 = 1e-4;

/// Fewer held-out pairs than this do not tell when to stop.
const LEAST_SLICE: usize = 100;

/// Epochs where held-out pairs are too few: two are never far from the best.
pub const EPOCHS_UNSEEN: usize = 2;

/// A row of the ranking model shorter than this says nothing of a book: products x·y should come to 1.
const NO_DIRECTION: f32 = 1e-4;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct RatingModel {
    /// μ.
    pub mean: f32,
    /// x_u, and y_i = ŷ_i + δ_i.
    pub factors: Factors,
    pub biases: Biases,
    /// Gives the directions of books that are yet to come.
    pub directions: Directions,
    /// Lowest and highest rating.
    pub scale: (f32, f32),
    /// The standard deviation of the ratings.
    pub deviation: f32,
    /// How many epochs the second stage was fitted for; 0 from the mini-batch solvers or from a file.
    pub epochs: usize,
}

impl RatingModel {
    /// From rows of d + 1 numbers, the last of which is the bias, fitted to `rated` with the mean `mean`.
    pub fn from_rows(mean: f32, rows: Factors, rated: &Interactions, scale: (f32, f32)) -> Self {
        let d = rows.width - 1;
        let split = |rows: &[f32]| -> (Vec<f32>, Vec<f32>) {
            let rows = rows.chunks_exact(d + 1);
            (rows.clone().flat_map(|row| &row[..d]).copied().collect(), rows.map(|row| row[d]).collect())
        };
        let ((users, user_biases), (items, item_biases)) = (split(&rows.users), split(&rows.items));
        let biases = Biases { users: user_biases, items: item_biases, ..Biases::default() };
        let directions = Directions::default();
        let deviation = rated.stars().1 as f32;
        let factors = Factors { width: d, users, items };
        Self { mean, factors, biases, directions, scale, deviation, epochs: 0 }
    }

    /// The expected rating, not clipped to the scale.
    pub fn raw(&self, user: usize, item: usize) -> f32 {
        self.mean + self.biases.users[user] + self.biases.items[item] + self.factors.score(user, item)
    }

    /// The expected rating, clipped to the scale.
    pub fn stars(&self, user: usize, item: usize) -> f32 {
        self.raw(user, item).clamp(self.scale.0, self.scale.1)
    }

    /// Whether a user is expected to mark an item low: more than a standard deviation of all ratings below what this user
    /// gives on average.
    pub fn is_low(&self, user: usize, item: usize) -> bool {
        self.biases.items[item] + self.factors.score(user, item) < -self.deviation
    }

    /// Whether readers mark an item low, as in [`RatingModel::is_low`], whoever they are.
    pub fn is_low_for_most(&self, item: usize) -> bool {
        self.biases.items[item] < -self.deviation
    }

    /// As [`RatingModel::stars`], but the user or the item may be unknown: its bias is then the prior's.
    pub fn stars_if_known(&self, user: Option<u32>, item: Option<u32>) -> f32 {
        let Biases { users, items, priors: [of_users, of_items] } = &self.biases;
        let raw = match (user, item) {
            (Some(user), Some(item)) => self.raw(user as usize, item as usize),
            (user, item) => {
                let user = user.map_or(of_users.at(0), |user| users[user as usize]);
                self.mean + user + item.map_or(of_items.at(0), |item| items[item as usize])
            }
        };
        raw.clamp(self.scale.0, self.scale.1)
    }

    /// The same scores, up to a constant for each user, as products of rows of d + 1 numbers:
    /// [`crate::top_k`] can make lists of them as for the ranking model.
    pub fn as_products(&self) -> Factors {
        let d = self.factors.width;
        let with = |rows: &[f32], last: &dyn Fn(usize) -> f32| -> Vec<f32> {
            let row = |(at, row): (usize, &[f32])| row.iter().copied().chain([last(at)]).collect::<Vec<_>>();
            rows.chunks_exact(d).enumerate().flat_map(row).collect()
        };
        Factors {
            width: d + 1,
            users: with(&self.factors.users, &|_| 1.0),
            items: with(&self.factors.items, &|item| self.biases.items[item]),
        }
    }

    /// See [`Factors::recoded`].
    pub fn recoded(self, users: &[Option<u32>], items: &[Option<u32>]) -> Self {
        let gather = |codes: &[Option<u32>], biases: &[f32]| {
            codes.iter().map(|code| code.map_or(0.0, |code| biases[code as usize])).collect()
        };
        let biases = Biases {
            users: gather(users, &self.biases.users),
            items: gather(items, &self.biases.items),
            ..self.biases
        };
        Self { factors: self.factors.recoded(users, items), biases, ..self }
    }

    /// See [`Factors::only`].
    pub fn only(mut self, users: &[u32]) -> Self {
        self.biases.users = users.iter().map(|user| self.biases.users[*user as usize]).collect();
        Self { factors: self.factors.only(users), ..self }
    }

    /// See [`Factors::forget`].
    pub fn forget(&mut self, user: u32) {
        self.factors.forget(user);
        self.biases.users.remove(user as usize);
    }
}

/// Where books lie in the ranking model, as seen from the mean direction of rated pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directions {
    /// The mean direction of rated pairs, d numbers; empty where directions are not used.
    pub center: Vec<f32>,
}

impl Directions {
    /// From the items' factors of the ranking model, each weighted by its number of ratings.
    pub fn new(items: &[f32], width: usize, rated: &Interactions) -> Self {
        let mut sum = vec![0.0f64; width];
        for (readers, row) in rated.users_per_item().into_iter().zip(items.chunks_exact(width)) {
            if let Some(length) = length(row) {
                let weight = f64::from(readers) / f64::from(length);
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * f64::from(*value));
            }
        }
        let count = rated.len().max(1) as f64;
        Self { center: sum.into_iter().map(|sum| (sum / count) as f32).collect() }
    }

    /// Turns a row of the ranking model's items into its ŷ, in place: length 1, or zeros where nothing is
    /// known.
    fn turn(&self, row: &mut [f32]) {
        let Some(length) = length(row).filter(|_| !self.center.is_empty()) else {
            return row.fill(0.0);
        };
        row.iter_mut().zip(&self.center).for_each(|(value, center)| *value = *value / length - center);
        let length = dot(row, row).sqrt().max(f32::MIN_POSITIVE);
        row.iter_mut().for_each(|value| *value /= length);
    }

    /// ŷ of each of these rows of the ranking model's items.
    pub fn of(&self, items: &[f32], width: usize) -> Vec<f32> {
        let mut directions = vec![0.0; items.len()];
        directions.par_chunks_exact_mut(width).zip(items.par_chunks_exact(width)).for_each(|(row, item)| {
            row.copy_from_slice(item);
            self.turn(row);
        });
        directions
    }

    /// Adds `times` ŷ to each row of `moved`: 1 turns δ into y = ŷ + δ, −1 turns y into δ. `items` has the
    /// ranking model's row for each of them.
    pub fn add(&self, times: f32, items: &[f32], width: usize, moved: &mut [f32]) {
        let rows = moved.par_chunks_exact_mut(width).zip(items.par_chunks_exact(width));
        rows.for_each_init(
            || vec![0.0; width],
            |direction, (moved, row)| {
                direction.copy_from_slice(row);
                self.turn(direction);
                moved.iter_mut().zip(direction).for_each(|(moved, direction)| *moved += times * *direction);
            },
        );
    }
}

/// The length of a row of the ranking model; `None` if the row says nothing.
fn length(row: &[f32]) -> Option<f32> {
    Some(dot(row, row).sqrt()).filter(|length| *length > NO_DIRECTION)
}

pub fn user_penalties(rows: &Interactions, parameters: &Rating) -> Vec<f32> {
    als::rating_penalties(rows, parameters.user_regularization, USER_START)
}

pub fn item_penalties(rows: &Interactions, parameters: &Rating) -> Vec<f32> {
    als::rating_penalties(rows, parameters.item_regularization, ITEM_START)
}

/// Fits both stages; the second for as many epochs as serve held-out pairs best, unless that is known.
pub fn fit<K: Kernels>(
    device: &DeviceOf<K>,
    stars: Stars<'_>,
    parameters: &Resolved,
    watch: &Watch<'_>,
) -> Result<RatingModel> {
    let Stars { rated, ranking, scale, epochs } = stars;
    let directions = Directions::new(&ranking.items, ranking.width, rated);
    let mut settings = parameters.rating.clone();
    let epochs = match epochs {
        Some(epochs) => epochs,
        None => best_epochs::<K>(device, rated, ranking, &directions, parameters, watch.interrupt)?,
    };
    settings.rating_epochs = epochs;
    let mean = mean(rated);
    let biases = Biases::fit(rated, &rated.transposed(), mean, &settings);
    if !biases.are_finite() {
        return Err(not_finite("the biases of stars"));
    }
    let left = biases.residuals_of(rated, mean);
    let factors = factors::<K>(device, &left, ranking, &directions, &settings, watch, |_| false)?;
    let deviation = rated.stars().1 as f32;
    Ok(RatingModel { mean, factors, biases, directions, scale, deviation, epochs })
}

/// The number of epochs after which the model of the other ratings predicts a held-out slice best (early
/// stopping).
pub fn best_epochs<K: Kernels>(
    device: &DeviceOf<K>,
    rated: &Interactions,
    ranking: &Factors,
    directions: &Directions,
    parameters: &Resolved,
    interrupt: &Interrupt,
) -> Result<usize> {
    // One pair in ten, the same ones for the same seed.
    let in_slice = |at: usize| xxh3_64_with_seed(&at.to_le_bytes(), parameters.model.seed).is_multiple_of(10);
    let slice = rated.filter_places(in_slice);
    if slice.len() < LEAST_SLICE {
        return Ok(parameters.rating.rating_epochs.min(EPOCHS_UNSEEN));
    }
    let rest = rated.filter_places(|at| !in_slice(at));
    let mean = mean(&rest);
    let biases = Biases::fit(&rest, &rest.transposed(), mean, &parameters.rating);
    let (left, wanted) = (biases.residuals_of(&rest, mean), biases.residuals_of(&slice, mean));
    let (mut best, mut least, mut epoch) = (1, f64::MAX, 0);
    let watch = Watch { interrupt, epoch: &|_, _| () };
    factors::<K>(device, &left, ranking, directions, &parameters.rating, &watch, |factors| {
        epoch += 1;
        let error = squared_error(&wanted, factors);
        if error < least * (1.0 - WORTH_AN_EPOCH) {
            (best, least) = (epoch, error);
        }
        // The error falls and then rises: one epoch past the best is enough.
        epoch > best
    })?;
    Ok(best)
}

/// Σ (e_ui − x_u·y_i)².
fn squared_error(left: &Interactions, factors: &Factors) -> f64 {
    let of_user = |user: usize| -> f64 {
        let (items, ratings) = left.of(user);
        let errors = items.iter().zip(ratings);
        errors.map(|(item, left)| f64::from(left - factors.score(user, *item as usize)).powi(2)).sum()
    };
    // Summed in order, so that the result does not depend on the number of threads.
    (0..left.user_count()).into_par_iter().map(of_user).collect::<Vec<f64>>().into_iter().sum()
}

/// μ.
pub fn mean(rated: &Interactions) -> f32 {
    let sum: f64 = rated.ratings.iter().map(|rating| f64::from(*rating)).sum();
    (sum / rated.len().max(1) as f64) as f32
}

/// One side of the second stage.
pub fn ridge<'a>(rows: &'a Interactions, targets: &'a [f32], penalties: &'a [f32]) -> Ridge<'a> {
    Ridge {
        offsets: &rows.offsets,
        columns: &rows.items,
        targets: Some(targets),
        weights: None,
        penalties,
        unobserved_weight: 0.0,
    }
}

/// What δ_i has to explain: e − x_u·ŷ_i for each entry of `by_item`. `items` has the ranking model's row for
/// each row of `by_item`.
pub fn item_targets(
    by_item: &Interactions,
    users: &[f32],
    items: &[f32],
    directions: &Directions,
    width: usize,
) -> Vec<f32> {
    let rows = items.par_chunks_exact(width).enumerate();
    let targets = rows.flat_map_iter(|(item, row)| {
        let (readers, left) = by_item.of(item);
        let mut direction = if readers.is_empty() { Vec::new() } else { row.to_vec() };
        directions.turn(&mut direction);
        let target = move |(reader, left): (&u32, &f32)| {
            left - dot(&direction, &users[*reader as usize * width..][..width])
        };
        readers.iter().zip(left).map(target)
    });
    targets.collect()
}

/// Fits the second stage to the residuals `left` of the biases. After each epoch `enough` says, given the
/// factors so far, whether to stop.
pub fn factors<K: Kernels>(
    device: &DeviceOf<K>,
    left: &Interactions,
    ranking: &Factors,
    directions: &Directions,
    parameters: &Rating,
    watch: &Watch<'_>,
    mut enough: impl FnMut(&Factors) -> bool,
) -> Result<Factors> {
    let by_item = left.transposed();
    let (of_users, of_items) = (user_penalties(left, parameters), item_penalties(&by_item, parameters));
    let width = ranking.width;
    let items = directions.of(&ranking.items, width);
    let mut factors = Factors { width, users: Vec::new(), items };
    let mut moved = 0.0;
    for epoch in 1..=parameters.rating_epochs {
        let mut users = None;
        if epoch > 1 {
            // In place: the table of all books is large.
            let mut items = std::mem::take(&mut factors.items);
            directions.add(-1.0, &ranking.items, width, &mut items);
            let near = (epoch > 2).then(|| table(items, width, device));
            let targets = item_targets(&by_item, &factors.users, &ranking.items, directions, width);
            let side = Side::<K::Backend>::new(ridge(&by_item, &targets, &of_items));
            let features = table(std::mem::take(&mut factors.users), width, device);
            let step = K::half_step(&side, features, near, watch.interrupt)?;
            (factors.items, moved) = (numbers(step.solutions)?, step.sums.read()?.penalty);
            directions.add(1.0, &ranking.items, width, &mut factors.items);
            // In the last epoch users are solved exactly, so that fold-in gives the same factors.
            users = Some(step.features).filter(|_| epoch < parameters.rating_epochs);
        }
        let items = table(std::mem::take(&mut factors.items), width, device);
        let side = Side::<K::Backend>::new(ridge(left, &left.ratings, &of_users));
        let step = K::half_step(&side, items, users, watch.interrupt)?;
        (factors.items, factors.users) = (numbers(step.features)?, numbers(step.solutions)?);
        als::report(epoch, step.sums.read()?.loss + moved, left.len(), watch)?;
        if enough(&factors) {
            break;
        }
    }
    Ok(factors)
}
