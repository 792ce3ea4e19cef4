//! One half-step of alternating least squares, as an operation of a burn backend.
//!
//! With one side's factors held still, every row of the other side is a small ridge regression of its own.
//! burn's backends have no such operation, so the trait [`Kernels`] adds it: with a default in tensor
//! operations ([`tensor`]) that any backend can run, and a fused version for the CPU ([`cpu`]) that never
//! builds padded tiles. The fused version is tested against the default.
//!
//! # One change of variables that makes every row easy
//!
//! A row with features V (L × d, a row for each rating), targets t, weights c and penalty λ minimises
//!
//! ```text
//! Σ c (t − v·x)² + α₀ Σ_all (x·y)² + λ|x|²  =  |t − V x|² + xᵀ (α₀ YᵀY + λI) x
//! ```
//!
//! where on the right each row of V, and its target, is multiplied by √c.
//!
//! The matrix in the middle depends on the row only through λ. With α₀ YᵀY = Q Λ Qᵀ, computed once a
//! half-step, it is diagonal for every row in the basis Q: D = Λ + λI. With W = VQ D^-½ and x = Q D^-½ z the
//! loss becomes |t − W z|² + |z|², whose solution needs the smaller one of
//!
//! ```text
//! (I + WᵀW) z = Wᵀ t        d × d        (I + WWᵀ) a = t,  z = Wᵀ a        L × L
//! ```
//!
//! Both are well conditioned (no eigenvalue under 1), so 32-bit numbers suffice. Most users and most items
//! have far fewer than d ratings: their systems are tiny, and exact.

pub mod cpu;
pub mod row;
pub mod simd;
pub mod spectrum;
pub mod tensor;

use std::cell::OnceCell;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::tensors::{numbers, table};
use crate::top_k::gpu_candidates::{CandidateSource, OnDevice, WriteRow};

/// The rows of one side, to be solved against the factors of the other.
#[derive(Clone, Copy, Debug)]
pub struct Ridge<'a> {
    /// Where each row's ratings begin, and one past the last.
    pub offsets: &'a [usize],
    /// Which row of the features each rating is about.
    pub columns: &'a [u32],
    /// t of each rating; 1 if there are none.
    pub targets: Option<&'a [f32]>,
    /// c of each rating; 1 if there are none.
    pub weights: Option<&'a [f32]>,
    /// λ of each row.
    pub penalties: &'a [f32],
    /// α₀: the weight of all pairs, observed or not.
    pub unobserved_weight: f32,
}

impl Ridge<'_> {
    pub fn rows(&self) -> usize {
        self.penalties.len()
    }

    /// √c of the rating at a place, and its target times √c.
    #[inline(always)]
    pub(crate) fn weighted(&self, at: usize) -> (f32, f32) {
        let weight = self.weights.map_or(1.0, |weights| weights[at].sqrt());
        (weight, weight * self.targets.map_or(1.0, |targets| targets[at]))
    }
}

/// The rows of one side, and what a backend keeps on its device for them from one epoch to the next.
#[derive(Debug)]
pub struct Side<'a, B: Backend> {
    pub ridge: Ridge<'a>,
    tiles: OnceCell<tensor::Tiles<B>>,
}

impl<'a, B: Backend> Side<'a, B> {
    pub fn new(ridge: Ridge<'a>) -> Self {
        Self { ridge, tiles: OnceCell::new() }
    }
}

#[derive(Debug)]
pub struct HalfStep<B: Backend> {
    /// The features, turned into the basis Q: `[columns, d]`.
    pub features: Tensor<B, 2>,
    /// The rows' solutions in the same basis: `[rows, d]`.
    pub solutions: Tensor<B, 2>,
    /// The sum of the rows' losses: the whole loss except the penalty of the features.
    pub loss: f64,
    /// The part of `loss` that is Σ λ |x|² of the rows.
    pub penalty: f64,
}

/// A backend of burn, and the operations that burn lacks.
pub trait Kernels: Send + Sync + 'static {
    type Backend: Backend<FloatElem = f32>;

    /// Solves every row against the features.
    ///
    /// Both sides come back in another basis, the same for both, which leaves products, lengths and losses as
    /// they are. So nobody has to turn them back.
    ///
    /// With `previous` solutions, in the basis of `features`, rows with many ratings only come nearer to
    /// their minimum from there, which is quicker; without, every row is solved.
    ///
    /// # Errors
    /// [`crate::error::Error::Interrupted`] or [`crate::error::Error::Terminated`] on a signal;
    /// [`crate::error::Error::Diverged`] if the numbers are not finite.
    fn half_step(
        side: &Side<'_, Self::Backend>,
        features: Tensor<Self::Backend, 2>,
        previous: Option<Tensor<Self::Backend, 2>>,
        interrupt: &Interrupt,
    ) -> Result<HalfStep<Self::Backend>> {
        tensor::half_step(side, features, previous, interrupt)
    }

    /// Copies `count` rows of `width` numbers, which `row` writes, to the device, to find each user's best
    /// rows there; `None` if the search on the CPU is quicker.
    fn candidates(
        width: usize,
        count: usize,
        row: &WriteRow<'_>,
        device: DeviceOf<Self>,
    ) -> Option<Box<dyn CandidateSource>>
    where
        Self: Sized,
    {
        Some(Box::new(OnDevice::<Self::Backend>::new(width, count, row, device)))
    }
}

pub type DeviceOf<K> = <<K as Kernels>::Backend as burn::tensor::backend::BackendTypes>::Device;

/// Fused operations on this machine's cores ([`cpu`]).
pub struct CpuKernels;

impl Kernels for CpuKernels {
    type Backend = burn_ndarray::NdArray<f32>;

