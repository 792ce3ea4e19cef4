//! Short rows in the dual form (I + WWᵀ) a = t, z = Wᵀ a, by Cholesky's factors.

use cubecl::prelude::*;

use super::{Rows, Shape, load_features, load_scale, sum, write};

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
