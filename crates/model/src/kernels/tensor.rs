//! The half-step in plain tensor operations: what any backend runs, and what the fused versions are tested against.
//!
//! Rows are sorted by degree and cut into tiles of a bounded size, padded to the longest row of the tile.
//! Each tile solves (I + WᵀW) z = Wᵀ t for all of its rows at once by conjugate gradients: products only, no
//! matrix is formed. Since I + WᵀW differs from I in as many directions as the row has ratings, short rows
//! are exact after that many steps.
//!
//! The places of the ratings go to the device once, before the first epoch, and stay there. After that only
//! the d × d matrix of [`Spectrum`] comes back in each half-step; a tile that is solved to the end also
//! reports its residual now and then.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::spectrum::Spectrum;
use super::{HalfStep, Pending, Ridge, STEPS, Side};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::tensors::{integers, numbers, reciprocal, table};

/// Numbers in the largest tensor of a tile, W: 64 MiB.
const TILE: usize = 1 << 24;

/// Steps between two looks at the residual: looking stalls a GPU.
const STRIDE: usize = 8;

/// The squared norm of the residual, as a share of that of the right-hand side (the first residual, from zero), at
/// which 32-bit precision is used up.
pub const SPENT: f32 = 1e-12;

/// See [`super::Kernels::half_step`].
pub fn half_step<B: Backend<FloatElem = f32>>(
    side: &Side<'_, B>,
    features: Tensor<B, 2>,
    previous: Option<Tensor<B, 2>>,
    interrupt: &Interrupt,
) -> Result<HalfStep<B>> {
    let ([_, d], device) = (features.dims(), features.device());
    let Turned { features, previous, values } = into_basis(&side.ridge, features, previous)?;
    let Tiles { tiles, places } = side.tiles.get_or_init(|| Tiles::new(&side.ridge, d, &device));
    let mut solved = Vec::with_capacity(tiles.len() + 1);
    let mut sums = Tensor::<B, 1>::zeros([2], &device);
    for tile in tiles {
        interrupt.check()?;
        let start = previous.as_ref().map(|previous| previous.clone().select(0, tile.rows.clone()));
        let (solutions, of_tile) = tile.solve(&features, &values, start)?;
        solved.push(solutions);
        sums = sums + of_tile;
    }
    // Rows without a rating share one row of zeros, behind all others.
    solved.push(Tensor::zeros([1, d], &device));
    let solutions = Tensor::cat(solved, 0).select(0, places.clone());
    Ok(HalfStep { features, solutions, sums: Pending::OnDevice(sums) })
}

/// Features and solutions in the basis of [`Spectrum`].
struct Turned<B: Backend> {
    /// `[columns, d]`.
    features: Tensor<B, 2>,
    /// `[rows, d]`, if there are any.
    previous: Option<Tensor<B, 2>>,
    /// Λ: `[1, d]`.
    values: Tensor<B, 2>,
}

/// Turns features, and solutions that go with them, into the basis in which every row's base matrix is diagonal.
///
/// # Errors
/// [`crate::error::Error::Diverged`] if the features are not finite; [`crate::error::Error::DeviceFailed`] if the device
/// fails.
fn into_basis<B: Backend<FloatElem = f32>>(
    ridge: &Ridge<'_>,
    features: Tensor<B, 2>,
    previous: Option<Tensor<B, 2>>,
) -> Result<Turned<B>> {
    let ([_, d], device) = (features.dims(), features.device());
    let spectrum = match ridge.unobserved_weight {
        0.0 => Spectrum { values: vec![0.0; d], basis: Vec::new() },
        weight => {
            let gram = numbers(features.clone().transpose().matmul(features.clone()))?;
            let gram: Vec<f64> = gram.into_iter().map(f64::from).collect();
            Spectrum::of_gram(&gram, d, weight)?
        }
    };
    let values = table::<B>(spectrum.values, d, &device);
    Ok(match spectrum.basis.is_empty() {
        true => Turned { features, previous, values },
        false => {
            let basis = table::<B>(spectrum.basis, d, &device);
            let previous = previous.map(|previous| previous.matmul(basis.clone()));
            Turned { features: features.matmul(basis), previous, values }
        }
    })
}

/// All rows of a side, by degree, in groups whose padded size is bounded.
#[derive(Debug)]
pub struct Tiles<B: Backend> {
    tiles: Vec<Tile<B>>,
    /// The place of each row's solution in the order of tiles; one behind all for rows without a rating.
    places: Tensor<B, 1, Int>,
}

impl<B: Backend<FloatElem = f32>> Tiles<B> {
    fn new(ridge: &Ridge<'_>, d: usize, device: &B::Device) -> Self {
        let degree = |row: usize| ridge.offsets[row + 1] - ridge.offsets[row];
        let mut order: Vec<usize> = (0..ridge.rows()).filter(|row| degree(*row) > 0).collect();
        order.sort_by_key(|row| degree(*row));
        let mut places = vec![order.len() as i32; ridge.rows()];
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (place, row) in order.into_iter().enumerate() {
            places[row] = place as i32;
            match groups.last_mut() {
                // The last row is the longest: all others are padded to it.
                Some(group) if (group.len() + 1) * degree(row) * d <= TILE => group.push(row),
                _ => groups.push(vec![row]),
            }
        }
        let tiles = groups.into_iter().map(|rows| Tile::new(ridge, &rows, device)).collect();
        Self { tiles, places: integers(places, device) }
    }
}

