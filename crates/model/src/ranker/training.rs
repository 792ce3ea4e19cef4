//! Fits a [`Ranker`] with burn's autodiff.

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module, Param};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, relu, softmax};
use burn::tensor::backend::{AutodiffBackend, Backend};
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};

use super::{Kind, Layer, Ranker, Settings, Standard, features};
use crate::Watch;
use crate::deriving::on_threads_of_their_own;
use crate::error::Result;
use crate::tensors::{numbers, table};

/// Candidates of a user to learn from: all that were picked, and others at random. With 100 or 200 the lists are no
/// better.
const CANDIDATES: usize = 50;

/// Users in a step.
const BATCH: usize = 64;

/// Networks that are fitted.
const NETWORKS: u64 = 2;

/// One user of this many decides when to stop.
const VALIDATION: usize = 8;

/// Candidates of some users, and how much each of them was picked: by the weight of what the user did, 0 if nothing. Users
/// who picked none are of no use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// [`features::COUNT`] numbers for each candidate, user by user.
    pub features: Vec<f32>,
    pub picked: Vec<f32>,
    /// Where each user's candidates begin, and one past the last.
    pub offsets: Vec<usize>,
}

impl Examples {
    pub fn new() -> Self {
        Self { offsets: vec![0], ..Self::default() }
    }

    pub fn users(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Adds a user's candidates, fewer if there are very many: those that were picked, and others drawn by
    /// `seed`. Does nothing if none was picked.
    pub fn add(&mut self, candidates: &[f32], picked: &[f32], seed: u64) {
        if !picked.iter().any(|weight| *weight > 0.0) {
            return;
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut places: Vec<(bool, u32, usize)> =
            picked.iter().enumerate().map(|(at, weight)| (*weight <= 0.0, random.next_u32(), at)).collect();
        places.sort_unstable();
        places.truncate(CANDIDATES);
        for (_, _, at) in places {
            self.features.extend_from_slice(&candidates[at * features::COUNT..][..features::COUNT]);
            self.picked.push(picked[at].max(0.0));
        }
        self.offsets.push(self.picked.len());
    }

    /// Adds the users of another.
    pub fn append(&mut self, other: &Self) {
        let before = self.picked.len();
        self.features.extend_from_slice(&other.features);
        self.picked.extend_from_slice(&other.picked);
        self.offsets.extend(other.offsets.iter().skip(1).map(|offset| before + offset));
    }
}

#[derive(Module, Debug)]
struct Network<B: Backend> {
    /// `[inputs, outputs]` of each layer.
    weights: Vec<Param<Tensor<B, 2>>>,
    /// `[1, outputs]` of each layer.
    biases: Vec<Param<Tensor<B, 2>>>,
}

impl<B: Backend> Network<B> {
    /// The same for the same seed on every machine and device.
    fn new(hidden: &[usize], seed: u64, device: &B::Device) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut weights, mut biases, mut inputs) = (Vec::new(), Vec::new(), features::COUNT);
        for outputs in hidden.iter().chain(&[1]) {
            let bound = 1.0 / (inputs as f32).sqrt();
            let mut draw = |rows: usize| {
                let numbers = (0..rows * outputs).map(|_| random.random_range(-bound..bound)).collect();
                Param::from_tensor(table(numbers, *outputs, device))
            };
            weights.push(draw(inputs));
            biases.push(draw(1));
            inputs = *outputs;
        }
        Self { weights, biases }
    }

    /// `[candidates, features]` to `[candidates, 1]`.
    fn forward(&self, mut rows: Tensor<B, 2>) -> Tensor<B, 2> {
        for (number, (weights, biases)) in self.weights.iter().zip(&self.biases).enumerate() {
            rows = rows.matmul(weights.val()) + biases.val();
            if number + 1 < self.weights.len() {
                rows = relu(rows);
            }
        }
        rows
    }

    fn layers(&self) -> Result<Vec<Layer>> {
        let layer = |(weights, biases): (&Param<Tensor<B, 2>>, &Param<Tensor<B, 2>>)| {
            Ok(Layer { weights: numbers(weights.val())?, biases: numbers(biases.val())? })
        };
        self.weights.iter().zip(&self.biases).map(layer).collect()
    }
}

/// Users of a step, padded to the same number of candidates.
struct Batch<B: Backend> {
    /// `[users × length, features]`
    rows: Tensor<B, 2>,
    /// `[users, length]`: 0, and very low where there is no candidate.
    absent: Tensor<B, 2>,
    /// `[users, length]`: each user's picks share a weight of 1, in proportion to their own.
    picked: Tensor<B, 2>,
}

impl<B: Backend> Batch<B> {
    fn new(examples: &Examples, standard: &Standard, users: &[usize], device: &B::Device) -> Self {
        const ABSENT: f32 = -1e9;
        let of = |user: usize| examples.offsets[user]..examples.offsets[user + 1];
        let length = users.iter().map(|user| of(*user).len()).max().unwrap_or_default();
        let mut rows = vec![0.0; users.len() * length * features::COUNT];
        let (mut absent, mut picked) = (vec![ABSENT; users.len() * length], vec![0.0; users.len() * length]);
        for (place, user) in users.iter().enumerate() {
            let sum: f32 = examples.picked[of(*user)].iter().sum();
            for (at, example) in of(*user).enumerate() {
                let to = place * length + at;
                let row = &examples.features[example * features::COUNT..][..features::COUNT];
                standard.apply(row, &mut rows[to * features::COUNT..][..features::COUNT]);
                absent[to] = 0.0;
                picked[to] = examples.picked[example] / sum;
            }
        }
        Self {
            rows: table(rows, features::COUNT, device),
            absent: table(absent, length, device),
            picked: table(picked, length, device),
        }
    }

