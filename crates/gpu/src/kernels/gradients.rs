//! Long rows by conjugate gradients on (I + WᵀW) z = Wᵀ t, of which no matrix is formed.
//!
//! A pass over the ratings gives Wᵀ W times the direction. The first one gives Wᵀ (t - W z) instead, for the residual
//! Wᵀ (t - W z) - z, and the loss |t - W z|² + |z|², which each step then lowers by its length times the squared norm of the
//! residual. See Shewchuk, An introduction to the conjugate gradient method without the agonizing pain, 1994.

use cubecl::prelude::*;

use super::{Rows, Shape, inner, load_features, load_scale, sum, write};

/// What a row has on its way.
#[derive(CubeType)]
pub(super) struct State {
    pub(super) z: SharedMemory<f32>,
    pub(super) residual: SharedMemory<f32>,
    pub(super) direction: SharedMemory<f32>,
    /// Of a pass.
    pub(super) product: SharedMemory<f32>,
}

#[cube]
impl State {
    pub(super) fn new(#[comptime] d: usize) -> State {
        State {
            z: SharedMemory::<f32>::new(d),
            residual: SharedMemory::<f32>::new(d),
            direction: SharedMemory::<f32>::new(d),
            product: SharedMemory::<f32>::new(d),
        }
    }
}

/// One pass over a row's ratings: `product` becomes Wᵀ W `by`, or Wᵀ (t - W `by`) in the first. Returns what this unit has of
/// |t - W `by`|² in the first. Begins and ends with all units in step.
///
/// The units of a cube stand in groups of `lanes`, a unit for each factor or for several; each group adds up its share of a
/// tile's ratings in registers, and the groups' sums come together once, at the end.
#[cube]
pub(super) fn pass(
    rows: &Rows,
    first: usize,
    last: usize,
    scale: &SharedMemory<f32>,
    by: &SharedMemory<f32>,
    product: &mut SharedMemory<f32>,
    w: &mut SharedMemory<f32>,
    q: &mut SharedMemory<f32>,
    buffer: &mut SharedMemory<f32>,
    is_first: bool,
    #[comptime] shape: Shape,
) -> f32 {
    let Shape { d, stride, tile, units, lanes } = shape;
    let unit = UNIT_POS as usize;
    // Units that share one feature's product with `by`.
    let parts = comptime!(units / tile);
    let groups = comptime!(units / lanes);
    let each = comptime!(d.div_ceil(lanes));
    let (j, part) = (unit % tile, unit / tile);
    let (lane, group) = (unit % lanes, unit / lanes);
    let mut squares = 0.0f32;
    let mut own_product = Array::<f32>::new(each);
    #[unroll]
    for i in 0..each {
        own_product[i] = 0.0;
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
            if is_first {
                whole = rows.targets[from + unit] - whole;
                squares += whole * whole;
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
    }
    squares
}

/// Adds up what all groups have for a factor `k` of this unit's lane. Begins and ends with all units in step.
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
        let mut sum = 0.0f32;
        for group in 0..comptime!(units / lanes) {
            sum += buffer[group * lanes + unit];
        }
        sums[k] = sum;
    }
    sync_cube();
}

/// z of the last solution x, D^½ x, which is also what the first pass goes by.
#[cube]
pub(super) fn load_start(
    solutions: &Array<f32>,
    row: usize,
    scale: &SharedMemory<f32>,
    state: &mut State,
    #[comptime] d: usize,
) {
    let mut k = UNIT_POS as usize;
    while k < d {
        state.z[k] = solutions[row * d + k] / scale[k];
        state.direction[k] = state.z[k];
        k += CUBE_DIM as usize;
    }
}

/// After the first pass: residual and first direction. Returns the squared norm of the residual.
#[cube]
pub(super) fn begin(state: &mut State, buffer: &mut SharedMemory<f32>, #[comptime] d: usize) -> f32 {
    let mut k = UNIT_POS as usize;
    while k < d {
        state.residual[k] = state.product[k] - state.z[k];
        state.direction[k] = state.residual[k];
        k += CUBE_DIM as usize;
    }
    inner(&state.residual, &state.residual, buffer, d)
}

/// After each other pass: a step. `norm` is the squared norm of the residual, and becomes that of the next. Returns what the
/// loss has fallen by.
#[cube]
pub(super) fn advance(
    state: &mut State,
    norm: &mut f32,
    buffer: &mut SharedMemory<f32>,
    #[comptime] d: usize,
) -> f32 {
    let mut k = UNIT_POS as usize;
    while k < d {
        state.product[k] += state.direction[k];
        k += CUBE_DIM as usize;
    }
    let curvature = inner(&state.direction, &state.product, buffer, d);
    let mut length = *norm / curvature;
    // Numbers that are nearly zero may have a product of zero: there is nowhere to go. What is no number stays one, and is seen
    // in the loss.
    if curvature == 0.0 {
        length = 0.0;
    }
    let mut k = UNIT_POS as usize;
    while k < d {
        state.z[k] += length * state.direction[k];
        state.residual[k] -= length * state.product[k];
        k += CUBE_DIM as usize;
    }
    let next = inner(&state.residual, &state.residual, buffer, d);
    let mut k = UNIT_POS as usize;
    while k < d {
        state.direction[k] = state.residual[k] + next / *norm * state.direction[k];
        k += CUBE_DIM as usize;
    }
    let fall = length * *norm;
    *norm = next;
    fall
}

/// Moves rows up to `steps` steps from what `solutions` has, until the squared norm of the residual is `enough` of what it was.
/// The rows of `order` between two places, one a cube.
#[cube(launch_unchecked)]
pub fn approach(
    rows: &Rows,
    solutions: &mut Array<f32>,
    sums: &mut Array<f32>,
    from: u32,
    to: u32,
    steps: u32,
    enough: f32,
    #[comptime] shape: Shape,
) {
    let Shape { d, stride, tile, units, .. } = shape;
    let place = from as usize + CUBE_POS;
    if place >= to as usize {
        terminate!();
    }
    let row = rows.order[place] as usize;
    let first = rows.offsets[row] as usize;
    let last = rows.offsets[row + 1] as usize;

    let mut scale = SharedMemory::<f32>::new(d);
    let mut state = State::new(d);
    let mut w = SharedMemory::<f32>::new(comptime!(tile * stride));
    let mut q = SharedMemory::<f32>::new(tile);
    let mut buffer = SharedMemory::<f32>::new(units);

    load_scale(rows, row, &mut scale, d);
    load_start(solutions, row, &scale, &mut state, d);
    sync_cube();
    let mut loss = 0.0f32;
    let mut norm = 0.0f32;
    let mut spent = 0.0f32;
    let mut step = 0u32;
    let mut goes_on = true;
    while goes_on {
        let squares = pass(
            rows,
            first,
            last,
            &scale,
            &state.direction,
            &mut state.product,
            &mut w,
            &mut q,
            &mut buffer,
            step == 0,
            shape,
        );
        if step == 0 {
            loss = sum(squares, &mut buffer) + inner(&state.z, &state.z, &mut buffer, d);
            norm = begin(&mut state, &mut buffer, d);
            spent = enough * norm;
        } else {
            loss -= advance(&mut state, &mut norm, &mut buffer, d);
        }
        goes_on = step < steps && norm > spent;
        step += 1;
    }
    write(rows, row, &state.z, &scale, loss, &mut buffer, solutions, sums, d);
}
