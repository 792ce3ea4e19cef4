//! The same losses by gradient descent: shuffled mini-batches through burn's autodiff.
//!
//! This is how most tutorials train matrix factorisation: two embedding tables, a product, Adam.
//! It is kept because people compare with it and extend it; least squares reaches a lower loss in
//! a fraction of the time. burn's optimisers update whole tables at every step, so small batches
//! on large catalogues are slow.

use burn::backend::Autodiff;
use burn::module::{Module, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamConfig, GradientsParams, Optimizer, SgdConfig, SimpleOptimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::evidence::Evidence;
use super::kernels::{numbers, table};
use super::settled::Settled;
use super::{Factors, Watch, initial, not_finite};
use crate::catalog::interactions::Interactions;
use crate::config::{Minibatch, Model, Solver};
use crate::error::Result;

/// Users and items that are drawn at each step to stand for all pairs, observed or not.
const SAMPLE: usize = 1024;

/// Two embedding tables.
#[derive(Module, Debug)]
pub struct Embeddings<B: Backend> {
    /// `[users, width]`
    users: Param<Tensor<B, 2>>,
    /// `[items, width]`
    items: Param<Tensor<B, 2>>,
}

impl<B: Backend> Embeddings<B> {
    fn new(users: Vec<f32>, items: Vec<f32>, width: usize, device: &B::Device) -> Self {
        Self {
            users: Param::from_tensor(table(users, width, device)),
            items: Param::from_tensor(table(items, width, device)),
        }
    }
}

/// Which loss, and its constants.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Ranking { regularization: f32, unobserved_weight: f32, exponent: f32 },
    Rating { mean: f32, user: f32, item: f32, user_damping: f32, item_damping: f32 },
}

/// Fits the ranking loss. See [`super::fit_ranking`].
///
/// # Errors
/// As there.
pub fn ranking<B: Backend<FloatElem = f32>>(
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
    setting.fit::<Autodiff<B>>(device, evidence.rows(), watch)
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
pub fn rating<B: Backend<FloatElem = f32>>(
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
    setting.fit::<Autodiff<B>>(device, rated, watch)
}

/// One training run.
struct Setting<'a> {
    loss: Loss,
    width: usize,
    epochs: usize,
    model: &'a Model,
    minibatch: &'a Minibatch,
}

impl Setting<'_> {
    fn fit<B: AutodiffBackend<FloatElem = f32>>(
        &self,
        device: &B::Device,
        rows: &Interactions,
        watch: &Watch<'_>,
    ) -> Result<Factors> {
        let decay = Some(self.minibatch.weight_decay)
            .filter(|decay| *decay > 0.0)
            .map(|decay| WeightDecayConfig::new(decay as f32));
        match self.model.solver {
            Solver::Sgd => {
                let optimiser = SgdConfig::new().with_weight_decay(decay).init();
                self.descend::<B, _>(optimiser, device, rows, watch)
            }
            _ => {
                // PyTorch's epsilon: people compare with it.
                let adam = AdamConfig::new().with_epsilon(1e-8).with_weight_decay(decay);
                self.descend::<B, _>(adam.init(), device, rows, watch)
            }
        }
    }

    fn descend<B: AutodiffBackend<FloatElem = f32>, O: SimpleOptimizer<B::InnerBackend>>(
        &self,
        mut optimiser: OptimizerAdaptor<O, Embeddings<B>, B>,
        device: &B::Device,
        rows: &Interactions,
        watch: &Watch<'_>,
    ) -> Result<Factors> {
        let mut random = ChaCha8Rng::seed_from_u64(self.model.seed);
        let (users, items, width) = (rows.user_count(), rows.item_count, self.width);
        let mut embeddings = Embeddings::<B>::new(
            self.start(users, self.model.seed),
            self.start(items, self.model.seed.wrapping_add(1)),
            width,
            device,
        );
        let owner = owners(rows);
        let counts = Counts { users: rows.transposed().readers_per_item(), items: rows.readers_per_item() };
        let mut order: Vec<usize> = (0..rows.len()).collect();
        for epoch in 1..=self.epochs {
            order.shuffle(&mut random);
            let mut sum = 0.0;
            for chosen in order.chunks(self.minibatch.batch_size) {
                watch.interrupt.check()?;
                let batch = Batch::<B>::new(chosen, rows, &owner, &counts, device);
                let sample = Sample::<B>::draw(users, items, rows.len(), &mut random, device);
                let loss = self.loss(&embeddings, batch, sample);
                let value = numbers(loss.clone().inner())?.into_iter().map(f64::from).sum::<f64>();
                sum += value * chosen.len() as f64;
                let gradients = GradientsParams::from_grads(loss.backward(), &embeddings);
                embeddings = optimiser.step(self.minibatch.learning_rate, embeddings, gradients);
            }
            let mean = sum / rows.len().max(1) as f64;
            if !mean.is_finite() {
                return Err(not_finite(&format!("training, epoch {epoch}")));
            }
            (watch.epoch)(epoch, mean);
        }
        Ok(Factors {
            width,
            users: numbers(embeddings.users.val().inner())?,
            items: numbers(embeddings.items.val().inner())?,
        })
    }

    /// The first factors; biases begin at zero.
    fn start(&self, rows: usize, seed: u64) -> Vec<f32> {
        let mut table = initial(rows, self.width, seed);
        if let Loss::Rating { .. } = self.loss {
            table.chunks_exact_mut(self.width).for_each(|row| row[self.width - 1] = 0.0);
        }
        table
    }

    /// An unbiased estimate, from one batch, of the loss in [`super`] divided by the number of
    /// observed pairs: each pair brings its share 1/n of its user's and its item's penalty.
    fn loss<B: AutodiffBackend<FloatElem = f32>>(
        &self,
        embeddings: &Embeddings<B>,
        batch: Batch<B>,
        sample: Sample<B>,
    ) -> Tensor<B, 1> {
        let (users, items) = (embeddings.users.val(), embeddings.items.val());
        let x = users.clone().select(0, batch.users);
        let y = items.clone().select(0, batch.items);
        let square = |rows: Tensor<B, 2>| (rows.clone() * rows).sum_dim(1);
        match self.loss {
            Loss::Rating { mean, user, item, user_damping, item_damping } => {
                let d = self.width - 1;
                let split = |rows: Tensor<B, 2>| (rows.clone().narrow(1, 0, d), rows.narrow(1, d, 1));
                let ((x, b_u), (y, b_i)) = (split(x), split(y));
                let predicted = (x.clone() * y.clone()).sum_dim(1) + b_u.clone() + b_i.clone() + mean;
                let of_user = batch.user_counts.recip() * user_damping;
                let of_item = batch.item_counts.recip() * item_damping;
                let penalty = square(x) * ((of_user.clone() + 1.0) * user)
                    + square(y) * ((of_item.clone() + 1.0) * item)
                    + square(b_u) * of_user
                    + square(b_i) * of_item;
                (square(batch.ratings - predicted) + penalty).mean()
            }
            Loss::Ranking { regularization, unobserved_weight, exponent } => {
                let [n_items, n_users] = [items.dims()[0] as f32, users.dims()[0] as f32];
                let weight = |counts: Tensor<B, 2>, others: f32| {
                    let total = (counts.clone() + unobserved_weight * others).powf_scalar(exponent);
                    total * regularization / counts
                };
                let predicted = (x.clone() * y.clone()).sum_dim(1);
                let penalty = square(x) * weight(batch.user_counts, n_items)
                    + square(y) * weight(batch.item_counts, n_users);
                let observed = (square(-predicted + 1.0) * batch.ratings + penalty).mean();
                let drawn = users.select(0, sample.users).matmul(items.select(0, sample.items).transpose());
                observed + (drawn.clone() * drawn).mean() * (unobserved_weight * sample.pairs_for_each)
            }
        }
    }
}

