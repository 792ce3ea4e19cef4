//! The gate: whether tonight's lists may replace the published ones.
//!
//! It checks that the input has not shrunk, that the model beats a baseline, and that it is as good as the
//! published one. The judged model is trained without held-out ratings, the one to publish on everything.
//! Both comparisons go reader by reader. They refuse what chance would make of an equal model less than once
//! in forty times (see [`metrics::lead`]); of [`ENOUGH_READERS`], also a model without any lead on the baseline.
//! With too few readers, the gate says so and stays open.

mod past;

use std::collections::BTreeMap;

use crate::catalog::split::{Scheme, Split};
use crate::cluster::factors::FittedElsewhere;
use crate::config::{Config, HalfLife, Model, Solver};
use crate::console::Console;
use crate::context::Context;
use crate::database::Database;
use crate::error::{Error, Kind, Result};
use crate::model::Start;
use crate::model::als::final_epochs;
use crate::model::device::Device;
use crate::model::ranker::Ranker;
use crate::pipeline::clock::Clock;
use crate::pipeline::dataset::Dataset;
use crate::quality::metrics;
use crate::recommender::evaluator::{Evaluator, Holdout};
use crate::recommender::measure::Measure;
use crate::recommender::ranking::{Choice, WINDOWS};
use crate::run_summary::{
    Baseline, Before, GateMetrics, Lead, Losses, Metrics, QualityFigures, Stage, Verdict,
};
use crate::text::count;
use past::{Past, Shrinkage};

/// With fewer readers than this, nothing is judged.
const FEWEST_READERS: usize = 30;

/// With this many readers, chance cannot hide a lead that matters: a model without one is refused.
const ENOUGH_READERS: usize = 1_000;

/// Decides which ratings are held out: the same ones every night, unless they have times. Then it is the newest part, which
/// moves on slowly.
pub const SEED: u64 = 20;

#[derive(Debug, Default)]
pub struct Judgement {
    /// The figure of each reader, by code; NaN for readers who were not judged.
    pub quality: Vec<f64>,
    /// Why the lists should not be published.
    objections: Vec<String>,
    /// What the judged model leaves for training on all ratings to start from.
    pub start: Option<Start>,
    /// The model's settings, some of which were chosen from the ratings; `None` if nothing was judged.
    pub model: Option<Model>,
    /// What orders the lists; `None` if nothing was judged, or lists have no ranker.
    pub ranker: Option<Ranker>,
    gate: GateMetrics,
    figures: Option<QualityFigures>,
    coverage: Option<f64>,
    /// For the console.
    lines: Vec<String>,
}

impl Judgement {
    /// Nothing was judged, and why.
    fn none(readers: usize, why: &str) -> Self {
        Self {
            quality: vec![f64::NAN; readers],
            gate: GateMetrics { not_judged: Some(why.into()), ..GateMetrics::default() },
            lines: vec![format!("not judged: {why}")],
            ..Self::default()
        }
    }

    /// For the run's row in the history, with the losses of the judged model.
    pub fn metrics(&self) -> Metrics {
        let losses = self.start.as_ref().map(|start| start.losses.clone());
        Metrics {
            figures: self.figures.clone(),
            coverage: self.coverage,
            losses: losses.map(|held_out| Losses { held_out: Some(held_out), all: None }),
            gate: Some(self.gate.clone()),
            ..Metrics::default()
        }
    }

    /// The error of a night whose lists may not be published; `None` if they may.
    pub fn refusal(&self) -> Option<Error> {
        (self.gate.verdict == Some(Verdict::Refused)).then(|| {
            let message = format!("the quality gate refused to publish: {}", self.objections.join("; "));
            Error::new(Kind::Refused, message).hint(
                "the lists of before stand; look at the ratings, or at the settings if those were changed; \
                 `nightshelf run --force` publishes all the same, and [gate] in the configuration file sets how \
                 much is allowed",
            )
        })
    }

    /// The one place that says what objections and `--force` come to.
    fn decide(&mut self, force: bool) {
        self.gate.verdict = Some(match (self.objections.is_empty(), force) {
            (true, _) if self.gate.not_judged.is_some() => Verdict::NotJudged,
            (true, _) => Verdict::Passed,
            (false, false) => Verdict::Refused,
            (false, true) => Verdict::Forced,
        });
        self.gate.objections = Some(self.objections.clone());
    }

    fn say(&self, console: &Console, seconds: f64, force: bool) {
        let mut lines = self.lines.iter();
        if let Some(first) = lines.next() {
            console.say(format!("evaluate   {first}, {seconds:.1} s"));
        }
        lines.for_each(|line| console.say(format!("           {line}")));
        if force {
            self.objections.iter().for_each(|objection| console.warn(format!("--force: {objection}")));
        }
    }

    /// The model's figure, to be shown beside a loss; empty if nothing was judged.
    pub fn in_short(&self) -> String {
        match (&self.gate.figure, self.gate.model) {
            (Some(name), Some(figure)) => format!(", held-out {name} {figure:.4}"),
            _ => String::new(),
        }
    }

