//! Launches the kernels for all rows of a side. Nothing as long as the rows or the ratings leaves the device; the d × d
//! matrix of the spectrum and two sums do.

use burn::tensor::{Int, Tensor, TensorPrimitive};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeRuntime};
use cubecl::ir::HardwareProperties;
use cubecl::prelude::{ArrayArg, CubeCount, CubeDim};
use nightshelf_model::error::Result;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::kernels::tensor::{SPENT, Turned, into_basis};
use nightshelf_model::kernels::{HalfStep, LONG, STEPS, Side};
use nightshelf_model::tensors::numbers;

use crate::kernels::{RowsLaunch, Shape, approach, solve};
use crate::products::{self, PART, UNITS};

type Gpu<R> = CubeBackend<R, f32, i32, u8>;

/// Bytes of shared memory that a cube may take: with more, too few cubes are at work at a time.
const SHARED: usize = 32 << 10;
/// Steps beyond min(L, d) that a row may take to be solved: in exact arithmetic one is enough.
const MORE: usize = 8;
/// Cubes along the first side of a grid.
const GRID: usize = 1 << 15;

/// How rows are spread over cubes.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Of rows that pass through in tiles.
    long: Shape,
    /// Of rows that fit in one, if there is room for any.
    short: Option<Shape>,
}

