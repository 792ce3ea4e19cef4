//! How a user's scores of all items are spread.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use rayon::prelude::*;

use crate::{Factors, dot};

/// Mean and covariance of the items' scaled factors: those of a user's scores follow from them.
pub(super) struct Moments {
    mean: Vec<f32>,
    covariance: Vec<f32>,
}

impl Moments {
    pub(super) fn of(factors: &Factors, item_scales: &[f32]) -> Self {
        let d = factors.width;
        let items = (factors.items.len() / d.max(1)).max(1);
        // Blocks of a fixed size, added up in order: the sums do not depend on the number of threads.
        let blocks: Vec<(Vec<f32>, Vec<f32>)> = factors
            .items
            .par_chunks(d.max(1) << 11)
            .enumerate()
            .map(|(block, rows)| {
                let mut scaled = rows.to_vec();
                let mut mean = vec![0.0; d];
                for (at, row) in scaled.chunks_exact_mut(d).enumerate() {
                    let scale = item_scales.get((block << 11) + at).copied().unwrap_or(1.0);
                    row.iter_mut().for_each(|value| *value *= scale);
                    mean.iter_mut().zip(&*row).for_each(|(sum, value)| *sum += value);
                }
                let mut products = vec![0.0; d * d];
                let matrix = faer::MatRef::from_row_major_slice(&scaled, scaled.len() / d, d);
                // The other half is the same.
                triangular::matmul(
                    faer::MatMut::from_row_major_slice_mut(&mut products, d, d),
                    BlockStructure::TriangularLower,
                    faer::Accum::Replace,
                    matrix.transpose(),
                    BlockStructure::Rectangular,
                    matrix,
                    BlockStructure::Rectangular,
                    1.0,
                    faer::Par::Seq,
                );
                (mean, products)
            })
            .collect();
        let mut sums = (vec![0.0f64; d], vec![0.0f64; d * d]);
        for (mean, products) in blocks {
            sums.0.iter_mut().zip(mean).for_each(|(sum, value)| *sum += f64::from(value));
            sums.1.iter_mut().zip(products).for_each(|(sum, value)| *sum += f64::from(value));
        }
        let mean: Vec<f64> = sums.0.into_iter().map(|sum| sum / items as f64).collect();
        let covariance = |at: usize| {
            let (row, column) = (at / d, at % d);
            let sum = sums.1[row.max(column) * d + row.min(column)];
            (sum / items as f64 - mean[row] * mean[column]) as f32
        };
        Self {
            covariance: (0..d * d).map(covariance).collect(),
            mean: mean.iter().map(|m| *m as f32).collect(),
        }
    }

    /// Mean and deviation of a user's scores of all items.
    pub(super) fn of_scores(&self, user: &[f32]) -> (f32, f32) {
        let variance: f32 = user
            .iter()
            .zip(self.covariance.chunks_exact(user.len().max(1)))
            .map(|(x, row)| x * dot(row, user))
            .sum();
        (dot(user, &self.mean), variance.max(0.0).sqrt() + 1e-9)
    }
}