    /// Objects if the baseline is better beyond doubt, or, with [`ENOUGH_READERS`], if the model has no lead.
    /// `ours` and `theirs` are figures of the same readers in the same order.
    fn compare_with_baseline(&mut self, measure: Measure, ours: &[f64], name: Baseline, theirs: &[f64]) {
        let lead = metrics::lead(ours, theirs, SEED);
        let [our_figure, their_figure] = [ours, theirs].map(|figures| measure.show(metrics::mean(figures)));
        let mut interval = metrics::interval(ours, SEED).map(|end| measure.show(end));
        interval.sort_by(f64::total_cmp);
        let gate = &mut self.gate;
        gate.model = Some(our_figure);
        match name {
            Baseline::Popularity => gate.popularity = Some(their_figure),
            Baseline::BookAverages => gate.book_averages = Some(their_figure),
        }
        gate.interval = Some(interval);
        gate.baseline = Some(name);
        gate.lead = Some(lead);
        let (figure, readers) = (measure.name(), count(ours.len()));
        self.lines.push(format!("{figure} {our_figure:.4} of {readers} readers; {name} {their_figure:.4}"));
        // A figure that is not a number must not pass.
        if !(lead.mean.is_finite() && lead.interval[1].is_finite()) {
            self.objections.push(format!("{figure} of the model or of {name} is no number"));
        } else if lead.interval[1] <= 0.0 || (lead.mean <= 0.0 && ours.len() >= ENOUGH_READERS) {
            self.objections.push(format!(
                "{name} serves readers better: {figure} {our_figure:.4}, {name} {their_figure:.4}, of {readers} \
                 readers"
            ));
        }
    }

    /// Objects if the model is, beyond doubt, worse than that of run `run` by more than the share `margin`.
    fn compare_with_past(&mut self, measure: Measure, now: &[f64], run: i64, then: &[f64], margin: f64) {
        let lead = metrics::lead(now, then, SEED);
        let [figure_now, figure_then] = [now, then].map(|figures| measure.show(metrics::mean(figures)));
        self.gate.before = Some(Before {
            run_id: run,
            readers: then.len() as u64,
            then: figure_then,
            now: figure_now,
            lead,
        });
        let (figure, readers) = (measure.name(), count(then.len()));
        self.lines.push(format!(
            "{readers} of them were judged in run {run}, too: {figure} {figure_then:.4} then, {figure_now:.4} now"
        ));
        if !lead.interval[1].is_finite() {
            self.objections.push(format!("{figure} of the model or of run {run} is no number"));
        } else if lead.interval[1] < -margin * metrics::mean(then).abs() {
            self.objections.push(format!(
                "the model is worse than that of run {run}: {figure} {figure_now:.4}, {figure_then:.4} then, of \
                 {readers} readers; {:.0}% is allowed",
                margin * 100.0
            ));
        }
    }
}

/// Judges whether tonight's lists may be published, and says so. With `force`, objections are only warnings. The judged
/// model's factors are those that were `given`, if any were.
pub fn judge(
    context: Context<'_>,
    clock: &mut Clock,
    database: &Database,
    dataset: &Dataset,
    (device, given): (Device, Option<&FittedElsewhere>),
    force: bool,
) -> Result<Judgement> {
    let Context { config, console, .. } = context;
    let readers = dataset.ratings.users.len();
    if !config.gate.enabled {
        return Ok(Judgement::none(readers, "the gate is turned off"));
    }
    let mut judgement = clock.time(Stage::Evaluate, || -> Result<Judgement> {
        let past = Past::find(database)?;
        let Shrinkage { objections, missing } =
            past.as_ref().map(|past| past.shrunk(dataset, config.gate.shrink)).unwrap_or_default();
        let mut judgement = match objections.is_empty() || force {
            true => examine(context, dataset, past.as_ref(), (device, given))?,
            // Refused without training anything.
            false => Judgement::none(readers, "the input shrank"),
        };
        judgement.objections.extend(objections);
        if !missing.is_empty() {
            let what = missing.join(", ");
            judgement.lines.push(format!("not compared, since the run before did not note it: {what}"));
            judgement.gate.missing = Some(missing.into_iter().map(str::to_owned).collect());
        }
        Ok(judgement)
    })?;
    judgement.decide(force);
    judgement.say(console, clock.of(Stage::Evaluate), force);
    Ok(judgement)
}

fn ranker_line(lead: Option<Lead>, why: &str) -> String {
    let lead = lead.map_or(String::new(), |Lead { mean, interval: [low, high] }| {
        format!("; nDCG@20 {mean:+.4} beside the best blend ({low:+.4} to {high:+.4})")
    });
    format!("ordered by {why}{lead}")
}

/// What the gate judges by, or why it cannot.
///
/// # Errors
/// Those of [`Split::draw`].
pub fn split(dataset: &Dataset, config: &Config) -> Result<std::result::Result<Split, &'static str>> {
    let ratings = &dataset.ratings;
    match Split::draw(ratings, Scheme::of_night(&ratings.moments, config.gate.holdout), SEED) {
        Ok(split) if split.readers.len() >= FEWEST_READERS => Ok(Ok(split)),
        Ok(_) => Ok(Err("too few readers have several ratings")),
        Err(error) if error.kind() == Kind::NoRatings => Ok(Err("there are too few ratings")),
        Err(error) => Err(error),
    }
}

