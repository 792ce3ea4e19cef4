//! Eigenvectors of a symmetric matrix, by Jacobi's rotations, in one cube: so that a half-step needs nothing of the host.
//!
//! A rotation of two lines and the same two columns makes the number where they meet zero. A round rotates d / 2 pairs at
//! once, none of which shares a line with another; a sweep has one round less than lines, and in it each pair comes up once, as in a
//! tournament. What lies off the diagonal shrinks with its square from sweep to sweep once it is small: eight sweeps are enough
//! from anywhere, five or six for the factors of an epoch before. See Golub and Van Loan, Matrix Computations, 8.5.

use cubecl::prelude::*;

use super::sum;

/// Sweeps after which it is left at that: twice as many as 32-bit numbers take from anywhere.
pub const SWEEPS: usize = 16;
/// A number off the diagonal is zero if it is so small beside the two on the diagonal, by their geometric mean, …
const TOLERANCE: f32 = 1e-6;
/// … or beside all of the diagonal.
const FLOOR: f32 = 1e-9;

/// Lines of the matrix that is worked on: an even number.
pub const fn lines(d: usize) -> usize {
    d + d % 2
}

/// Rounds whose loops turn no more than a driver allows in one launch: that of a GPU made of CPU leaves a kernel after 65,535.
pub const fn rounds_at_once(d: usize, units: usize) -> usize {
    let half = lines(d) / 2;
    let turns = half.div_ceil(units) + (half * half).div_ceil(units) + (half * lines(d)).div_ceil(units) + 1;
    let rounds = 32_768 / turns;
    if rounds == 0 { 1 } else { rounds }
}

/// Waits for all units of a cube, and for what they wrote: into shared memory and into the device's.
#[cube]
fn in_step() {
    sync_cube();
    sync_storage();
}

/// Begins: `matrix` is `weight` times a Gram matrix `[d, d]`, `vectors` are the axes (both of [`lines`]), a unit for each
/// number of them. `way` becomes the rotations of the sweep so far, 1 as long as there is one to come, and the floor.
#[cube(launch_unchecked)]
pub fn begin(
    gram: &Array<f32>,
    matrix: &mut Array<f32>,
    vectors: &mut Array<f32>,
    way: &mut Array<f32>,
    weight: f32,
    #[comptime] d: usize,
) {
    let m = comptime!(lines(d));
    let at = ABSOLUTE_POS;
    if at >= comptime!(m * m) {
        terminate!();
    }
    let (line, column) = (at / m, at % m);
    let mut value = 0.0f32;
    if line < d && column < d {
        value = 0.5 * weight * (gram[line * d + column] + gram[column * d + line]);
    }
    matrix[at] = value;
    let mut one = 0.0f32;
    if line == column {
        one = 1.0;
    }
    vectors[at] = one;
    if at == 0 {
        let mut trace = 0.0f32;
        for k in 0..d {
            trace += weight * gram[k * d + k];
        }
        way[0] = 0.0;
        way[1] = 1.0;
        way[2] = FLOOR * trace;
    }
}