impl Layout {
    /// `None` if not even a few features fit.
    pub fn new(hardware: &HardwareProperties, d: usize) -> Option<Self> {
        let shared = hardware.max_shared_memory_size.min(SHARED) / size_of::<f32>();
        let most = hardware.max_units_per_cube as usize;
        let shape = |units: usize, tile: usize| {
            let lanes = d.next_power_of_two().min(units);
            Shape { d, stride: d + 1 + d % 2, tile, units, lanes }
        };
        let first = |units: usize, needs: fn(&Shape) -> usize| {
            let units = units.min(most);
            let sizes = [32, 16, 8, 4].into_iter().filter(|size| *size <= units);
            sizes.map(|tile| shape(units, tile)).find(|shape| needs(shape) <= shared)
        };
        let long = first(256, |Shape { d, stride, tile, units, .. }| tile * stride + 6 * d + tile + units)?;
        let units = d.next_power_of_two().clamp(LONG, 128);
        let short =
            first(units, |Shape { d, stride, tile, units, .. }| tile * (stride + tile + 2) + 2 * d + units);
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
    let device = features.device();
    let (rows, near) = (side.ridge.rows(), previous.is_some());
    let Turned { features, previous, values } = into_basis(&side.ridge, features, previous, gram, rotate)?;
    let resident = side.resident(&device);
    let solutions = owned(previous.unwrap_or_else(|| Tensor::zeros([rows, layout.long.d], &device)));
    let sums = owned(Tensor::<Gpu<R>, 2>::zeros([rows, 2], &device));
    let arguments = || {
        RowsLaunch::new(
            integers(&resident.order),
            integers(&resident.offsets),
            integers(&resident.columns),
            floats(&resident.weights),
            floats(&resident.targets),
            floats(&resident.penalties),
            floats(&values),
            floats(&features),
        )
    };
    let client = R::client(&device);
    let long = resident.at_least(if near { LONG } else { usize::MAX });
    let short = resident.at_least(layout.short.map_or(0, |shape| shape.tile + 1));
    let launches = [
        (Some(layout.long), Way::Near, 0..long),
        (Some(layout.long), Way::Exact, long..short.max(long)),
        (layout.short, Way::Dual, short.max(long)..rows),
    ];
    for (shape, way, places) in launches {
        interrupt.check()?;
        let Some(shape) = shape.filter(|_| !places.is_empty()) else { continue };
        let wide = places.len().min(GRID);
        let grid = CubeCount::Static(wide as u32, places.len().div_ceil(wide) as u32, 1);
        let (begin, end, cube) =
            (places.start as u32, places.end as u32, CubeDim::new_1d(shape.units as u32));
        let (x, y) = (solutions.clone().into_array_arg(), sums.clone().into_array_arg());
        let (near, steps, enough) = match way {
            Way::Near => (true, STEPS, 0.0),
            _ => (false, 4 * (shape.d + MORE), SPENT),
        };
        // SAFETY: `Resident` and `Turned` have the lengths and codes of one `Ridge`, whose columns are rows of the features;
        // the kernels read no further, and each cube writes to the one row that is its own.
        unsafe {
            match way {
                Way::Dual => {
                    solve::launch_unchecked::<R>(&client, grid, cube, arguments(), x, y, begin, end, shape)
                }
                Way::Near | Way::Exact => approach::launch_unchecked::<R>(
                    &client,
                    grid,
                    cube,
                    arguments(),
                    x,
                    y,
                    begin,
                    end,
                    steps as u32,
                    enough,
                    near,
                    shape,
                ),
            }
        }
    }
    let sums = numbers(tensor::<R, 2>(sums).sum_dim(0))?;
    Ok(HalfStep {
        features,
        solutions: tensor(solutions),
        loss: f64::from(sums[0]),
        penalty: f64::from(sums[1]),
    })
}

/// Rows of Y whose products one cube adds up.
const CHUNK: usize = 4096;

/// Yᵀ Y.
fn gram<R: CubeRuntime>(y: &Tensor<Gpu<R>, 2>) -> Tensor<Gpu<R>, 2> {
    let ([rows, d], device) = (y.dims(), y.device());
    let (parts, chunks) = (d.div_ceil(PART) as u32, rows.div_ceil(CHUNK).max(1));
    let sums = owned(Tensor::<Gpu<R>, 2>::zeros([chunks, d * d], &device));
    let grid = CubeCount::Static(parts, parts, chunks as u32);
    let (cube, into) = (CubeDim::new_1d(UNITS as u32), sums.clone().into_array_arg());
    // SAFETY: the kernel reads `rows` rows of d numbers, and writes `chunks` matrices.
    unsafe {
        products::gram::launch_unchecked::<R>(
            &R::client(&device),
            grid,
            cube,
            floats(y),
            into,
            rows as u32,
            CHUNK as u32,
            d,
        );
    }
    tensor::<R, 2>(sums).sum_dim(0).reshape([d, d])
}

/// Y B.
fn rotate<R: CubeRuntime>(y: Tensor<Gpu<R>, 2>, matrix: Tensor<Gpu<R>, 2>) -> Tensor<Gpu<R>, 2> {
    let ([rows, d], device) = (y.dims(), y.device());
    let tile = (SHARED / size_of::<f32>() / 2 / d).next_power_of_two().clamp(1, 64) / 2;
    let tile = tile.max(1);
    let turned = owned(Tensor::<Gpu<R>, 2>::zeros([rows, d], &device));
    let cubes = rows.div_ceil(tile).max(1);
    let wide = cubes.min(GRID);
    let grid = CubeCount::Static(wide as u32, cubes.div_ceil(wide) as u32, 1);
    let (cube, into) = (CubeDim::new_1d(UNITS as u32), turned.clone().into_array_arg());
    let lanes = d.next_power_of_two().min(UNITS);
    // SAFETY: the kernel reads and writes `rows` rows of d numbers, and reads a matrix of d × d.
    unsafe {
        products::rotate::launch_unchecked::<R>(
            &R::client(&device),
            grid,
            cube,
            floats(&y),
            floats(&matrix),
            into,
            rows as u32,
            d,
            tile,
            lanes,
        );
    }
    tensor(turned)
}

/// How rows are solved.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// A few steps from the last solution.
    Near,
    /// Steps until they change nothing.
    Exact,
    /// A system as large as the row.
    Dual,
}

/// A tensor that nothing else holds, to be written to.
fn owned<R: CubeRuntime>(tensor: Tensor<Gpu<R>, 2>) -> CubeTensor<R> {
    let tensor = into_contiguous(tensor.into_primitive().tensor());
    if tensor.handle.can_mut() { tensor } else { tensor.copy() }
}

fn tensor<R: CubeRuntime, const D: usize>(tensor: CubeTensor<R>) -> Tensor<Gpu<R>, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

fn floats<R: CubeRuntime, const D: usize>(tensor: &Tensor<Gpu<R>, D>) -> ArrayArg<R> {
    into_contiguous(tensor.clone().into_primitive().tensor()).into_array_arg()
}

fn integers<R: CubeRuntime>(tensor: &Tensor<Gpu<R>, 1, Int>) -> ArrayArg<R> {
    into_contiguous(tensor.clone().into_primitive()).into_array_arg()
}
