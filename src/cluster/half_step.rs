//! The arithmetic of a half-step for whoever has the rows: a partition in, its factors out.

use super::arrow::{Rows, Solved};
use super::{PartManifest, Side};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::als::{penalties, ranking_ridge};
use crate::model::initial;
use crate::model::kernels::cpu;

/// The readers' factors that a training begins with.
pub fn beginning(part: &PartManifest) -> Vec<f32> {
    initial(part.readers, part.model.factors, part.model.seed)
}

/// All rows of a side, of d numbers each: those that were solved, and zeros for rows without a rating.
pub fn gathered(solved: Solved, rows: usize, d: usize) -> Vec<f32> {
    let mut all = vec![0.0; rows * d];
    for (code, row) in solved.codes.iter().zip(solved.factors.chunks_exact(d)) {
        all[*code as usize * d..][..d].copy_from_slice(row);
    }
    all
}

/// Solves rows exactly against the features of the other side and their eigenvalues, as [`super::features`] keeps them. Also
/// returns their share of an epoch's loss: of books, which are solved first, only the penalty; of readers all the rest.
///
/// # Errors
/// [`crate::error::Kind::Interrupted`] on a signal.
pub fn solve(
    part: &PartManifest,
    side: Side,
    rows: Rows,
    (features, values): (&[f32], &[f32]),
    interrupt: &Interrupt,
) -> Result<(Solved, f64)> {
    let model = &part.model;
    let penalties = penalties(&rows.rows, model);
    let ridge = ranking_ridge(&rows.rows, &penalties, model);
    let (factors, sums) = cpu::solve_in_basis(&ridge, features, values, interrupt)?;
    let loss = match side {
        Side::Readers => sums.loss,
        Side::Books => sums.penalty,
    };
    Ok((Solved { codes: rows.codes, factors }, loss))
}
