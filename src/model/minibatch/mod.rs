//! The same losses by gradient descent: shuffled mini-batches, Adam or plain steps.
//!
//! This is how most tutorials train matrix factorisation: two embedding tables, a product, Adam.
//! It is kept because people compare with it and extend it; least squares reaches a lower loss in
//! a fraction of the time. Adam moves whole tables at every step, as PyTorch's and burn's do: so small
//! batches on large catalogues are slow, whoever takes the steps.
//!
//! Who does is up to the backend: [`tensors`] goes through burn's autodiff, and is what a GPU runs and what
//! is easiest to extend; on the CPU, [`fused`] works the same gradients out by hand, because a batch of a
//! hundred pairs is far less work than its hundred tensor operations are.

pub mod fused;
pub mod tensors;

use burn::tensor::backend::Backend;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::evidence::Evidence;
use super::settled::Settled;
use super::{Factors, Watch, initial, not_finite};
use crate::catalog::interactions::Interactions;
use crate::config::{Minibatch, Model, Solver};
use crate::error::Result;

/// Users and items that are drawn at each step to stand for all pairs, observed or not.
const SAMPLE: usize = 1024;

/// Adam's constants: PyTorch's, because people compare with it.
pub const ADAM: Adam = Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8 };

/// See Kingma, Ba 2015, "Adam: a method for stochastic optimization".
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// How much of the mean gradient is kept from step to step.
    pub beta_1: f32,
    /// How much of the mean squared gradient is.
    pub beta_2: f32,
    /// What keeps the quotient finite.
    pub epsilon: f32,
}

/// Which loss, and its constants.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// That of [`super`].
    Ranking {
        /// λ.
        regularization: f32,
        /// α₀.
        unobserved_weight: f32,
        /// ν.
        exponent: f32,
    },
    /// That of [`rating`]. Rows are d factors and a bias.
    Rating {
        /// μ.
        mean: f32,
        /// λ_U.
        user: f32,
        /// λ_I.
        item: f32,
        /// β_U.
        user_damping: f32,
        /// β_I.
        item_damping: f32,
    },
}

/// Fits the ranking loss. See [`super::fit_ranking`].
///
/// # Errors
/// As there.
pub fn ranking<B: DescentBackend>(
    device: &B::Device,
    evidence: &Evidence,
    model: &Model,
    minibatch: &Minibatch,
    watch: &Watch<'_>,
) -> Result<Factors> {
    let loss = Loss::Ranking {
        regularization: model.regularization as f32,
        unobserved_weight: model.unobserved_weight as f32,
        exponent: model.exponent as f32,
    };
    let setting = Setting { loss, width: model.factors, epochs: model.epochs, model, minibatch };
    setting.fit::<B>(device, evidence.rows(), watch)
}

/// Fits plain biased matrix factorisation to stars, without the ranking model's help. Rows of the
/// result are d factors and a bias. With β average ratings that each row begins with:
///
/// ```text
/// Σ_R (r_ui − μ − b_u − b_i − x_u·y_i)² + Σ_u (λ_U (n_u + β_U) |x_u|² + β_U b_u²)
///                                       + Σ_i (λ_I (n_i + β_I) |y_i|² + β_I b_i²)
/// ```
///
/// (Koren, Bell, Volinsky 2009, "Matrix factorization techniques for recommender systems".)
///
/// # Errors
/// See [`super::fit_rating`].
pub fn rating<B: DescentBackend>(
    device: &B::Device,
    rated: &Interactions,
    mean: f32,
    config: &Settled,
    watch: &Watch<'_>,
) -> Result<Factors> {
    let rating = &config.rating;
    let loss = Loss::Rating {
        mean,
        user: rating.user_regularization as f32,
        item: rating.item_regularization as f32,
        user_damping: rating.user_damping as f32,
        item_damping: rating.item_damping as f32,
    };
    let setting = Setting {
        loss,
        width: config.model.factors + 1,
        epochs: rating.rating_epochs,
        model: &config.model,
        minibatch: &config.minibatch,
    };
    setting.fit::<B>(device, rated, watch)
}

