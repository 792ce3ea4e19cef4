//! Training with somebody looking on: bars, lines, and a loss for each epoch.

use std::sync::Mutex;

use crate::catalog::encode::Encoded;
use crate::catalog::popularity::Popularity;
use crate::config::{Objective, ResolvedConfig, Solver};
use crate::console::Console;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::als::epochs_after;
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::{Editions, Interactions};
use crate::model::device::Device;
use crate::model::rating::RatingModel;
use crate::model::{self, Factors, Start, Watch, fit_ranking, fit_rating};
use crate::recommender::lists::Fitted;

/// Both models, and what lists need beside them.
#[derive(Debug)]
pub struct Trained {
    /// What lists are ordered by.
    pub ranking: Factors,
    /// The model of stars, if anything was rated.
    pub rating: Option<RatingModel>,
    /// What each book's products are multiplied with.
    pub item_scales: Vec<f32>,
    /// What readers have read, as the ranking model weighs it.
    pub confidence: ConfidenceMatrix,
    /// The pairs with stars.
    pub rated: Interactions,
    /// The loss for each rating after each epoch over everything.
    pub losses: Vec<f64>,
}

impl Trained {
    /// The models, and what they are asked about.
    pub fn fitted<'a>(&'a self, interactions: &'a Interactions) -> Fitted<'a> {
        let Self { ranking, rating, item_scales, confidence, rated, .. } = self;
        Fitted {
            interactions,
            ranking,
            item_scales,
            weighted: confidence.rows(),
            rating: rating.as_ref(),
            rated,
        }
    }

    /// Who has read what.
    pub fn popularity(&self, interactions: &Interactions, editions: Editions) -> Popularity {
        Popularity::new(interactions, &self.rated, self.confidence.rows(), editions)
    }
}

/// What is trained on, and how.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// Where.
    pub device: Device,
    /// Who may stop it.
    pub interrupt: &'a Interrupt,
    /// What was read.
    pub ratings: &'a Encoded,
    /// The settings.
    pub config: &'a ResolvedConfig,
    /// What the gate found, to be said beside the loss.
    pub held_out: &'a str,
}

impl Training<'_> {
    /// Trains both models, from where another one has come to if there is one to `start` from.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if lists are to be ordered by stars and there are none; else as
    /// [`model::fit_ranking`].
    pub fn fit(
        &self,
        console: &Console,
        confidence: ConfidenceMatrix,
        start: Option<Start>,
    ) -> Result<Trained> {
        let Self { device, interrupt, ratings, config, held_out } = *self;
        let rated = ratings.interactions.rated();
        let scale = ratings.scale.filter(|_| !rated.is_empty());
        if scale.is_none() && config.model.objective == Objective::Rating {
            return Err(Error::new(
                Kind::NoRatings,
                "objective = \"rating\" needs ratings, and all rows are implicit",
            )
            .hint("use --objective ranking, or look at implicit_rating under [source]"));
        }
        let model = &config.model;
        // The other solvers begin anew.
        let start = start.filter(|_| model.solver == Solver::Als);
        let epochs = if start.is_some() { epochs_after(model.epochs).max(1) } else { model.epochs };
        let (items, rating_epochs) = start.map(|start| (start.items, start.rating_epochs)).unzip();
        let view = View { console, interrupt, name: "", tells_epochs: true, held_out };
        let (ranking, losses) = watched(view, "train", epochs, |watch| {
            fit_ranking(device, &confidence, config.parameters(), items, watch)
        })?;
        let rating = match scale {
            None => None,
            Some(scale) => {
                let known = rating_epochs.flatten();
                let epochs = known.unwrap_or(config.rating.rating_epochs);
                let (fitted, _) = watched(View { held_out: "", ..view }, "stars", epochs, |watch| {
                    fit_rating(device, &rated, &ranking, scale, config.parameters(), known, watch)
                })?;
                Some(fitted)
            }
        };
        let item_scales = confidence.item_scales(&ranking, model.length_exponent);
        Ok(Trained { ranking, item_scales, confidence, rating, rated, losses })
    }
}

/// How a training is shown.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Where.
    pub console: &'a Console,
    /// Who may stop it.
    pub interrupt: &'a Interrupt,
    /// Which of several models is trained; empty if there is one.
    pub name: &'a str,
    /// Whether a log gets a line an epoch.
    pub tells_epochs: bool,
    /// What the gate found, to be said beside the loss.
    pub held_out: &'a str,
}

/// Lets a model be fitted in `epochs` passes, and shows how far it is; the loss for each rating after each
/// epoch comes with it.
///
/// # Errors
/// Those of `fit`.
pub fn watched<T>(
    view: View<'_>,
    stage: &str,
    epochs: usize,
    fit: impl FnOnce(&Watch<'_>) -> model::error::Result<T>,
) -> Result<(T, Vec<f64>)> {
    let View { console, interrupt, name, tells_epochs, held_out } = view;
    let what = if name.is_empty() { stage.to_owned() } else { format!("{name}, {stage}") };
    let bar = console.bar(stage, epochs as u64);
    let losses = Mutex::new(Vec::new());
    let epoch = |epoch: usize, loss: f64| {
        bar.advance(1);
        bar.note(format!("{what}: epoch {epoch}, loss {loss:.4}{held_out}"));
        if tells_epochs {
            console.step(format!("           {what}, epoch {epoch}: loss {loss:.5} a rating"));
        }
        if let Ok(mut losses) = losses.lock() {
            losses.push(loss);
        }
    };
    let fitted = fit(&Watch { interrupt, epoch: &epoch })?;
    Ok((fitted, losses.into_inner().unwrap_or_default()))
}
