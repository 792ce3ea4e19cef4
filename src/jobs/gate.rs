//! The gate: whether tonight's lists may take the place of the night's before.
//!
//! Nobody looks at a nightly job. So before it publishes, the job asks what a careful person would: is
//! all of the input still there, is the model any better than a list of what everybody reads, and is it
//! as good as the one that is published now? The model is judged by ratings that were held out, with
//! the run's own settings; what is published is then trained on everything.
//!
//! Both comparisons are made reader by reader, and both refuse only what is worse beyond doubt: when
//! chance alone would make less than one in forty of such a figure (see [`metrics::lead`]). Where only a
//! handful of readers can be asked, nothing is beyond doubt, and the gate says so and stays open.

use serde_json::{Value, json};

use crate::catalog::frame::Encoded;
use crate::catalog::split::{Scheme, Split};
use crate::config::{Config, Solver};
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::jobs::judge::{Case, Judge, Measure};
use crate::jobs::keep::Readers;
use crate::jobs::work::Intake;
use crate::model::Start;
use crate::model::als::epochs_after;
use crate::model::device::Device;
use crate::quality::metrics;
use crate::store::Database;
use crate::store::runs::{self, Current};

/// Fewer readers than this say nothing.
const FEWEST_READERS: usize = 30;

/// As many readers do not miss a lead that matters: if the model has none, that is no accident.
const ENOUGH_READERS: usize = 1_000;

/// Which ratings are held out; the same ones every night.
pub const SEED: u64 = 20;

/// The night whose lists are published now.
#[derive(Debug)]
pub struct Past {
    current: Current,
    /// Its readers and settings, as far as they are kept.
    readers: Result<(Readers, Config)>,
}

impl Past {
    /// Looks it up; `None` before the first.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn find(database: &Database) -> Result<Option<Self>> {
        let past = runs::current(database)?.map(|current| {
            let digest = current.input_digest.as_deref();
            let readers = Readers::read(&database.folder(), current.run_id, digest);
            Self { current, readers }
        });
        Ok(past)
    }

    /// What there is less of tonight, by more than the share `most` of it.
    pub fn shrunk(&self, intake: &Intake, most: f64) -> Shrinkage {
        let (now, before) = (intake.counts(0), &self.current.counts);
        let run = self.current.run_id;
        // In a small club, one who leaves is a large share.
        if before["users"].as_u64().is_some_and(|users| users < FEWEST_READERS as u64) {
            return Shrinkage::default();
        }
        let figures = |counts: &Value| {
            let ratings = &counts["ratings"];
            [&ratings["kept"], &counts["users"], &ratings["rated"], &counts["spread"]].map(Value::as_f64)
        };
        let names = ["ratings", "readers", "ratings with stars", "the spread of stars (standard deviation)"];
        let mut shrinkage = Shrinkage::default();
        for (what, (now, before)) in names.into_iter().zip(figures(&now).into_iter().zip(figures(before))) {
            let (Some(now), Some(before)) = (now, before) else {
                shrinkage.missing.push(what);
                continue;
            };
            if now < before * (1.0 - most) {
                let less = (1.0 - now / before) * 100.0;
                let line =
                    format!("{what}: {} now, {} in run {run}, {less:.0}% less", amount(now), amount(before));
                shrinkage.objections.push(line);
            }
        }
        shrinkage.objections.extend(self.lost(&intake.ratings, most));
        shrinkage
    }

    /// Whether the readers of then have lost more of their ratings than the share `most`: rows that
    /// were deleted while others came, and ids that were given to other people.
    fn lost(&self, ratings: &Encoded, most: f64) -> Option<String> {
        let (readers, _) = self.readers.as_ref().ok()?;
        let codes = readers.users.codes_in(&ratings.users);
        let (mut all, mut lost) = (0u64, 0u64);
        for (then, code) in readers.ratings.iter().zip(codes) {
            let now = code.map_or(0, |code| ratings.interactions.of(code as usize).0.len() as u64);
            all += u64::from(*then);
            lost += u64::from(*then).saturating_sub(now);
        }
        let share = lost as f64 / all.max(1) as f64;
        (share > most).then(|| {
            format!(
                "the readers of run {} have {} of their {} ratings no more, {:.0}%",
                self.current.run_id,
                count(lost),
                count(all),
                share * 100.0
            )
        })
    }

    /// What was found of tonight's readers then, and who they are by place in `readers`; or why nothing
    /// can be compared.
    fn quality_of(
        &self,
        readers: &[u32],
        ratings: &Encoded,
        tonight: &Config,
    ) -> std::result::Result<Vec<(usize, f64)>, String> {
        let run = self.current.run_id;
        let (then, config) = match &self.readers {
            Ok((then, config)) => (then, config),
            Err(error) => return Err(error.to_string()),
        };
        if config.model.objective != tonight.model.objective || config.gate.holdout != tonight.gate.holdout {
            return Err(format!(
                "run {run} was judged by something else (objective or holdout were changed)"
            ));
        }
        let codes = ratings.users.codes_in(&then.users);
        let found = readers.iter().enumerate().filter_map(|(place, reader)| {
            let quality = then.quality[codes[*reader as usize]? as usize];
            (!quality.is_nan()).then_some((place, quality))
        });
        let found: Vec<_> = found.collect();
        match found.len() {
            0..FEWEST_READERS => Err(format!("too few readers were judged in run {run}, too")),
            _ => Ok(found),
        }
    }
}

