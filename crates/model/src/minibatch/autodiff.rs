//! Gradient steps with burn's autodiff: the losses as a few tensor operations.

use burn::module::{AutodiffModule, Module, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{Adam, AdamConfig, GradientsParams, Optimizer, Sgd, SgdConfig};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor};

use super::{Batch, Loss, Sample, Setting};
use crate::Factors;
use crate::error::Result;
use crate::tensors::{integers, numbers, reciprocal, table};

#[derive(Module, Debug)]
struct Embeddings<B: Backend> {
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

enum Optimiser<B: AutodiffBackend> {
    Adam(OptimizerAdaptor<Adam, Embeddings<B>, B>),
    Sgd(OptimizerAdaptor<Sgd<B::InnerBackend>, Embeddings<B>, B>),
}

/// The two embedding tables while they are trained.
pub struct Descent<B: AutodiffBackend> {
    loss: Loss,
    width: usize,
    learning_rate: f64,
    device: B::Device,
    /// `None` only while a step is taken, or after one failed.
    embeddings: Option<Embeddings<B>>,
    optimiser: Optimiser<B>,
}

impl<B: AutodiffBackend<FloatElem = f32>> Descent<B>
where
    B::InnerBackend: Backend<FloatElem = f32>,
{
    pub fn new(device: &B::Device, setting: &Setting<'_>, factors: Factors) -> Self {
        let Factors { width, users, items } = factors;
        let decay = Some(setting.minibatch.weight_decay)
            .filter(|decay| *decay > 0.0)
            .map(|decay| WeightDecayConfig::new(decay as f32));
        let optimiser = match setting.is_adam() {
            false => Optimiser::Sgd(SgdConfig::new().with_weight_decay(decay).init()),
            // The constants that burn and PyTorch share, and PyTorch's epsilon, because people compare with
            // it.
            true => Optimiser::Adam(AdamConfig::new().with_epsilon(1e-8).with_weight_decay(decay).init()),
        };
        Self {
            loss: setting.loss,
            width,
            learning_rate: setting.minibatch.learning_rate,
            device: device.clone(),
            embeddings: Some(Embeddings::new(users, items, width, device)),
            optimiser,
        }
    }

    /// Takes one step against the gradient of an estimate, from one batch, of the loss divided by the number
    /// of observed pairs. The estimate is unbiased: each pair carries 1/n of its user's and its item's
    /// penalty. Returns the estimate.
    ///
    /// # Errors
    /// [`crate::error::Error::DeviceFailed`] if the device fails.
    pub fn step(&mut self, batch: &Batch, sample: &Sample) -> Result<f64> {
        let Some(embeddings) = self.embeddings.take() else {
            return Ok(f64::NAN);
        };
        let loss = estimate(self.loss, &embeddings, batch, sample, &self.device);
        let value = numbers(loss.clone().inner())?.into_iter().map(f64::from).sum::<f64>();
        let gradients = GradientsParams::from_grads(loss.backward(), &embeddings);
        self.embeddings = Some(match &mut self.optimiser {
            Optimiser::Adam(adam) => adam.step(self.learning_rate, embeddings, gradients),
            Optimiser::Sgd(sgd) => sgd.step(self.learning_rate, embeddings, gradients),
        });
        Ok(value)
    }

    pub fn finish(self) -> Result<Factors> {
        let (mut users, mut items) = (Vec::new(), Vec::new());
        if let Some(embeddings) = self.embeddings {
            let embeddings = embeddings.valid();
            (users, items) = (numbers(embeddings.users.val())?, numbers(embeddings.items.val())?);
        }
        Ok(Factors { width: self.width, users, items })
    }
}

/// See [`Descent::step`].
fn estimate<B: AutodiffBackend<FloatElem = f32>>(
    loss: Loss,
    embeddings: &Embeddings<B>,
    batch: &Batch,
    sample: &Sample,
    device: &B::Device,
) -> Tensor<B, 1> {
    let (users, items) = (embeddings.users.val(), embeddings.items.val());
    let x = users.clone().select(0, codes(&batch.users, device));
    let y = items.clone().select(0, codes(&batch.items, device));
    // Columns are `[batch, 1]`.
    let column = |numbers: &[f32]| table::<B>(numbers.to_vec(), 1, device);
    let (user_counts, item_counts) = (column(&batch.user_counts), column(&batch.item_counts));
    let ratings = column(&batch.ratings);
    let square = |rows: Tensor<B, 2>| (rows.clone() * rows).sum_dim(1);
    match loss {
        Loss::Rating { mean, user, item, user_damping, item_damping } => {
            let d = x.dims()[1] - 1;
            let split = |rows: Tensor<B, 2>| (rows.clone().narrow(1, 0, d), rows.narrow(1, d, 1));
            let ((x, b_u), (y, b_i)) = (split(x), split(y));
            let predicted = (x.clone() * y.clone()).sum_dim(1) + b_u.clone() + b_i.clone() + mean;
            let of_user = reciprocal(user_counts) * user_damping;
            let of_item = reciprocal(item_counts) * item_damping;
            let penalty = square(x) * ((of_user.clone() + 1.0) * user)
                + square(y) * ((of_item.clone() + 1.0) * item)
                + square(b_u) * of_user
                + square(b_i) * of_item;
            (square(ratings - predicted) + penalty).mean()
        }
        Loss::Ranking { regularization, unobserved_weight, exponent } => {
            let [n_items, n_users] = [items.dims()[0] as f32, users.dims()[0] as f32];
            let weight = |counts: Tensor<B, 2>, others: f32| {
                let total = (counts.clone() + unobserved_weight * others).powf_scalar(exponent);
                total * regularization / counts
            };
            let predicted = (x.clone() * y.clone()).sum_dim(1);
            let penalty = square(x) * weight(user_counts, n_items) + square(y) * weight(item_counts, n_users);
            // What is disliked has a weight below 0, and a target of 0.
            let targets = ratings.clone().greater_equal_elem(0.0).float();
            let observed = (square(targets - predicted) * ratings.abs() + penalty).mean();
            // Σ (x·y)² over all pairs of a sample is the sum of the products of the entries of XᵀX and YᵀY:
            // the pairs themselves are never formed.
            let gram = |rows: Tensor<B, 2>| rows.clone().transpose().matmul(rows);
            let pairs = (sample.users.len() * sample.items.len()).max(1) as f32;
            let squares = gram(users.select(0, codes(&sample.users, device)))
                * gram(items.select(0, codes(&sample.items, device)));
            observed + squares.sum() * (unobserved_weight * sample.pairs_for_each / pairs)
        }
    }
}

fn codes<B: Backend>(codes: &[u32], device: &B::Device) -> Tensor<B, 1, Int> {
    integers(codes.iter().map(|code| *code as i32).collect(), device)
}
