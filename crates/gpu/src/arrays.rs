//! Tensors as kernels take them.

use burn::tensor::{Int, Tensor, TensorPrimitive};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeRuntime};
use cubecl::prelude::{ArrayArg, CubeCount};

pub type Gpu<R> = CubeBackend<R, f32, i32, u8>;

/// Cubes along the first side of a grid.
const GRID: usize = 1 << 15;

/// At least so many cubes.
pub fn grid(cubes: usize) -> CubeCount {
    let wide = cubes.clamp(1, GRID);
    CubeCount::Static(wide as u32, cubes.div_ceil(wide).max(1) as u32, 1)
}

/// A tensor that nothing else holds, to be written to: row by row, without the gaps that CUDA leaves behind rows. A copy has
/// them again.
pub fn owned<R: CubeRuntime>(tensor: Tensor<Gpu<R>, 2>) -> CubeTensor<R> {
    let tensor = tensor.into_primitive().tensor();
    into_contiguous(if tensor.handle.can_mut() { tensor } else { tensor.copy() })
}

/// The same numbers without gaps, so that a launch need not copy them.
pub fn compact<R: CubeRuntime, const D: usize>(numbers: Tensor<Gpu<R>, D>) -> Tensor<Gpu<R>, D> {
    tensor(into_contiguous(numbers.into_primitive().tensor()))
}

pub fn tensor<R: CubeRuntime, const D: usize>(tensor: CubeTensor<R>) -> Tensor<Gpu<R>, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

pub fn floats<R: CubeRuntime, const D: usize>(tensor: &Tensor<Gpu<R>, D>) -> ArrayArg<R> {
    into_contiguous(tensor.clone().into_primitive().tensor()).into_array_arg()
}

pub fn integers<R: CubeRuntime>(tensor: &Tensor<Gpu<R>, 1, Int>) -> ArrayArg<R> {
    into_contiguous(tensor.clone().into_primitive()).into_array_arg()
}