    /// `[users, length]`: what the network makes of the candidates.
    fn scores(&self, network: &Network<B>) -> Tensor<B, 2> {
        network.forward(self.rows.clone()).reshape(self.picked.dims()) + self.absent.clone()
    }

    /// The mean loss of a user: the weighted mean of −log softmax(s) of what was picked.
    fn loss(self, network: &Network<B>) -> Tensor<B, 1> {
        let logarithms = log_softmax(self.scores(network), 1);
        (logarithms * self.picked.clone()).sum() / -(self.picked.dims()[0] as f32)
    }
}

/// Fits a ranker to the examples: the mean of a few networks that begin with other numbers, as each ends in another
/// minimum, and the mean is surer and better than any of them. `watch` gets, after each epoch of the first, the loss of
/// examples that it does not learn from.
///
/// # Errors
/// [`crate::error::Error::Diverged`] if a number is not finite; [`crate::error::Error::Interrupted`] or
/// [`crate::error::Error::Terminated`] on a signal; [`crate::error::Error::DeviceFailed`].
pub fn fit<B: Backend<FloatElem = f32>>(
    device: &B::Device,
    examples: &Examples,
    settings: &Settings,
    seed: u64,
    watch: &Watch<'_>,
) -> Result<Ranker> {
    let standard = Standard::of(&examples.features);
    let standard_of = &standard;
    let fit = |number: u64| {
        move || {
            let silent = Watch { interrupt: watch.interrupt, epoch: &|_, _| () };
            let watch = if number == 0 { watch } else { &silent };
            fit_one::<B>(device, (examples, standard_of), settings, seed.wrapping_add(number << 32), watch)
        }
    };
    // One network leaves cores idle.
    let networks = on_threads_of_their_own((0..NETWORKS).map(fit).collect());
    let networks = networks.into_iter().collect::<Result<_>>()?;
    Ok(Ranker::Networks { standard, networks })
}

/// Fits a network, and stops when the loss of examples that it does not learn from grows.
fn fit_one<B: Backend<FloatElem = f32>>(
    device: &B::Device,
    (examples, standard): (&Examples, &Standard),
    settings: &Settings,
    seed: u64,
    watch: &Watch<'_>,
) -> Result<Vec<Layer>> {
    let hidden: &[usize] = if settings.kind == Kind::Mlp { &settings.hidden } else { &[] };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..examples.users()).collect();
    order.shuffle(&mut random);
    let (validation, learning) = order.split_at_mut(examples.users() / VALIDATION);
    let mut network = Network::<Autodiff<B>>::new(hidden, seed, device);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let steps = settings.ranker_epochs * learning.len().div_ceil(BATCH);
    let (mut step, mut best) = (0, (f32::INFINITY, network.valid().layers()?));
    for epoch in 1..=settings.ranker_epochs {
        learning.shuffle(&mut random);
        for users in learning.chunks(BATCH) {
            watch.interrupt.check()?;
            let rate = settings.ranker_learning_rate * (1.0 - step as f64 / steps.max(1) as f64);
            network = descend(network, &mut adam, rate, &Batch::new(examples, standard, users, device));
            step += 1;
        }
        let valid = network.valid();
        let loss = validate(&valid, examples, standard, validation, device)?;
        if !loss.is_finite() {
            return Err(crate::not_finite("training the ranker"));
        }
        (watch.epoch)(epoch, f64::from(loss));
        if loss < best.0 || validation.is_empty() {
            best = (loss, valid.layers()?);
        }
    }
    Ok(best.1)
}

/// A step against the gradient of [`Batch::loss`], which is softmax(s) less the picks for each score s.
///
/// What is derived here is the sum of that gradient times the scores. To derive a logarithm, burn would take the
/// reciprocal that [`reciprocal`](crate::tensors::reciprocal) is there to avoid, and no two fits would be the same.
fn descend<B: AutodiffBackend, O: Optimizer<Network<B>, B>>(
    network: Network<B>,
    optimiser: &mut O,
    rate: f64,
    batch: &Batch<B>,
) -> Network<B> {
    let scores = batch.scores(&network);
    let slopes = softmax(scores.clone().detach(), 1) - batch.picked.clone();
    let sum = (scores * slopes).sum() / batch.picked.dims()[0] as f32;
    let gradients = GradientsParams::from_grads(sum.backward(), &network);
    optimiser.step(rate, network, gradients)
}

/// The mean loss of some users.
fn validate<B: Backend<FloatElem = f32>>(
    network: &Network<B>,
    examples: &Examples,
    standard: &Standard,
    users: &[usize],
    device: &B::Device,
) -> Result<f32> {
    let mut sum = 0.0;
    for some in users.chunks(BATCH * 4) {
        let loss = Batch::new(examples, standard, some, device).loss(network);
        sum += numbers(loss)?.into_iter().sum::<f32>() * some.len() as f32;
    }
    Ok(sum / users.len().max(1) as f32)
}
