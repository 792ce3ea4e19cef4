//! Looks for better settings: many trials with few factors, the best of them with more.
//!
//! Trials come in brackets of nine (successive halving: Jamieson, Talwalkar 2016): all nine with a
//! quarter of the factors, the best three with half of them, the best one with all. So whenever the time
//! is up there is something to show for it. The winner is tried with twice the factors, too, and then
//! set beside the settings as they were on ratings that the search has not seen. Every trial is noted in
//! the database when it is done: the same command goes on where it was stopped.

mod space;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::split::{Scheme, Split};
use crate::cli;
use crate::config::{self, Config, Objective};
use crate::console::Console;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::jobs::judge::{Case, Judge, Measure};
use crate::jobs::work::{Intake, Work};
use crate::model::device::{self, Device};
use crate::model::settled::Settled;
use crate::quality::metrics::{self, Lead};
use crate::store::Database;
use crate::store::trials::{self, Trial};
use space::Space;

/// Trials that compete with each other.
const BRACKET: usize = 9;

/// How many of them there are, and which part of the factors they have, at each step.
const STEPS: [(usize, usize); 3] = [(9, 4), (3, 2), (1, 1)];

/// How much is held out to search by, and then again to confirm by.
const SHARE: f64 = 0.2;
const SEARCH_SEED: u64 = 31;
const CONFIRM_SEED: u64 = 32;

/// The first line of a file that may be written over.
const HEAD: &str = "# Settings found by `nightshelf tune`";

/// Searches, and writes what it found as a configuration file. `variant` gives the settings with some
/// more keys and values.
///
/// # Errors
/// [`Kind::Config`] if the file to be written is somebody's own; else as [`Work::take_in`] and
/// [`crate::model::fit_ranking`].
pub fn tune(
    args: &cli::Tune,
    config: &Config,
    variant: impl Fn(&[(&str, String)]) -> Result<Config>,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let since = Instant::now();
    refuse_a_file_of_ones_own(&args.out)?;
    let (device, why) = device::choose(&config.compute.device)?;
    console.say(format!("device     {device}: {why}"));
    let mut database = Database::open(&args.target.db, config.output.patience(), interrupt.clone())?;
    let intake = Work::new(config, console).take_in(&database)?;
    let measure = Measure::of(config.model.objective);
    let task = task(config, &intake);
    if args.restart {
        trials::forget(&mut database, &task)?;
    }
    let rows = &intake.ratings.interactions;
    let pairs = rows.user_count() as f64 * rows.item_count as f64;
    let space = Space::new(config, &Settled::new(config, rows), pairs, !intake.related.groups.is_empty());
    let split = Split::draw(&intake.ratings, Scheme::Random(SHARE), SEARCH_SEED)?;
    let made = trials::of(&database, &task)?;
    if !made.is_empty() {
        console.say(format!("resumed    {} trials were made before", made.len()));
    }
    let bench = Bench { intake: &intake, split: &split, device, measure, interrupt };
    let mut search = Search {
        bench,
        space: &space,
        variant: &variant,
        full: config.model.factors,
        until: since + Duration::from_secs(args.minutes * 60),
        task,
        made,
        database: &mut database,
        console,
    };
    let finished = search.run(args.trials as usize)?;
    if !finished {
        console
            .say(format!("time       {} minutes are up; the same command goes on from here", args.minutes));
    }
    let made = search.made;

    // The settings as they were come first among equals.
    let best = made.iter().reduce(|best, trial| if trial.score > best.score { trial } else { best });
    let best = best.ok_or_else(|| {
        Error::new(Kind::Failed, "there was no time for a single trial").hint("allow more with --minutes")
    })?;
    let found = variant(&pairs_of(best))?;
    let fresh = Split::draw(&intake.ratings, Scheme::Random(SHARE), CONFIRM_SEED)?;
    let bench = Bench { intake: &intake, split: &fresh, device, measure, interrupt };
    let (before, after, lead) = bench.compare(config, &found)?;
    let better = lead.mean > 0.0;
    let name = measure.name();
    console.say(format!(
        "confirmed  {name} {:.4} before, {:.4} after, on ratings that the search has not seen",
        measure.show(before),
        measure.show(after)
    ));
    let written = if better { &found } else { config };
    if !better {
        console.say("unchanged  nothing was found that is better than the settings as they were");
    }
    write(&args.out, written, &format!("{name} {:.4}", measure.show(after.max(before))))?;
    console.say(format!("written    {}: nightshelf run --config {0}", args.out.display()));
    let json = json!({
        "figure": name,
        "trials": made.iter().map(|trial| as_json(trial, measure)).collect::<Vec<_>>(),
        "best": as_json(best, measure),
        "confirmed": {
            "before": measure.show(before),
            "after": measure.show(after),
            "lead": { "mean": lead.mean, "interval": lead.interval },
            "better": better,
        },
        "config": args.out.display().to_string(),
        "finished": finished,
    });
    Ok(Outcome { text: leaderboard(&made, measure), json, failure: None })
}