/// Some observed pairs, a number each in every column.
#[derive(Debug, Default)]
pub struct Batch {
    /// Codes of users.
    pub users: Vec<u32>,
    /// Codes of items.
    pub items: Vec<u32>,
    /// What the pair came to, or, for the ranking loss, how much it counts.
    pub ratings: Vec<f32>,
    /// How many ratings the user has.
    pub user_counts: Vec<f32>,
    /// How many ratings the item has.
    pub item_counts: Vec<f32>,
}

/// Users and items drawn evenly, whose pairs stand for all pairs.
#[derive(Debug)]
pub struct Sample {
    /// Codes of users.
    pub users: Vec<u32>,
    /// Codes of items.
    pub items: Vec<u32>,
    /// users × items / observed pairs.
    pub pairs_for_each: f32,
}

/// Two tables on their way down.
pub trait Descent {
    /// One step against the gradient of an unbiased estimate, from one batch, of the loss divided by the
    /// number of observed pairs: each pair brings its share 1/n of its user's and its item's penalty.
    /// Returns the estimate.
    ///
    /// # Errors
    /// [`crate::error::Kind::NoDevice`] if the device fails.
    fn step(&mut self, batch: &Batch, sample: &Sample) -> Result<f64>;

    /// The tables.
    ///
    /// # Errors
    /// As [`Descent::step`].
    fn finish(self) -> Result<Factors>;
}

/// A backend, and how it takes steps.
pub trait DescentBackend: Backend<FloatElem = f32> {
    /// What takes them.
    type Descent: Descent;

    /// Begins at `factors`.
    fn descent(device: &Self::Device, setting: &Setting<'_>, factors: Factors) -> Self::Descent;
}

impl DescentBackend for crate::model::device::Cpu {
    type Descent = fused::Fused;

    fn descent(_: &Self::Device, setting: &Setting<'_>, factors: Factors) -> Self::Descent {
        fused::Fused::new(setting, factors)
    }
}

#[cfg(all(feature = "cuda", not(test)))]
impl DescentBackend for crate::model::device::Cuda {
    type Descent = tensors::Tensors<burn::backend::Autodiff<Self>>;

    fn descent(device: &Self::Device, setting: &Setting<'_>, factors: Factors) -> Self::Descent {
        tensors::Tensors::new(device, setting, factors)
    }
}

/// One training run.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    loss: Loss,
    width: usize,
    epochs: usize,
    model: &'a Model,
    minibatch: &'a Minibatch,
}

impl Setting<'_> {
    fn fit<B: DescentBackend>(
        &self,
        device: &B::Device,
        rows: &Interactions,
        watch: &Watch<'_>,
    ) -> Result<Factors> {
        let users = self.start(rows.user_count(), self.model.seed);
        let items = self.start(rows.item_count, self.model.seed.wrapping_add(1));
        let descent = B::descent(device, self, Factors { width: self.width, users, items });
        self.descend(descent, rows, watch)
    }

    fn descend(&self, mut descent: impl Descent, rows: &Interactions, watch: &Watch<'_>) -> Result<Factors> {
        let mut random = ChaCha8Rng::seed_from_u64(self.model.seed);
        let owner = owners(rows);
        let (user_counts, item_counts) = (rows.items_per_user(), rows.readers_per_item());
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let mut batch = Batch::default();
        for epoch in 1..=self.epochs {
            order.shuffle(&mut random);
            let mut sum = 0.0;
            for chosen in order.chunks(self.minibatch.batch_size) {
                watch.interrupt.check()?;
                batch.fill(chosen, rows, &owner, &user_counts, &item_counts);
                let sample = self.sample(rows, &mut random);
                sum += descent.step(&batch, &sample)? * chosen.len() as f64;
            }
            let mean = sum / rows.len().max(1) as f64;
            if !mean.is_finite() {
                return Err(not_finite(&format!("training, epoch {epoch}")));
            }
            (watch.epoch)(epoch, mean);
        }
        descent.finish()
    }

    /// The first factors; biases begin at zero.
    fn start(&self, rows: usize, seed: u64) -> Vec<f32> {
        let mut table = initial(rows, self.width, seed);
        if let Loss::Rating { .. } = self.loss {
            table.chunks_exact_mut(self.width).for_each(|row| row[self.width - 1] = 0.0);
        }
        table
    }

    fn sample(&self, rows: &Interactions, random: &mut ChaCha8Rng) -> Sample {
        let (users, items) = (rows.user_count(), rows.item_count);
        let mut some = |all: usize| match self.loss {
            // Unobserved pairs are no part of it.
            Loss::Rating { .. } => Vec::new(),
            Loss::Ranking { .. } => {
                (0..SAMPLE.min(all)).map(|_| random.random_range(0..all) as u32).collect()
            }
        };
        let pairs_for_each = (users as f64 * items as f64 / rows.len().max(1) as f64) as f32;
        Sample { users: some(users), items: some(items), pairs_for_each }
    }

    /// Whether the optimiser is Adam.
    fn is_adam(&self) -> bool {
        self.model.solver != Solver::Sgd
    }
}

