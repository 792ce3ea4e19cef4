//! The longest rows, whose steps are those of [`super::gradients`]: a cube passes over each piece of a row, then one cube
//! adds up what they found, and takes the step. A row's numbers are kept in the device's memory in between.

use cubecl::prelude::*;

use super::gradients::{State, advance, begin, load_start, pass};
use super::{Rows, Shape, inner, load_scale, sum, write};

/// Numbers of a piece: its part of a pass's product, and of |t - W z|².
pub const fn of_piece(d: usize) -> usize {
    d + 1
}

/// Numbers of a row: z, residual and direction; then the loss, the squared norm of the residual that is small enough, and 1 as
/// long as the row goes on.
pub const fn of_row(d: usize) -> usize {
    3 * d + 3
}

/// Passes over pieces of `length` ratings, one a cube: in the first pass, if `is_first`, or another.
#[cube(launch_unchecked)]
pub fn pass_over(
    rows: &Rows,
    owners: &Array<i32>,
    offsets: &Array<i32>,
    solutions: &Array<f32>,
    kept: &Array<f32>,
    found: &mut Array<f32>,
    count: u32,
    length: u32,
    is_first: u32,
    #[comptime] shape: Shape,
) {
    let Shape { d, stride, tile, units, .. } = shape;
    let piece = CUBE_POS;
    if piece >= count as usize {
        terminate!();
    }
    let owner = owners[piece] as usize;
    let of_owner = owner * comptime!(of_row(d));
    if is_first == 0 && kept[of_owner + comptime!(3 * d + 2)] == 0.0 {
        terminate!();
    }
    let row = rows.order[owner] as usize;
    let first = rows.offsets[row] as usize + (piece - offsets[owner] as usize) * length as usize;
    let mut last = rows.offsets[row + 1] as usize;
    if last > first + length as usize {
        last = first + length as usize;
    }

    let mut scale = SharedMemory::<f32>::new(d);
    let mut by = SharedMemory::<f32>::new(d);
    let mut product = SharedMemory::<f32>::new(d);
    let mut w = SharedMemory::<f32>::new(comptime!(tile * stride));
    let mut q = SharedMemory::<f32>::new(tile);
    let mut buffer = SharedMemory::<f32>::new(units);

    load_scale(rows, row, &mut scale, d);
    let mut k = UNIT_POS as usize;
    while k < d {
        if is_first == 0 {
            by[k] = kept[of_owner + comptime!(2 * d) + k];
        } else {
            by[k] = solutions[row * d + k] / scale[k];
        }
        k += CUBE_DIM as usize;
    }
    sync_cube();
    let squares =
        pass(rows, first, last, &scale, &by, &mut product, &mut w, &mut q, &mut buffer, is_first != 0, shape);
    let into = piece * comptime!(of_piece(d));
    let mut k = UNIT_POS as usize;
    while k < d {
        found[into + k] = product[k];
        k += CUBE_DIM as usize;
    }
    let squares = sum(squares, &mut buffer);
    if UNIT_POS == 0 {
        found[into + d] = squares;
    }
}

/// Adds up what the pieces of a row found, always in the same order, and begins, if it was the first pass, or takes a step.
/// `count` rows, one a cube. The last time, solutions are written.
#[cube(launch_unchecked)]
pub fn take_step(
    rows: &Rows,
    offsets: &Array<i32>,
    found: &Array<f32>,
    kept: &mut Array<f32>,
    solutions: &mut Array<f32>,
    sums: &mut Array<f32>,
    count: u32,
    enough: f32,
    is_first: u32,
    is_last: u32,
    #[comptime] shape: Shape,
) {
    let Shape { d, units, .. } = shape;
    let owner = CUBE_POS;
    if owner >= count as usize {
        terminate!();
    }
    let row = rows.order[owner] as usize;
    let of_owner = owner * comptime!(of_row(d));
    let of_sums = of_owner + comptime!(3 * d);

    let mut scale = SharedMemory::<f32>::new(d);
    let mut state = State::new(d);
    let mut buffer = SharedMemory::<f32>::new(units);

    load_scale(rows, row, &mut scale, d);
    let mut loss = 0.0f32;
    let mut spent = 0.0f32;
    let mut goes_on = true;
    if is_first == 0 {
        loss = kept[of_sums];
        spent = kept[of_sums + 1];
        goes_on = kept[of_sums + 2] != 0.0;
        let mut k = UNIT_POS as usize;
        while k < d {
            state.z[k] = kept[of_owner + k];
            state.residual[k] = kept[of_owner + d + k];
            state.direction[k] = kept[of_owner + comptime!(2 * d) + k];
            k += CUBE_DIM as usize;
        }
    } else {
        load_start(solutions, row, &scale, &mut state, d);
    }
    if goes_on {
        let mut k = UNIT_POS as usize;
        while k < d {
            let mut product = 0.0f32;
            for piece in offsets[owner] as usize..offsets[owner + 1] as usize {
                product += found[piece * comptime!(of_piece(d)) + k];
            }
            state.product[k] = product;
            k += CUBE_DIM as usize;
        }
        let norm = if is_first == 0 {
            let mut norm = inner(&state.residual, &state.residual, &mut buffer, d);
            loss -= advance(&mut state, &mut norm, &mut buffer, d);
            norm
        } else {
            for piece in offsets[owner] as usize..offsets[owner + 1] as usize {
                loss += found[piece * comptime!(of_piece(d)) + d];
            }
            loss += inner(&state.z, &state.z, &mut buffer, d);
            let norm = begin(&mut state, &mut buffer, d);
            spent = enough * norm;
            norm
        };
        let mut k = UNIT_POS as usize;
        while k < d {
            kept[of_owner + k] = state.z[k];
            kept[of_owner + d + k] = state.residual[k];
            kept[of_owner + comptime!(2 * d) + k] = state.direction[k];
            k += CUBE_DIM as usize;
        }
        if UNIT_POS == 0 {
            kept[of_sums] = loss;
            kept[of_sums + 1] = spent;
            let mut flag = 0.0f32;
            if norm > spent {
                flag = 1.0;
            }
            kept[of_sums + 2] = flag;
        }
    }
    if is_last != 0 {
        write(rows, row, &state.z, &scale, loss, &mut buffer, solutions, sums, d);
    }
}
