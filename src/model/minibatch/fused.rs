//! Steps on the CPU, with gradients worked out by hand: what autodiff gives for [`super::tensors`], without
//! its tensors.

use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::{ADAM, Adam, Batch, Descent, Loss, Sample, Setting};
use crate::error::Result;
use crate::model::{Factors, dot};

/// Numbers of a table that are moved together.
const BLOCK: usize = 1 << 14;

/// A table, and where it is going.
#[derive(Debug, Default)]
struct Table {
    /// Row by row.
    rows: Vec<f32>,
    /// Of the batch; zeros between two steps.
    gradient: Vec<f32>,
    /// Running means of the gradient and of its square; empty for plain steps.
    moments: [Vec<f32>; 2],
}

/// Both tables.
#[derive(Debug)]
pub struct Fused {
    loss: Loss,
    width: usize,
    learning_rate: f32,
    weight_decay: f32,
    /// How many steps were taken.
    steps: i32,
    users: Table,
    items: Table,
}

impl Fused {
    /// Begins at `factors`.
    pub fn new(setting: &Setting<'_>, factors: Factors) -> Self {
        let Factors { width, users, items } = factors;
        let table = |rows: Vec<f32>| {
            let moments = || if setting.is_adam() { vec![0.0; rows.len()] } else { Vec::new() };
            Table { gradient: vec![0.0; rows.len()], moments: [moments(), moments()], rows }
        };
        Self {
            loss: setting.loss,
            width,
            learning_rate: setting.minibatch.learning_rate as f32,
            weight_decay: setting.minibatch.weight_decay as f32,
            steps: 0,
            users: table(users),
            items: table(items),
        }
    }

    /// The pair's part of the loss, whose gradient is added up.
    fn pair(&mut self, batch: &Batch, at: usize, others: [f32; 2]) -> f32 {
        let width = self.width;
        let of = |code: u32| code as usize * width..(code as usize + 1) * width;
        let (user, item) = (of(batch.users[at]), of(batch.items[at]));
        let (x, y) = (&self.users.rows[user.clone()], &self.items.rows[item.clone()]);
        let (to_x, to_y) = (&mut self.users.gradient[user], &mut self.items.gradient[item]);
        let (rating, counts) = (batch.ratings[at], [batch.user_counts[at], batch.item_counts[at]]);
        let half = 2.0 / batch.ratings.len() as f32;
        match self.loss {
            Loss::Rating { mean, user, item, user_damping, item_damping } => {
                let d = width - 1;
                let (shares, biases) = ([user_damping / counts[0], item_damping / counts[1]], [x[d], y[d]]);
                let weights = [user * (shares[0] + 1.0), item * (shares[1] + 1.0)];
                let error = rating - (dot(&x[..d], &y[..d]) + biases[0] + biases[1] + mean);
                let penalty = weights[0] * dot(&x[..d], &x[..d]) + weights[1] * dot(&y[..d], &y[..d]);
                for k in 0..d {
                    to_x[k] += half * (weights[0] * x[k] - error * y[k]);
                    to_y[k] += half * (weights[1] * y[k] - error * x[k]);
                }
                to_x[d] += half * (shares[0] * biases[0] - error);
                to_y[d] += half * (shares[1] * biases[1] - error);
                error * error + penalty + shares[0] * biases[0].powi(2) + shares[1] * biases[1].powi(2)
            }
            Loss::Ranking { regularization, unobserved_weight, exponent } => {
                let weight = |place: usize| {
                    let total = (counts[place] + unobserved_weight * others[place]).powf(exponent);
                    total * regularization / counts[place]
                };
                let weights = [weight(0), weight(1)];
                let error = 1.0 - dot(x, y);
                for k in 0..width {
                    to_x[k] += half * (weights[0] * x[k] - rating * error * y[k]);
                    to_y[k] += half * (weights[1] * y[k] - rating * error * x[k]);
                }
                rating * error * error + weights[0] * dot(x, x) + weights[1] * dot(y, y)
            }
        }
    }