/// How tonight's input compares with that of the run before.
#[derive(Debug, Default)]
pub struct Shrinkage {
    /// Why nothing should be made of it.
    pub objections: Vec<String>,
    /// What cannot be compared, because it was not noted.
    pub missing: Vec<&'static str>,
}

/// A number as people write it.
fn amount(number: f64) -> String {
    if number.fract() == 0.0 { count(number as u64) } else { format!("{number:.2}") }
}

/// What the gate has found.
#[derive(Debug, Default)]
pub struct Finding {
    /// The figure of each reader, by code; NaN of those who were not asked.
    pub quality: Vec<f64>,
    /// Why the lists should not be published; empty if they may.
    pub objections: Vec<String>,
    /// For the run's row.
    pub metrics: Value,
    /// For people, one line each.
    pub lines: Vec<String>,
    /// What the model that was judged leaves to that of all ratings.
    pub start: Option<Start>,
}

impl Finding {
    /// Nothing was found out, and why.
    pub fn none(readers: usize, why: &str) -> Self {
        Self {
            quality: vec![f64::NAN; readers],
            metrics: json!({ "gate": { "not_judged": why } }),
            lines: vec![format!("not judged: {why}")],
            ..Self::default()
        }
    }

    /// The model must be ahead of what anybody could do, figures being of the same readers.
    fn compare_with_baseline(&mut self, measure: Measure, ours: &[f64], name: &str, theirs: &[f64]) {
        let lead = metrics::lead(ours, theirs, SEED);
        let [our_figure, their_figure] = [ours, theirs].map(|figures| measure.show(metrics::mean(figures)));
        let gate = &mut self.metrics["gate"];
        gate["model"] = json!(our_figure);
        gate[name] = json!(their_figure);
        let mut interval = metrics::interval(ours, SEED).map(|end| measure.show(end));
        interval.sort_by(f64::total_cmp);
        gate["interval"] = json!(interval);
        gate["baseline"] = json!(name);
        gate["lead"] = json!({ "mean": lead.mean, "interval": lead.interval });
        let (figure, readers) = (measure.name(), count(ours.len()));
        self.lines.push(format!("{figure} {our_figure:.4} of {readers} readers; {name} {their_figure:.4}"));
        // Of a figure that is no number nothing can be said, least of all that it is good enough.
        if !(lead.mean.is_finite() && lead.interval[1].is_finite()) {
            self.objections.push(format!("{figure} of the model or of {name} is no number"));
        } else if lead.interval[1] <= 0.0 || (lead.mean <= 0.0 && ours.len() >= ENOUGH_READERS) {
            self.objections.push(format!(
                "{name} serves readers better: {figure} {our_figure:.4}, {name} {their_figure:.4}, of {readers} \
                 readers"
            ));
        }
    }

