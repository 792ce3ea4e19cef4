//! One half-step of alternating least squares, as an operation of a burn backend.
//!
//! With one side's factors held still, every row of the other side is a small ridge regression of its own.
//! burn's backends have no such operation, so the trait [`Kernels`] adds it: with a default in tensor
//! operations ([`tensor`]) that any backend can run, and fused versions that never build padded tiles: for the CPU here
//! ([`cpu`]), for GPUs in a crate of its own (crates/gpu), which reads what [`resident`] keeps. The fused versions are tested
//! against the default.
//!
//! # One change of variables that makes every row easy
//!
//! A row with features V (L × d, a row for each rating), targets t, weights c and penalty λ minimises
//!
//! ```text
//! Σ c (t − v·x)² + α₀ Σ_all (x·y)² + λ|x|²  =  |t − V x|² + xᵀ (α₀ YᵀY + λI) x
//! ```
//!
//! where on the right each row of V, and its target, is multiplied by √c.
//!
//! The matrix in the middle depends on the row only through λ. With α₀ YᵀY = Q Λ Qᵀ, computed once a
//! half-step, it is diagonal for every row in the basis Q: D = Λ + λI. With W = VQ D^-½ and x = Q D^-½ z the
//! loss becomes |t − W z|² + |z|², whose solution needs the smaller one of
//!
//! ```text
//! (I + WᵀW) z = Wᵀ t        d × d        (I + WWᵀ) a = t,  z = Wᵀ a        L × L
//! ```
//!
//! Both are well conditioned (no eigenvalue under 1), so 32-bit numbers suffice. Most users and most items
//! have far fewer than d ratings: their systems are tiny, and exact.

pub mod cpu;
pub mod resident;
pub mod row;
pub mod simd;
pub mod spectrum;
pub mod tensor;

use std::cell::OnceCell;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::kernels::resident::Resident;
use crate::neighbours::batched::{self, Batched};
use crate::tensors::numbers;
use crate::top_k::gpu_candidates::{CandidateSource, OnDevice, WriteRow};

/// A row with this many ratings or more only takes a few steps where that is enough. A direct solution of L ratings takes
/// about L² d operations, as a product of matrices. The steps take 16 L d, as four passes over the row at a fraction of that
/// speed. The two meet near here whatever d is; docs/figures.md has the sweep.
pub const LONG: usize = 32;

/// Steps of conjugate gradients from a row's last solution. With three, as in `implicit` and irspack, the loss after 16
/// epochs equals that of exact half-steps to four digits.
pub const STEPS: usize = 3;

/// The rows of one side, to be solved against the factors of the other.
#[derive(Clone, Copy, Debug)]
pub struct Ridge<'a> {
    /// Where each row's ratings begin, and one past the last.
    pub offsets: &'a [usize],
    /// Which row of the features each rating is about.
    pub columns: &'a [u32],
    /// t of each rating; 1 if there are none.
    pub targets: Option<&'a [f32]>,
    /// c of each rating; 1 if there are none. One below 0 is of what a user dislikes: it counts as much as it is below 0,
    /// and its target is 0.
    pub weights: Option<&'a [f32]>,
    /// λ of each row.
    pub penalties: &'a [f32],
    /// α₀: the weight of all pairs, observed or not.
    pub unobserved_weight: f32,
}

impl Ridge<'_> {
    pub fn rows(&self) -> usize {
        self.penalties.len()
    }

    /// √c of the rating at a place, and its target times √c.
    #[inline(always)]
    pub(crate) fn weighted(&self, at: usize) -> (f32, f32) {
        let weight = self.weights.map_or(1.0, |weights| weights[at]);
        let root = weight.abs().sqrt();
        let target = if weight < 0.0 { 0.0 } else { root };
        (root, target * self.targets.map_or(1.0, |targets| targets[at]))
    }
}

