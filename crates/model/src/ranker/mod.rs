//! The ranker orders what the first stage found: it learns from what readers picked up next how much factors,
//! neighbours, popularity, authors and time say in this very shop.
//!
//! Its input are [`features`] of a user and a candidate; its output is a number s for each candidate, whose
//! softmax among the candidates of one user is fitted to the items that the user picked:
//!
//! ```text
//! L = − Σ_users Σ_{i picked} (w_i / Σ_{j picked} w_j) log p_i      p_i = exp s_i / Σ_{j candidate} exp s_j
//! ```
//!
//! where w_i is the weight of what the user did: a purchase may count more than a visit.
//!
//! (The listwise loss of ListNet: Cao et al. 2007, "Learning to rank: from pairwise approach to listwise
//! approach".) Of the losses tried it is the best on all data sets: see docs/figures.md.

pub mod features;
mod training;

use faer::{Accum, MatMut, MatRef, Par};
use serde::{Deserialize, Serialize};

pub use features::Feature;
pub use training::{Examples, fit};

/// What orders the candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A small neural network, if it is better than the blend.
    #[default]
    Mlp,
    /// A weighted sum of the features, if it is better than the blend.
    Linear,
    /// The blend: factors and neighbours at fixed weights.
    None,
}

/// The settings of the ranker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub kind: Kind,
    /// The widths of the hidden layers of `mlp`.
    pub hidden: Vec<usize>,
    /// Passes over the examples, at most: early stopping may take fewer.
    pub ranker_epochs: usize,
    pub ranker_learning_rate: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { kind: Kind::default(), hidden: vec![32, 16], ranker_epochs: 6, ranker_learning_rate: 0.008 }
    }
}

/// Standardised features are cut off here, so that a value never seen in training moves no list.
const FARTHEST: f32 = 5.0;

/// Steps of [`Ranker::contributions`].
const STEPS: usize = 128;

/// Layers of a network: outputs of one are inputs of the next, with max(0, ·) between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// inputs × outputs, row by row.
    pub weights: Vec<f32>,
    /// One for each output.
    pub biases: Vec<f32>,
}

/// Mean and inverse deviation of each feature in training; 0 for a feature that was the same everywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standard {
    pub means: Vec<f32>,
    pub inverse_deviations: Vec<f32>,
}

/// A score from features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ranker {
    /// Weights of features as they are; the scores of all other features are 0.
    Blend(Vec<(usize, f32)>),
    /// The mean of networks over standardised features; the last layer of each has one output.
    Networks { standard: Standard, networks: Vec<Vec<Layer>> },
}

impl Default for Ranker {
    fn default() -> Self {
        Self::blend()
    }
}

impl Ranker {
    /// The plain blend: seven parts of factors and three of neighbours, as z-scores. Near the best of 0.3, 0.5 and
    /// 0.7 on all data sets but one.
    pub fn blend() -> Self {
        Self::Blend(vec![(Feature::Factors as usize, 0.7), (Feature::Neighbours as usize, 0.3)])
    }

    /// Orders by one feature alone.
    pub fn only(feature: Feature) -> Self {
        Self::Blend(vec![(feature as usize, 1.0)])
    }

    /// Appends the score of each candidate; `features` has [`features::COUNT`] numbers for each.
    pub fn score(&self, features: &[f32], scores: &mut Vec<f32>) {
        let rows = features.chunks_exact(features::COUNT);
        match self {
            Self::Blend(weights) => scores.extend(
                rows.map(|row| weights.iter().map(|(feature, weight)| weight * row[*feature]).sum::<f32>()),
            ),
            Self::Networks { standard, networks } => {
                let (count, before) = (rows.len(), scores.len());
                let mut inputs = vec![0.0; count * features::COUNT];
                rows.zip(inputs.chunks_exact_mut(features::COUNT))
                    .for_each(|(row, to)| standard.apply(row, to));
                scores.resize(before + count, 0.0);
                for layers in networks {
                    let outputs = outputs(layers, &inputs, count);
                    let sums = scores[before..].iter_mut().zip(outputs);
                    sums.for_each(|(sum, output)| *sum += output / networks.len() as f32);
                }
            }
        }
    }