/// How many ratings each user and each item has.
struct Counts {
    users: Vec<u32>,
    items: Vec<u32>,
}

/// Some observed pairs. Columns are `[batch, 1]`.
struct Batch<B: Backend> {
    users: Tensor<B, 1, Int>,
    items: Tensor<B, 1, Int>,
    /// What the pair came to, or, for the ranking loss, how much it counts.
    ratings: Tensor<B, 2>,
    user_counts: Tensor<B, 2>,
    item_counts: Tensor<B, 2>,
}

impl<B: Backend> Batch<B> {
    fn new(
        chosen: &[usize],
        rows: &Interactions,
        owner: &[u32],
        counts: &Counts,
        device: &B::Device,
    ) -> Self {
        let column =
            |value: &dyn Fn(usize) -> f32| table(chosen.iter().map(|at| value(*at)).collect(), 1, device);
        Self {
            users: codes(chosen.iter().map(|at| owner[*at]), device),
            items: codes(chosen.iter().map(|at| rows.items[*at]), device),
            ratings: column(&|at| rows.ratings[at]),
            user_counts: column(&|at| counts.users[owner[at] as usize] as f32),
            item_counts: column(&|at| counts.items[rows.items[at] as usize] as f32),
        }
    }
}

/// Users and items drawn evenly, whose pairs stand for all pairs.
struct Sample<B: Backend> {
    users: Tensor<B, 1, Int>,
    items: Tensor<B, 1, Int>,
    /// users × items / observed pairs.
    pairs_for_each: f32,
}

impl<B: Backend> Sample<B> {
    fn draw(users: usize, items: usize, pairs: usize, random: &mut ChaCha8Rng, device: &B::Device) -> Self {
        use rand::RngExt;
        let mut some = |all: usize| {
            let drawn: Vec<u32> = (0..SAMPLE.min(all)).map(|_| random.random_range(0..all) as u32).collect();
            codes(drawn.into_iter(), device)
        };
        Self {
            users: some(users),
            items: some(items),
            pairs_for_each: (users as f64 * items as f64 / pairs.max(1) as f64) as f32,
        }
    }
}

fn codes<B: Backend>(codes: impl Iterator<Item = u32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let codes: Vec<i32> = codes.map(|code| code as i32).collect();
    let length = codes.len();
    Tensor::from_data(TensorData::new(codes, [length]), device)
}

/// The user of each entry.
fn owners(rows: &Interactions) -> Vec<u32> {
    (0..rows.user_count()).flat_map(|user| std::iter::repeat_n(user as u32, rows.of(user).0.len())).collect()
}
