//! This machine's cores: burn's ndarray backend with fused kernels, behind the model's [`Engine`].
//!
//! A crate of its own, because burn's operations are compiled for whoever names the backend: here they are optimised a
//! little only, and beside everything else. What a night spends its time in are the kernels of the model.

use burn::tensor::Tensor;
use burn_ndarray::{NdArray, NdArrayDevice};
use nightshelf_model::engine::{BurnEngine, Engine};
use nightshelf_model::error::Result;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::kernels::{DeviceOf, HalfStep, Kernels, Pending, Side, cpu};
use nightshelf_model::neighbours::batched::Batched;
use nightshelf_model::tensors::{numbers, table};
use nightshelf_model::top_k::gpu_candidates::{CandidateSource, WriteRow};

#[cfg(test)]
mod tests;

/// What does the arithmetic on the CPU.
pub fn engine() -> Box<dyn Engine> {
    Box::new(BurnEngine::<CpuKernels>::new(NdArrayDevice::Cpu))
}

/// Fused operations on this machine's cores ([`cpu`]).
pub struct CpuKernels;

impl Kernels for CpuKernels {
    type Backend = NdArray<f32>;

    fn half_step(
        side: &Side<'_, Self::Backend>,
        features: Tensor<Self::Backend, 2>,
        previous: Option<Tensor<Self::Backend, 2>>,
        interrupt: &Interrupt,
    ) -> Result<HalfStep<Self::Backend>> {
        let ([_, d], device) = (features.dims(), features.device());
        let near = previous.is_some();
        // Neither way copies, since nothing else holds these tensors.
        let mut features = numbers(features)?;
        let mut solutions = match previous {
            Some(previous) => numbers(previous)?,
            None => vec![0.0; side.ridge.rows() * d],
        };
        let sums = cpu::half_step_in_place(&side.ridge, &mut features, &mut solutions, d, near, interrupt)?;
        let (features, solutions) = (table(features, d, &device), table(solutions, d, &device));
        Ok(HalfStep { features, solutions, sums: Pending::Known(sums) })
    }

    fn candidates(
        _: usize,
        _: usize,
        _: &WriteRow<'_>,
        _: DeviceOf<Self>,
    ) -> Option<Box<dyn CandidateSource>> {
        None
    }

    fn systems(_: DeviceOf<Self>) -> Option<Box<dyn Batched>> {
        None
    }
}
