//! Many items' systems at once, in plain tensor operations: what a GPU runs.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::system::System;
use crate::error::Result;
use crate::tensors::numbers;

/// Solves systems of several items together.
pub trait Batched: Send + Sync {
    /// w of each system, whatever their sizes.
    ///
    /// # Errors
    /// [`crate::error::Error::DeviceFailed`] if the device fails.
    fn solve(&self, systems: &[System], regularization: f32) -> Result<Vec<Vec<f32>>>;
}

/// Numbers in the largest tensor: 64 MiB.
const TILE: usize = 1 << 24;

/// Steps between two looks at the residual: looking stalls a GPU.
const STRIDE: usize = 8;

/// The squared norm of the residual, as a share of that of the right-hand side, at which 32-bit precision is used up.
const SPENT: f32 = 1e-12;

/// Conjugate gradients on a device of burn, with the diagonal as preconditioner (Saad 2003, "Iterative methods for sparse
/// linear systems", algorithm 9.1): products only, and, but for rounding, exact after as many steps as unknowns.
pub struct OnDevice<B: Backend> {
    device: B::Device,
}

impl<B: Backend> OnDevice<B> {
    pub fn new(device: B::Device) -> Self {
        Self { device }
    }
}

impl<B: Backend<FloatElem = f32>> Batched for OnDevice<B> {
    fn solve(&self, systems: &[System], regularization: f32) -> Result<Vec<Vec<f32>>> {
        let most = systems.iter().map(System::size).max().unwrap_or_default().max(1);
        let mut solved = Vec::with_capacity(systems.len());
        for some in systems.chunks((TILE / (most * most)).max(1)) {
            let size = some.iter().map(System::size).max().unwrap_or_default();
            let solutions = numbers(together::<B>(some, size, regularization, &self.device)?)?;
            let rows = some.iter().zip(solutions.chunks_exact(size.max(1)));
            solved.extend(rows.map(|(system, row)| row[..system.size()].to_vec()));
        }
        Ok(solved)
    }
}

/// `[systems, size, 1]`: the solutions of systems that are padded to `size` unknowns.
fn together<B: Backend<FloatElem = f32>>(
    systems: &[System],
    size: usize,
    regularization: f32,
    device: &B::Device,
) -> Result<Tensor<B, 3>> {
    let count = systems.len();
    let (mut matrices, mut rights) = (vec![0.0; count * size * size], vec![0.0; count * size]);
    let mut diagonals = vec![1.0; count * size];
    for (place, system) in systems.iter().enumerate() {
        let matrix = &mut matrices[place * size * size..][..size * size];
        system.fill(regularization, size, matrix);
        for at in 0..size {
            if at >= system.size() {
                // Padding: an unknown of its own, which is 0.
                matrix[at * size + at] = 1.0;
            }
            diagonals[place * size + at] = matrix[at * size + at];
        }
        rights[place * size..][..system.size()].copy_from_slice(system.right());
    }
    let cube = |numbers: Vec<f32>, width: usize| {
        Tensor::<B, 3>::from_data(TensorData::new(numbers, [count, size, width]), device)
    };
    let (matrix, right, diagonal) = (cube(matrices, size), cube(rights, 1), cube(diagonals, 1));
    let inner = |a: Tensor<B, 3>, b: Tensor<B, 3>| (a * b).sum_dim(1);
    let mut solution = right.zeros_like();
    let mut residual = right.clone();
    let mut direction = residual.clone() / diagonal.clone();
    let mut norm = inner(residual.clone(), direction.clone());
    let enough = norm.clone() * SPENT + f32::MIN_POSITIVE;
    for step in 1..=4 * (size + STRIDE) {
        // Not as a matrix product: for those a GPU keeps ten bits of each number.
        let applied = (matrix.clone() * direction.clone().swap_dims(1, 2)).sum_dim(2);
        // Finished systems have a norm of zero; their step is 0/tiny = 0, not NaN.
        let stride = norm.clone() / (inner(direction.clone(), applied.clone()) + f32::MIN_POSITIVE);
        solution = solution + direction.clone() * stride.clone();
        residual = residual - applied * stride;
        let conditioned = residual.clone() / diagonal.clone();
        let next = inner(residual.clone(), conditioned.clone());
        direction = conditioned + direction * (next.clone() / (norm + f32::MIN_POSITIVE));
        norm = next;
        if step % STRIDE == 0 && numbers((norm.clone() - enough.clone()).max())?[0] <= 0.0 {
            break;
        }
    }
    Ok(solution)
}
