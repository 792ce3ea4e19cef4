//! Gradient descent on shuffled mini-batches, with Adam or plain steps.
//!
//! Most tutorials train matrix factorisation like this: two embedding tables, a product, Adam. It is kept
//! because people compare with it and extend it; alternating least squares reaches a lower loss in a fraction
//! of the time. Adam moves whole tables at every step, in PyTorch and in burn, so small batches on large
//! catalogues are slow everywhere.
//!
//! burn's autodiff gives the gradients; the submodule `autodiff` has the losses as a few tensor operations.

mod autodiff;

use autodiff::Descent;
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::confidence::ConfidenceMatrix;
use super::{Factors, Watch, initial, not_finite};
use crate::data::Interactions;
use crate::deriving::on_threads_of_their_own;
use crate::error::Result;
use crate::hyperparameters::{Hyperparameters, Minibatch, Model, Resolved, Solver};

/// Users and items drawn at each step, at most; their pairs stand for all pairs, observed or not.
const SAMPLE: usize = 1024;

/// A loss and its constants.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// The ranking loss of the [`crate`].
    Ranking { regularization: f32, unobserved_weight: f32, exponent: f32 },
    /// The loss of [`fit_rating`]. Rows are d factors and a bias.
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

/// See [`crate::fit_ranking`].
pub fn fit_ranking<B: Backend<FloatElem = f32>>(
    device: &B::Device,
    confidence: &ConfidenceMatrix,
    parameters: &Resolved,
    watch: &Watch<'_>,
) -> Result<Factors> {
    let Hyperparameters { model, minibatch, .. } = &**parameters;
    let loss = Loss::Ranking {
        regularization: model.regularization as f32,
        unobserved_weight: model.unobserved_weight as f32,
        exponent: model.exponent as f32,
    };
    let setting = Setting { loss, width: model.factors, epochs: model.epochs, model, minibatch };
    setting.fit::<B>(device, confidence.rows(), watch)
}

/// Fits plain biased matrix factorisation to the ratings, without the ranking model. Rows of the result are d
/// factors and a bias. β is the number of average ratings that each row begins with:
///
/// ```text
/// Σ_R (r_ui − μ − b_u − b_i − x_u·y_i)² + Σ_u (λ_U (n_u + β_U) |x_u|² + β_U b_u²)
///                                       + Σ_i (λ_I (n_i + β_I) |y_i|² + β_I b_i²)
/// ```
///
/// (Koren, Bell, Volinsky 2009, "Matrix factorization techniques for recommender systems".)
pub fn fit_rating<B: Backend<FloatElem = f32>>(
    device: &B::Device,
    rated: &Interactions,
    mean: f32,
    parameters: &Resolved,
    watch: &Watch<'_>,
) -> Result<Factors> {
    let rating = &parameters.rating;
    let loss = Loss::Rating {
        mean,
        user: rating.user_regularization as f32,
        item: rating.item_regularization as f32,
        user_damping: rating.user_damping as f32,
        item_damping: rating.item_damping as f32,
    };
    let setting = Setting {
        loss,
        width: parameters.model.factors + 1,
        epochs: rating.rating_epochs,
        model: &parameters.model,
        minibatch: &parameters.minibatch,
    };
    setting.fit::<B>(device, rated, watch)
}

/// Some observed pairs; each column has a number for each pair.
#[derive(Debug, Default)]
pub struct Batch {
    pub users: Vec<u32>,
    pub items: Vec<u32>,
    /// The rating or, for the ranking loss, the confidence weight.
    pub ratings: Vec<f32>,
    /// How many ratings the pair's user has.
    pub user_counts: Vec<f32>,
    /// How many ratings the pair's item has.
    pub item_counts: Vec<f32>,
}

/// Users and items drawn uniformly, whose pairs stand for all pairs.
#[derive(Debug)]
pub struct Sample {
    pub users: Vec<u32>,
    pub items: Vec<u32>,
    /// users × items / observed pairs.
    pub pairs_for_each: f32,
}

#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    loss: Loss,
    width: usize,
    epochs: usize,
    model: &'a Model,
    minibatch: &'a Minibatch,
}

impl Setting<'_> {
    fn fit<B: Backend<FloatElem = f32>>(
        &self,
        device: &B::Device,
        rows: &Interactions,
        watch: &Watch<'_>,
    ) -> Result<Factors> {
        on_threads_of_their_own(vec![|| self.descend::<B>(device, rows, watch)]).remove(0)
    }

    fn descend<B: Backend<FloatElem = f32>>(
        &self,
        device: &B::Device,
        rows: &Interactions,
        watch: &Watch<'_>,
    ) -> Result<Factors> {
        let users = self.start(rows.user_count(), self.model.seed);
        let items = self.start(rows.item_count, self.model.seed.wrapping_add(1));
        let factors = Factors { width: self.width, users, items };
        let mut descent = Descent::<Autodiff<B>>::new(device, self, factors);
        let mut random = ChaCha8Rng::seed_from_u64(self.model.seed);
        let owner = owners(rows);
        let (user_counts, item_counts) = (rows.items_per_user(), rows.users_per_item());
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

    /// The initial factors; biases begin at zero.
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
            // This loss has no unobserved pairs.
            Loss::Rating { .. } => Vec::new(),
            Loss::Ranking { .. } => {
                (0..SAMPLE.min(all)).map(|_| random.random_range(0..all) as u32).collect()
            }
        };
        let pairs_for_each = (users as f64 * items as f64 / rows.len().max(1) as f64) as f32;
        Sample { users: some(users), items: some(items), pairs_for_each }
    }

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
