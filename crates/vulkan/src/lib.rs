//! Vulkan, behind [`Accelerator`]: GPUs of AMD, Intel and others, and for tests Mesa's lavapipe, which is one made of CPU.
//!
//! A crate of its own for the same reasons as crates/cuda.

use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use burn_wgpu::{WgpuDevice, WgpuRuntime};
use nightshelf_gpu::GpuKernels;
use nightshelf_model::device::{Accelerator, Kind, install as make_known};
use nightshelf_model::engine::{BurnEngine, Engine};
use nightshelf_model::panics;
use wgpu::{AdapterInfo, DeviceType, Instance, InstanceDescriptor};

/// Bytes that are enough for lavapipe to compile our kernels.
pub const STACK: usize = 32 << 20;

/// Set where a device made of CPU will do: it is slower than the CPU itself, and lavapipe leaves a kernel's loops after 65,535
/// turns without a word, which is enough for tests alone.
pub const TEST: &str = "NIGHTSHELF_TEST_GPU";

/// Makes Vulkan's devices available to the models of this process.
///
/// A driver made of CPU compiles kernels by recursion, on a thread of burn's with the usual stack of 2 MiB: where there may
/// be one, set `RUST_MIN_STACK` to [`STACK`] before any thread is started.
pub fn install() {
    make_known(Kind::Vulkan, Box::new(Vulkan));
}

/// Our kernels, for Vulkan's GPUs.
pub type VulkanKernels = GpuKernels<WgpuRuntime>;

struct Vulkan;

impl Accelerator for Vulkan {
    fn look(&self, number: usize) -> Result<String, String> {
        let devices =
            panics::caught(devices).map_err(|_| "its driver stopped while it was asked".to_owned())?;
        match devices.get(number) {
            None if devices.is_empty() => Err("no Vulkan driver on this machine has a device".into()),
            Some((WgpuDevice::Cpu, name)) if std::env::var_os(TEST).is_none() => {
                Err(format!("{name} is a device made of CPU: the CPU itself is quicker"))
            }
            Some((_, name)) => Ok(name.clone()),
            None => Err(format!("there are {} Vulkan devices, counted from 0", devices.len())),
        }
    }

    fn engine(&self, number: usize) -> Box<dyn Engine> {
        Box::new(BurnEngine::<VulkanKernels>::new(device(number)))
    }
}

/// The n-th device, counted from 0; the driver's own choice if there is none.
pub fn device(number: usize) -> WgpuDevice {
    devices().into_iter().nth(number).map(|(device, _)| device).unwrap_or_default()
}

/// All devices with their names: real GPUs first.
fn devices() -> Vec<(WgpuDevice, String)> {
    let backends = AutoGraphicsApi::backend().into();
    let instance =
        Instance::new(InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() });
    let found: Vec<AdapterInfo> = pollster::block_on(instance.enumerate_adapters(backends))
        .iter()
        .map(wgpu::Adapter::get_info)
        .collect();
    let of = |wanted: DeviceType, device: fn(usize) -> WgpuDevice| {
        let of_type = found.iter().filter(move |info| info.device_type == wanted);
        of_type.enumerate().map(move |(nth, info)| (device(nth), info.name.clone())).collect::<Vec<_>>()
    };
    [
        of(DeviceType::DiscreteGpu, WgpuDevice::DiscreteGpu),
        of(DeviceType::IntegratedGpu, WgpuDevice::IntegratedGpu),
        of(DeviceType::VirtualGpu, WgpuDevice::VirtualGpu),
        // burn knows one of these at most.
        of(DeviceType::Cpu, |_| WgpuDevice::Cpu).into_iter().take(1).collect(),
    ]
    .concat()
}
