//! The search for better settings: many trials with few factors, the best of them with more.
//!
//! Trials come in brackets of nine (successive halving: Jamieson, Talwalkar 2016): all nine with a quarter of
//! the factors, the best three with half, the best one with all, so there is a result whenever the time is
//! up. The winner also gets twice the factors, and is then compared with the present settings on ratings not
//! yet seen. Finished trials are stored, so the same command goes on where it stopped.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::split::{Scheme, Split};
use crate::catalog::times;
use crate::config::{self, Config, Objective, ResolvedConfig};
use crate::console::Console;
use crate::context::Context;
use crate::database::Database;
use crate::database::trials::{self, Trial};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::interrupt::Interrupt;
use crate::model::device::{self, Device};
use crate::model::ranker::Ranker;
use crate::pipeline::dataset::{Dataset, Job};
use crate::pipeline::search_space::{SearchSpace, Shape};
use crate::quality::metrics;
use crate::recommender::evaluator::{Evaluator, Holdout};
use crate::recommender::measure::Measure;
use crate::recommender::training::has_ranker;
use crate::run_summary::Lead;

/// Trials that compete with each other.
const BRACKET: usize = 9;

/// For each step of a bracket, how many trials it has, and by what their factors are divided.
const STEPS: [(usize, usize); 3] = [(9, 4), (3, 2), (1, 1)];

/// The share of ratings held out for the search, and again, with another seed, to confirm its result.
const SHARE: f64 = 0.2;
const SEARCH_SEED: u64 = 31;
const CONFIRM_SEED: u64 = 32;

#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub trials: usize,
    /// No trial begins after this time; a running one is finished, and the winner is confirmed.
    pub minutes: u64,
    /// Delete the trials of earlier searches first.
    pub restart: bool,
}

#[derive(Debug)]
pub struct Found {
    pub measure: Measure,
    pub trials: Vec<Trial>,
    pub best: Trial,
    pub confirmed: Confirmed,
    /// The best trial's settings if they are confirmed to be better, else the settings as they were.
    pub config: Config,
    /// Whether all trials were made.
    pub finished: bool,
}

/// The settings as they were compared with the best trial's, on ratings that the search has not seen.
#[derive(Debug, Serialize)]
pub struct Confirmed {
    pub before: f64,
    pub after: f64,
    pub lead: Lead,
    pub better: bool,
}

/// Searches. `variant` gives the present settings with some keys set to other values.
///
/// # Errors
/// [`Kind::Failed`] if there was no time for a single trial.
pub fn search(
    context: Context<'_>,
    db: &Path,
    effort: Effort,
    variant: impl Fn(&[(&str, String)]) -> Result<Config>,
) -> Result<Found> {
    let since = Instant::now();
    let Context { config, console, interrupt } = context;
    let (device, why) = device::choose(&config.compute.device)?;
    console.say(format!("device     {device}: {why}"));
    let mut database = context.open(db)?;
    let dataset = Job::new(context).load(&database)?;
    let measure = Measure::of(config.model.objective);
    let task = task(config, &dataset);
    if effort.restart {
        trials::forget(&mut database, &task)?;
    }
    let rows = &dataset.ratings.interactions;
    let pairs = rows.user_count() as f64 * rows.item_count as f64;
    let dated = times::unit(&dataset.ratings.moments).is_some();
    let shape = Shape { pairs, grouped: !dataset.related.groups.is_empty(), dated };
    let space = SearchSpace::new(config, &ResolvedConfig::new(config, rows), shape);
    let split =
        Split::draw(&dataset.ratings, Scheme::of_night(&dataset.ratings.moments, SHARE), SEARCH_SEED)?;
    let made = trials::of(&database, &task)?;
    if !made.is_empty() {
        console.say(format!("resumed    {} trials were made before", made.len()));
    }
    let runner = TrialRunner { dataset: &dataset, split: &split, device, measure, interrupt };
    let mut search = Search {
        runner,
        space: &space,
        variant: &variant,
        full: config.model.factors,
        until: since + Duration::from_secs(effort.minutes * 60),
        task,
        made,
        database: &mut database,
        console,
    };
    let finished = search.run(effort.trials)?;
    if !finished {
        console
            .say(format!("time       {} minutes are up; the same command goes on from here", effort.minutes));
    }
    let trials = search.made;

    // The first of equal trials wins: the settings as they were come first.
    let best = trials.iter().reduce(|best, trial| if trial.score > best.score { trial } else { best });
    let best = best.cloned().ok_or_else(|| {
        Error::new(Kind::Failed, "there was no time for a single trial").hint("allow more with --minutes")
    })?;
    let found = variant(&best.pairs())?;
    let fresh =
        Split::draw(&dataset.ratings, Scheme::of_night(&dataset.ratings.moments, SHARE), CONFIRM_SEED)?;
    let runner = TrialRunner { dataset: &dataset, split: &fresh, device, measure, interrupt };
    let (before, after, lead) = runner.compare(config, &found)?;
    let [before, after] = [before, after].map(|mean| measure.show(mean));
    let confirmed = Confirmed { before, after, lead, better: lead.mean > 0.0 };
    let config = if confirmed.better { found } else { config.clone() };
    Ok(Found { measure, trials, best, confirmed, config, finished })
}

