//! Trains both models, and shows the progress: bars, log lines, and a loss for each epoch.

use std::sync::Mutex;

use crate::catalog::encode::Encoded;
use crate::catalog::makers::Related;
use crate::catalog::popularity::{Popularity, traits};
use crate::cluster::factors::Given;
use crate::config::{Config, Objective, RankerKind, ResolvedConfig, Solver};
use crate::console::Console;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::als::final_epochs;
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::{Editions, Interactions, ItemTraits};
use crate::model::device::Device;
use crate::model::neighbours::Neighbours;
use crate::model::ranker::Ranker;
use crate::model::rating::RatingModel;
use crate::model::{self, Factors, Stars, Start, Watch, fit_ranking, fit_rating};
use crate::recommender::engine::engine;
use crate::recommender::lists::{Fitted, NOTHING};

/// Both models, and what lists need besides.
#[derive(Debug)]
pub struct Trained {
    pub ranking: Factors,
    pub neighbours: Neighbours,
    /// `None` to order by factors alone.
    pub ranker: Option<Ranker>,
    /// The model of stars, if anything was rated.
    pub rating: Option<RatingModel>,
    /// As [`Fitted::item_scales`].
    pub item_scales: Vec<f32>,
    pub confidence: ConfidenceMatrix,
    /// The pairs with stars.
    pub rated: Interactions,
    /// As [`Fitted::idle`].
    pub idle: Vec<f32>,
    /// As [`Fitted::attributes`].
    pub attributes: Vec<Vec<u32>>,
    /// What is known of the books.
    traits: ItemTraits,
    /// The mean loss of a rating after each epoch over all ratings.
    pub losses: Vec<f64>,
}

impl Trained {
    pub fn fitted<'a>(&'a self, interactions: &'a Interactions) -> Fitted<'a> {
        let Self {
            ranking,
            neighbours,
            ranker,
            rating,
            item_scales,
            confidence,
            rated,
            idle,
            attributes,
            ..
        } = self;
        Fitted {
            hidden: &NOTHING,
            dislikes: &NOTHING,
            shown: &NOTHING,
            interactions,
            ranking,
            item_scales,
            neighbours,
            ranker: ranker.as_ref(),
            weighted: confidence.rows(),
            rating: rating.as_ref(),
            rated,
            idle,
            attributes,
        }
    }

    /// What lists need to know about the books.
    pub fn popularity(&mut self, editions: Editions) -> Popularity {
        let traits = std::mem::take(&mut self.traits);
        Popularity::new(&self.rated, self.rating.as_ref(), self.confidence.rows(), editions, traits)
    }
}

/// The models alone.
#[derive(Debug)]
pub struct Models {
    pub ranking: Factors,
    pub neighbours: Neighbours,
    /// The model of stars, if anything was rated.
    pub rating: Option<RatingModel>,
    /// The ranking model's mean loss of an observed pair after each epoch.
    pub losses: Vec<f64>,
}

/// Whether lists are ordered by a ranker, be it the plain blend, and not by factors alone.
pub fn has_ranker(config: &Config) -> bool {
    config.model.objective == Objective::Ranking
        && (config.model.neighbours > 0 || config.ranker.kind != RankerKind::None)
}

/// What a training need not do itself.
#[derive(Debug, Default)]
pub struct Beginning<'a> {
    /// Another training of nearly the same ratings, to go on from if the solver is `als`; the other solvers always begin anew.
    pub start: Option<Start>,
    /// The factors themselves, fitted elsewhere.
    pub given: Option<&'a Given>,
}