impl Batch {
    fn fill(
        &mut self,
        chosen: &[usize],
        rows: &Interactions,
        owner: &[u32],
        user_counts: &[u32],
        item_counts: &[u32],
    ) {
        fn put<T>(column: &mut Vec<T>, values: impl Iterator<Item = T>) {
            column.clear();
            column.extend(values);
        }
        put(&mut self.users, chosen.iter().map(|at| owner[*at]));
        put(&mut self.items, chosen.iter().map(|at| rows.items[*at]));
        put(&mut self.ratings, chosen.iter().map(|at| rows.ratings[*at]));
        put(&mut self.user_counts, self.users.iter().map(|user| user_counts[*user as usize] as f32));
        put(&mut self.item_counts, self.items.iter().map(|item| item_counts[*item as usize] as f32));
    }
}

/// The user of each entry.
fn owners(rows: &Interactions) -> Vec<u32> {
    (0..rows.user_count()).flat_map(|user| std::iter::repeat_n(user as u32, rows.of(user).0.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;
    use crate::model::device::Cpu;
    use burn::backend::Autodiff;

    #[test]
    fn gradients_by_hand_are_those_of_autodiff() {
        let triples: Vec<_> =
            (0..500u32).map(|n| (n * n % 31, (n * 7 + n * n / 5) % 23, (n % 5 + 1) as f32)).collect();
        let (rows, _) = Interactions::from_triples(31, 23, &triples);
        let losses = [
            Loss::Ranking { regularization: 0.02, unobserved_weight: 0.1, exponent: 0.9 },
            Loss::Rating { mean: 3.1, user: 0.05, item: 0.2, user_damping: 3.0, item_damping: 10.0 },
        ];
        for loss in losses {
            for (solver, weight_decay) in [(Solver::Adam, 0.0), (Solver::Adam, 0.01), (Solver::Sgd, 0.01)] {
                let model = Model { solver, ..Model::default() };
                let minibatch = Minibatch { batch_size: 64, learning_rate: 0.02, weight_decay };
                let setting = Setting { loss, width: 7, epochs: 3, model: &model, minibatch: &minibatch };
                let start = || Factors { width: 7, users: setting.start(31, 1), items: setting.start(23, 2) };
                let (interrupt, heard) = (Interrupt::never(), std::sync::Mutex::new(Vec::new()));
                let epoch = |_: usize, loss: f64| heard.lock().expect("a lock").push(loss);
                let watch = Watch { interrupt: &interrupt, epoch: &epoch };
                let device = burn_ndarray::NdArrayDevice::Cpu;
                let plain = tensors::Tensors::<Autodiff<Cpu>>::new(&device, &setting, start());
                let plain = setting.descend(plain, &rows, &watch).expect("by autodiff");
                let fused = fused::Fused::new(&setting, start());
                let fused = setting.descend(fused, &rows, &watch).expect("by hand");
                for (x, expected) in [(&fused.users, &plain.users), (&fused.items, &plain.items)] {
                    assert_eq!(x.len(), expected.len());
                    let far = x.iter().zip(expected).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
                    assert!(far < 2e-3, "{loss:?} {solver:?}: {far}");
                }
                let heard = heard.into_inner().expect("losses");
                for (one, other) in heard[..3].iter().zip(&heard[3..]) {
                    assert!((one - other).abs() < 1e-3 * one, "{heard:?}");
                }
                assert!(heard[2] < heard[0], "{heard:?}");
            }
        }
    }
}
