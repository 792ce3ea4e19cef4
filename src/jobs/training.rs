//! Training with somebody looking on: bars, lines, and a loss for each epoch.
//!
//! Both trainings of a night are shown by [`watched`]; the final one, over everything that was read, is
//! [`Training`].

use std::sync::Mutex;

use crate::catalog::editions::Editions;
use crate::catalog::frame::Encoded;
use crate::catalog::interactions::Interactions;
use crate::config::{Objective, Solver};
use crate::console::Console;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::jobs::lists::{Fitted, Popularity};
use crate::jobs::work::Work;
use crate::model::als::epochs_after;
use crate::model::device::Device;
use crate::model::evidence::Evidence;
use crate::model::rating::RatingModel;
use crate::model::settled::Settled;
use crate::model::{self, Factors, Start, Watch};

/// Both models, and what lists need beside them.
#[derive(Debug)]
pub struct Trained {
    /// What lists are ordered by.
    pub ranking: Factors,
    /// The model of stars, if anything was rated.
    pub rating: Option<RatingModel>,
    /// What each book's products are multiplied with.
    pub lifts: Vec<f32>,
    /// What readers have read, as the ranking model weighs it.
    pub evidence: Evidence,
    /// The pairs with stars.
    pub rated: Interactions,
    /// The loss for each rating after each epoch over everything.
    pub losses: Vec<f64>,
}

impl Trained {
    /// The models, and what they are asked about.
    pub fn fitted<'a>(&'a self, interactions: &'a Interactions) -> Fitted<'a> {
        let Self { ranking, rating, lifts, evidence, rated, .. } = self;
        Fitted { interactions, ranking, lifts, weighted: evidence.rows(), rating: rating.as_ref(), rated }
    }

    /// Who has read what.
    pub fn popularity(&self, interactions: &Interactions, editions: Editions) -> Popularity {
        Popularity::new(interactions, &self.rated, self.evidence.rows(), editions)
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
    pub settings: &'a Settled,
    /// What the gate found, to be said beside the loss.
    pub held_out: &'a str,
}

impl Training<'_> {
    /// Trains both models, from where another one has come to if there is one to `start` from.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if lists are to be ordered by stars and there are none; else as
    /// [`model::fit_ranking`].
    pub fn fit(&self, console: &Console, evidence: Evidence, start: Option<Start>) -> Result<Trained> {
        let Self { device, interrupt, ratings, settings, held_out } = *self;
        let rated = ratings.interactions.rated();
        let scale = ratings.scale.filter(|_| !rated.is_empty());
        if scale.is_none() && settings.model.objective == Objective::Rating {
            return Err(Error::new(
                Kind::NoRatings,
                "objective = \"rating\" needs ratings, and all rows are implicit",
            )
            .hint("use --objective ranking, or look at implicit_rating under [source]"));
        }
        let config = &settings.model;
        // The other solvers begin anew.
        let start = start.filter(|_| config.solver == Solver::Als);
        let epochs = if start.is_some() { epochs_after(config.epochs).max(1) } else { config.epochs };
        let (items, rating_epochs) = start.map(|start| (start.items, start.rating_epochs)).unzip();
        let view = View { console, interrupt, name: "", tells_epochs: true, held_out };
        let (ranking, losses) = watched(view, "train", epochs, |watch| {
            model::fit_ranking(device, &evidence, settings, items, watch)
        })?;
        let rating = match scale {
            None => None,
            Some(scale) => {
                let known = rating_epochs.flatten();
                let epochs = known.unwrap_or(settings.rating.rating_epochs);
                let (fitted, _) = watched(View { held_out: "", ..view }, "stars", epochs, |watch| {
                    model::fit_rating(device, &rated, &ranking, scale, settings, known, watch)
                })?;
                Some(fitted)
            }
        };
        let lifts = evidence.lifts(&ranking, config.length_exponent);
        Ok(Trained { ranking, lifts, evidence, rating, rated, losses })
    }

    /// The same as a stage of a night.
    ///
    /// # Errors
    /// As [`Training::fit`].
    pub fn train(&self, work: &mut Work<'_>, evidence: Evidence, start: Option<Start>) -> Result<Trained> {
        let (console, config) = (work.console, &self.settings.model);
        let trained = work.clock.time("train", || self.fit(console, evidence, start))?;
        let loss = trained.losses.last().map_or(String::new(), |loss| format!(", loss {loss:.4}"));
        // The log has a line for each of these; the gate's model took the others.
        let last = match trained.losses.len() {
            all if all == config.epochs => String::new(),
            heard => format!(" (the last {heard} over everything)"),
        };
        console.say(format!(
            "train      {} factors, {} epochs{last}, λ {:.1e}, α₀ {:.3}, γ {:.2}{loss}, {:.1} s",
            config.factors,
            config.epochs,
            config.regularization,
            config.unobserved_weight,
            config.length_exponent,
            work.clock.of("train")
        ));
        Ok(trained)
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
    fit: impl FnOnce(&Watch<'_>) -> Result<T>,
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