/// What measures on a split, quietly.
pub fn evaluator<'a>(
    context: Context<'a>,
    dataset: &'a Dataset,
    split: &'a Split,
    device: Device,
) -> Evaluator<'a> {
    let Context { console, interrupt, .. } = context;
    let ratings = &dataset.ratings;
    let holdout = Holdout {
        split,
        items: &ratings.items,
        related: &dataset.related,
        attributes: &ratings.attributes,
        only_new: false,
        scale: ratings.scale,
        longest: Measure::LENGTH,
        most_readers: Measure::MOST_READERS,
        windows: WINDOWS,
    };
    Evaluator::new(holdout, device, console, interrupt).quietly()
}

/// Tonight's settings for the judged model.
pub fn judged(config: &Config) -> Config {
    let mut config = config.clone();
    if config.model.solver == Solver::Als {
        // The other epochs go over all ratings.
        config.model.epochs -= final_epochs(config.model.epochs);
    }
    config
}

/// Trains a model with tonight's settings without the held-out ratings, unless its factors are given, and judges it.
fn examine(
    context: Context<'_>,
    dataset: &Dataset,
    past: Option<&Past>,
    (device, given): (Device, Option<&FittedElsewhere>),
) -> Result<Judgement> {
    let ratings = &dataset.ratings;
    let split = match split(dataset, context.config)? {
        Ok(split) => split,
        Err(why) => return Ok(Judgement::none(ratings.users.len(), why)),
    };
    let evaluator = evaluator(context, dataset, &split, device);
    let epochs = context.config.model.epochs;
    let mut lines = Vec::new();
    let (evaluator, config) = match given {
        None => {
            let config = evaluator.with_choices(&judged(context.config))?;
            (evaluator, config)
        }
        Some(given) => {
            let factors = given.judged()?;
            lines.push(format!("factors by {}", given.engine));
            (
                evaluator.with_factors(Some(factors)),
                judged(&Config { model: given.model.clone(), ..context.config.clone() }),
            )
        }
    };
    let config = &config;
    if let HalfLife::Days(days) = config.model.half_life {
        lines.push(format!("a rating counts half after {days} days"));
    }
    if let HalfLife::Days(days) = config.model.popularity_half_life {
        lines.push(format!("books are popular by readers who count half after {days} days"));
    }
    let mut fitted = evaluator.fit("hold-out", config)?;
    let choice = Choice::make(&evaluator, &fitted)?;
    let measure = Measure::of(config.model.objective);
    let rules = match measure {
        Measure::Lists => evaluator.prices(&mut fitted, choice.as_ref().map(|choice| &choice.ranker))?,
        Measure::Stars => BTreeMap::new(),
    };
    let (evaluator, model, ranker) = match choice {
        None => {
            let model = evaluator.predict("hold-out", &fitted, None)?;
            (evaluator, model, None)
        }
        // Nobody judges a ranker that has learned from them.
        Some(Choice { ranker, judges, predictions, lead, why, .. }) => {
            lines.push(ranker_line(lead, why));
            (evaluator.only(&judges), predictions, Some(ranker))
        }
    };
    let (baseline, name) = match measure {
        Measure::Lists => (evaluator.popularity(config.model.popularity_half_life), Baseline::Popularity),
        Measure::Stars => (evaluator.book_averages(), Baseline::BookAverages),
    };
    let (readers, ours) = measure.by_reader(&evaluator, &model);
    let (_, theirs) = measure.by_reader(&evaluator, &baseline);
    let mut quality = vec![f64::NAN; ratings.users.len()];
    for (reader, figure) in readers.iter().zip(&ours) {
        quality[*reader as usize] = *figure;
    }
    let gate = GateMetrics {
        figure: Some(measure.name().into()),
        readers: Some(readers.len() as u64),
        rules,
        ..GateMetrics::default()
    };
    let mut judgement = Judgement {
        quality,
        gate,
        figures: Some(evaluator.figures(&model, Measure::LENGTH)),
        coverage: evaluator.coverage(&model, Measure::LENGTH),
        start: Some(fitted.into_start()),
        ranker,
        model: Some(Model { epochs, ..config.model.clone() }),
        ..Judgement::default()
    };
    judgement.compare_with_baseline(measure, &ours, name, &theirs);
    judgement.lines.append(&mut lines);
    match past.map(|past| (past.current.run_id, past.quality_of(&readers, ratings, config))) {
        None => judgement.lines.push("no run before to compare with".into()),
        Some((run, Err(why))) => {
            judgement.lines.push(format!("not compared with run {run}: {why}"));
            judgement.gate.not_compared = Some(why);
        }
        Some((run, Ok(then))) => {
            let (now, then): (Vec<f64>, Vec<f64>) =
                then.into_iter().map(|(place, quality)| (ours[place], quality)).unzip();
            judgement.compare_with_past(measure, &now, run, &then, config.gate.margin);
        }
    }
    Ok(judgement)
}
