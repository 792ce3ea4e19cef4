//! The fused half-step beside that in plain tensors.

use nightshelf_model::data::Interactions;
use nightshelf_model::initial;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::kernels::{Kernels, Ridge, Side, cpu, tensor};
use nightshelf_model::tensors::{numbers, table};
use proptest::prelude::*;

use super::Cpu;
use crate::CpuKernels;

/// The loss of the rows of `ridge` at `solutions`, straight from its definition.
fn loss(ridge: &Ridge<'_>, features: &[f32], solutions: &[f32], d: usize) -> f64 {
    let product =
        |x: &[f32], y: &[f32]| -> f64 { x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum() };
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
        let [fused, plain] = [fused.sums, plain.sums].map(|sums| sums.read().expect("sums"));
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
            let of = |rows: &[f32]| nightshelf_model::dot(&rows[a * d..][..d], &rows[b * d..][..d]);
            prop_assert!((of(&turned) - of(&features)).abs() < 1e-3 * (1.0 + of(&features).abs()));
        }
        // The same numbers as where features and solutions keep their basis.
        let (kept, kept_least) = cpu::solve_exactly(&ridge, &features, d, &never).expect("kept");
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
        let (_, least) = cpu::solve_exactly(&ridge, &features, d, &never).expect("solved");
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
                assert_close(step.sums.read().expect("sums").loss, reached);
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
