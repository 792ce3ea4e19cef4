//! The half-step fused for the CPU: rows in parallel, each in a working memory that stays in cache.

use std::borrow::Cow;

use rayon::prelude::*;

use super::row::RowSystem;
use super::spectrum::{self, Spectrum};
use super::{LONG, Ridge, Sums, simd};
use crate::error::Result;
use crate::interrupt::Interrupt;

/// Rows that one task solves. Small, because a few rows are a thousand times longer than others.
const ROWS: usize = 32;

/// Factors in the basis of [`Spectrum`], ready for any row.
#[derive(Debug)]
pub struct Prepared<'f> {
    /// Features in the basis Q, rows of d.
    pub features: Cow<'f, [f32]>,
    /// Their spectrum; without a basis if the features already stand in it, as [`half_step_in_place`] leaves them.
    pub spectrum: Spectrum,
}

impl<'f> Prepared<'f> {
    /// Changes the basis of `features` (rows of `d`) if need be.
    pub fn new(features: &'f [f32], d: usize, unobserved_weight: f32) -> Result<Self> {
        let spectrum = Spectrum::of_features(features, d, unobserved_weight)?;
        let features = match spectrum.basis.is_empty() {
            true => features.into(),
            false => {
                let mut turned = features.to_vec();
                spectrum::rotate(&mut turned, &spectrum.basis, d);
                turned.into()
            }
        };
        Ok(Self { features, spectrum })
    }
}

/// Solves consecutive rows, in the vector registers of this processor.
struct SolveRows<'a> {
    ridge: &'a Ridge<'a>,
    features: &'a [f32],
    spectrum: &'a Spectrum,
    /// Whether long rows only move towards their minimum, from what `solutions` has.
    near: bool,
    system: &'a mut RowSystem,
    first: usize,
    solutions: &'a mut [f32],
}

impl pulp::WithSimd for SolveRows<'_> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> Sums {
        let Self { ridge, features, spectrum: Spectrum { values, .. }, system, .. } = self;
        let mut sums = Sums::default();
        for (place, solution) in self.solutions.chunks_exact_mut(values.len()).enumerate() {
            let row = self.first + place;
            let length = ridge.offsets[row + 1] - ridge.offsets[row];
            sums.loss += if self.near && length >= LONG {
                system.approach(simd, ridge, row, features, self.spectrum, solution)
            } else {
                system.load(simd, ridge, row, features, values);
                system.solve(simd, solution)
            };
            sums.penalty += f64::from(ridge.penalties[row] * simd::dot(simd, solution, solution));
        }
        sums
    }
}

/// Solves every row into `solutions`, in the basis of `spectrum`.
fn solve(
    ridge: &Ridge<'_>,
    features: &[f32],
    spectrum: &Spectrum,
    near: bool,
    solutions: &mut [f32],
    interrupt: &Interrupt,
) -> Result<Sums> {
    let sums = solutions
        .par_chunks_mut(ROWS * spectrum.values.len())
        .enumerate()
        .map_init(RowSystem::default, |system, (chunk, solutions)| {
            interrupt.check()?;
            let first = chunk * ROWS;
            Ok(pulp::Arch::new().dispatch(SolveRows {
                ridge,
                features,
                spectrum,
                near,
                system,
                first,
                solutions,
            }))
        })
        .collect::<Result<Vec<Sums>>>()?;
    // In order, so that the sum does not depend on the number of threads.
    Ok(sums.into_iter().fold(Sums::default(), |all, sums| Sums {
        loss: all.loss + sums.loss,
        penalty: all.penalty + sums.penalty,
    }))
}

/// A half-step of training; see [`super::Kernels::half_step`]. Both tables end in the basis Q, in place. If
/// `near`, `solutions` begins with the previous solutions.
pub fn half_step_in_place(
    ridge: &Ridge<'_>,
    features: &mut [f32],
    solutions: &mut [f32],
    d: usize,
    near: bool,
    interrupt: &Interrupt,
) -> Result<Sums> {
    let spectrum = Spectrum::of_features(features, d, ridge.unobserved_weight)?;
    if !spectrum.basis.is_empty() {
        spectrum::rotate(features, &spectrum.basis, d);
    }
    solve(ridge, features, &spectrum, near, solutions, interrupt)
}

