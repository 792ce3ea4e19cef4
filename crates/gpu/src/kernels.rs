//! One row of a half-step in one cube, in CubeCL: features are gathered, weighed and used without ever being written to the
//! device's memory. The mathematics stands in [`nightshelf_model::kernels`].
//!
//! A row of L ratings has L features of d numbers, W. Those of [`solve`] fit in the memory that a cube's units share, and
//! are solved there in the dual form (I + WWᵀ) a = t, z = Wᵀ a. Those of [`approach`] pass through in tiles, once for each
//! step of conjugate gradients on (I + WᵀW) z = Wᵀ t, of which no matrix is formed.

use cubecl::prelude::*;

/// What both kernels read.
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
fn load_scale(rows: &Rows, row: usize, scale: &mut SharedMemory<f32>, #[comptime] d: usize) {
    let penalty = rows.penalties[row];
    let mut k = UNIT_POS as usize;
    while k < d {
        scale[k] = 1.0 / (rows.values[k] + penalty).sqrt();
        k += CUBE_DIM as usize;
    }
}

/// `count` rows of W, at most a tile, from the rating at `first`. Unrolled: what is far away is asked for all at once.
#[cube]
fn load_features(
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
fn sum(own: f32, buffer: &mut SharedMemory<f32>) -> f32 {
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
fn inner(
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
fn write(
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

/// Solves rows that fit in a tile: the rows of `order` from `begin` to `end`, one a cube.
#[cube(launch_unchecked)]
pub fn solve(
    rows: &Rows,
    solutions: &mut Array<f32>,
    sums: &mut Array<f32>,
    begin: u32,
    end: u32,
    #[comptime] shape: Shape,
) {
    let Shape { d, stride, tile, units, .. } = shape;
    let place = begin as usize + CUBE_POS;
    if place >= end as usize {
        terminate!();
    }
    let row = rows.order[place] as usize;
    let first = rows.offsets[row] as usize;
    let count = rows.offsets[row + 1] as usize - first;
    let unit = UNIT_POS as usize;
    // A column more, against conflicts of banks.
    let wide = comptime!(tile + 1);

    let mut scale = SharedMemory::<f32>::new(d);
    let mut z = SharedMemory::<f32>::new(d);
    let mut w = SharedMemory::<f32>::new(comptime!(tile * stride));
    let mut matrix = SharedMemory::<f32>::new(comptime!(tile * wide));
    let mut a = SharedMemory::<f32>::new(tile);
    let mut buffer = SharedMemory::<f32>::new(units);

    load_scale(rows, row, &mut scale, d);
    if unit < count {
        a[unit] = rows.targets[first + unit];
    }
    sync_cube();
    load_features(rows, first, count, &scale, &mut w, shape);
    sync_cube();
    // I + WWᵀ, its lower triangle.
    let mut at = unit;
    while at < count * count {
        let (i, j) = (at / count, at % count);
        if j <= i {
            let mut product = 0.0f32;
            for k in 0..d {
                product += w[i * stride + k] * w[j * stride + k];
            }
            if i == j {
                product += 1.0;
            }
            matrix[i * wide + j] = product;
        }
        at += CUBE_DIM as usize;
    }
    sync_cube();
    // Cholesky, column by column, a unit for each line; a becomes L⁻¹ t on the way.
    for j in 0..count {
        let mut pivot = matrix[j * wide + j];
        for k in 0..j {
            pivot -= matrix[j * wide + k] * matrix[j * wide + k];
        }
        let root = pivot.sqrt();
        let mut below = 0.0f32;
        if unit > j && unit < count {
            below = matrix[unit * wide + j];
            for k in 0..j {
                below -= matrix[unit * wide + k] * matrix[j * wide + k];
            }
        }
        let solved = a[j] / root;
        sync_cube();
        if unit == j {
            matrix[j * wide + j] = root;
            a[j] = solved;
        }
        if unit > j && unit < count {
            matrix[unit * wide + j] = below / root;
            a[unit] -= below / root * solved;
        }
        sync_cube();
    }
    // Lᵀ a = L⁻¹ t, from the last to the first.
    for step in 0..count {
        let j = count - 1 - step;
        let solved = a[j] / matrix[j * wide + j];
        sync_cube();
        if unit == j {
            a[j] = solved;
        }
        if unit < j {
            a[unit] -= matrix[j * wide + unit] * solved;
        }
        sync_cube();
    }
    let mut k = unit;
    while k < d {
        let mut product = 0.0f32;
        for j in 0..count {
            product += w[j * stride + k] * a[j];
        }
        z[k] = product;
        k += CUBE_DIM as usize;
    }
    // What is left of t is a, so the least loss |t - Wz|² + |z|² is a·t.
    let mut own = 0.0f32;
    if unit < count {
        own = a[unit] * rows.targets[first + unit];
    }
    let loss = sum(own, &mut buffer);
    write(rows, row, &z, &scale, loss, &mut buffer, solutions, sums, d);
}

/// One pass over a row's ratings: adds Wᵀ W `by` to `product` and, if asked, Wᵀ t to `right`. Begins with all units in
/// step; each unit ends with its own places of the sums.
///
/// The units of a cube stand in groups of `lanes`, a unit for each factor or for several; each group adds up its share of a
/// tile's ratings in registers, and the groups' sums come together once, at the end.
#[cube]
fn pass(
    rows: &Rows,
    first: usize,
    last: usize,
    scale: &SharedMemory<f32>,
    by: &SharedMemory<f32>,
    product: &mut SharedMemory<f32>,
    right: &mut SharedMemory<f32>,
    w: &mut SharedMemory<f32>,
    q: &mut SharedMemory<f32>,
    buffer: &mut SharedMemory<f32>,
    #[comptime] with_targets: bool,
    #[comptime] shape: Shape,
) {
    let Shape { d, stride, tile, units, lanes } = shape;
    let unit = UNIT_POS as usize;
    // Units that share one feature's product with `by`.
    let parts = comptime!(units / tile);
    let groups = comptime!(units / lanes);
    let each = comptime!(d.div_ceil(lanes));
    let (j, part) = (unit % tile, unit / tile);
    let (lane, group) = (unit % lanes, unit / lanes);
    let mut own_product = Array::<f32>::new(each);
    let mut own_right = Array::<f32>::new(each);
    #[unroll]
    for i in 0..each {
        own_product[i] = 0.0;
        own_right[i] = 0.0;
    }
    let mut from = first;
    while from < last {
        let mut count = last - from;
        if count > tile {
            count = tile.runtime();
        }
        load_features(rows, from, count, scale, w, shape);
        sync_cube();
        let mut own = 0.0f32;
        if j < count {
            let mut k = part;
            while k < d {
                own += w[j * stride + k] * by[k];
                k += parts;
            }
        }
        buffer[unit] = own;
        sync_cube();
        if unit < count {
            let mut whole = 0.0f32;
            for other in 0..parts {
                whole += buffer[other * tile + unit];
            }
            q[unit] = whole;
        }
        sync_cube();
        #[unroll]
        for i in 0..each {
            let k = lane + i * lanes;
            if k < d {
                let mut j = group;
                while j < count {
                    own_product[i] += q[j] * w[j * stride + k];
                    if with_targets {
                        own_right[i] += rows.targets[from + j] * w[j * stride + k];
                    }
                    j += groups;
                }
            }
        }
        sync_cube();
        from += tile;
    }
    #[unroll]
    for i in 0..each {
        together(own_product[i], lane + i * lanes, product, buffer, shape);
        if with_targets {
            together(own_right[i], lane + i * lanes, right, buffer, shape);
        }
    }
}

/// Adds what all groups have for a factor `k` of this unit's lane. Begins and ends with all units in step.
#[cube]
fn together(
    own: f32,
    k: usize,
    sums: &mut SharedMemory<f32>,
    buffer: &mut SharedMemory<f32>,
    #[comptime] shape: Shape,
) {
    let Shape { d, units, lanes, .. } = shape;
    let unit = UNIT_POS as usize;
    buffer[unit] = own;
    sync_cube();
    if unit < lanes && k < d {
        let mut sum = sums[k];
        for group in 0..comptime!(units / lanes) {
            sum += buffer[group * lanes + unit];
        }
        sums[k] = sum;
    }
    sync_cube();
}

/// Moves rows `steps` steps of conjugate gradients from what `solutions` has, or, if not `near`, from 0 until the squared
/// norm of the residual is `enough` of that of the right-hand side. The rows of `order` from `begin` to `end`, one a cube.
#[cube(launch_unchecked)]
pub fn approach(
    rows: &Rows,
    solutions: &mut Array<f32>,
    sums: &mut Array<f32>,
    begin: u32,
    end: u32,
    steps: u32,
    enough: f32,
    #[comptime] near: bool,
    #[comptime] shape: Shape,
) {
    let Shape { d, stride, tile, units, .. } = shape;
    let place = begin as usize + CUBE_POS;
    if place >= end as usize {
        terminate!();
    }
    let row = rows.order[place] as usize;
    let first = rows.offsets[row] as usize;
    let last = rows.offsets[row + 1] as usize;
    let unit = UNIT_POS as usize;

    let mut scale = SharedMemory::<f32>::new(d);
    let mut z = SharedMemory::<f32>::new(d);
    let mut right = SharedMemory::<f32>::new(d);
    let mut residual = SharedMemory::<f32>::new(d);
    let mut direction = SharedMemory::<f32>::new(d);
    let mut applied = SharedMemory::<f32>::new(d);
    let mut w = SharedMemory::<f32>::new(comptime!(tile * stride));
    let mut q = SharedMemory::<f32>::new(tile);
    let mut buffer = SharedMemory::<f32>::new(units);

    load_scale(rows, row, &mut scale, d);
    let mut k = unit;
    while k < d {
        let mut start = 0.0f32;
        if near {
            start = solutions[row * d + k] / scale[k];
        }
        z[k] = start;
        right[k] = 0.0;
        applied[k] = start;
        k += CUBE_DIM as usize;
    }
    let mut square = 0.0f32;
    let mut at = first + unit;
    while at < last {
        square += rows.targets[at] * rows.targets[at];
        at += CUBE_DIM as usize;
    }
    let squares = sum(square, &mut buffer);
    pass(rows, first, last, &scale, &z, &mut applied, &mut right, &mut w, &mut q, &mut buffer, true, shape);
    let mut k = unit;
    while k < d {
        residual[k] = right[k] - applied[k];
        direction[k] = residual[k];
        k += CUBE_DIM as usize;
    }
    let mut norm = inner(&residual, &residual, &mut buffer, d);
    let spent = enough * inner(&right, &right, &mut buffer, d);
    let mut step = 0u32;
    while step < steps && norm > spent {
        let mut k = unit;
        while k < d {
            applied[k] = direction[k];
            k += CUBE_DIM as usize;
        }
        pass(
            rows,
            first,
            last,
            &scale,
            &direction,
            &mut applied,
            &mut right,
            &mut w,
            &mut q,
            &mut buffer,
            false,
            shape,
        );
        let length = norm / inner(&direction, &applied, &mut buffer, d);
        let mut k = unit;
        while k < d {
            z[k] += length * direction[k];
            residual[k] -= length * applied[k];
            k += CUBE_DIM as usize;
        }
        let next = inner(&residual, &residual, &mut buffer, d);
        let mut k = unit;
        while k < d {
            direction[k] = residual[k] + next / norm * direction[k];
            k += CUBE_DIM as usize;
        }
        norm = next;
        step += 1;
    }
    let loss = squares - inner(&z, &right, &mut buffer, d) - inner(&z, &residual, &mut buffer, d);
    write(rows, row, &z, &scale, loss, &mut buffer, solutions, sums, d);
}