/// What some rows' systems are built from, padded to the same length L.
#[derive(Debug)]
struct Tile<B: Backend> {
    /// The rows' numbers: `[rows]`.
    rows: Tensor<B, 1, Int>,
    /// The row of the features that each rating is about: `[rows · L]`.
    columns: Tensor<B, 1, Int>,
    /// √c, zero where padded: `[rows, L, 1]`.
    weights: Tensor<B, 3>,
    /// t, times √c: `[rows, L, 1]`.
    targets: Tensor<B, 3>,
    /// λ: `[rows, 1]`.
    penalties: Tensor<B, 2>,
}

impl<B: Backend<FloatElem = f32>> Tile<B> {
    fn new(ridge: &Ridge<'_>, rows: &[usize], device: &B::Device) -> Self {
        let count = rows.len();
        let length = rows.iter().map(|row| ridge.offsets[row + 1] - ridge.offsets[*row]).max().unwrap_or(0);
        let mut columns = vec![0i32; count * length];
        let mut weights = vec![0.0f32; count * length];
        let mut targets = vec![0.0f32; count * length];
        for (place, row) in rows.iter().enumerate() {
            let first = ridge.offsets[*row];
            for at in 0..ridge.offsets[row + 1] - first {
                columns[place * length + at] = ridge.columns[first + at] as i32;
                (weights[place * length + at], targets[place * length + at]) = ridge.weighted(first + at);
            }
        }
        let cube = |numbers: Vec<f32>| {
            Tensor::<B, 3>::from_data(TensorData::new(numbers, [count, length, 1]), device)
        };
        let penalties = rows.iter().map(|row| ridge.penalties[*row]).collect();
        Self {
            rows: integers(rows.iter().map(|row| *row as i32).collect(), device),
            columns: integers(columns, device),
            weights: cube(weights),
            targets: cube(targets),
            penalties: table(penalties, 1, device),
        }
    }

    /// Solutions row by row, in the basis of `features`, and the sums of the rows' losses and of their
    /// penalties. `values` are the eigenvalues, `[1, d]`. With `start`, only [`STEPS`] steps are taken from
    /// there.
    fn solve(
        &self,
        features: &Tensor<B, 2>,
        values: &Tensor<B, 2>,
        start: Option<Tensor<B, 2>>,
    ) -> Result<(Tensor<B, 2>, Tensor<B, 1>)> {
        let ([_, d], [rows, length, _]) = (features.dims(), self.weights.dims());
        // D^-½: [rows, d].
        let scale = reciprocal((values.clone() + self.penalties.clone()).sqrt());
        let gathered = features.clone().select(0, self.columns.clone()).reshape([rows, length, d]);
        let w = gathered * self.weights.clone() * scale.clone().unsqueeze_dim::<3>(1);
        let across = w.clone().swap_dims(1, 2);
        // [rows, d, 1] from here on.
        let apply = |z: Tensor<B, 3>| z.clone() + across.clone().matmul(w.clone().matmul(z));
        let inner = |a: Tensor<B, 3>, b: Tensor<B, 3>| (a * b).sum_dim(1);
        let right = across.clone().matmul(self.targets.clone());
        let near = start.is_some();
        let (mut z, mut residual) = match start {
            Some(start) => {
                let z = (start / scale.clone()).unsqueeze_dim::<3>(2);
                (z.clone(), right.clone() - apply(z))
            }
            None => (right.zeros_like(), right.clone()),
        };
        let mut direction = residual.clone();
        let mut norm = inner(residual.clone(), residual.clone());
        let enough = norm.clone() * SPENT + f32::MIN_POSITIVE;
        // In exact arithmetic min(L, d) + 1 steps are enough; rounding asks for some more.
        let steps = if near { STEPS } else { 4 * (length.min(d) + STRIDE) };
        for step in 1..=steps {
            let applied = apply(direction.clone());
            // Finished rows have a norm of zero; their step is 0/tiny = 0, not NaN.
            let stride = norm.clone() / (inner(direction.clone(), applied.clone()) + f32::MIN_POSITIVE);
            z = z + direction.clone() * stride.clone();
            residual = residual - applied * stride;
            let next = inner(residual.clone(), residual.clone());
            direction = residual.clone() + direction * (next.clone() / (norm + f32::MIN_POSITIVE));
            norm = next;
            if !near && step % STRIDE == 0 && numbers((norm.clone() - enough.clone()).max())?[0] <= 0.0 {
                break;
            }
        }
        let all = inner(self.targets.clone(), self.targets.clone()).sum();
        let loss = all - inner(z.clone(), right).sum() - inner(z.clone(), residual).sum();
        let solutions = z.squeeze_dim::<2>(2) * scale;
        let squares = (solutions.clone() * solutions.clone()).sum_dim(1);
        let penalty = (squares * self.penalties.clone()).sum();
        Ok((solutions, Tensor::cat(vec![loss, penalty], 0)))
    }
}
