//! The half-step fused for the CPU: rows in parallel, each in a small space that stays in cache.

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
pub struct Prepared {
    /// Features in the basis Q, rows of d.
    pub features: Vec<f32>,
    /// Their spectrum; without α₀, zeros and no change of basis.
    pub spectrum: Spectrum,
}

impl Prepared {
    /// Changes the basis of `features` (rows of `d`).
    ///
    /// # Errors
    /// If the features are not finite.
    pub fn new(features: &[f32], d: usize, unobserved_weight: f32) -> Result<Self> {
        if unobserved_weight == 0.0 {
            let spectrum = Spectrum { values: vec![0.0; d], basis: Vec::new() };
            return Ok(Self { features: features.to_vec(), spectrum });
        }
        let spectrum = Spectrum::of_gram(&spectrum::gram(features, d), d, unobserved_weight)?;
        Ok(Self { features: spectrum::rotated(features, &spectrum.basis, d), spectrum })
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
    let prepared = Prepared::new(features, d, ridge.unobserved_weight)?;
    let mut solutions = vec![0.0; ridge.rows() * d];
    let losses = solutions
        .par_chunks_mut(ROWS * d)
        .enumerate()
        .map_init(RowSystem::default, |system, (chunk, solutions)| {
            interrupt.check()?;
            // Compiled for this processor's vector registers, whatever the build was for.
            Ok(pulp::Arch::new().dispatch(|| {
                let mut loss = 0.0;
                for (row, solution) in solutions.chunks_exact_mut(d).enumerate() {
                    system.load(ridge, chunk * ROWS + row, &prepared.features, &prepared.spectrum.values);
                    loss += system.solve(solution);
                }
                loss
            }))
        })
        .collect::<Result<Vec<f64>>>()?;
    if !prepared.spectrum.basis.is_empty() {
        solutions = spectrum::rotated(&solutions, &prepared.spectrum.transposed_basis(), d);
    }
    Ok((solutions, losses.iter().sum()))
}