    /// What each feature adds to the score beyond that of a candidate with average features (with the blend: beyond
    /// 0): [`features::COUNT`] numbers, whose sum is the difference of the two scores.
    ///
    /// They are the integrated gradients along the straight line between the two (Sundararajan, Taly, Yan 2017,
    /// "Axiomatic attribution for deep networks"), in 128 steps.
    pub fn contributions(&self, row: &[f32]) -> Vec<f32> {
        match self {
            Self::Blend(weights) => {
                let mut added = vec![0.0; features::COUNT];
                weights.iter().for_each(|(feature, weight)| added[*feature] += weight * row[*feature]);
                added
            }
            Self::Networks { standard, networks } => {
                let mut inputs = vec![0.0; features::COUNT];
                standard.apply(row, &mut inputs);
                let mut added = vec![0.0; features::COUNT];
                for step in 0..STEPS {
                    let part = (step as f32 + 0.5) / STEPS as f32;
                    let at: Vec<f32> = inputs.iter().map(|input| input * part).collect();
                    for layers in networks {
                        for ((added, slope), input) in
                            added.iter_mut().zip(gradient(layers, &at)).zip(&inputs)
                        {
                            *added += slope * input / (STEPS * networks.len()) as f32;
                        }
                    }
                }
                added
            }
        }
    }

    /// Whether all numbers have their places, as in a file that nobody has changed.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Blend(weights) => {
                weights.iter().all(|(feature, weight)| *feature < features::COUNT && weight.is_finite())
            }
            Self::Networks { standard, networks } => {
                let is_sound = |layers: &Vec<Layer>| {
                    let mut width = features::COUNT;
                    let fits = |layer: &Layer| {
                        let fits =
                            !layer.biases.is_empty() && layer.weights.len() == width * layer.biases.len();
                        width = layer.biases.len();
                        fits && layer.weights.iter().chain(&layer.biases).all(|value| value.is_finite())
                    };
                    layers.iter().all(fits) && width == 1
                };
                [&standard.means, &standard.inverse_deviations].iter().all(|column| {
                    column.len() == features::COUNT && column.iter().all(|value| value.is_finite())
                }) && !networks.is_empty()
                    && networks.iter().all(is_sound)
            }
        }
    }
}

impl Layer {
    /// The outputs for `count` rows of inputs, row by row.
    fn of(&self, inputs: &[f32], count: usize) -> Vec<f32> {
        let width = self.biases.len();
        let mut outputs = self.biases.repeat(count);
        faer::linalg::matmul::matmul(
            MatMut::from_row_major_slice_mut(&mut outputs, count, width),
            Accum::Add,
            MatRef::from_row_major_slice(inputs, count, self.weights.len() / width),
            MatRef::from_row_major_slice(&self.weights, self.weights.len() / width, width),
            1.0,
            Par::Seq,
        );
        outputs
    }
}

impl Standard {
    /// Of rows of [`features::COUNT`] numbers.
    fn of(rows: &[f32]) -> Self {
        let count = (rows.len() / features::COUNT).max(1) as f64;
        let mut sums = vec![(0.0f64, 0.0f64); features::COUNT];
        for row in rows.chunks_exact(features::COUNT) {
            for (sum, value) in sums.iter_mut().zip(row) {
                sum.0 += f64::from(*value);
            }
        }
        sums.iter_mut().for_each(|sum| sum.0 /= count);
        for row in rows.chunks_exact(features::COUNT) {
            for (sum, value) in sums.iter_mut().zip(row) {
                sum.1 += (f64::from(*value) - sum.0).powi(2);
            }
        }
        let inverse = |(_, square): &(f64, f64)| match (square / count).sqrt() {
            deviation if deviation > 1e-6 => (1.0 / deviation) as f32,
            _ => 0.0,
        };
        Self {
            means: sums.iter().map(|(mean, _)| *mean as f32).collect(),
            inverse_deviations: sums.iter().map(inverse).collect(),
        }
    }

    #[inline(always)]
    fn apply(&self, row: &[f32], to: &mut [f32]) {
        for (at, to) in to.iter_mut().enumerate() {
            *to = ((row[at] - self.means[at]) * self.inverse_deviations[at]).clamp(-FARTHEST, FARTHEST);
        }
    }
}

