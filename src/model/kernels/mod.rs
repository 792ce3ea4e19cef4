//! One half-step of alternating least squares, as an operation of a burn backend.
//!
//! With one side's factors held still, every row of the other side is a small ridge regression of
//! its own. burn's backends have no such operation, so we add one: the trait [`AlsBackend`], with
//! a default in tensor operations ([`tensor`]) that any backend can run, and a fused one for the
//! CPU ([`cpu`]) that never builds padded tiles. The default is what the fused one is tested
//! against.
//!
//! # One change of variables that makes every row easy
//!
//! A row with features V (L × d, a row for each rating), targets t, weights c and penalty λ minimises
//!
//! ```text
//! Σ c (t − v·x)² + α₀ Σ_all (x·y)² + λ|x|²  =  |t − V x|² + xᵀ (α₀ YᵀY + λI) x
//! ```
//!
//! where each row of V, and its target, is taken times √c on the right.
//!
//! The matrix in the middle depends on the row only through λ. With α₀ YᵀY = Q Λ Qᵀ, computed
//! once a half-step, it is diagonal for every row in the basis Q: D = Λ + λI. With W = VQ D^-½ and
//! x = Q D^-½ z what is left is |t − W z|² + |z|², whose solution needs the smaller one of
//!
//! ```text
//! (I + WᵀW) z = Wᵀ t        d × d        (I + WWᵀ) a = t,  z = Wᵀ a        L × L
//! ```
//!
//! Both are well conditioned (no eigenvalue under 1), so 32-bit numbers do. Most readers and most
//! books have far fewer than d ratings: their systems are tiny, and exact.

pub mod cpu;
pub mod row;
pub mod spectrum;
pub mod tensor;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorPrimitive};
use burn_ndarray::NdArrayTensor;

use crate::error::Result;
use crate::interrupt::Interrupt;

/// The rows of one side, to be solved against the factors of the other.
#[derive(Clone, Copy, Debug)]
pub struct Ridge<'a> {
    /// Where each row's ratings begin, and one past the last.
    pub offsets: &'a [usize],
    /// Which row of the features each rating is about.
    pub columns: &'a [u32],
    /// What each rating should come to; 1 where there is none.
    pub targets: Option<&'a [f32]>,
    /// How much each rating counts, c; 1 where there is none.
    pub weights: Option<&'a [f32]>,
    /// λ of each row.
    pub penalties: &'a [f32],
    /// α₀: the weight of all pairs, observed or not.
    pub unobserved_weight: f32,
}

impl Ridge<'_> {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.penalties.len()
    }

    /// √c of the rating at a place, and its target times that.
    #[inline(always)]
    pub(crate) fn weighted(&self, at: usize) -> (f32, f32) {
        let weight = self.weights.map_or(1.0, |weights| weights[at].sqrt());
        (weight, weight * self.targets.map_or(1.0, |targets| targets[at]))
    }
}

/// A backend that can do a half-step.
pub trait AlsBackend: Backend<FloatElem = f32> {
    /// Solves every row against the features.
    ///
    /// Returns the solutions and the sum of the rows' minima (the loss, but for the penalty of the
    /// features themselves).
    ///
    /// # Shapes
    /// - features: `[columns, d]`
    /// - solutions: `[rows, d]`
    ///
    /// # Errors
    /// [`crate::error::Kind::Interrupted`] on a signal; [`crate::error::Kind::Failed`] if the
    /// numbers are not finite.
    fn half_step(
        ridge: &Ridge<'_>,
        features: &Tensor<Self, 2>,
        interrupt: &Interrupt,
    ) -> Result<(Tensor<Self, 2>, f64)> {
        tensor::half_step(ridge, features, interrupt)
    }
}

impl AlsBackend for crate::model::device::Cpu {
    fn half_step(
        ridge: &Ridge<'_>,
        features: &Tensor<Self, 2>,
        interrupt: &Interrupt,
    ) -> Result<(Tensor<Self, 2>, f64)> {
        let [_, d] = features.dims();
        let device = features.device();
        // The numbers where they lie: burn's own way out copies a tensor that anybody else holds
        // element by element, which takes longer than the half-step.
        if let TensorPrimitive::Float(NdArrayTensor::F32(storage)) = features.clone().into_primitive()
            && let Some(rows) = storage.view().as_slice()
        {
            let (solutions, loss) = cpu::half_step(ridge, rows, d, interrupt)?;
            return Ok((table(solutions, d, &device), loss));
        }
        let (solutions, loss) = cpu::half_step(ridge, &numbers(features.clone())?, d, interrupt)?;
        Ok((table(solutions, d, &device), loss))
    }
}

