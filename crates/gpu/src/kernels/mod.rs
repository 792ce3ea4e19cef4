//! Half-steps in CubeCL: features are gathered, weighed and used without ever being written to the device's memory. The
//! mathematics stands in [`nightshelf_model::kernels`].
//!
//! First [`products`] and [`eigen`] turn the features into the basis of their eigenvectors. Then rows are solved. A row of L
//! ratings has L features of d numbers, W. Those of [`dual`] fit in the memory that a cube's units share, and are solved there,
//! a row a cube. Those of [`gradients`] pass through in tiles, once for each step, a row a cube as well. Those of [`pieces`]
//! would keep one cube at work when all others are done: several cubes pass over them together.

pub mod dual;
pub mod eigen;
pub mod gradients;
pub mod pieces;
pub mod products;

use cubecl::prelude::*;

/// What all kernels read.
#[derive(CubeType, CubeLaunch)]
pub struct Rows {
    /// The rows to solve, each a row of the solutions.
    pub order: Array<i32>,
    /// Where each row's ratings begin, and one past the last.
    pub offsets: Array<i32>,
    /// The row of the features that each rating is about.
    pub columns: Array<i32>,
    /// √c of each rating.
    pub weights: Array<f32>,
    /// t √c of each rating.
    pub targets: Array<f32>,
    /// λ of each row.
    pub penalties: Array<f32>,
    /// Λ: d eigenvalues.
    pub values: Array<f32>,
    /// `[columns, d]`.
    pub features: Array<f32>,
}

/// How a row is spread over a cube.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Factors.
    pub d: usize,
    /// Numbers in a row of W in shared memory: odd, so that what units read side by side lies in different banks.
    pub stride: usize,
    /// Ratings that are in shared memory together: a power of two, at most `units`.
    pub tile: usize,
    /// Units in a cube: a power of two.
    pub units: usize,
    /// Units that have a factor of their own, or several: a power of two, at most `units`.
    pub lanes: usize,
}

/// D^-½ of a row.
#[cube]
pub(super) fn load_scale(rows: &Rows, row: usize, scale: &mut SharedMemory<f32>, #[comptime] d: usize) {
    let penalty = rows.penalties[row];
    let mut k = UNIT_POS as usize;
    while k < d {
        scale[k] = 1.0 / (rows.values[k] + penalty).sqrt();
        k += CUBE_DIM as usize;
    }
}

/// `count` rows of W, at most a tile, from the rating at `first`. Unrolled: what is far away is asked for all at once.
#[cube]
pub(super) fn load_features(
    rows: &Rows,
    first: usize,
    count: usize,
    scale: &SharedMemory<f32>,
    w: &mut SharedMemory<f32>,
    #[comptime] shape: Shape,
) {
    let Shape { d, stride, tile, units, .. } = shape;
    let each = comptime!((tile * d).div_ceil(units));
    let batch = comptime!(if each < 16 { each } else { 16 });
    let mut begin = UNIT_POS as usize;
    for _ in 0..comptime!(each.div_ceil(batch)) {
        #[unroll]
        for i in 0..batch {
            let at = begin + i * units;
            let (j, k) = (at / d, at % d);
            if j < count {
                let feature = rows.features[rows.columns[first + j] as usize * d + k];
                w[j * stride + k] = feature * rows.weights[first + j] * scale[k];
            }
        }
        begin += comptime!(batch * units);
    }
}

/// The sum of a number of each unit, known to all units. Begins and ends with all units in step.
#[cube]
pub(super) fn sum(own: f32, buffer: &mut SharedMemory<f32>) -> f32 {
    let unit = UNIT_POS as usize;
    buffer[unit] = own;
    sync_cube();
    let mut half = CUBE_DIM as usize / 2;
    while half > 0 {
        if unit < half {
            buffer[unit] += buffer[unit + half];
        }
        sync_cube();
        half /= 2;
    }
    let total = buffer[0];
    sync_cube();
    total
}

#[cube]
pub(super) fn inner(
    a: &SharedMemory<f32>,
    b: &SharedMemory<f32>,
    buffer: &mut SharedMemory<f32>,
    #[comptime] d: usize,
) -> f32 {
    let mut own = 0.0f32;
    let mut k = UNIT_POS as usize;
    while k < d {
        own += a[k] * b[k];
        k += CUBE_DIM as usize;
    }
    sum(own, buffer)
}

/// Writes x = D^-½ z, and the loss and penalty of the row.
#[cube]
pub(super) fn write(
    rows: &Rows,
    row: usize,
    z: &SharedMemory<f32>,
    scale: &SharedMemory<f32>,
    loss: f32,
    buffer: &mut SharedMemory<f32>,
    solutions: &mut Array<f32>,
    sums: &mut Array<f32>,
    #[comptime] d: usize,
) {
    let mut square = 0.0f32;
    let mut k = UNIT_POS as usize;
    while k < d {
        let x = z[k] * scale[k];
        solutions[row * d + k] = x;
        square += x * x;
        k += CUBE_DIM as usize;
    }
    let square = sum(square, buffer);
    if UNIT_POS == 0 {
        sums[2 * row] = loss;
        sums[2 * row + 1] = rows.penalties[row] * square;
    }
}
