//! What a device does for a model: slices in, factors out. burn's `Backend` is known on this side of the door only.

use crate::confidence::ConfidenceMatrix;
use crate::data::Interactions;
use crate::error::Result;
use crate::hyperparameters::{Resolved, Solver};
use crate::kernels::{DeviceOf, Kernels};
use crate::rating::{self, RatingModel};
use crate::top_k::gpu_candidates::{CandidateSource, OnDevice};
use crate::{Factors, Watch, als, minibatch};

/// The work of a device.
pub trait Engine: Send + Sync {
    /// See [`crate::fit_ranking`].
    ///
    /// # Errors
    /// As there.
    fn fit_ranking(
        &self,
        confidence: &ConfidenceMatrix,
        parameters: &Resolved,
        start: Option<Vec<f32>>,
        watch: &Watch<'_>,
    ) -> Result<Factors>;

    /// See [`crate::fit_rating`].
    ///
    /// # Errors
    /// As there.
    fn fit_rating(
        &self,
        rated: &Interactions,
        ranking: &Factors,
        scale: (f32, f32),
        parameters: &Resolved,
        epochs: Option<usize>,
        watch: &Watch<'_>,
    ) -> Result<RatingModel>;

    /// Takes `count` rows of `width` numbers, which `row` writes, to the device, to find the best of them there.
    fn candidates(
        &self,
        width: usize,
        count: usize,
        row: &(dyn Fn(usize, &mut [f32]) + Sync),
    ) -> Box<dyn CandidateSource>;
}

/// A device of one of burn's backends.
pub struct BurnEngine<K: Kernels> {
    device: DeviceOf<K>,
}

impl<K: Kernels> BurnEngine<K> {
    /// On this device.
    pub fn new(device: DeviceOf<K>) -> Self {
        Self { device }
    }
}

impl<K: Kernels> Engine for BurnEngine<K> {
    fn fit_ranking(
        &self,
        confidence: &ConfidenceMatrix,
        parameters: &Resolved,
        start: Option<Vec<f32>>,
        watch: &Watch<'_>,
    ) -> Result<Factors> {
        match parameters.model.solver {
            Solver::Als => als::ranking::<K>(&self.device, confidence, &parameters.model, start, watch),
            Solver::Adam | Solver::Sgd => {
                minibatch::ranking::<K::Backend>(&self.device, confidence, parameters, watch)
            }
        }
    }

    fn fit_rating(
        &self,
        rated: &Interactions,
        ranking: &Factors,
        scale: (f32, f32),
        parameters: &Resolved,
        epochs: Option<usize>,
        watch: &Watch<'_>,
    ) -> Result<RatingModel> {
        match parameters.model.solver {
            Solver::Als => rating::fit::<K>(&self.device, rated, ranking, scale, parameters, epochs, watch),
            Solver::Adam | Solver::Sgd => {
                let mean = rating::mean(rated);
                let rows = minibatch::rating::<K::Backend>(&self.device, rated, mean, parameters, watch)?;
                Ok(RatingModel::from_rows(mean, rows, scale))
            }
        }
    }

    fn candidates(
        &self,
        width: usize,
        count: usize,
        row: &(dyn Fn(usize, &mut [f32]) + Sync),
    ) -> Box<dyn CandidateSource> {
        Box::new(OnDevice::<K::Backend>::new(width, count, row, self.device.clone()))
    }
}
