//! A Cuda device beside the CPU.

#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test stops where something is wrong, and says what it skips"
)]

#[path = "../../gpu/agreement.rs"]
mod agreement;

use nightshelf_model::device::{self, Device, Kind};
use nightshelf_model::engine::Engine;

/// The engine of the first device; nothing, with a word, where there is none.
fn gpu() -> Option<(Device, Box<dyn Engine>)> {
    nightshelf_cuda::install();
    match agreement::found("cuda") {
        Ok(device) => Some((device, device::gpu(Kind::Cuda, 0).expect("installed"))),
        Err(missing) => {
            assert!(std::env::var_os("NIGHTSHELF_TEST_GPU").is_none(), "{missing}");
            eprintln!("skipped: {missing}");
            None
        }
    }
}

#[test]
fn half_steps() {
    let Some(_) = gpu() else { return };
    agreement::half_steps::<nightshelf_cuda::CudaKernels>(&Default::default());
    agreement::half_steps_leave_what_others_hold::<nightshelf_cuda::CudaKernels>(&Default::default());
}

#[test]
fn rankings() {
    let Some((_, engine)) = gpu() else { return };
    agreement::rankings(&*engine);
}

#[test]
fn ratings() {
    let Some((_, engine)) = gpu() else { return };
    agreement::ratings(&*engine);
}

#[test]
fn neighbours() {
    let Some((_, engine)) = gpu() else { return };
    agreement::neighbours(&*engine);
}

#[test]
fn rankers() {
    let Some((_, engine)) = gpu() else { return };
    agreement::rankers(&*engine);
}

#[test]
fn proposals() {
    let Some((_, engine)) = gpu() else { return };
    agreement::proposals(&*engine);
}

#[test]
fn lists() {
    let Some((device, _)) = gpu() else { return };
    agreement::lists(device);
}

#[test]
fn descents() {
    let Some((_, engine)) = gpu() else { return };
    agreement::descents(&*engine);
}