    fn half_step(
        side: &Side<'_, Self::Backend>,
        features: Tensor<Self::Backend, 2>,
        previous: Option<Tensor<Self::Backend, 2>>,
        interrupt: &Interrupt,
    ) -> Result<HalfStep<Self::Backend>> {
        let ([_, d], device) = (features.dims(), features.device());
        let near = previous.is_some();
        // Neither way copies, since nothing else holds these tensors.
        let mut features = numbers(features)?;
        let mut solutions = match previous {
            Some(previous) => numbers(previous)?,
            None => vec![0.0; side.ridge.rows() * d],
        };
        let sums = cpu::train(&side.ridge, &mut features, &mut solutions, d, near, interrupt)?;
        let (features, solutions) = (table(features, d, &device), table(solutions, d, &device));
        Ok(HalfStep { features, solutions, loss: sums.loss, penalty: sums.penalty })
    }

    fn candidates(
        _: usize,
        _: usize,
        _: &WriteRow<'_>,
        _: DeviceOf<Self>,
    ) -> Option<Box<dyn CandidateSource>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Interactions;
    type Cpu = <CpuKernels as Kernels>::Backend;
    use crate::initial;
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
            let side = Side::<Cpu>::new(ridge);
            let start = || table(features.clone(), d, &device);
            let fused = CpuKernels::half_step(&side, start(), None, &never).expect("fused");
            let plain = tensor::half_step(&side, start(), None, &never).expect("tensors");
            let [x, expected] = [&fused, &plain].map(|step| numbers(step.solutions.clone()).expect("x"));
            for (x, expected) in x.iter().zip(&expected) {
                prop_assert!((x - expected).abs() < 2e-3 * (1.0 + expected.abs()), "{x} {expected}");
            }
            let turned = numbers(fused.features).expect("y");
            let least = loss(&ridge, &turned, &x, d);
            prop_assert!((fused.loss - least).abs() < 1e-3 * (1.0 + least), "{} {least}", fused.loss);
            prop_assert!((plain.loss - least).abs() < 1e-2 * (1.0 + least), "{} {least}", plain.loss);
            for step in [fused.penalty, plain.penalty] {
                let expected: f64 = x.chunks(d).zip(&penalties).map(|(x, penalty)| {
                    f64::from(*penalty) * x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()
                }).sum();
                prop_assert!((step - expected).abs() < 1e-2 * (1.0 + expected), "{step} {expected}");
            }
            // Another basis, the same features: products with each other are what they were.
            for (a, b) in [(0, 0), (3, 29)] {
                let of = |rows: &[f32]| crate::dot(&rows[a * d..][..d], &rows[b * d..][..d]);
                prop_assert!((of(&turned) - of(&features)).abs() < 1e-3 * (1.0 + of(&features).abs()));
            }
            // The same numbers as where features and solutions keep their basis.
            let (kept, kept_least) = cpu::half_step(&ridge, &features, d, &never).expect("kept");
            prop_assert!((kept_least - least).abs() < 1e-3 * (1.0 + least));
            prop_assert!((loss(&ridge, &features, &kept, d) - least).abs() < 1e-3 * (1.0 + least));
            // A minimum: every step away from it costs.
            for k in 0..x.len() {
                for step in [-0.05f32, 0.05] {
                    let mut moved = x.clone();
                    moved[k] += step;
                    prop_assert!(loss(&ridge, &turned, &moved, d) > least - 1e-5 * (1.0 + least));
                }
            }
        }
    }

    #[test]
    fn long_rows_come_nearer_and_nearer() {
        // 3 rows of 150 to 300 ratings, 40 features wide, and a short one, which is solved at once.
        let (users, items, d) = (4, 300, 40);
        let triples: Vec<(u32, u32, f32)> = (0..items as u32)
            .flat_map(|item| (0..users as u32).map(move |user| (user, item, (item * 7 % 10) as f32)))
            .filter(|(user, item, _)| (item * 31 + user) % (user + 1) == 0 && (*user < 3 || *item < 20))
            .collect();
        let (rows, _) = Interactions::from_triples(users, items, &triples);
        let features: Vec<f32> = initial(items, d, 7).iter().map(|x| x * 20.0).collect();
        let penalties = vec![2.0; users];
        for unobserved_weight in [0.0, 0.1] {
            let ridge = Ridge {
                offsets: &rows.offsets,
                columns: &rows.items,
                targets: Some(&rows.ratings),
                weights: None,
                penalties: &penalties,
                unobserved_weight,
            };
            let side = Side::<Cpu>::new(ridge);
            let (device, never) = (burn_ndarray::NdArrayDevice::Cpu, Interrupt::never());
            let (_, least) = cpu::half_step(&ridge, &features, d, &never).expect("solved");
            for fused in [true, false] {
                let (mut y, mut x) = (features.clone(), vec![0.0; users * d]);
                let mut excess = f64::MAX;
                for _ in 0..4 {
                    let (features, previous) = (table(y, d, &device), Some(table(x, d, &device)));
                    let step = match fused {
                        true => CpuKernels::half_step(&side, features, previous, &never),
                        false => tensor::half_step(&side, features, previous, &never),
                    };
                    let step = step.expect("a step");
                    (y, x) = (numbers(step.features).expect("y"), numbers(step.solutions).expect("x"));
                    let reached = loss(&ridge, &y, &x, d);
                    assert_close(step.loss, reached);
                    let still = reached - least;
                    assert!(still < 0.7 * excess || still < 1e-4 * least, "{still} after {excess}");
                    excess = still;
                }
                assert!(excess < 1e-3 * least, "{excess} over {least}");
            }
        }
    }

    fn assert_close(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-2 * (1.0 + other), "{one} {other}");
    }
}
