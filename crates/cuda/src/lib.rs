//! CUDA, behind [`Accelerator`].
//!
//! burn compiles its kernels in the crate that names its backend. So this is a crate of its own: it compiles
//! beside everything else, and a build without CUDA leaves it out.
//!
//! burn loads the CUDA driver when the first tensor is made, on a thread of its own, and panics there if the
//! driver is missing. So [`Accelerator::look`] checks first: the driver library, a device, the compiler for
//! kernels (NVRTC) and its headers, in this order.

use burn_cuda::CudaDevice;
use cudarc::driver::CudaContext;
use nightshelf_gpu::GpuKernels;
use nightshelf_model::device::{self, Accelerator, Kind};
use nightshelf_model::engine::{BurnEngine, Engine};
use nightshelf_model::panics;

/// Makes CUDA devices available to the models of this process.
pub fn install() {
    device::install(Kind::Cuda, Box::new(Cuda));
}

struct Cuda;

/// Our kernels, for NVIDIA's GPUs.
pub type CudaKernels = GpuKernels<cubecl::cuda::CudaRuntime>;

impl Accelerator for Cuda {
    fn look(&self, number: usize) -> Result<String, String> {
        // SAFETY: both only try to open a shared library by name and say whether that worked.
        let (driver, compiler) =
            unsafe { (cudarc::driver::sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present()) };
        if !driver {
            return Err("no CUDA driver (libcuda) on this machine".into());
        }
        // A driver without a device answers with an error here, and an old one may lack a function, which
        // cudarc reports by panicking: neither may end the run.
        let asked = panics::caught(|| {
            let count =
                CudaContext::device_count().map_err(|error| format!("the CUDA driver says {error}"))?;
            if number >= usize::try_from(count).unwrap_or(0) {
                return Err(format!("there are {count} CUDA devices, counted from 0"));
            }
            CudaContext::new(number)
                .and_then(|context| context.name())
                .map_err(|error| format!("the CUDA driver says {error}"))
        });
        let name = asked.unwrap_or_else(|_| Err("the CUDA driver is too old for this program".into()))?;
        if !compiler {
            return Err(format!("{name} is there, but not the CUDA kernel compiler (libnvrtc)"));
        }
        if !has_headers() {
            return Err(format!("{name} is there, but not the CUDA headers (set CUDA_PATH to the toolkit)"));
        }
        Ok(name)
    }

    fn engine(&self, number: usize) -> Box<dyn Engine> {
        Box::new(BurnEngine::<CudaKernels>::new(CudaDevice::new(number)))
    }
}

/// Whether the CUDA toolkit is where burn looks for its headers; burn panics where it is not.
fn has_headers() -> bool {
    std::env::var("CUDA_PATH").is_ok()
        || ["/usr/local/cuda", "/opt/cuda", "/usr/bin/nvcc"]
            .into_iter()
            .any(|path| std::path::Path::new(path).exists())
}
