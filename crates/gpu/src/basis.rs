//! Turns both sides into the basis of the features' eigenvectors, without the host.

use burn::tensor::Tensor;
use burn_cubecl::CubeRuntime;
use cubecl::prelude::CubeDim;

use crate::all_rows::{gram, rotate};
use crate::arrays::{Gpu, compact, floats, grid, owned, tensor};
use crate::kernels::eigen::{self, SWEEPS, lines, rounds_at_once};
use crate::kernels::products::UNITS;

/// Features and solutions in the basis of eigenvectors.
pub struct Turned<R: CubeRuntime> {
    /// `[columns, d]`.
    pub features: Tensor<Gpu<R>, 2>,
    /// `[rows, d]`, if there are any.
    pub previous: Option<Tensor<Gpu<R>, 2>>,
    /// Λ: `[1, d]`.
    pub values: Tensor<Gpu<R>, 2>,
}

/// Turns features, and solutions that go with them, into the basis in which every row's base matrix is diagonal.
pub fn into_basis<R: CubeRuntime>(
    features: Tensor<Gpu<R>, 2>,
    previous: Option<Tensor<Gpu<R>, 2>>,
    unobserved_weight: f32,
) -> Turned<R> {
    let features = compact(features);
    if unobserved_weight == 0.0 {
        let values = compact(Tensor::zeros([1, features.dims()[1]], &features.device()));
        return Turned { features, previous, values };
    }
    let (values, basis) = eigen(&gram(&features), unobserved_weight);
    let previous = previous.map(|previous| rotate(&previous, &basis));
    Turned { features: rotate(&features, &basis), previous, values }
}

/// Λ (`[1, d]`) and Q (`[d, d]`) of α₀ times a Gram matrix.
fn eigen<R: CubeRuntime>(gram: &Tensor<Gpu<R>, 2>, weight: f32) -> (Tensor<Gpu<R>, 2>, Tensor<Gpu<R>, 2>) {
    let ([_, d], device) = (gram.dims(), gram.device());
    let client = R::client(&device);
    let most = (client.properties().hardware.max_units_per_cube as usize).clamp(1, 1024);
    // The greatest power of two that is not more.
    let units = 1 << most.ilog2();
    let room = |lines, width| owned(Tensor::<Gpu<R>, 2>::zeros([lines, width], &device));
    let (matrix, vectors, way) = (room(lines(d), lines(d)), room(lines(d), lines(d)), room(1, 3));
    let (values, basis) = (room(1, d), room(d, d));
    let cube = CubeDim::new_1d(UNITS as u32);
    // SAFETY: the arrays have the sizes that the kernels read and write: `lines` squared, d × d, d and 3.
    unsafe {
        eigen::begin::launch_unchecked::<R>(
            &client,
            grid((lines(d) * lines(d)).div_ceil(UNITS)),
            cube,
            floats(gram),
            matrix.clone().into_array_arg(),
            vectors.clone().into_array_arg(),
            way.clone().into_array_arg(),
            weight,
            d,
        );
        // Once a sweep rotates nothing, those that follow do nothing: nobody has to look.
        let (rounds, at_once) = (lines(d) - 1, rounds_at_once(d, units));
        for first in (0..SWEEPS).flat_map(|_| (0..rounds).step_by(at_once)) {
            eigen::rotate::launch_unchecked::<R>(
                &client,
                grid(1),
                CubeDim::new_1d(units as u32),
                matrix.clone().into_array_arg(),
                vectors.clone().into_array_arg(),
                way.clone().into_array_arg(),
                first as u32,
                (first + at_once).min(rounds) as u32,
                d,
                units,
            );
        }
        eigen::end::launch_unchecked::<R>(
            &client,
            grid((d * d).div_ceil(UNITS)),
            cube,
            matrix.into_array_arg(),
            vectors.into_array_arg(),
            values.clone().into_array_arg(),
            basis.clone().into_array_arg(),
            d,
        );
    }
    (tensor(values), tensor(basis))
}
