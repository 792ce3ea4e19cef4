//! The basis in which every row's base matrix is diagonal: eigenvectors of α₀ YᵀY.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;

use crate::error::Result;
use crate::not_finite;

/// Rows of Y that are summed into one partial product. Fixed, so that the sum does not depend on
/// the number of threads.
const BLOCK: usize = 8192;

/// Eigenvalues and eigenvectors of α₀ YᵀY.
#[derive(Debug)]
pub struct Spectrum {
    /// Λ: d eigenvalues, none negative.
    pub values: Vec<f32>,
    /// Q: d × d, row by row, an eigenvector in each column; empty where no change of basis is needed.
    pub basis: Vec<f32>,
}

impl Spectrum {
    /// Of α₀ YᵀY, given Y: rows of `d` numbers.
    pub fn of_features(features: &[f32], d: usize, unobserved_weight: f32) -> Result<Self> {
        match unobserved_weight {
            0.0 => Ok(Self { values: vec![0.0; d], basis: Vec::new() }),
            weight => Self::of_gram(&gram(features, d), d, weight),
        }
    }

    /// Of a Gram matrix (d × d, row by row), scaled by α₀.
    ///
    /// # Errors
    /// [`crate::error::Error::Diverged`] if the matrix is not finite.
    pub fn of_gram(gram: &[f64], d: usize, scale: f32) -> Result<Self> {
        let diagonal: Vec<f32> = (0..d).map(|k| (gram[k * d + k] * f64::from(scale)) as f32).collect();
        if is_diagonal(gram, d) {
            return Ok(Self { values: diagonal, basis: Vec::new() });
        }
        let scaled = Mat::from_fn(d, d, |row, column| gram[row * d + column] * f64::from(scale));
        let eigen = match scaled.self_adjoint_eigen(Side::Lower) {
            Ok(eigen) if gram.iter().all(|value| value.is_finite()) => eigen,
            _ => return Err(not_finite("training, Gram matrix")),
        };
        let vectors = eigen.U();
        Ok(Self {
            // Rounding can push a zero eigenvalue slightly under zero.
            values: eigen.S().column_vector().iter().map(|value| value.max(0.0) as f32).collect(),
            basis: (0..d * d).map(|place| vectors[(place / d, place % d)] as f32).collect(),
        })
    }

    /// Qᵀ, row by row.
    pub fn transposed_basis(&self) -> Vec<f32> {
        let d = self.values.len();
        (0..d * d).map(|place| self.basis[(place % d) * d + place / d]).collect()
    }
}

/// Whether a Gram matrix is diagonal, by its lower triangle and as far as 32 bits can tell. That of features
/// which were turned into their basis before is.
fn is_diagonal(gram: &[f64], d: usize) -> bool {
    const ROUNDING: f64 = 1e-5;
    (0..d).all(|row| {
        (0..row).all(|column| {
            let bound = (gram[row * d + row] * gram[column * d + column]).sqrt();
            gram[row * d + column].abs() <= ROUNDING * bound
        })
    })
}

/// YᵀY of rows of `d` numbers, summed in 64 bits over fixed blocks. Only the lower triangle is filled, which
/// is all that [`Spectrum::of_gram`] needs.
pub fn gram(rows: &[f32], d: usize) -> Vec<f64> {
    let partial: Vec<Vec<f32>> = rows
        .par_chunks(BLOCK * d)
        .map(|block| {
            let y = MatRef::from_row_major_slice(block, block.len() / d, d);
            let mut product = vec![0.0; d * d];
            let into = MatMut::from_row_major_slice_mut(&mut product, d, d);
            triangular::matmul(
                into,
                BlockStructure::TriangularLower,
                Accum::Replace,
                y.transpose(),
                BlockStructure::Rectangular,
                y,
                BlockStructure::Rectangular,
                1.0,
                Par::Seq,
            );
            product
        })
        .collect();
    let mut sum = vec![0.0; d * d];
    for product in partial {
        for (sum, value) in sum.iter_mut().zip(product) {
            *sum += f64::from(value);
        }
    }
    sum
}

/// Rows that are rotated in place at a time: few enough to stay in cache.
const PART: usize = 256;

/// Y B for a `d` × `d` matrix B, row by row, in the place of Y.
pub fn rotate(rows: &mut [f32], matrix: &[f32], d: usize) {
    let matrix = MatRef::from_row_major_slice(matrix, d, d);
    rows.par_chunks_mut(PART * d).for_each_init(
        || vec![0.0; PART * d],
        |before, part| {
            let before = &mut before[..part.len()];
            before.copy_from_slice(part);
            let count = part.len() / d;
            let y = MatRef::from_row_major_slice(before, count, d);
            let into = MatMut::from_row_major_slice_mut(part, count, d);
            faer::linalg::matmul::matmul(into, Accum::Replace, y, matrix, 1.0, Par::Seq);
        },
    );
}
