//! What does the arithmetic on a device.

use crate::error::Result;
use crate::model::device::{self, Device};
use crate::model::engine::Engine;

/// The CPU, or what a program made known with `nightshelf_cuda::install` or `nightshelf_vulkan::install`.
///
/// # Errors
/// [`crate::error::Kind::NoDevice`] if the device is not known.
pub fn engine(device: Device) -> Result<Box<dyn Engine>> {
    Ok(match device {
        Device::Cpu => nightshelf_cpu::engine(),
        Device::Gpu(kind, number) => device::gpu(kind, number)?,
    })
}
