//! The half-step fused for the CPU: rows in parallel, each in a small space that stays in cache.

use std::borrow::Cow;

use rayon::prelude::*;

use super::Ridge;
use super::row::RowSystem;
use super::spectrum::{self, Spectrum};
use crate::error::Result;
use crate::interrupt::Interrupt;

/// Rows that one task solves. Small, because a few rows are a thousand times longer than others.
const ROWS: usize = 32;

/// Factors in the basis of [`Spectrum`], ready for any row.
#[derive(Debug)]
pub struct Prepared<'f> {
    /// Features in the basis Q, rows of d.
    pub features: Cow<'f, [f32]>,
    /// Their spectrum; without α₀, zeros and no change of basis.
    pub spectrum: Spectrum,
}

impl<'f> Prepared<'f> {
    /// Changes the basis of `features` (rows of `d`), as far as anybody asks for them: of those that
    /// are not among `columns` the rows may be zero.
    ///
    /// # Errors
    /// If the features are not finite.
    pub fn new<'a>(
        features: &'f [f32],
        d: usize,
        unobserved_weight: f32,
        columns: impl IntoIterator<Item = &'a u32>,
    ) -> Result<Self> {
        if unobserved_weight == 0.0 {
            let spectrum = Spectrum { values: vec![0.0; d], basis: Vec::new() };
            return Ok(Self { features: features.into(), spectrum });
        }
        let spectrum = Spectrum::of_gram(&spectrum::gram(features, d), d, unobserved_weight)?;
        let mut asked = vec![false; features.len() / d];
        columns.into_iter().for_each(|column| asked[*column as usize] = true);
        let few: Vec<u32> = (0..asked.len() as u32).filter(|column| asked[*column as usize]).collect();
        if few.len() * 2 > asked.len() {
            return Ok(Self { features: spectrum::rotated(features, &spectrum.basis, d).into(), spectrum });
        }
        // Memory that nobody writes to costs nothing.
        let mut rotated = vec![0.0; features.len()];
        let row = |column: &u32| *column as usize * d..(*column as usize + 1) * d;
        let gathered: Vec<f32> = few.iter().flat_map(|column| &features[row(column)]).copied().collect();
        let turned = spectrum::rotated(&gathered, &spectrum.basis, d);
        for (column, turned) in few.iter().zip(turned.chunks_exact(d)) {
            rotated[row(column)].copy_from_slice(turned);
        }
        Ok(Self { features: rotated.into(), spectrum })
    }
}

/// Some rows in a run. A type and not a closure, because only what is inlined into it is compiled
/// for this processor's vector registers, and a closure's body often is not.
struct SolveRows<'a> {
    ridge: &'a Ridge<'a>,
    prepared: &'a Prepared<'a>,
    system: &'a mut RowSystem,
    first: usize,
    solutions: &'a mut [f32],
}

impl pulp::NullaryFnOnce for SolveRows<'_> {
    /// The sum of the rows' least losses.
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let Prepared { features, spectrum } = self.prepared;
        let mut loss = 0.0;
        for (row, solution) in self.solutions.chunks_exact_mut(spectrum.values.len()).enumerate() {
            self.system.load(self.ridge, self.first + row, features, &spectrum.values);
            loss += self.system.solve(solution);
        }
        loss
    }
}

/// Solves every row. See [`super::AlsBackend::half_step`].
///
/// # Errors
/// As there.
pub fn half_step(
    ridge: &Ridge<'_>,
    features: &[f32],
    d: usize,
    interrupt: &Interrupt,
) -> Result<(Vec<f32>, f64)> {
    let prepared = Prepared::new(features, d, ridge.unobserved_weight, ridge.columns)?;
    let mut solutions = vec![0.0; ridge.rows() * d];
    let losses = solutions
        .par_chunks_mut(ROWS * d)
        .enumerate()
        .map_init(RowSystem::default, |system, (chunk, solutions)| {
            interrupt.check()?;
            let first = chunk * ROWS;
            Ok(pulp::Arch::new().dispatch(SolveRows { ridge, prepared: &prepared, system, first, solutions }))
        })
        .collect::<Result<Vec<f64>>>()?;
    if !prepared.spectrum.basis.is_empty() {
        solutions = spectrum::rotated(&solutions, &prepared.spectrum.transposed_basis(), d);
    }
    Ok((solutions, losses.iter().sum()))
}
