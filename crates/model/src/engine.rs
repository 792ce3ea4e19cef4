//! What a device does for a model: slices in, factors out. Callers of [`Engine`] need not know burn's
//! `Backend`.

use crate::confidence::ConfidenceMatrix;
use crate::error::Result;
use crate::hyperparameters::{Resolved, Solver};
use crate::kernels::{DeviceOf, Kernels};
use crate::neighbours::batched::Batched;
use crate::ranker::{self, Examples, Ranker, Settings};
use crate::rating::{self, RatingModel};
use crate::top_k::gpu_candidates::{CandidateSource, WriteRow};
use crate::{Factors, Stars, Watch, als, minibatch};

pub trait Engine: Send + Sync {
    /// See [`crate::fit_ranking`].
    fn fit_ranking(
        &self,
        confidence: &ConfidenceMatrix,
        parameters: &Resolved,
        start: Option<Vec<f32>>,
        watch: &Watch<'_>,
    ) -> Result<Factors>;

    /// See [`crate::fit_rating`].
    fn fit_rating(&self, stars: Stars<'_>, parameters: &Resolved, watch: &Watch<'_>) -> Result<RatingModel>;

    /// See [`ranker::fit`].
    fn fit_ranker(
        &self,
        examples: &Examples,
        settings: &Settings,
        seed: u64,
        watch: &Watch<'_>,
    ) -> Result<Ranker>;

    /// See [`Kernels::candidates`].
    fn candidates(&self, width: usize, count: usize, row: &WriteRow<'_>) -> Option<Box<dyn CandidateSource>>;

    /// See [`Kernels::systems`].
    fn systems(&self) -> Option<Box<dyn Batched>>;
}

/// An engine on a device of one of burn's backends.
pub struct BurnEngine<K: Kernels> {
    device: DeviceOf<K>,
}

impl<K: Kernels> BurnEngine<K> {
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
            Solver::Als => als::fit_ranking::<K>(&self.device, confidence, &parameters.model, start, watch),
            Solver::Adam | Solver::Sgd => {
                minibatch::fit_ranking::<K::Backend>(&self.device, confidence, parameters, watch)
            }
        }
    }

    fn fit_rating(&self, stars: Stars<'_>, parameters: &Resolved, watch: &Watch<'_>) -> Result<RatingModel> {
        match parameters.model.solver {
            Solver::Als => rating::fit::<K>(&self.device, stars, parameters, watch),
            Solver::Adam | Solver::Sgd => {
                let mean = rating::mean(stars.rated);
                let rows =
                    minibatch::fit_rating::<K::Backend>(&self.device, stars.rated, mean, parameters, watch)?;
                Ok(RatingModel::from_rows(mean, rows, stars.rated, stars.scale))
            }
        }
    }

    fn fit_ranker(
        &self,
        examples: &Examples,
        settings: &Settings,
        seed: u64,
        watch: &Watch<'_>,
    ) -> Result<Ranker> {
        ranker::fit::<K::Backend>(&self.device, examples, settings, seed, watch)
    }

    fn candidates(&self, width: usize, count: usize, row: &WriteRow<'_>) -> Option<Box<dyn CandidateSource>> {
        K::candidates(width, count, row, self.device.clone())
    }

    fn systems(&self) -> Option<Box<dyn Batched>> {
        K::systems(self.device.clone())
    }
}
