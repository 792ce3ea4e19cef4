//! Launches the kernels for all rows of a side. Nothing comes back to the host, which goes on to launch what follows.

use std::ops::Range;

use burn::tensor::Tensor;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::ComputeClient;
use cubecl::ir::HardwareProperties;
use cubecl::prelude::CubeDim;
use nightshelf_model::error::Result;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::kernels::resident::{PIECE, Pieces, Resident};
use nightshelf_model::kernels::tensor::SPENT;
use nightshelf_model::kernels::{HalfStep, LONG, Pending, STEPS, Side};

use crate::all_rows::total;
use crate::arrays::{Gpu, floats, grid, integers, owned, tensor};
use crate::basis::{Turned, into_basis};
use crate::kernels::products::UNITS;
use crate::kernels::{RowsLaunch, Shape, dual, gradients, pieces};

/// Bytes of shared memory that a cube may take: with more, too few cubes are at work at a time.
pub const SHARED: usize = 32 << 10;
/// Steps beyond min(L, d) that a row may take to be solved: in exact arithmetic one is enough.
const MORE: usize = 8;

/// How rows are spread over cubes.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Of rows that pass through in tiles.
    long: Shape,
    /// Of rows that fit in one.
    short: Shape,
}

impl Layout {
    /// `None` if not even a few features fit, or a cube has fewer units than the kernels count on.
    pub fn new(hardware: &HardwareProperties, d: usize) -> Option<Self> {
        let shared = hardware.max_shared_memory_size.min(SHARED) / size_of::<f32>();
        if (hardware.max_units_per_cube as usize) < UNITS {
            return None;
        }
        let shape = |units: usize, tile: usize| {
            let lanes = d.next_power_of_two().min(units);
            Shape { d, stride: d + 1 + d % 2, tile, units, lanes }
        };
        let first = |units: usize, needs: fn(&Shape) -> usize| {
            let sizes = [32, 16, 8, 4].into_iter();
            sizes.map(|tile| shape(units, tile)).find(|shape| needs(shape) <= shared)
        };
        let long = first(UNITS, |Shape { d, stride, tile, units, .. }| tile * stride + 5 * d + tile + units)?;
        let units = d.next_power_of_two().clamp(LONG, 128);
        let short =
            first(units, |Shape { d, stride, tile, units, .. }| tile * (stride + tile + 2) + 2 * d + units)?;
        Some(Self { long, short })
    }
}

/// See [`nightshelf_model::kernels::Kernels::half_step`].
pub fn half_step<R: CubeRuntime>(
    side: &Side<'_, Gpu<R>>,
    features: Tensor<Gpu<R>, 2>,
    previous: Option<Tensor<Gpu<R>, 2>>,
    layout: Layout,
    interrupt: &Interrupt,
) -> Result<HalfStep<Gpu<R>>> {
    interrupt.check()?;
    let device = features.device();
    let (rows, near, Layout { long, short }) = (side.ridge.rows(), previous.is_some(), layout);
    let Turned { features, previous, values } = into_basis(features, previous, side.ridge.unobserved_weight);
    let resident = side.resident(&device);
    let launches = Launches {
        client: R::client(&device),
        resident,
        features: &features,
        values: &values,
        solutions: owned(previous.unwrap_or_else(|| Tensor::zeros([rows, long.d], &device))),
        sums: owned(Tensor::zeros([rows, 2], &device)),
    };
    let to_the_end = Way { steps: 4 * (long.d + MORE), enough: SPENT };
    let of_long = if near { Way { steps: STEPS, enough: 0.0 } } else { to_the_end };
    // The longest first, so that nothing is waited for.
    let cut = resident.pieces.as_ref().map_or(0, |pieces| pieces.rows);
    let many = resident.at_least(LONG);
    let too_many = resident.at_least(short.tile + 1).max(many);
    if let Some(pieces) = &resident.pieces {
        launches.pieces(pieces, of_long, long);
    }
    launches.approach(cut..many, of_long, long);
    launches.approach(many..too_many, to_the_end, long);
    launches.solve(too_many..rows, short);
    let Launches { solutions, sums, .. } = launches;
    let sums = total::<R>(tensor(sums)).reshape([2]);
    Ok(HalfStep { solutions: tensor(solutions), sums: Pending::OnDevice(sums), features })
}

