//! The half-step in plain tensor operations: what a GPU runs, and what the fused one is held to.
//!
//! Rows are sorted by degree and cut into tiles of a bounded size, padded to the longest row of the
//! tile. Each tile solves (I + WᵀW) z = Wᵀ t for all of its rows at once by conjugate gradients:
//! products only, no matrix is formed, and since I + WᵀW differs from I by as many directions as
//! the row has ratings, short rows are exact after that many steps.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::spectrum::Spectrum;
use super::{Ridge, numbers, table};
use crate::error::Result;
use crate::interrupt::Interrupt;

/// Numbers in the largest tensor of a tile, W: 64 MiB.
const TILE: usize = 1 << 24;

/// Steps between two looks at how far the tile has come: looking stalls a GPU.
const STRIDE: usize = 8;

/// Squared norm of the residual, against that of the right-hand side, at which 32 bits are spent.
const SPENT: f32 = 1e-12;

/// Solves every row. See [`super::AlsBackend::half_step`].
///
/// # Errors
/// As there.
pub fn half_step<B: Backend<FloatElem = f32>>(
    ridge: &Ridge<'_>,
    features: &Tensor<B, 2>,
    interrupt: &Interrupt,
) -> Result<(Tensor<B, 2>, f64)> {
    let [_, d] = features.dims();
    let device = features.device();
    let spectrum = match ridge.unobserved_weight {
        0.0 => None,
        weight => {
            let gram = numbers(features.clone().transpose().matmul(features.clone()))?;
            let gram: Vec<f64> = gram.into_iter().map(f64::from).collect();
            Some(Spectrum::of_gram(&gram, d, weight)?)
        }
    };
    let features = match &spectrum {
        Some(spectrum) => features.clone().matmul(table(spectrum.basis.clone(), d, &device)),
        None => features.clone(),
    };
    let flat = vec![0.0; d];
    let values = spectrum.as_ref().map_or(&flat, |spectrum| &spectrum.values);

    let mut solutions = vec![0.0; ridge.rows() * d];
    let mut loss = 0.0;
    for rows in tiles(ridge, d) {
        interrupt.check()?;
        let tile = Tile::new(ridge, &rows, &features, values);
        let (solved, least) = tile.solve()?;
        loss += least;
        for (row, solution) in rows.iter().zip(solved.chunks_exact(d)) {
            solutions[row * d..][..d].copy_from_slice(solution);
        }
    }
    let solutions = table(solutions, d, &device);
    Ok(match &spectrum {
        Some(spectrum) => (solutions.matmul(table(spectrum.transposed_basis(), d, &device)), loss),
        None => (solutions, loss),
    })
}

/// Rows with at least one rating, by degree, in groups whose padded size is bounded.
fn tiles(ridge: &Ridge<'_>, d: usize) -> Vec<Vec<usize>> {
    let degree = |row: usize| ridge.offsets[row + 1] - ridge.offsets[row];
    let mut order: Vec<usize> = (0..ridge.rows()).filter(|row| degree(*row) > 0).collect();
    order.sort_by_key(|row| degree(*row));
    let mut tiles: Vec<Vec<usize>> = Vec::new();
    for row in order {
        match tiles.last_mut() {
            // The newest row is the longest: all others are padded to it.
            Some(tile) if (tile.len() + 1) * degree(row) * d <= TILE => tile.push(row),
            _ => tiles.push(vec![row]),
        }
    }
    tiles
}

/// Some rows' systems, padded to the same length L.
struct Tile<B: Backend> {
    /// D^-½: `[rows, d]`.
    scale: Tensor<B, 2>,
    /// W, zero where padded: `[rows, L, d]`.
    w: Tensor<B, 3>,
    /// t, zero where padded: `[rows, L, 1]`.
    targets: Tensor<B, 3>,
}

impl<B: Backend<FloatElem = f32>> Tile<B> {
    fn new(ridge: &Ridge<'_>, rows: &[usize], features: &Tensor<B, 2>, spectrum: &[f32]) -> Self {
        let (device, d, count) = (features.device(), spectrum.len(), rows.len());
        let length = rows.iter().map(|row| ridge.offsets[row + 1] - ridge.offsets[*row]).max().unwrap_or(0);
        let mut columns = vec![0i32; count * length];
        let mut present = vec![0.0f32; count * length];
        let mut targets = vec![0.0f32; count * length];
        let mut scale = Vec::with_capacity(count * d);
        for (place, row) in rows.iter().enumerate() {
            let first = ridge.offsets[*row];
            for at in 0..ridge.offsets[row + 1] - first {
                columns[place * length + at] = ridge.columns[first + at] as i32;
                (present[place * length + at], targets[place * length + at]) = ridge.weighted(first + at);
            }
            let penalty = ridge.penalties[*row];
            scale.extend(spectrum.iter().map(|value| 1.0 / (value + penalty).sqrt()));
        }
        let columns = Tensor::<B, 1, Int>::from_data(TensorData::new(columns, [count * length]), &device);
        let cube = |numbers: Vec<f32>| {
            Tensor::<B, 3>::from_data(TensorData::new(numbers, [count, length, 1]), &device)
        };
        let scale = table::<B>(scale, d, &device);
        let gathered = features.clone().select(0, columns).reshape([count, length, d]);
        Self {
            w: gathered * cube(present) * scale.clone().unsqueeze_dim::<3>(1),
            targets: cube(targets),
            scale,
        }
    }

    /// Solutions row by row, and the sum of the rows' least losses.
    fn solve(self) -> Result<(Vec<f32>, f64)> {
        let [_, length, d] = self.w.dims();
        let across = self.w.clone().swap_dims(1, 2);
        // [rows, d, 1] throughout.
        let apply = |z: Tensor<B, 3>| z.clone() + across.clone().matmul(self.w.clone().matmul(z));
        let inner = |a: Tensor<B, 3>, b: Tensor<B, 3>| (a * b).sum_dim(1);
        let right = across.clone().matmul(self.targets.clone());
        let mut z = right.zeros_like();
        let mut residual = right.clone();
        let mut direction = right.clone();
        let mut norm = inner(residual.clone(), residual.clone());
        let enough = norm.clone() * SPENT + f32::MIN_POSITIVE;
        // In exact arithmetic min(L, d) + 1 steps are enough; rounding asks for some more.
        for step in 1..=4 * (length.min(d) + STRIDE) {
            let applied = apply(direction.clone());
            // Finished rows have a norm of zero; their step is 0/tiny = 0, not NaN.
            let length = norm.clone() / (inner(direction.clone(), applied.clone()) + f32::MIN_POSITIVE);
            z = z + direction.clone() * length.clone();
            residual = residual - applied * length;
            let next = inner(residual.clone(), residual.clone());
            direction = residual.clone() + direction * (next.clone() / (norm + f32::MIN_POSITIVE));
            norm = next;
            if step % STRIDE == 0 && numbers((norm.clone() - enough.clone()).max())?[0] <= 0.0 {
                break;
            }
        }
        let least = inner(self.targets.clone(), self.targets).sum() - inner(z.clone(), right).sum();
        let solutions = z.squeeze_dim::<2>(2) * self.scale;
        Ok((numbers(solutions)?, numbers(least)?.into_iter().map(f64::from).sum()))
    }
}
