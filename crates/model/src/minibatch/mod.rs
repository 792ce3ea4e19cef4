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
use crate::error::Result;
use crate::hyperparameters::{Hyperparameters, Minibatch, Model, Resolved, Solver};

/// Users and items drawn at each step, at most; their pairs stand for all pairs, observed or not.
const SAMPLE: usize = 1024;

/// A loss and its constants.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// The ranking loss of the [`crate`].
    Ranking { regularization: f32, unobserved_weight: f32, exponent: f32 },
    /// The loss of [`rating`]. Rows are d factors and a bias.
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
pub fn ranking<B: Backend<FloatElem = f32>>(
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
pub fn rating<B: Backend<FloatElem = f32>>(
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::interrupt::Interrupt;

    type Cpu = burn_ndarray::NdArray<f32>;

    /// The whole loss at some factors, straight from its definition, divided by the number of pairs.
    fn loss(rows: &Interactions, factors: &Factors, model: &Model) -> f64 {
        let (users, items) = (rows.user_count(), rows.item_count);
        let square = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let penalty = |counts: Vec<u32>, others: usize, row: &dyn Fn(usize) -> f64| -> f64 {
            let weight = |count: u32| f64::from(count) + model.unobserved_weight * others as f64;
            let rated = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            rated.map(|(at, count)| weight(*count).powf(model.exponent) * row(at)).sum()
        };
        let mut sum = 0.0;
        for user in 0..users {
            let (own, weights) = rows.of(user);
            for (item, weight) in own.iter().zip(weights) {
                let error = 1.0 - f64::from(factors.score(user, *item as usize));
                sum += f64::from(*weight) * error * error;
            }
            let all = (0..items).map(|item| f64::from(factors.score(user, item)).powi(2));
            sum += model.unobserved_weight * all.sum::<f64>();
        }
        sum += model.regularization
            * (penalty(rows.items_per_user(), items, &|at| square(factors.user(at)))
                + penalty(rows.users_per_item(), users, &|at| square(factors.item(at))));
        sum / rows.len() as f64
    }

    #[test]
    fn steps_go_down_the_loss_that_is_written_down() {
        let triples: Vec<_> = (0..500u32).map(|n| (n * n % 31, (n * 7 + n * n / 5) % 23, 1.0)).collect();
        let (rows, _) = Interactions::from_triples(31, 23, &triples);
        let device = burn_ndarray::NdArrayDevice::Cpu;
        for (solver, learning_rate) in [(Solver::Adam, 0.02), (Solver::Sgd, 0.5)] {
            let mut parameters = Hyperparameters::default();
            (parameters.model.solver, parameters.model.factors) = (solver, 7);
            (parameters.model.epochs, parameters.model.exponent) = (30, 0.9);
            parameters.minibatch = Minibatch { batch_size: 64, learning_rate, weight_decay: 0.0 };
            let parameters = parameters.resolve(&rows);
            let confidence = ConfidenceMatrix::new(&rows, &[], &parameters.model);
            let (interrupt, told) = (Interrupt::never(), Mutex::new(Vec::new()));
            let epoch = |_: usize, loss: f64| told.lock().expect("a lock").push(loss);
            let watch = Watch { interrupt: &interrupt, epoch: &epoch };
            let fitted = ranking::<Cpu>(&device, &confidence, &parameters, &watch).expect("fitted");
            let told = told.into_inner().expect("losses");
            let reached = loss(confidence.rows(), &fitted, &parameters.model);
            // Estimates from samples of all pairs, on the way down.
            assert!((told[29] / reached - 1.0).abs() < 0.1, "{solver:?}: {} told, {reached} is", told[29]);
            assert!(reached < 0.8 * told[0], "{solver:?}: {told:?}");
        }
    }

    #[test]
    fn stars_are_learned_with_their_biases() {
        let stars = |user: u32, item: u32| 3.0 + (user % 3) as f32 * 0.5 - (item % 2) as f32;
        let triples: Vec<_> = (0..600u32)
            .map(|n| (n * n % 31, (n * 7 + n * n / 5) % 23))
            .map(|(user, item)| (user, item, stars(user, item)))
            .collect();
        let (rated, _) = Interactions::from_triples(31, 23, &triples);
        let mut parameters = Hyperparameters::default();
        (parameters.model.solver, parameters.model.factors) = (Solver::Adam, 4);
        parameters.rating.rating_epochs = 60;
        parameters.rating.user_damping = 0.1;
        parameters.rating.item_damping = 0.1;
        parameters.minibatch = Minibatch { batch_size: 64, learning_rate: 0.02, weight_decay: 0.0 };
        let parameters = parameters.resolve(&rated);
        let (interrupt, mean) = (Interrupt::never(), crate::rating::mean(&rated));
        let watch = Watch { interrupt: &interrupt, epoch: &|_, _| () };
        let device = burn_ndarray::NdArrayDevice::Cpu;
        let rows = rating::<Cpu>(&device, &rated, mean, &parameters, &watch).expect("fitted");
        let model = crate::rating::RatingModel::from_rows(mean, rows, (1.0, 5.0));
        let error = triples
            .iter()
            .map(|(user, item, given)| (model.raw(*user as usize, *item as usize) - given).abs())
            .fold(0.0, f32::max);
        assert!(error < 0.3, "{error}");
    }
}