/// How far rows go.
#[derive(Clone, Copy)]
struct Way {
    /// At most.
    steps: usize,
    /// The squared norm of the residual that is small enough, as a share of what it was at first.
    enough: f32,
}

/// What every launch of a half-step is about.
struct Launches<'a, R: CubeRuntime> {
    client: ComputeClient<R>,
    resident: &'a Resident<Gpu<R>>,
    features: &'a Tensor<Gpu<R>, 2>,
    values: &'a Tensor<Gpu<R>, 2>,
    /// `[rows, d]`: where the rows stand, and in the end their solutions.
    solutions: CubeTensor<R>,
    /// Loss and penalty of each row: `[rows, 2]`.
    sums: CubeTensor<R>,
}

// SAFETY of all launches: `Resident` has the lengths and codes of one `Ridge`, whose columns are rows of the features; the
// kernels read no further, and what a cube writes is of the row or the piece that is its own.
impl<R: CubeRuntime> Launches<'_, R> {
    fn rows(&self) -> RowsLaunch<R> {
        let Resident { order, offsets, columns, weights, targets, penalties, .. } = self.resident;
        RowsLaunch::new(
            integers(order),
            integers(offsets),
            integers(columns),
            floats(weights),
            floats(targets),
            floats(penalties),
            floats(self.values),
            floats(self.features),
        )
    }

    /// Solves the rows at these places of `order`, which fit in a tile.
    fn solve(&self, places: Range<usize>, shape: Shape) {
        if places.is_empty() {
            return;
        }
        // SAFETY: see above.
        unsafe {
            dual::solve::launch_unchecked::<R>(
                &self.client,
                grid(places.len()),
                CubeDim::new_1d(shape.units as u32),
                self.rows(),
                self.solutions.clone().into_array_arg(),
                self.sums.clone().into_array_arg(),
                places.start as u32,
                places.end as u32,
                shape,
            );
        }
    }

    /// Moves the rows at these places of `order`.
    fn approach(&self, places: Range<usize>, way: Way, shape: Shape) {
        if places.is_empty() {
            return;
        }
        // SAFETY: see above.
        unsafe {
            gradients::approach::launch_unchecked::<R>(
                &self.client,
                grid(places.len()),
                CubeDim::new_1d(shape.units as u32),
                self.rows(),
                self.solutions.clone().into_array_arg(),
                self.sums.clone().into_array_arg(),
                places.start as u32,
                places.end as u32,
                way.steps as u32,
                way.enough,
                shape,
            );
        }
    }

    /// Moves the rows in pieces: two launches a step, though nobody looks whether all have arrived.
    fn pieces(&self, cut: &Pieces<Gpu<R>>, way: Way, shape: Shape) {
        let device = self.features.device();
        let room = |lines, width| owned(Tensor::<Gpu<R>, 2>::zeros([lines, width], &device));
        let kept = room(cut.rows, pieces::of_row(shape.d));
        let found = room(cut.count, pieces::of_piece(shape.d));
        let cube = CubeDim::new_1d(shape.units as u32);
        for step in 0..=way.steps {
            let (is_first, is_last) = (step == 0, step == way.steps);
            // SAFETY: see above; `owners` are rows, and each has room for what is kept.
            unsafe {
                pieces::pass_over::launch_unchecked::<R>(
                    &self.client,
                    grid(cut.count),
                    cube,
                    self.rows(),
                    integers(&cut.owners),
                    integers(&cut.offsets),
                    self.solutions.clone().into_array_arg(),
                    kept.clone().into_array_arg(),
                    found.clone().into_array_arg(),
                    cut.count as u32,
                    PIECE as u32,
                    u32::from(is_first),
                    shape,
                );
                pieces::take_step::launch_unchecked::<R>(
                    &self.client,
                    grid(cut.rows),
                    cube,
                    self.rows(),
                    integers(&cut.offsets),
                    found.clone().into_array_arg(),
                    kept.clone().into_array_arg(),
                    self.solutions.clone().into_array_arg(),
                    self.sums.clone().into_array_arg(),
                    cut.rows as u32,
                    way.enough,
                    u32::from(is_first),
                    u32::from(is_last),
                    shape,
                );
            }
        }
    }
}