    /// The model must not be worse than that of run `run` was, by more than the share `margin`.
    fn compare_with_past(&mut self, measure: Measure, now: &[f64], run: i64, then: &[f64], margin: f64) {
        let lead = metrics::lead(now, then, SEED);
        let [figure_now, figure_then] = [now, then].map(|figures| measure.show(metrics::mean(figures)));
        self.metrics["gate"]["before"] = json!({
            "run_id": run,
            "readers": then.len(),
            "then": figure_then,
            "now": figure_now,
            "lead": { "mean": lead.mean, "interval": lead.interval },
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

/// What the error of a refused night says.
pub fn refusal(objections: &[String]) -> Error {
    let message = format!("the quality gate refused to publish: {}", objections.join("; "));
    Error::new(Kind::Refused, message).hint(
        "the lists of before stand; look at the ratings, or at the settings if those were changed; \
         `nightshelf run --force` publishes all the same, and [gate] in the configuration file sets how \
         much is allowed",
    )
}

/// Judges the model that tonight's settings make of tonight's ratings.
///
/// # Errors
/// See [`crate::model::fit_ranking`].
pub fn examine(
    intake: &Intake,
    past: Option<&Past>,
    config: &Config,
    device: Device,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Finding> {
    let ratings = &intake.ratings;
    let silent = |why| Finding::none(ratings.users.len(), why);
    let split = match Split::draw(ratings, Scheme::Random(config.gate.holdout), SEED) {
        Ok(split) if split.readers.len() >= FEWEST_READERS => split,
        Ok(_) => return Ok(silent("too few readers have several ratings")),
        Err(error) if error.kind() == Kind::NoRatings => return Ok(silent("there are too few ratings")),
        Err(error) => return Err(error),
    };
    let case = Case {
        split: &split,
        items: &ratings.items,
        related: &intake.related,
        only_new: false,
        scale: ratings.scale,
        longest: Measure::LENGTH,
        most_readers: Measure::MOST_READERS,
    };
    let judge = Judge::new(case, device, console, interrupt).quietly();
    let mut config = config.clone();
    if config.model.solver == Solver::Als {
        // The other passes are over all ratings.
        config.model.epochs -= epochs_after(config.model.epochs);
    }
    let config = &config;
    let (model, start) = judge.model("hold-out", config)?;
    let measure = Measure::of(config.model.objective);
    let baseline = match measure {
        Measure::Lists => judge.popularity(),
        Measure::Stars => judge.book_averages(),
    };
    let (readers, ours) = measure.by_reader(&judge, &model);
    let (_, theirs) = measure.by_reader(&judge, &baseline);
    let quality = vec![f64::NAN; ratings.users.len()];
    let mut finding = Finding { quality, start: Some(start), ..Finding::default() };
    for (reader, figure) in readers.iter().zip(&ours) {
        finding.quality[*reader as usize] = *figure;
    }
    finding.metrics = judge.figures(&model, Measure::LENGTH);
    finding.metrics.as_object_mut().map(|figures| figures.remove("name"));
    finding.metrics["losses"] = json!({ "held_out": finding.start.as_ref().map(|start| &start.losses) });
    finding.metrics["gate"] = json!({ "figure": measure.name(), "readers": readers.len() });
    finding.compare_with_baseline(measure, &ours, &baseline.name, &theirs);
    match past.map(|past| (past.current.run_id, past.quality_of(&readers, ratings, config))) {
        None => finding.lines.push("no run before to compare with".into()),
        Some((run, Err(why))) => {
            finding.lines.push(format!("not compared with run {run}: {why}"));
            finding.metrics["gate"]["not_compared"] = json!(why);
        }
        Some((run, Ok(then))) => {
            let (now, then): (Vec<f64>, Vec<f64>) =
                then.into_iter().map(|(place, quality)| (ours[place], quality)).unzip();
            finding.compare_with_past(measure, &now, run, &then, config.gate.margin);
        }
    }
    Ok(finding)
}
