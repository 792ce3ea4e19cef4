//! The choice between CPU and GPU. A GPU is checked before anything uses it.
//!
//! The CPU is always available. A GPU is available after [`install`]: the program calls it through a crate of
//! its own (crates/cuda), so that a build without a GPU need not compile that crate.

use std::fmt;
use std::sync::OnceLock;

use crate::engine::Engine;
use crate::error::{Error, Result};

/// Where tensors live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Cpu,
    /// The n-th CUDA device, counted from 0.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// A kind of GPU.
pub trait Accelerator: Send + Sync {
    /// The name of the n-th device; the error says what is missing to use it. Must not panic.
    fn look(&self, number: usize) -> Result<String, String>;

    fn engine(&self, number: usize) -> Box<dyn Engine>;
}

static CUDA: OnceLock<Box<dyn Accelerator>> = OnceLock::new();

/// Makes CUDA devices available to this process. Only the first call counts.
pub fn install(cuda: Box<dyn Accelerator>) {
    let _ = CUDA.set(cuda);
}

const WITHOUT_CUDA: &str = "this build has no CUDA in it";

/// What does the arithmetic on the n-th CUDA device.
///
/// # Errors
/// [`Error::NoDevice`] if no CUDA devices are known.
pub fn cuda(number: usize) -> Result<Box<dyn Engine>> {
    CUDA.get().map(|cuda| cuda.engine(number)).ok_or_else(|| Error::NoDevice(WITHOUT_CUDA.into()))
}

/// Chooses a device from the setting `auto`, `cpu`, `cuda` or `cuda:N`, and says why.
///
/// # Errors
/// [`Error::NoDevice`] if CUDA was asked for and cannot be used; [`Error::UnknownDevice`] for a word that
/// names no device.
pub fn choose(wanted: &str) -> Result<(Device, String)> {
    let look = |number| CUDA.get().map_or(Err(WITHOUT_CUDA.into()), |cuda| cuda.look(number));
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
            let number = number.ok_or_else(|| Error::UnknownDevice(other.to_owned()))?;
            match look(number) {
                Ok(name) => Ok((Device::Cuda(number), name)),
                Err(missing) => Err(Error::NoDevice(format!("--device {other} cannot be used: {missing}"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_no_device_are_a_bad_setting() {
        for word in ["gpu", "cuda:", "cuda:x", "cuda0", ""] {
            assert_eq!(choose(word).expect_err(word), Error::UnknownDevice(word.into()));
        }
    }

    #[test]
    fn auto_always_finds_something_and_says_why() {
        let (_, why) = choose("auto").expect("a device");
        assert!(!why.is_empty());
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        assert!(matches!(choose("cuda:4711"), Err(Error::NoDevice(_))));
    }
}
