//! GPUs for nightshelf: burn's CubeCL backend with our own kernels, written once for CUDA, Vulkan and whatever else
//! CubeCL compiles for. Generic, so that nothing is compiled here: crates/cuda and crates/vulkan name a runtime.

mod all_rows;
mod arrays;
mod basis;
mod half_step;
mod kernels;

use std::marker::PhantomData;

use burn::tensor::Tensor;
use burn_cubecl::{CubeBackend, CubeRuntime};
use nightshelf_model::error::Result;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::kernels::{HalfStep, Kernels, Side, tensor};

/// Fused kernels on the devices of a runtime.
pub struct GpuKernels<R>(PhantomData<R>);

impl<R: CubeRuntime> Kernels for GpuKernels<R> {
    type Backend = CubeBackend<R, f32, i32, u8>;

    fn half_step(
        side: &Side<'_, Self::Backend>,
        features: Tensor<Self::Backend, 2>,
        previous: Option<Tensor<Self::Backend, 2>>,
        interrupt: &Interrupt,
    ) -> Result<HalfStep<Self::Backend>> {
        let (device, [_, d]) = (features.device(), features.dims());
        // Kernels count with 32 bits: ratings, and the numbers of either side.
        let numbers = side.ridge.rows().max(features.dims()[0]) * d;
        let is_countable = numbers.max(side.ridge.columns.len()) < i32::MAX as usize;
        match half_step::Layout::new(&R::client(&device).properties().hardware, d) {
            Some(layout) if is_countable => half_step::half_step(side, features, previous, layout, interrupt),
            // Or more factors than fit in the memory that the units of a cube share.
            _ => tensor::half_step(side, features, previous, interrupt),
        }
    }
}
