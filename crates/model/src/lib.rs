//! Matrix factorisation: from who-read-what to two tables of numbers, and from those to lists.
//!
//! # The losses
//!
//! **Ranking** (implicit feedback). With S the observed pairs, c their weights ([`confidence`]), x_u and y_i the factors of reader u
//! and book i, n_u and n_i their numbers of ratings:
//!
//! ```text
//! L = Σ_S c_ui (1 − x_u·y_i)² + α₀ Σ_{all u,i} (x_u·y_i)² + Σ_u λ_u |x_u|² + Σ_i λ_i |y_i|²
//! λ_u = λ (n_u + α₀ #items)^ν          λ_i = λ (n_i + α₀ #users)^ν
//! ```
//!
//! Hu, Koren, Volinsky: "Collaborative filtering for implicit feedback datasets" (2008), with the
//! scaling of λ from Rendle, Krichene, Zhang, Koren: "Revisiting the performance of iALS on item
//! recommendation benchmarks" (2021).
//!
//! **Rating** (explicit feedback): biases, and factors that begin with the ranking model's
//! directions; the losses of its two stages stand in [`rating`].
//!
//! # The map
//!
//! [`data`] is what goes in: codes, no ids. [`confidence`] weighs it, [`hyperparameters`] resolves what depends on it.
//! [`als`] and [`rating`] minimise their losses in closed form, one side at a time, each half-step being one of the
//! [`kernels`]; [`minibatch`] descends through burn's autodiff. [`fold_in`] solves rows that came later. [`top_k`] turns
//! factors into lists, [`attribution`] says which of the user's own items carried an entry.
//!
//! burn's `Backend` stays behind [`engine`]: [`device`] chooses one, plain slices go in and out. Knows no SQL, no
//! columns, no files, and nobody to talk to.

pub mod als;
pub mod attribution;
pub mod biases;
pub mod confidence;
pub mod data;
pub mod device;
pub mod engine;
pub mod error;
pub mod fold_in;
pub mod hyperparameters;
pub mod interrupt;
pub mod kernels;
pub mod minibatch;
pub mod panics;
pub mod rating;
mod tensors;
pub mod top_k;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use rayon::prelude::*;

use confidence::ConfidenceMatrix;
use data::Interactions;
use device::Device;
use error::{Error, Result};
use hyperparameters::Resolved;
use interrupt::Interrupt;
use rating::RatingModel;

/// Two tables of numbers, a row for each user and each item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Factors {
    /// Numbers in a row, d.
    pub width: usize,
    /// users × d, row by row.
    pub users: Vec<f32>,
    /// items × d, row by row.
    pub items: Vec<f32>,
}

impl Factors {
    /// The factors of one user: d numbers.
    pub fn user(&self, code: usize) -> &[f32] {
        &self.users[code * self.width..(code + 1) * self.width]
    }

    /// The factors of one item: d numbers.
    pub fn item(&self, code: usize) -> &[f32] {
        &self.items[code * self.width..(code + 1) * self.width]
    }

    /// x_u·y_i.
    pub fn score(&self, user: usize, item: usize) -> f32 {
        dot(self.user(user), self.item(item))
    }

    /// The same numbers under other codes: row n of the result is the row that `users[n]` and
    /// `items[n]` say, or zeros where they say none.
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

    /// Only these users, who become users 0, 1, 2 and so on; all items.
    pub fn only(self, users: &[u32]) -> Self {
        let chosen = users.iter().flat_map(|user| self.user(*user as usize)).copied().collect();
        Self { users: chosen, ..self }
    }

    /// Takes a user out: those behind move up.
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

/// What a training run tells while it goes on, and who may stop it.
pub struct Watch<'a> {
    /// Asked between pieces of work.
    pub interrupt: &'a Interrupt,
    /// Told after each epoch, from 1: the epoch and the loss for each observed pair.
    pub epoch: &'a (dyn Fn(usize, f64) + Sync),
}

/// What a model of nearly the same ratings leaves to another one, which takes far fewer epochs then to get
/// as far. Of use to [`als`] only.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Factors of the items.
    pub items: Vec<f32>,
    /// After how many epochs the model of stars was best, if there was one.
    pub rating_epochs: Option<usize>,
    /// The loss for each observed pair after each epoch so far.
    pub losses: Vec<f64>,
}

/// Fits the ranking loss, from the items' factors of another model if there are some to `start` from.
///
/// # Errors
/// [`Error::Diverged`] if the numbers run away, [`Error::Interrupted`] on a signal, [`Error::DeviceFailed`].
pub fn fit_ranking(
    device: Device,
    confidence: &ConfidenceMatrix,
    parameters: &Resolved,
    start: Option<Vec<f32>>,
    watch: &Watch<'_>,
) -> Result<Factors> {
    let factors = device.engine()?.fit_ranking(confidence, parameters, start, watch);
    let mut factors = factors?.finite("training the ranking model")?;
    factors.users.truncate(confidence.users() * factors.width);
    Ok(factors)
}

/// Fits the rating loss to the rated pairs `rated`, all of which lie in `scale`. `ranking` is the
/// ranking model of the same items, `epochs` how many serve best, if that is known.
///
/// # Errors
/// As [`fit_ranking`].
pub fn fit_rating(
    device: Device,
    rated: &Interactions,
    ranking: &Factors,
    scale: (f32, f32),
    parameters: &Resolved,
    epochs: Option<usize>,
    watch: &Watch<'_>,
) -> Result<RatingModel> {
    let mut model = device.engine()?.fit_rating(rated, ranking, scale, parameters, epochs, watch)?;
    model.factors = model.factors.finite("training the rating model")?;
    Ok(model)
}

/// Numbers that one task works on where the work is small.
const BLOCK: usize = 1 << 16;

/// `rows` × `width` numbers from N(0, 0.1/√width), the same for the same seed everywhere.
pub fn initial(rows: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut numbers = vec![0.0; rows * width];
    if let Ok(normal) = Normal::new(0.0, 0.1 / (width as f32).sqrt()) {
        // A stream of its own for each block, so that it does not matter who fills it.
        numbers.par_chunks_mut(BLOCK).enumerate().for_each(|(block, numbers)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(block as u64);
            numbers.iter_mut().for_each(|number| *number = normal.sample(&mut random));
        });
    }
    numbers
}

/// The product of two rows, in sixteen running sums that a compiler turns into vector registers.
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