/// What is searched for what: trials of another task say nothing.
fn task(config: &Config, intake: &Intake) -> String {
    let settings = serde_json::to_string(&config.decisive()).unwrap_or_default();
    format!("{}-{:016x}", intake.digest, xxh3_64(settings.as_bytes()))
}

/// Where trials are made.
struct Bench<'a> {
    intake: &'a Intake,
    split: &'a Split,
    device: Device,
    measure: Measure,
    interrupt: &'a Interrupt,
}

impl Bench<'_> {
    /// The figure of each reader, more being better.
    fn figures(&self, config: &Config) -> Result<Vec<f64>> {
        let case = Case {
            split: self.split,
            items: &self.intake.ratings.items,
            related: &self.intake.related,
            only_new: false,
            // Stars are no part of a search for lists.
            scale: self.intake.ratings.scale.filter(|_| config.model.objective == Objective::Rating),
            longest: Measure::LENGTH,
            most_readers: Measure::MOST_READERS,
        };
        let silent = Console::silent();
        let judge = Judge::new(case, self.device, &silent, self.interrupt);
        let (answers, _) = judge.model("trial", config)?;
        let (_, figures) = self.measure.by_reader(&judge, &answers);
        match figures.is_empty() {
            true => Err(Error::new(Kind::NoRatings, "there are too few ratings to tune by")),
            false => Ok(figures),
        }
    }

    /// Means before and after, and how far one is ahead.
    fn compare(&self, before: &Config, after: &Config) -> Result<(f64, f64, Lead)> {
        let before = self.figures(before)?;
        let after = self.figures(after)?;
        let lead = metrics::lead(&after, &before, CONFIRM_SEED);
        Ok((metrics::mean(&before), metrics::mean(&after), lead))
    }
}

/// A search in progress.
struct Search<'a, V> {
    bench: Bench<'a>,
    space: &'a Space,
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
    /// Makes trials until there are enough, or no time is left; whether it came to the end.
    fn run(&mut self, trials: usize) -> Result<bool> {
        // What everything is compared with.
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
                    match self.score(number, (self.full / part).max(1))? {
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
            // No run would take more than that.
            Some(number) if self.full * 2 <= config::MOST_FACTORS => {
                Ok(self.score(number, self.full * 2)?.is_some())
            }
            _ => Ok(true),
        }
    }

    /// How good a trial is; `None` if there is no time left to find out.
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
        let score = match self.bench.figures(&config) {
            Ok(figures) => metrics::mean(&figures),
            // Such settings are no good: that is what was to be found out.
            Err(error) if error.kind() == Kind::Failed => f64::MIN,
            Err(error) => return Err(error),
        };
        let settings: Map<_, _> =
            settings.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
        let seconds = (since.elapsed().as_secs_f64() * 1e3).round() / 1e3;
        let trial = Trial { number, factors, settings: settings.into(), score, seconds };
        let (name, shown) = (self.bench.measure.name(), self.bench.measure.show(score));
        self.console.say(format!("trial {number:<4} {factors} factors: {name} {shown:.4}, {seconds:.1} s"));
        trials::note(self.database, &self.task, name, &trial)?;
        self.made.push(trial);
        Ok(Some(score))
    }
}

fn pairs_of(trial: &Trial) -> Vec<(&str, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    trial.settings.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), text(value))).collect()
}

fn as_json(trial: &Trial, measure: Measure) -> Value {
    json!({
        "trial": trial.number,
        "factors": trial.factors,
        "value": measure.show(trial.score),
        "settings": trial.settings,
        "seconds": trial.seconds,
    })
}

/// The best trials, those with most factors first: fewer are no fair comparison.
fn leaderboard(made: &[Trial], measure: Measure) -> String {
    const SHOWN: usize = 12;
    let mut order: Vec<&Trial> = made.iter().collect();
    order.sort_by(|a, b| b.factors.cmp(&a.factors).then(b.score.total_cmp(&a.score)));
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["trial", "factors", measure.name(), "settings"]);
    for trial in order.into_iter().take(SHOWN) {
        let settings: Vec<String> = pairs_of(trial)
            .into_iter()
            .filter(|(key, _)| *key != "factors")
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let settings = if settings.is_empty() { "as they were".to_owned() } else { settings.join(" ") };
        let value = format!("{:.4}", measure.show(trial.score));
        table.add_row([trial.number.to_string(), trial.factors.to_string(), value, settings]);
    }
    table.trim_fmt()
}

fn refuse_a_file_of_ones_own(path: &Path) -> Result<()> {
    match fs::read_to_string(path) {
        Ok(text) if !text.starts_with(HEAD) => Err(Error::new(
            Kind::Config,
            format!("{} is there already, and was not written by tune", path.display()),
        )
        .hint("name another file with --out")),
        _ => Ok(()),
    }
}

fn write(path: &Path, config: &Config, found: &str) -> Result<()> {
    let text = format!("{HEAD}: {found}.\n# jobs/nightly.toml explains the keys.\n\n{}", config.to_toml());
    files::replace(path, text.as_bytes(), None)
}
