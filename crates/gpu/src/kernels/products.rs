//! The products and sums of all rows. The library's own matrix product takes a GPU's matrix units, which keep ten bits of
//! each factor: too few for what every row is solved with. And its sum over rows takes one unit a column.

use cubecl::prelude::*;

use super::sum;

/// Rows and columns of a cube's part of a Gram matrix.
pub const PART: usize = 32;
/// Rows of Y that are in shared memory together.
const DEPTH: usize = 16;
/// Units in a cube: each has [`PART`]² / `UNITS` numbers of its part.
pub const UNITS: usize = 256;

/// Yᵀ Y of `chunk` rows of Y (`[rows, d]`) at a time: `[chunks, d, d]`. Cubes are `[parts, parts, chunks]`.
#[cube(launch_unchecked)]
pub fn gram(y: &Array<f32>, sums: &mut Array<f32>, rows: u32, chunk: u32, #[comptime] d: usize) {
    let unit = UNIT_POS as usize;
    let (left, up) = (CUBE_POS_X as usize * PART, CUBE_POS_Y as usize * PART);
    let first = CUBE_POS_Z as usize * chunk as usize;
    let mut last = first + chunk as usize;
    if last > rows as usize {
        last = rows as usize;
    }
    let mut a = SharedMemory::<f32>::new(comptime!(DEPTH * PART));
    let mut b = SharedMemory::<f32>::new(comptime!(DEPTH * PART));
    let each = comptime!(PART * PART / UNITS);
    let mut own = Array::<f32>::new(each);
    #[unroll]
    for i in 0..each {
        own[i] = 0.0;
    }
    // Unit (n, m) has the column `left + m` of the lines `up + n`, `up + n + UNITS / PART`, …
    let (n, m) = (unit / PART, unit % PART);
    let mut row = first;
    while row < last {
        #[unroll]
        for i in 0..comptime!(DEPTH * PART / UNITS) {
            let at = unit + i * UNITS;
            let (depth, k) = (at / PART, at % PART);
            let mut of_a = 0.0f32;
            let mut of_b = 0.0f32;
            if row + depth < last {
                if up + k < d {
                    of_a = y[(row + depth) * d + up + k];
                }
                if left + k < d {
                    of_b = y[(row + depth) * d + left + k];
                }
            }
            a[at] = of_a;
            b[at] = of_b;
        }
        sync_cube();
        for depth in 0..DEPTH {
            let right = b[depth * PART + m];
            #[unroll]
            for i in 0..each {
                own[i] += a[depth * PART + n + i * comptime!(UNITS / PART)] * right;
            }
        }
        sync_cube();
        row += DEPTH;
    }
    #[unroll]
    for i in 0..each {
        let line = up + n + i * comptime!(UNITS / PART);
        if line < d && left + m < d {
            sums[(CUBE_POS_Z as usize * d + line) * d + left + m] = own[i];
        }
    }
}

/// Y B of a `[d, d]` matrix B: `tile` rows of Y a cube.
#[cube(launch_unchecked)]
pub fn rotate(
    y: &Array<f32>,
    matrix: &Array<f32>,
    turned: &mut Array<f32>,
    rows: u32,
    #[comptime] d: usize,
    #[comptime] tile: usize,
    #[comptime] lanes: usize,
) {
    let unit = UNIT_POS as usize;
    let first = CUBE_POS * tile;
    let mut count = tile.runtime();
    if first >= rows as usize {
        terminate!();
    }
    if first + tile > rows as usize {
        count = rows as usize - first;
    }
    let mut part = SharedMemory::<f32>::new(comptime!(tile * d));
    let mut at = unit;
    while at < count * d {
        part[at] = y[first * d + at];
        at += UNITS;
    }
    sync_cube();
    let groups = comptime!(UNITS / lanes);
    let each = comptime!(tile.div_ceil(groups));
    let (lane, group) = (unit % lanes, unit / lanes);
    let mut own = Array::<f32>::new(each);
    let mut k = lane;
    while k < d {
        #[unroll]
        for i in 0..each {
            own[i] = 0.0;
        }
        for l in 0..d {
            let factor = matrix[l * d + k];
            #[unroll]
            for i in 0..each {
                if group + i * groups < count {
                    own[i] += part[(group + i * groups) * d + l] * factor;
                }
            }
        }
        #[unroll]
        for i in 0..each {
            if group + i * groups < count {
                turned[(first + group + i * groups) * d + k] = own[i];
            }
        }
        k += lanes;
    }
}

/// The sums of both columns of `chunk` rows of two numbers at a time, a chunk a cube: `[chunks, 2]`.
#[cube(launch_unchecked)]
pub fn add_up(pairs: &Array<f32>, sums: &mut Array<f32>, rows: u32, chunk: u32) {
    let mut last = (CUBE_POS + 1) * chunk as usize;
    if last > rows as usize {
        last = rows as usize;
    }
    let mut one = 0.0f32;
    let mut other = 0.0f32;
    let mut row = CUBE_POS * chunk as usize + UNIT_POS as usize;
    while row < last {
        one += pairs[2 * row];
        other += pairs[2 * row + 1];
        row += UNITS;
    }
    let mut buffer = SharedMemory::<f32>::new(UNITS);
    let one = sum(one, &mut buffer);
    let other = sum(other, &mut buffer);
    if UNIT_POS == 0 && CUBE_POS * (chunk as usize) < rows as usize {
        sums[2 * CUBE_POS] = one;
        sums[2 * CUBE_POS + 1] = other;
    }
}