/// What a network makes of `count` rows of inputs.
fn outputs(layers: &[Layer], inputs: &[f32], count: usize) -> Vec<f32> {
    let mut outputs = inputs.to_vec();
    for (number, layer) in layers.iter().enumerate() {
        outputs = layer.of(&outputs, count);
        if number + 1 < layers.len() {
            outputs.iter_mut().for_each(|output| *output = output.max(0.0));
        }
    }
    outputs
}

/// The gradient of a network's output with respect to its inputs.
fn gradient(layers: &[Layer], inputs: &[f32]) -> Vec<f32> {
    let Some((layer, rest)) = layers.split_first() else {
        return vec![1.0];
    };
    let width = layer.biases.len();
    let mut outputs = layer.biases.clone();
    for (input, weights) in inputs.iter().zip(layer.weights.chunks_exact(width)) {
        outputs.iter_mut().zip(weights).for_each(|(output, weight)| *output += input * weight);
    }
    let mut slopes = vec![1.0; width];
    if !rest.is_empty() {
        let passed: Vec<f32> = outputs.iter().map(|output| output.max(0.0)).collect();
        slopes = gradient(rest, &passed);
        slopes
            .iter_mut()
            .zip(&outputs)
            .for_each(|(slope, output)| *slope *= f32::from(u8::from(*output > 0.0)));
    }
    layer
        .weights
        .chunks_exact(width)
        .map(|weights| weights.iter().zip(&slopes).map(|(weight, slope)| weight * slope).sum())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initial;

    fn network() -> Ranker {
        let layer = |inputs: usize, outputs: usize, seed: u64| Layer {
            weights: initial(inputs, outputs, seed).into_iter().map(|weight| weight * 20.0).collect(),
            biases: initial(1, outputs, seed + 1),
        };
        let layers =
            |seed| vec![layer(features::COUNT, 7, seed), layer(7, 3, seed + 2), layer(3, 1, seed + 4)];
        Ranker::Networks {
            standard: Standard {
                means: vec![0.5; features::COUNT],
                inverse_deviations: vec![2.0; features::COUNT],
            },
            networks: vec![layers(1), layers(11)],
        }
    }

    fn score(ranker: &Ranker, row: &[f32]) -> f32 {
        let mut scores = Vec::new();
        ranker.score(row, &mut scores);
        scores[0]
    }

    #[test]
    fn features_stand_where_their_numbers_say() {
        for (place, (feature, name, what)) in features::ALL.iter().enumerate() {
            assert_eq!(*feature as usize, place);
            assert!(!name.is_empty() && !what.is_empty());
        }
    }

    #[test]
    fn what_features_add_is_what_the_score_is_above_the_average() {
        let row: Vec<f32> = initial(1, features::COUNT, 9).into_iter().map(|value| value * 30.0).collect();
        let (network, average) = (network(), vec![0.5; features::COUNT]);
        let added: f32 = network.contributions(&row).iter().sum();
        let above = score(&network, &row) - score(&network, &average);
        assert!((added - above).abs() < 0.02 * above.abs().max(1.0), "{added} {above}");
        let blend = Ranker::blend();
        assert!((blend.contributions(&row).iter().sum::<f32>() - score(&blend, &row)).abs() < 1e-5);
        assert_eq!(score(&Ranker::only(Feature::Age), &row), row[Feature::Age as usize]);
    }

    #[test]
    fn what_was_changed_by_somebody_is_not_sound() {
        assert!(network().is_sound() && Ranker::blend().is_sound());
        let Ranker::Networks { standard, networks } = network() else { return };
        let with = |change: &dyn Fn(&mut Vec<Layer>)| {
            let mut networks = networks.clone();
            change(&mut networks[1]);
            Ranker::Networks { standard: standard.clone(), networks }
        };
        assert!(!with(&|layers| layers.clear()).is_sound());
        assert!(!with(&|layers| layers.truncate(2)).is_sound());
        assert!(!with(&|layers| layers[1].weights.truncate(5)).is_sound());
        assert!(!with(&|layers| layers[0].biases[0] = f32::NAN).is_sound());
        let without_outputs = |layers: &mut Vec<Layer>| {
            layers[1] = Layer { weights: Vec::new(), biases: Vec::new() };
            layers[2] = Layer { weights: Vec::new(), biases: vec![0.0] };
        };
        assert!(!with(&without_outputs).is_sound());
        assert!(!Ranker::Blend(vec![(features::COUNT, 1.0)]).is_sound());
    }
}