#[cfg(all(feature = "cuda", not(test)))]
impl AlsBackend for crate::model::device::Cuda {}

/// A tensor from rows of `width` numbers.
pub(crate) fn table<B: Backend>(rows: Vec<f32>, width: usize, device: &B::Device) -> Tensor<B, 2> {
    let shape = [rows.len() / width.max(1), width];
    Tensor::from_data(burn::tensor::TensorData::new(rows, shape), device)
}

/// The numbers of a tensor, row by row.
///
/// # Errors
/// [`crate::error::Kind::NoDevice`] if the device fails.
pub(crate) fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>> {
    use crate::error::{Error, Kind};
    let failed = |what: String| Error::new(Kind::NoDevice, format!("the device failed: {what}"));
    tensor
        .try_into_data()
        .map_err(|error| failed(format!("{error:?}")))?
        .into_vec::<f32>()
        .map_err(|error| failed(format!("{error:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::interactions::Interactions;
    use crate::model::device::Cpu;
    use crate::model::initial;
    use proptest::prelude::*;

    /// The loss of the rows of `ridge` at `solutions`, straight from its definition.
    fn loss(ridge: &Ridge<'_>, features: &[f32], solutions: &[f32], d: usize) -> f64 {
        let product = |x: &[f32], y: &[f32]| -> f64 {
            x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        let mut sum = 0.0;
        for row in 0..ridge.rows() {
            let x = &solutions[row * d..][..d];
            for at in ridge.offsets[row]..ridge.offsets[row + 1] {
                let target = ridge.targets.map_or(1.0, |targets| f64::from(targets[at]));
                let y = &features[ridge.columns[at] as usize * d..][..d];
                let weight = ridge.weights.map_or(1.0, |weights| f64::from(weights[at]));
                sum += weight * (target - product(x, y)).powi(2);
            }
            for y in features.chunks_exact(d) {
                sum += f64::from(ridge.unobserved_weight) * product(x, y).powi(2);
            }
            sum += f64::from(ridge.penalties[row]) * product(x, x);
        }
        sum
    }

    fn rows() -> impl Strategy<Value = Interactions> {
        prop::collection::vec((0u32..12, 0u32..30, 1f32..5.0), 1..250)
            .prop_map(|triples| Interactions::from_triples(12, 30, &triples).0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_fused_half_step_agrees_with_tensors_and_is_a_minimum(
            rows in rows(), d in 1usize..20, unobserved in prop_oneof![Just(0f32), 0.01f32..0.5],
            targeted in any::<bool>(), weighted in any::<bool>(), seed in 0u64..1000,
        ) {
            let features: Vec<f32> = initial(30, d, seed).iter().map(|x| x * 20.0).collect();
            let weights: Vec<f32> = (0..rows.len()).map(|at| 0.2 + (at % 7) as f32).collect();
            let penalties: Vec<f32> = (0..12).map(|row| 0.1 + row as f32 / 7.0).collect();
            let ridge = Ridge {
                offsets: &rows.offsets,
                columns: &rows.items,
                targets: targeted.then_some(&rows.ratings),
                weights: weighted.then_some(&weights),
                penalties: &penalties,
                unobserved_weight: unobserved,
            };
            let device = burn_ndarray::NdArrayDevice::Cpu;
            let never = Interrupt::never();
            let fused = Cpu::half_step(&ridge, &table(features.clone(), d, &device), &never).expect("fused");
            let plain = tensor::half_step::<Cpu>(&ridge, &table(features.clone(), d, &device), &never)
                .expect("tensors");
            let (x, expected) = (numbers(fused.0).expect("x"), numbers(plain.0).expect("x"));
            for (x, expected) in x.iter().zip(&expected) {
                prop_assert!((x - expected).abs() < 2e-3 * (1.0 + expected.abs()), "{x} {expected}");
            }
            let least = loss(&ridge, &features, &x, d);
            prop_assert!((fused.1 - least).abs() < 1e-3 * (1.0 + least), "{} {least}", fused.1);
            prop_assert!((plain.1 - least).abs() < 1e-2 * (1.0 + least), "{} {least}", plain.1);
            // A minimum: every step away from it costs.
            for k in 0..x.len() {
                for step in [-0.05f32, 0.05] {
                    let mut moved = x.clone();
                    moved[k] += step;
                    prop_assert!(loss(&ridge, &features, &moved, d) > least - 1e-5 * (1.0 + least));
                }
            }
        }
    }
}
