//! Matrix factorisation: from the ratings of users and items to two tables of factors, and from those to
//! lists.
//!
//! # The losses
//!
//! **Ranking** (implicit feedback). S are the observed pairs and c their weights ([`confidence`], whose
//! made-up readers count as users here); x_u and y_i are the factors of user u and item i, n_u and n_i their
//! numbers of ratings:
//!
//! ```text
//! L = Σ_S c_ui (1 − x_u·y_i)² + α₀ Σ_{all u,i} (x_u·y_i)² + Σ_u λ_u |x_u|² + Σ_i λ_i |y_i|²
//! λ_u = λ (n_u + α₀ #items)^ν          λ_i = λ (n_i + α₀ #users)^ν
//! ```
//!
//! Hu, Koren, Volinsky: "Collaborative filtering for implicit feedback datasets" (2008), with the scaling of
//! λ from Rendle, Krichene, Zhang, Koren: "Revisiting the performance of iALS on item recommendation
//! benchmarks" (2021).
//!
//! **Rating** (explicit feedback): biases, and factors that start from the ranking model's directions.
//! [`rating`] has the losses of its two stages. The mini-batch solvers fit a plainer loss, which stands at
//! [`minibatch::fit_rating`].
//!
//! # The map
//!
//! - [`data`] is the input, in integer codes without ids. [`confidence`] weighs it; [`hyperparameters`]
//!   chooses the values that depend on it.
//! - [`als`] (ranking) and [`rating`] (with [`biases`]) minimise their losses in closed form, one side at a
//!   time; each half-step is an operation of [`kernels`]. [`minibatch`] descends with burn's autodiff
//!   instead.
//! - [`fold_in`] solves rows that came after training.
//! - [`top_k`] turns factors into lists. [`attribution`] finds the user's own item that contributed most to
//!   an entry.
//! - [`rules`] says what a list may have, whatever proposes it.
//! - [`device`] chooses CPU or GPU. [`engine`] hides burn's `Backend` from callers: plain slices in, factors
//!   out. `tensors` moves numbers to a device and back; `deriving` keeps autodiff off rayon's threads.
//! - [`error`], [`interrupt`] (signals) and [`panics`] (libraries that panic) serve all of them.
//!
//! This crate knows no SQL, no data frames, no files and no console.

pub mod als;
pub mod attribution;
pub mod biases;
pub mod candidates;
pub mod confidence;
pub mod data;
mod deriving;
pub mod device;
pub mod engine;
pub mod error;
pub mod fold_in;
pub mod hyperparameters;
pub mod interrupt;
pub mod kernels;
pub mod minibatch;
pub mod neighbours;
pub mod panics;
pub mod ranker;
pub mod rating;
pub mod rules;
pub mod tensors;
pub mod top_k;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use rayon::prelude::*;

use confidence::ConfidenceMatrix;
use data::Interactions;
use engine::Engine;
use error::{Error, Result};
use hyperparameters::Resolved;
use interrupt::Interrupt;
use rating::RatingModel;

/// One row of factors for each user and each item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Factors {
    /// d, the numbers in a row.
    pub width: usize,
    /// users × d, row by row.
    pub users: Vec<f32>,
    /// items × d, row by row.
    pub items: Vec<f32>,
}

impl Factors {
    pub fn user(&self, code: usize) -> &[f32] {
        &self.users[code * self.width..(code + 1) * self.width]
    }

    pub fn item(&self, code: usize) -> &[f32] {
        &self.items[code * self.width..(code + 1) * self.width]
    }

    /// x_u·y_i.
    pub fn score(&self, user: usize, item: usize) -> f32 {
        dot(self.user(user), self.item(item))
    }

    /// The same rows under other codes: row n of the result is row `users[n]` or `items[n]`, or zeros for
    /// `None`.
    pub fn recoded(&self, users: &[Option<u32>], items: &[Option<u32>]) -> Self {
        let gather = |codes: &[Option<u32>], rows: &[f32]| {
            let mut gathered = vec![0.0; codes.len() * self.width];
            gathered.par_chunks_exact_mut(self.width).zip(codes).for_each(|(row, code)| {
                if let Some(code) = code {
                    row.copy_from_slice(&rows[*code as usize * self.width..][..self.width]);
                }
            });
            gathered
        };
        Self { width: self.width, users: gather(users, &self.users), items: gather(items, &self.items) }
    }

