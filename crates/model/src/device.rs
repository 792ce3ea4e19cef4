//! The choice between CPU and GPU. A GPU is checked before anything uses it.
//!
//! The CPU is always available. GPUs of a kind are available after [`install`]: the program calls it through crates of
//! their own (crates/cuda, crates/vulkan), so that a build without a GPU need not compile those.

use std::fmt;
use std::sync::OnceLock;

use crate::engine::Engine;
use crate::error::{Error, Result};

/// What a GPU is spoken to through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Cuda,
    Vulkan,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Cuda, Self::Vulkan];

    /// The word in settings.
    fn word(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cuda => "CUDA",
            Self::Vulkan => "Vulkan",
        }
    }

    fn installed(self) -> Result<&'static dyn Accelerator, String> {
        let accelerator = ACCELERATORS[self as usize].get();
        accelerator.map(|found| &**found).ok_or_else(|| format!("this build has no {} in it", self.name()))
    }
}

/// Where tensors live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Cpu,
    /// The n-th device of a kind, counted from 0.
    Gpu(Kind, usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Gpu(kind, number) => write!(f, "{}:{number}", kind.word()),
        }
    }
}

/// The GPUs of a kind.
pub trait Accelerator: Send + Sync {
    /// The name of the n-th device; the error says what is missing to use it. Must not panic.
    fn look(&self, number: usize) -> Result<String, String>;

    fn engine(&self, number: usize) -> Box<dyn Engine>;
}

/// By [`Kind`].
static ACCELERATORS: [OnceLock<Box<dyn Accelerator>>; Kind::ALL.len()] =
    [const { OnceLock::new() }; Kind::ALL.len()];

/// Makes devices of a kind available to this process. Only the first call of a kind counts.
pub fn install(kind: Kind, accelerator: Box<dyn Accelerator>) {
    let _ = ACCELERATORS[kind as usize].set(accelerator);
}

/// What does the arithmetic on the n-th device of a kind.
///
/// # Errors
/// [`Error::NoDevice`] if no devices of this kind are known.
pub fn gpu(kind: Kind, number: usize) -> Result<Box<dyn Engine>> {
    Ok(kind.installed().map_err(Error::NoDevice)?.engine(number))
}

/// Chooses a device from the setting `auto`, `cpu`, `cuda`, `cuda:N`, `vulkan` or `vulkan:N`, and says why. `auto` never
/// takes Vulkan, behind which there may be a slow one made of CPU.
///
/// # Errors
/// [`Error::NoDevice`] if a GPU was asked for and cannot be used; [`Error::UnknownDevice`] for a word that names no device.
pub fn choose(wanted: &str) -> Result<(Device, String)> {
    let look = |kind: Kind, number| kind.installed()?.look(number);
    match wanted {
        "cpu" => Ok((Device::Cpu, "asked for".into())),
        "auto" => Ok(match look(Kind::Cuda, 0) {
            Ok(name) => (Device::Gpu(Kind::Cuda, 0), name),
            Err(missing) => (Device::Cpu, missing),
        }),
        other => {
            let unknown = || Error::UnknownDevice(other.to_owned());
            let (word, number) = match other.split_once(':') {
                Some((word, number)) => (word, number.parse().map_err(|_| unknown())?),
                None => (other, 0),
            };
            let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(unknown)?;
            match look(kind, number) {
                Ok(name) => Ok((Device::Gpu(kind, number), name)),
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
        for word in ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda0", "vulkan:1:2", "cpu:0", ""] {
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
        for word in ["cuda:4711", "vulkan", "vulkan:4711"] {
            assert!(matches!(choose(word), Err(Error::NoDevice(_))), "{word}");
        }
    }
}
