//! The stage `train`: trains both models on all ratings.

use crate::catalog::encode::Encoded;
use crate::catalog::makers::Related;
use crate::config::ResolvedConfig;
use crate::error::Result;
use crate::model::confidence::ConfidenceMatrix;
use crate::model::device::Device;
use crate::model::ranker::Ranker;
use crate::pipeline::dataset::Job;
use crate::recommender::training::{Beginning, Trained, Training};
use crate::run_summary::Stage;

/// Trains both models, as far as `beginning` has not done it. `held_out` is the gate's result in short, shown beside the
/// loss.
pub fn train(
    job: &mut Job<'_>,
    device: Device,
    (ratings, related): (&Encoded, &Related),
    config: &ResolvedConfig,
    confidence: ConfidenceMatrix,
    (beginning, ranker): (Beginning<'_>, Option<Ranker>),
    held_out: &str,
) -> Result<Trained> {
    let (console, interrupt) = (job.context.console, job.context.interrupt);
    let training = Training { device, interrupt, ratings, related, config, held_out };
    let trained = job.clock.time(Stage::Train, || training.fit(console, confidence, beginning, ranker))?;
    let model = &config.model;
    let loss = trained.losses.last().map_or(String::new(), |loss| format!(", loss {loss:.4}"));
    // The log has a line for each of these epochs; the gate's model took the others.
    let last = match trained.losses.len() {
        all if all == model.epochs => String::new(),
        told => format!(" (the last {told} over everything)"),
    };
    console.say(format!(
        "train      {} factors, {} epochs{last}, λ {:.1e}, α₀ {:.3}, γ {:.2}{loss}, {:.1} s",
        model.factors,
        model.epochs,
        model.regularization,
        model.unobserved_weight,
        model.length_exponent,
        job.clock.of(Stage::Train)
    ));
    Ok(trained)
}