/// Solves every row exactly against features that stand in the basis Q already, with their eigenvalues `values`.
pub fn solve_in_basis(
    ridge: &Ridge<'_>,
    features: &[f32],
    values: &[f32],
    interrupt: &Interrupt,
) -> Result<(Vec<f32>, Sums)> {
    let spectrum = Spectrum { values: values.to_vec(), basis: Vec::new() };
    let mut solutions = vec![0.0; ridge.rows() * values.len()];
    let sums = solve(ridge, features, &spectrum, false, &mut solutions, interrupt)?;
    Ok((solutions, sums))
}

/// Solves every row exactly; features and solutions keep their basis. Also returns the sum of the rows' least
/// losses.
pub fn solve_exactly(
    ridge: &Ridge<'_>,
    features: &[f32],
    d: usize,
    interrupt: &Interrupt,
) -> Result<(Vec<f32>, f64)> {
    let Prepared { features, spectrum } = Prepared::new(features, d, ridge.unobserved_weight)?;
    let mut solutions = vec![0.0; ridge.rows() * d];
    let sums = solve(ridge, &features, &spectrum, false, &mut solutions, interrupt)?;
    if !spectrum.basis.is_empty() {
        spectrum::rotate(&mut solutions, &spectrum.transposed_basis(), d);
    }
    Ok((solutions, sums.loss))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Interactions;
    use crate::initial;

    /// All rows of a ridge, solved or nearer by some steps.
    struct Solved<'a> {
        ridge: &'a Ridge<'a>,
        prepared: &'a Prepared<'a>,
        near: bool,
    }

    impl pulp::WithSimd for Solved<'_> {
        type Output = (Vec<f32>, Sums);

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> Self::Output {
            let Self { ridge, prepared: Prepared { features, spectrum }, near } = self;
            let mut solutions = vec![0.0; ridge.rows() * spectrum.values.len()];
            let system = &mut RowSystem::default();
            let rows =
                SolveRows { ridge, features, spectrum, near, system, first: 0, solutions: &mut solutions };
            let sums = rows.with_simd(simd);
            (solutions, sums)
        }
    }

    #[test]
    fn kinds_of_processors_agree_to_the_tolerance_of_their_numbers() {
        let (users, items) = (12, 300);
        let triples: Vec<(u32, u32, f32)> = (0..items as u32)
            .flat_map(|item| (0..users as u32).map(move |user| (user, item, (item * 7 % 10) as f32)))
            .filter(|(user, item, _)| (item * 31 + user) % (2 * user + 1) == 0)
            .collect();
        let (rows, _) = Interactions::from_triples(users, items, &triples);
        let penalties = vec![2.0; users];
        for d in [7, 16, 40, 65] {
            let features: Vec<f32> = initial(items, d, 7).iter().map(|x| x * 20.0).collect();
            let ridge = Ridge {
                offsets: &rows.offsets,
                columns: &rows.items,
                targets: Some(&rows.ratings),
                weights: None,
                penalties: &penalties,
                unobserved_weight: 0.1,
            };
            let prepared = &Prepared::new(&features, d, 0.1).expect("finite");
            for near in [false, true] {
                let all = simd::in_all_registers(|| Solved { ridge: &ridge, prepared, near });
                let (_, (expected, sums)) = &all[0];
                for (registers, (solutions, own)) in &all {
                    for (x, expected) in solutions.iter().zip(expected) {
                        assert!(
                            (x - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                            "{registers}: {x} {expected}"
                        );
                    }
                    assert!((own.loss - sums.loss).abs() < 1e-4 * sums.loss, "{registers}: {own:?} {sums:?}");
                }
            }
        }
    }
}