/// Fits all models, as far as `beginning` has not done it. `scale` is that of the stars in `rated`.
///
/// # Errors
/// Those of [`fit_ranking`].
pub fn fit(
    view: View<'_>,
    device: Device,
    config: &ResolvedConfig,
    confidence: &ConfidenceMatrix,
    rated: &Interactions,
    scale: Option<(f32, f32)>,
    beginning: Beginning<'_>,
) -> Result<Models> {
    let engine = engine(device)?;
    let model = &config.model;
    let start = beginning.start.filter(|_| model.solver == Solver::Als);
    let epochs = if start.is_some() { final_epochs(model.epochs).max(1) } else { model.epochs };
    let (items, rating_epochs) = start.map(|start| (start.items, start.rating_epochs)).unzip();
    let (ranking, losses) = match beginning.given {
        Some(given) => {
            given.check(confidence.rows(), model.factors)?;
            (given.factors.clone(), given.losses.clone())
        }
        None => with_progress(view, "train", epochs, |watch| {
            fit_ranking(&*engine, confidence, config.parameters(), items, watch)
        })?,
    };
    let neighbours = {
        let _spinner = view.console.spinner("neighbours");
        Neighbours::fit(confidence, model, engine.systems().as_deref(), view.interrupt)?
    };
    let Some(scale) = scale.filter(|_| !rated.is_empty()) else {
        return Ok(Models { ranking, neighbours, rating: None, losses });
    };
    let epochs = rating_epochs.flatten();
    let stars = Stars { rated, ranking: &ranking, scale, epochs };
    let most = epochs.unwrap_or(config.rating.rating_epochs);
    let (rating, _) = with_progress(View { held_out: "", ..view }, "stars", most, |watch| {
        fit_rating(&*engine, stars, config.parameters(), watch)
    })?;
    Ok(Models { ranking, neighbours, rating: Some(rating), losses })
}

/// Trains on all ratings.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    pub device: Device,
    pub interrupt: &'a Interrupt,
    pub ratings: &'a Encoded,
    pub related: &'a Related,
    pub config: &'a ResolvedConfig,
    /// The gate's result in short, shown beside the loss; may be empty.
    pub held_out: &'a str,
}

impl Training<'_> {
    /// Trains both models, as far as `beginning` has not done it.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if lists are to be ordered by stars and there are none; those of [`fit`].
    pub fn fit(
        &self,
        console: &Console,
        confidence: ConfidenceMatrix,
        beginning: Beginning<'_>,
        ranker: Option<Ranker>,
    ) -> Result<Trained> {
        let Self { device, interrupt, ratings, related, config, held_out } = *self;
        let (rated, scale) = (ratings.interactions.rated(), ratings.scale);
        if (scale.is_none() || rated.is_empty()) && config.model.objective == Objective::Rating {
            return Err(Error::new(
                Kind::NoRatings,
                "objective = \"rating\" needs ratings, and all rows are implicit",
            )
            .hint("use --objective ranking, or look at implicit_rating under [source]"));
        }
        let view = View { console, interrupt, name: "", tells_epochs: true, held_out };
        let Models { ranking, neighbours, rating, losses } =
            fit(view, device, config, &confidence, &rated, scale, beginning)?;
        let item_scales = confidence.item_scales(&ranking, config.model.length_exponent);
        let about = (&ratings.items, related);
        let (traits, idle) = {
            let Encoded { interactions, moments, attributes, .. } = ratings;
            traits(interactions, moments, attributes, about, config.model.popularity_half_life)
        };
        Ok(Trained {
            ranking,
            neighbours,
            ranker,
            item_scales,
            confidence,
            rating,
            rated,
            losses,
            idle,
            attributes: ratings.attributes.clone(),
            traits,
        })
    }
}

/// How a training is shown.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub console: &'a Console,
    pub interrupt: &'a Interrupt,
    /// Which of several models is trained; empty if there is only one.
    pub name: &'a str,
    /// Whether the log gets a line for each epoch.
    pub tells_epochs: bool,
    /// The gate's result in short, shown beside the loss; may be empty.
    pub held_out: &'a str,
}

/// Runs `fit`, a training of `epochs` epochs, and shows its progress. Returns the model, and the mean loss of
/// a rating after each epoch.
pub fn with_progress<T>(
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