    /// Of a model without factors: one number for each user and item, which is 0, so that all products are.
    pub fn none(users: usize, items: usize) -> Self {
        Self { width: 1, users: vec![0.0; users], items: vec![0.0; items] }
    }

    /// Keeps only these users, who become users 0, 1, 2 and so on; all items stay.
    pub fn only(self, users: &[u32]) -> Self {
        let chosen = users.iter().flat_map(|user| self.user(*user as usize)).copied().collect();
        Self { users: chosen, ..self }
    }

    /// Removes a user; the codes of later users fall by one.
    pub fn forget(&mut self, user: u32) {
        let first = user as usize * self.width;
        self.users.drain(first..first + self.width);
    }

    /// # Errors
    /// [`Error::Diverged`] if any number is not finite, naming the stage.
    fn finite(self, stage: &str) -> Result<Self> {
        let rows = self.users.par_chunks(BLOCK).chain(self.items.par_chunks(BLOCK));
        if rows.all(|values| values.iter().all(|value| value.is_finite())) {
            return Ok(self);
        }
        Err(not_finite(stage))
    }
}

/// How a training reports its progress and is stopped.
pub struct Watch<'a> {
    /// Checked between pieces of work.
    pub interrupt: &'a Interrupt,
    /// Called after each epoch with the epoch, from 1, and the loss for each observed pair.
    pub epoch: &'a (dyn Fn(usize, f64) + Sync),
}

/// What a model of nearly the same ratings hands on to another, which then needs far fewer epochs. Only the
/// ALS solver uses it.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The items' factors.
    pub items: Vec<f32>,
    /// The number of epochs after which the rating model was best; `None` without a rating model.
    pub rating_epochs: Option<usize>,
    /// The loss for each observed pair after each epoch so far.
    pub losses: Vec<f64>,
}

/// Fits the ranking loss, from the items' factors of another model if `start` has them. With `factors = 0` there is
/// nothing to fit ([`Factors::none`]).
///
/// # Errors
/// [`Error::Diverged`] if a number is not finite; [`Error::Interrupted`] or [`Error::Terminated`] on a
/// signal; [`Error::NoDevice`] or [`Error::DeviceFailed`].
pub fn fit_ranking(
    engine: &dyn Engine,
    confidence: &ConfidenceMatrix,
    parameters: &Resolved,
    start: Option<Vec<f32>>,
    watch: &Watch<'_>,
) -> Result<Factors> {
    if parameters.model.factors == 0 {
        return Ok(Factors::none(confidence.users(), confidence.rows().item_count));
    }
    let factors = engine.fit_ranking(confidence, parameters, start, watch);
    let mut factors = factors?.finite("training the ranking model")?;
    factors.users.truncate(confidence.users() * factors.width);
    Ok(factors)
}

/// What the rating model is fitted to.
#[derive(Clone, Copy, Debug)]
pub struct Stars<'a> {
    /// The rated pairs, all of which lie in `scale`.
    pub rated: &'a Interactions,
    /// The ranking model of the same items.
    pub ranking: &'a Factors,
    pub scale: (f32, f32),
    /// How many epochs serve best; `None` to find out on a held-out slice.
    pub epochs: Option<usize>,
}

/// Fits the rating loss.
///
/// # Errors
/// As [`fit_ranking`].
pub fn fit_rating(
    engine: &dyn Engine,
    stars: Stars<'_>,
    parameters: &Resolved,
    watch: &Watch<'_>,
) -> Result<RatingModel> {
    let mut model = engine.fit_rating(stars, parameters, watch)?;
    model.factors = model.factors.finite("training the rating model")?;
    Ok(model)
}

/// Numbers that one task handles. [`initial`] draws a random stream for each block, so another value gives
/// other factors.
const BLOCK: usize = 1 << 16;

/// `rows` × `width` numbers from a normal distribution with mean 0 and standard deviation 0.1/√width; the
/// same for the same seed on every machine.
pub fn initial(rows: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut numbers = vec![0.0; rows * width];
    if let Ok(normal) = Normal::new(0.0, 0.1 / (width as f32).sqrt()) {
        // One random stream for each block, so that it does not matter which thread fills it.
        numbers.par_chunks_mut(BLOCK).enumerate().for_each(|(block, numbers)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(block as u64);
            numbers.iter_mut().for_each(|number| *number = normal.sample(&mut random));
        });
    }
    numbers
}

/// a·b, in sixteen running sums that the compiler turns into vector registers.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn not_finite(stage: &str) -> Error {
    Error::Diverged(stage.to_owned())
}