/// The rows of one side, and what a backend keeps on its device for them from one epoch to the next.
#[derive(Debug)]
pub struct Side<'a, B: Backend> {
    pub ridge: Ridge<'a>,
    tiles: OnceCell<tensor::Tiles<B>>,
    resident: OnceCell<Resident<B>>,
}

impl<'a, B: Backend<FloatElem = f32>> Side<'a, B> {
    pub fn new(ridge: Ridge<'a>) -> Self {
        Self { ridge, tiles: OnceCell::new(), resident: OnceCell::new() }
    }

    /// The rows on a device, where they stay.
    pub fn resident(&self, device: &B::Device) -> &Resident<B> {
        self.resident.get_or_init(|| Resident::new(&self.ridge, device))
    }
}

#[derive(Debug)]
pub struct HalfStep<B: Backend> {
    /// The features, turned into the basis Q: `[columns, d]`.
    pub features: Tensor<B, 2>,
    /// The rows' solutions in the same basis: `[rows, d]`.
    pub solutions: Tensor<B, 2>,
    pub sums: Pending<B>,
}

/// What the rows come to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// The sum of the rows' losses: the whole loss except the penalty of the features.
    pub loss: f64,
    /// The part of `loss` that is Σ λ |x|² of the rows.
    pub penalty: f64,
}

/// Sums that may still be in the making: a device goes on with what follows until somebody reads them.
#[derive(Debug)]
pub enum Pending<B: Backend> {
    Known(Sums),
    /// Loss and penalty: `[2]`.
    OnDevice(Tensor<B, 1>),
}

impl<B: Backend<FloatElem = f32>> Pending<B> {
    /// Waits for the device, if they are there.
    ///
    /// # Errors
    /// [`crate::error::Error::DeviceFailed`] if the device fails.
    pub fn read(self) -> Result<Sums> {
        Ok(match self {
            Self::Known(sums) => sums,
            Self::OnDevice(sums) => {
                let sums = numbers(sums)?;
                Sums { loss: f64::from(sums[0]), penalty: f64::from(sums[1]) }
            }
        })
    }
}

/// A backend of burn, and the operations that burn lacks.
pub trait Kernels: Send + Sync + 'static {
    type Backend: Backend<FloatElem = f32>;

    /// Solves every row against the features.
    ///
    /// Both sides come back in another basis, the same for both, which leaves products, lengths and losses as
    /// they are. So nobody has to turn them back.
    ///
    /// With `previous` solutions, in the basis of `features`, rows with many ratings only come nearer to
    /// their minimum from there, which is quicker; without, every row is solved.
    ///
    /// # Errors
    /// [`crate::error::Error::Interrupted`] or [`crate::error::Error::Terminated`] on a signal;
    /// [`crate::error::Error::Diverged`] if the numbers are not finite and the host sees them; on a device they show in the
    /// sums.
    fn half_step(
        side: &Side<'_, Self::Backend>,
        features: Tensor<Self::Backend, 2>,
        previous: Option<Tensor<Self::Backend, 2>>,
        interrupt: &Interrupt,
    ) -> Result<HalfStep<Self::Backend>> {
        tensor::half_step(side, features, previous, interrupt)
    }

    /// Copies `count` rows of `width` numbers, which `row` writes, to the device, to find each user's best
    /// rows there; `None` if the search on the CPU is quicker.
    fn candidates(
        width: usize,
        count: usize,
        row: &WriteRow<'_>,
        device: DeviceOf<Self>,
    ) -> Option<Box<dyn CandidateSource>>
    where
        Self: Sized,
    {
        Some(Box::new(OnDevice::<Self::Backend>::new(width, count, row, device)))
    }

    /// What solves neighbours' systems on the device; `None` if the CPU does it.
    fn systems(device: DeviceOf<Self>) -> Option<Box<dyn Batched>>
    where
        Self: Sized,
    {
        Some(Box::new(batched::OnDevice::<Self::Backend>::new(device)))
    }
}

pub type DeviceOf<K> = <<K as Kernels>::Backend as burn::tensor::backend::BackendTypes>::Device;