    /// The sample's part: a multiple of Σ (x·y)² over all of its pairs. With G = Σ y yᵀ that is Σ xᵀ G x, and
    /// the gradient for x is 2 G x: no pair has to be looked at.
    fn sampled(&mut self, sample: &Sample, unobserved_weight: f32) -> f32 {
        let pairs = (sample.users.len() * sample.items.len()).max(1) as f32;
        let share = unobserved_weight * sample.pairs_for_each / pairs;
        let d = self.width;
        let x = gathered(&self.users.rows, &sample.users, d);
        let y = gathered(&self.items.rows, &sample.items, d);
        let mut sum = 0.0;
        for (rows, others, codes, table) in
            [(&x, &y, &sample.users, &mut self.users), (&y, &x, &sample.items, &mut self.items)]
        {
            let mut gram = vec![0.0; d * d];
            let others = MatRef::from_row_major_slice(others, others.len() / d, d);
            let into = MatMut::from_row_major_slice_mut(&mut gram, d, d);
            faer::linalg::matmul::matmul(into, Accum::Replace, others.transpose(), others, 1.0, Par::Seq);
            let mut turned = vec![0.0; rows.len()];
            faer::linalg::matmul::matmul(
                MatMut::from_row_major_slice_mut(&mut turned, codes.len(), d),
                Accum::Replace,
                MatRef::from_row_major_slice(rows, codes.len(), d),
                MatRef::from_row_major_slice(&gram, d, d),
                1.0,
                Par::Seq,
            );
            // The same from both sides.
            sum = dot(rows, &turned);
            for (code, turned) in codes.iter().zip(turned.chunks_exact(d)) {
                let gradient = &mut table.gradient[*code as usize * d..][..d];
                gradient.iter_mut().zip(turned).for_each(|(sum, value)| *sum += 2.0 * share * value);
            }
        }
        share * sum
    }
}

fn gathered(rows: &[f32], codes: &[u32], d: usize) -> Vec<f32> {
    codes.iter().flat_map(|code| &rows[*code as usize * d..][..d]).copied().collect()
}

impl Descent for Fused {
    fn step(&mut self, batch: &Batch, sample: &Sample) -> Result<f64> {
        let others = [self.items.rows.len(), self.users.rows.len()].map(|len| (len / self.width) as f32);
        let mut loss = 0.0;
        for at in 0..batch.ratings.len() {
            loss += f64::from(self.pair(batch, at, others));
        }
        loss /= batch.ratings.len().max(1) as f64;
        if let Loss::Ranking { unobserved_weight, .. } = self.loss {
            loss += f64::from(self.sampled(sample, unobserved_weight));
        }
        self.steps += 1;
        let Adam { beta_1, beta_2, epsilon } = ADAM;
        let unbiased = (1.0 - beta_2.powi(self.steps)).sqrt();
        let stride = Stride {
            length: self.learning_rate,
            weight_decay: self.weight_decay,
            scale: unbiased / (1.0 - beta_1.powi(self.steps)),
            epsilon: epsilon * unbiased,
        };
        self.users.step(&stride);
        self.items.step(&stride);
        Ok(loss)
    }

    fn finish(self) -> Result<Factors> {
        Ok(Factors { width: self.width, users: self.users.rows, items: self.items.rows })
    }
}

/// How far one step goes.
#[derive(Clone, Copy)]
struct Stride {
    length: f32,
    weight_decay: f32,
    /// What makes up for moments that began at zero.
    scale: f32,
    epsilon: f32,
}

impl Table {
    /// Moves every row, and forgets the gradient.
    fn step(&mut self, stride: &Stride) {
        let Self { rows, gradient, moments: [first, second] } = self;
        let blocks = rows.par_chunks_mut(BLOCK).zip(gradient.par_chunks_mut(BLOCK));
        if first.is_empty() {
            blocks.for_each(|(rows, gradient)| {
                for (value, slope) in rows.iter_mut().zip(gradient) {
                    *value -= stride.length * (*slope + stride.weight_decay * *value);
                    *slope = 0.0;
                }
            });
            return;
        }
        let moments = first.par_chunks_mut(BLOCK).zip(second.par_chunks_mut(BLOCK));
        blocks.zip(moments).for_each(|((rows, gradient), (first, second))| {
            pulp::Arch::new().dispatch(Move { stride, rows, gradient, first, second });
        });
    }
}

/// Adam's step for some numbers of a table. A type and not a closure, because only what is inlined into it
/// is compiled for this processor's vector registers.
struct Move<'a> {
    stride: &'a Stride,
    rows: &'a mut [f32],
    gradient: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl pulp::NullaryFnOnce for Move<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { stride: Stride { length, weight_decay, scale, epsilon }, .. } = self;
        let Adam { beta_1, beta_2, .. } = ADAM;
        let moments = self.first.iter_mut().zip(self.second);
        for ((value, gradient), (first, second)) in self.rows.iter_mut().zip(self.gradient).zip(moments) {
            let slope = *gradient + weight_decay * *value;
            *gradient = 0.0;
            *first = beta_1 * *first + (1.0 - beta_1) * slope;
            *second = beta_2 * *second + (1.0 - beta_2) * slope * slope;
            *value -= length * scale * *first / (second.sqrt() + epsilon);
        }
    }
}