/// The rounds of a sweep from `first` to `last`, in a single cube of `units` units, a power of two.
#[cube(launch_unchecked)]
pub fn rotate(
    matrix: &mut Array<f32>,
    vectors: &mut Array<f32>,
    way: &mut Array<f32>,
    first: u32,
    last: u32,
    #[comptime] d: usize,
    #[comptime] units: usize,
) {
    let unit = UNIT_POS as usize;
    let m = comptime!(lines(d));
    let half = comptime!(lines(d) / 2);
    let (before, floor) = (way[0], way[2]);
    if way[1] == 0.0 {
        terminate!();
    }
    let mut cosines = SharedMemory::<f32>::new(half);
    let mut sines = SharedMemory::<f32>::new(half);
    let mut ones = SharedMemory::<u32>::new(half);
    let mut others = SharedMemory::<u32>::new(half);
    let mut buffer = SharedMemory::<f32>::new(units);
    let mut own = 0.0f32;
    for round in first as usize..last as usize {
        // The last stays where it is, all others move around a table: each sits opposite to each other once.
        let mut pair = unit;
        while pair < half {
            let mut i = comptime!(m - 1).runtime();
            let mut j = round;
            if pair > 0 {
                i = (round + pair) % comptime!(m - 1);
                j = (round + comptime!(m - 1) - pair) % comptime!(m - 1);
            }
            let (a, b, c) = (matrix[i * m + i], matrix[j * m + j], matrix[i * m + j]);
            let mut cosine = 1.0f32;
            let mut sine = 0.0f32;
            if c.abs() > floor && c.abs() > TOLERANCE * a.abs().sqrt() * b.abs().sqrt() {
                let theta = (b - a) / (2.0 * c);
                let mut tangent = 1.0 / (theta.abs() + (1.0 + theta * theta).sqrt());
                if theta < 0.0 {
                    tangent = -tangent;
                }
                cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
                sine = tangent * cosine;
                own += 1.0;
            }
            cosines[pair] = cosine;
            sines[pair] = sine;
            ones[pair] = i as u32;
            others[pair] = j as u32;
            pair += units;
        }
        in_step();
        // Where the lines of one pair meet the columns of another: four numbers that no other unit reads.
        let mut at = unit;
        while at < comptime!(half * half) {
            let (p, q) = (at / half, at % half);
            let (c, s) = (cosines[p], sines[p]);
            let (e, f) = (cosines[q], sines[q]);
            if s != 0.0 || f != 0.0 {
                let (above, below) = (ones[p] as usize * m, others[p] as usize * m);
                let (left, right) = (ones[q] as usize, others[q] as usize);
                let (w, x) = (matrix[above + left], matrix[above + right]);
                let (y, z) = (matrix[below + left], matrix[below + right]);
                if p == q {
                    let tangent = s / c;
                    matrix[above + left] = w - tangent * x;
                    matrix[above + right] = 0.0;
                    matrix[below + left] = 0.0;
                    matrix[below + right] = z + tangent * x;
                } else {
                    let (w, x, y, z) = (c * w - s * y, c * x - s * z, s * w + c * y, s * x + c * z);
                    matrix[above + left] = e * w - f * x;
                    matrix[above + right] = f * w + e * x;
                    matrix[below + left] = e * y - f * z;
                    matrix[below + right] = f * y + e * z;
                }
            }
            at += units;
        }
        let mut at = unit;
        while at < comptime!(half * m) {
            let (p, k) = (at / m, at % m);
            let (c, s) = (cosines[p], sines[p]);
            if s != 0.0 {
                let (one, other) = (ones[p] as usize * m + k, others[p] as usize * m + k);
                let (x, y) = (vectors[one], vectors[other]);
                vectors[one] = c * x - s * y;
                vectors[other] = s * x + c * y;
            }
            at += units;
        }
        in_step();
    }
    let rotated = before + sum(own, &mut buffer);
    if unit == 0 {
        way[0] = rotated;
        if last as usize == comptime!(m - 1) {
            way[0] = 0.0;
            if rotated == 0.0 {
                way[1] = 0.0;
            }
        }
    }
}

/// Ends: `values` `[d]`, none negative, and `basis` `[d, d]` with a vector in each column, a unit for each number of it.
/// Numbers that are not finite are in the values.
#[cube(launch_unchecked)]
pub fn end(
    matrix: &Array<f32>,
    vectors: &Array<f32>,
    values: &mut Array<f32>,
    basis: &mut Array<f32>,
    #[comptime] d: usize,
) {
    let m = comptime!(lines(d));
    let at = ABSOLUTE_POS;
    if at >= comptime!(d * d) {
        terminate!();
    }
    basis[at] = vectors[at % d * m + at / d];
    if at < d {
        let mut value = matrix[at * m + at];
        // Rounding can push a zero eigenvalue slightly under zero.
        if value < 0.0 {
            value = 0.0;
        }
        values[at] = value;
    }
}
