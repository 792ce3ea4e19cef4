//! CPU or GPU: looked for before it is touched.
//!
//! burn loads the CUDA driver when the first tensor is made, on a thread of its own, and panics
//! there if the driver is missing. So we look first: the driver library, a device, the
//! compiler for kernels (NVRTC) and its headers, in this order, and say what is missing.

use crate::error::{Error, Kind, Result};

/// Where tensors live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// This machine's cores.
    Cpu,
    /// The n-th CUDA device.
    Cuda(usize),
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Runs `$body` with `$B` as the backend type of a device and `$at` as its burn device.
macro_rules! on {
    ($device:expr, $B:ident, $at:ident => $body:expr) => {
        match $device {
            $crate::model::device::Device::Cpu => {
                type $B = $crate::model::device::Cpu;
                let $at = burn_ndarray::NdArrayDevice::Cpu;
                $body
            }
            #[cfg(all(feature = "cuda", not(test)))]
            $crate::model::device::Device::Cuda(number) => {
                type $B = $crate::model::device::Cuda;
                let $at = burn_cuda::CudaDevice::new(number);
                $body
            }
            #[cfg(not(all(feature = "cuda", not(test))))]
            $crate::model::device::Device::Cuda(_) => Err($crate::model::device::without_cuda()),
        }
    };
}
pub(crate) use on;

/// The backend on the CPU.
pub(crate) type Cpu = burn_ndarray::NdArray<f32>;

/// The backend on a GPU. Not in unit tests: burn's kernels for it are compiled in this crate, which
/// takes minutes, and they are tried through the program itself (`tests/promises/device.rs`).
#[cfg(all(feature = "cuda", not(test)))]
pub(crate) type Cuda = burn_cuda::Cuda<f32, i32>;

/// Chooses a device from the setting `auto`, `cpu`, `cuda` or `cuda:N`, and says why.
///
/// # Errors
/// [`Kind::NoDevice`] if CUDA was asked for and is not to be had; [`Kind::Config`] for a word that
/// names no device.
pub fn choose(wanted: &str) -> Result<(Device, String)> {
    match wanted {
        "cpu" => Ok((Device::Cpu, "asked for".into())),
        "auto" => Ok(match look(0) {
            Ok(name) => (Device::Cuda(0), name),
            Err(missing) => (Device::Cpu, missing),
        }),
        other => {
            let number = match other.strip_prefix("cuda") {
                Some("") => Some(0),
                Some(rest) => rest.strip_prefix(':').and_then(|number| number.parse().ok()),
                None => None,
            };
            let number = number.ok_or_else(|| {
                Error::new(Kind::Config, format!("{other:?} is no device"))
                    .hint("--device takes auto, cpu, cuda or cuda:N")
            })?;
            match look(number) {
                Ok(name) => Ok((Device::Cuda(number), name)),
                Err(missing) => {
                    Err(Error::new(Kind::NoDevice, format!("--device {other} cannot be used: {missing}"))
                        .hint("use --device cpu, or --device auto to take CUDA only where it is there"))
                }
            }
        }
    }
}

/// The name of the n-th CUDA device, or what is missing.
#[cfg(feature = "cuda")]
fn look(number: usize) -> std::result::Result<String, String> {
    use cudarc::driver::CudaContext;
    // SAFETY: both only try to open a shared library by name and say whether that worked.
    let (driver, compiler) =
        unsafe { (cudarc::driver::sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present()) };
    if !driver {
        return Err("no CUDA driver (libcuda) on this machine".into());
    }
    // A driver without a device answers with an error here, and an old one may lack a function,
    // which cudarc reports by panicking: neither may end the night.
    let asked = crate::panics::caught(|| {
        let count = CudaContext::device_count().map_err(|error| format!("the CUDA driver says {error}"))?;
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

/// Whether the toolkit lies where burn looks for its headers; it panics where it does not.
#[cfg(feature = "cuda")]
fn has_headers() -> bool {
    std::env::var("CUDA_PATH").is_ok()
        || ["/usr/local/cuda", "/opt/cuda", "/usr/bin/nvcc"]
            .into_iter()
            .any(|path| std::path::Path::new(path).exists())
}

#[cfg(not(feature = "cuda"))]
fn look(_number: usize) -> std::result::Result<String, String> {
    Err("this build has no CUDA in it".into())
}

#[cfg(not(all(feature = "cuda", not(test))))]
pub(crate) fn without_cuda() -> Error {
    Error::new(Kind::NoDevice, "this build has no CUDA in it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_no_device_are_a_bad_setting() {
        for word in ["gpu", "cuda:", "cuda:x", "cuda0", ""] {
            assert_eq!(choose(word).expect_err(word).kind(), Kind::Config, "{word:?}");
        }
    }

    #[test]
    fn auto_always_finds_something_and_says_why() {
        let (_, why) = choose("auto").expect("a device");
        assert!(!why.is_empty());
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        assert_eq!(choose("cuda:4711").expect_err("not there").kind(), Kind::NoDevice);
    }
}
