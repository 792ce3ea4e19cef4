//! Launches what is done to all rows alike.

use burn::tensor::Tensor;
use burn_cubecl::CubeRuntime;
use cubecl::prelude::{CubeCount, CubeDim};

use crate::arrays::{Gpu, floats, grid, owned, tensor};
use crate::half_step::SHARED;
use crate::kernels::products::{self, PART, UNITS};

/// Rows that one cube adds up.
const CHUNK: usize = 4096;

/// Yᵀ Y.
pub fn gram<R: CubeRuntime>(y: &Tensor<Gpu<R>, 2>) -> Tensor<Gpu<R>, 2> {
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
pub fn rotate<R: CubeRuntime>(y: &Tensor<Gpu<R>, 2>, matrix: &Tensor<Gpu<R>, 2>) -> Tensor<Gpu<R>, 2> {
    let ([rows, d], device) = (y.dims(), y.device());
    let tile = (SHARED / size_of::<f32>() / 2 / d).next_power_of_two().clamp(2, 64) / 2;
    let turned = owned(Tensor::<Gpu<R>, 2>::zeros([rows, d], &device));
    let cubes = rows.div_ceil(tile);
    let (cube, into) = (CubeDim::new_1d(UNITS as u32), turned.clone().into_array_arg());
    let lanes = d.next_power_of_two().min(UNITS);
    // SAFETY: the kernel reads and writes `rows` rows of d numbers, and reads a matrix of d × d.
    unsafe {
        products::rotate::launch_unchecked::<R>(
            &R::client(&device),
            grid(cubes),
            cube,
            floats(y),
            floats(matrix),
            into,
            rows as u32,
            d,
            tile,
            lanes,
        );
    }
    tensor(turned)
}

/// The sums of two columns: `[1, 2]`.
pub fn total<R: CubeRuntime>(pairs: Tensor<Gpu<R>, 2>) -> Tensor<Gpu<R>, 2> {
    let ([rows, _], device) = (pairs.dims(), pairs.device());
    let chunks = rows.div_ceil(CHUNK).max(1);
    let sums = owned(Tensor::<Gpu<R>, 2>::zeros([chunks, 2], &device));
    // SAFETY: the kernel reads `rows` pairs, and writes `chunks`.
    unsafe {
        products::add_up::launch_unchecked::<R>(
            &R::client(&device),
            grid(chunks),
            CubeDim::new_1d(UNITS as u32),
            floats(&pairs),
            sums.clone().into_array_arg(),
            rows as u32,
            CHUNK as u32,
        );
    }
    if chunks == 1 { tensor(sums) } else { total(tensor(sums)) }
}
