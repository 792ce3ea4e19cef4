//! GPUs for nightshelf: burn's CubeCL backend with our own kernels, written once for CUDA, Vulkan and whatever else
//! CubeCL compiles for. Generic, so that nothing is compiled here: crates/cuda and crates/vulkan name a runtime.

mod half_step;
mod kernels;
mod products;

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
        let device = features.device();
        match half_step::Layout::new(&R::client(&device).properties().hardware, features.dims()[1]) {
            Some(layout) => half_step::half_step(side, features, previous, layout, interrupt),
            // More factors than fit in the memory that the units of a cube share.
            None => tensor::half_step(side, features, previous, interrupt),
        }
    }
}