/// Identifies the data and the settings: trials of another task cannot be compared.
fn task(config: &Config, dataset: &Dataset) -> String {
    let settings = serde_json::to_string(&config.decisive()).unwrap_or_default();
    format!("{}-{:016x}", dataset.digest, xxh3_64(settings.as_bytes()))
}

/// Runs trials on one split.
struct TrialRunner<'a> {
    dataset: &'a Dataset,
    split: &'a Split,
    device: Device,
    measure: Measure,
    interrupt: &'a Interrupt,
}

impl TrialRunner<'_> {
    /// The figure of each reader; higher is better.
    fn figures(&self, config: &Config) -> Result<Vec<f64>> {
        let holdout = Holdout {
            split: self.split,
            items: &self.dataset.ratings.items,
            related: &self.dataset.related,
            attributes: &self.dataset.ratings.attributes,
            only_new: false,
            // A search for better lists needs no stars.
            scale: self.dataset.ratings.scale.filter(|_| config.model.objective == Objective::Rating),
            longest: Measure::LENGTH,
            most_readers: Measure::MOST_READERS,
            windows: 1,
        };
        let silent = Console::silent();
        let evaluator = Evaluator::new(holdout, self.device, &silent, self.interrupt);
        let model = evaluator.fit("trial", &evaluator.with_choices(config)?)?;
        // A ranker of each trial's own would take longer than the trial.
        let blend = has_ranker(config).then(Ranker::blend);
        let predictions = evaluator.predict("trial", &model, blend.as_ref())?;
        let (_, figures) = self.measure.by_reader(&evaluator, &predictions);
        match figures.is_empty() {
            true => Err(Error::new(Kind::NoRatings, "there are too few ratings to tune by")),
            false => Ok(figures),
        }
    }

    /// Means before and after, and how far `after` is ahead.
    fn compare(&self, before: &Config, after: &Config) -> Result<(f64, f64, Lead)> {
        let before = self.figures(before)?;
        let after = self.figures(after)?;
        let lead = metrics::lead(&after, &before, CONFIRM_SEED);
        Ok((metrics::mean(&before), metrics::mean(&after), lead))
    }
}

struct Search<'a, V> {
    runner: TrialRunner<'a>,
    space: &'a SearchSpace,
    variant: &'a V,
    /// The factors of a trial that has won its bracket.
    full: usize,
    until: Instant,
    task: String,
    made: Vec<Trial>,
    database: &'a mut Database,
    console: &'a Console,
}

impl<V: Fn(&[(&str, String)]) -> Result<Config>> Search<'_, V> {
    /// Makes trials 0 to `trials`; false if the time was up before the end.
    fn run(&mut self, trials: usize) -> Result<bool> {
        // Trial 0 is the settings as they were, which all others are compared with.
        if self.score(0, self.full)?.is_none() {
            return Ok(false);
        }
        let numbers: Vec<usize> = (0..=trials).collect();
        for bracket in numbers.chunks(BRACKET) {
            let mut running = bracket.to_vec();
            for (count, part) in STEPS {
                running.truncate(count);
                let mut scores = Vec::new();
                for number in running {
                    match self.score(number, (self.full / part).max(self.full.min(1)))? {
                        Some(score) => scores.push((score, number)),
                        None => return Ok(false),
                    }
                }
                scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                running = scores.into_iter().map(|(_, number)| number).collect();
            }
        }
        let full = self.made.iter().filter(|trial| trial.factors == self.full);
        match full.max_by(|a, b| a.score.total_cmp(&b.score)).map(|trial| trial.number) {
            // No run accepts more factors than that.
            Some(number) if self.full > 0 && self.full * 2 <= config::MOST_FACTORS => {
                Ok(self.score(number, self.full * 2)?.is_some())
            }
            _ => Ok(true),
        }
    }

    /// The score of a trial, made now or earlier; `None` if no time is left to make it.
    fn score(&mut self, number: usize, factors: usize) -> Result<Option<f64>> {
        let same = |trial: &&Trial| trial.number == number && trial.factors == factors;
        if let Some(trial) = self.made.iter().find(same) {
            return Ok(Some(trial.score));
        }
        let since = Instant::now();
        if since > self.until {
            return Ok(None);
        }
        let mut settings = if number == 0 { Vec::new() } else { self.space.trial(number) };
        settings.push(("factors", factors.to_string()));
        let config = (self.variant)(&settings)?;
        let score = match self.runner.figures(&config) {
            Ok(figures) => metrics::mean(&figures),
            // Training fails with these settings: the trial gets the lowest score.
            Err(error) if error.kind() == Kind::Failed => f64::MIN,
            Err(error) => return Err(error),
        };
        let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let seconds = (since.elapsed().as_secs_f64() * 1e3).round() / 1e3;
        let trial = Trial { number, factors, settings, score, seconds };
        let (name, shown) = (self.runner.measure.name(), self.runner.measure.show(score));
        self.console.say(format!("trial {number:<4} {factors} factors: {name} {shown:.4}, {seconds:.1} s"));
        trials::note(self.database, &self.task, name, &trial)?;
        failpoint::reach("tune.trial");
        self.made.push(trial);
        Ok(Some(score))
    }
}
