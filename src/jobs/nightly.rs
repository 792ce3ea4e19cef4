//! The nightly job: read, normalise, encode, train, recommend, publish.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::catalog::frame::{self, Encoded};
use crate::catalog::rejects::Rejects;
use crate::config::{Config, Objective};
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::jobs::keep::Model;
use crate::jobs::recommend::{self, Fitted, Shelf};
use crate::model::device::{self, Device};
use crate::model::settled::Settled;
use crate::model::{self, Watch};
use crate::store::lock::Lock;
use crate::store::publish::Publication;
use crate::store::runs::{self, RunKind, Story};
use crate::store::{Database, slots, source};

/// What to do tonight.
#[derive(Clone, Copy, Debug)]
pub struct Night<'a> {
    /// The application's database.
    pub db: &'a Path,
    /// The settings.
    pub config: &'a Config,
    /// Write nothing.
    pub dry_run: bool,
}

/// Runs the nightly job.
///
/// # Errors
/// Any [`Kind`]; the set from before stands then.
pub fn run(night: &Night<'_>, console: &Console, interrupt: &Interrupt) -> Result<Outcome> {
    let config = night.config;
    let (device, why) = device::choose(&config.compute.device)?;
    console.say(format!("device     {device}: {why}"));
    let patience = Duration::from_secs(config.output.patience);
    let mut database = Database::open(night.db, patience, interrupt.clone())?;
    database.read("looking at the database", slots::refuse_foreign_tables)?;
    let mut job =
        Job { config, device, console, clock: Clock::default(), loss: None, rejects: Rejects::default() };
    if night.dry_run {
        let tonight = job.work(&database)?;
        console.say("dry run    nothing was written");
        return Ok(job.report(None, "dry-run", &tonight).into());
    }
    let _lock = Lock::take(&database)?;
    let settings = serde_json::to_value(config).unwrap_or_default();
    let run_id = runs::begin(&mut database, RunKind::Nightly, &device.to_string(), &settings)?;
    let done = job.work(&database).and_then(|tonight| {
        job.publish(&mut database, run_id, &tonight)?;
        Ok(tonight)
    });
    match done {
        Ok(tonight) => Ok(job.report(Some(run_id), "published", &tonight).into()),
        Err(error) => {
            runs::ended(&mut database, run_id, &error, &job.rejects);
            Err(error)
        }
    }
}

/// Seconds by stage.
#[derive(Debug)]
struct Clock {
    since: Instant,
    stages: Map<String, Value>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { since: Instant::now(), stages: Map::new() }
    }
}

impl Clock {
    fn time<T>(&mut self, stage: &str, work: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let value = work();
        self.stages.insert(format!("{stage}_s"), seconds(since));
        value
    }

    fn of(&self, stage: &str) -> f64 {
        self.stages.get(&format!("{stage}_s")).and_then(Value::as_f64).unwrap_or_default()
    }

    fn timings(&self) -> Value {
        let mut stages = self.stages.clone();
        stages.insert("total_s".into(), seconds(self.since));
        stages.into()
    }
}

fn seconds(since: Instant) -> Value {
    json!((since.elapsed().as_secs_f64() * 1e3).round() / 1e3)
}

/// Everything that one night knows by its end.
struct Tonight {
    rows: u64,
    rejected: u64,
    settings: Settled,
    ratings: Encoded,
    fitted: Fitted,
    shelf: Shelf,
    metrics: Value,
}

impl Tonight {
    fn counts(&self) -> Value {
        json!({
            "ratings": {
                "read": self.rows,
                "kept": self.ratings.interactions.len(),
                "rejected": self.rejected,
                "repaired": self.ratings.repaired,
                "duplicates": self.ratings.duplicates,
                "opaque": self.ratings.opaque.total(),
            },
            "users": self.ratings.users.len(),
            "items": self.ratings.items.len(),
            "recommendations": self.shelf.rows.len(),
        })
    }
}

/// A night's work in progress.
struct Job<'a> {
    config: &'a Config,
    device: Device,
    console: &'a Console,
    clock: Clock,
    loss: Option<f64>,
    rejects: Rejects,
}

impl Job<'_> {
    /// Everything up to the finished lists; writes nothing.
    fn work(&mut self, database: &Database) -> Result<Tonight> {
        let (config, console) = (self.config, self.console);
        let reading = self.clock.time("read", || source::read(database, config, console))?;
        let rows = reading.rows;
        self.rejects = reading.rejects;
        console.say(format!("read       {} ratings, {:.1} s", count(rows), self.clock.of("read")));

        let normalised = self.clock.time("normalise", || frame::normalise(reading.columns, config))?;
        let mut ratings = self.clock.time("encode", || frame::encode(normalised))?;
        self.rejects.absorb(std::mem::take(&mut ratings.rejects));
        self.say_what_was_read(&ratings);
        if ratings.interactions.is_empty() {
            return Err(no_ratings(rows, &self.rejects));
        }
        let settings = Settled::new(config, &ratings.interactions);

        let fitted = self.train(database.interrupt(), &ratings, &settings)?;
        let shelf = self.recommend(database.interrupt(), &ratings, &settings, &fitted)?;
        let metrics = self.clock.time("evaluate", || {
            let mut metrics = shelf.metrics(ratings.items.len());
            metrics["loss"] = json!(self.loss);
            metrics["regularization"] = json!(settings.model.regularization);
            metrics["unobserved_weight"] = json!(settings.model.unobserved_weight);
            metrics
        });
        Ok(Tonight { rows, rejected: self.rejects.total(), settings, ratings, fitted, shelf, metrics })
    }

    fn train(&mut self, interrupt: &Interrupt, ratings: &Encoded, config: &Settled) -> Result<Fitted> {
        let (console, device) = (self.console, self.device);
        let rated = ratings.interactions.rated();
        let stars = ratings.scale.filter(|_| !rated.is_empty());
        if stars.is_none() && config.model.objective == Objective::Rating {
            return Err(Error::new(
                Kind::NoRatings,
                "objective = \"rating\" needs ratings, and all rows are implicit",
            )
            .hint("use --objective ranking, or look at implicit_rating under [source]"));
        }
        let fitted = self.clock.time("train", || -> Result<Fitted> {
            let ranking = match config.model.objective {
                Objective::Rating => None,
                Objective::Ranking => {
                    let bar = console.bar("train", config.model.epochs as u64);
                    let loss = std::sync::Mutex::new(None);
                    let epoch = |epoch: usize, value: f64| {
                        bar.advance(1);
                        console.step(format!("           epoch {epoch}: loss {value:.5} a rating"));
                        if let Ok(mut loss) = loss.lock() {
                            *loss = Some(value);
                        }
                    };
                    let watch = Watch { interrupt, epoch: &epoch };
                    let factors = model::fit_ranking(device, &ratings.interactions, config, &watch)?;
                    self.loss = loss.into_inner().ok().flatten();
                    Some(factors)
                }
            };
            let rating = match stars {
                None => None,
                Some(scale) => {
                    let bar = console.bar("train stars", config.rating.rating_epochs as u64);
                    let epoch = |epoch: usize, value: f64| {
                        bar.advance(1);
                        console.step(format!("           stars, epoch {epoch}: loss {value:.5} a rating"));
                    };
                    let watch = Watch { interrupt, epoch: &epoch };
                    Some(model::fit_rating(device, &rated, scale, config, &watch)?)
                }
            };
            Ok(Fitted { ranking, rating, rated })
        })?;
        let loss = self.loss.map_or(String::new(), |loss| format!(", loss {loss:.4}"));
        let config = &config.model;
        console.say(format!(
            "train      {} factors, {} epochs, λ {:.1e}, α₀ {:.3}{loss}, {:.1} s",
            config.factors,
            config.epochs,
            config.regularization,
            config.unobserved_weight,
            self.clock.of("train")
        ));
        Ok(fitted)
    }

    fn recommend(
        &mut self,
        interrupt: &Interrupt,
        ratings: &Encoded,
        config: &Settled,
        fitted: &Fitted,
    ) -> Result<Shelf> {
        let console = self.console;
        let shelf = self.clock.time("recommend", || {
            let bar = console.bar("recommend", ratings.users.len() as u64);
            recommend::fill(&ratings.interactions, fitted, config, interrupt, &|users| {
                bar.advance(users as u64)
            })
        })?;
        console.say(format!(
            "recommend  {} for {} readers, {:.1} s",
            count(shelf.rows.len()),
            count(ratings.users.len()),
            self.clock.of("recommend")
        ));
        Ok(shelf)
    }

    fn publish(&mut self, database: &mut Database, run_id: i64, tonight: &Tonight) -> Result<()> {
        let (config, console) = (&tonight.settings, self.console);
        let since = Instant::now();
        let kept = Model {
            run_id,
            config,
            users: &tonight.ratings.users,
            items: &tonight.ratings.items,
            fitted: &tonight.fitted,
        };
        let folder = database.folder();
        let model = kept.write(&folder)?;
        let publication = Publication {
            run_id,
            users: &tonight.ratings.users,
            items: &tonight.ratings.items,
            rows: &tonight.shelf.rows,
            popular: &tonight.shelf.popular,
        };
        let digest = format!("{:016x}", tonight.ratings.digest());
        let story = |timings: Value| Story {
            counts: tonight.counts(),
            metrics: tonight.metrics.clone(),
            timings,
            input_digest: Some(digest.clone()),
        };
        let bar = console.bar("publish", tonight.shelf.rows.len() as u64);
        let published = publication.publish(database, &bar, |transaction| {
            let mut timings = self.clock.timings();
            timings["publish_s"] = seconds(since);
            runs::note_rejects(transaction, run_id, &self.rejects)?;
            runs::published(transaction, run_id, &story(timings))
        });
        drop(bar);
        if let Err(error) = published {
            // A model that nobody sees the lists of. If this fails, the next run removes it.
            let _ = std::fs::remove_dir_all(model);
            return Err(error);
        }
        // It is published: older models that stay for once are no reason to say otherwise.
        if let Ok(runs) = runs::last_published(database) {
            Model::forget_all_but(&folder, &runs);
        }
        self.clock.stages.insert("publish_s".into(), seconds(since));
        console.say(format!("publish    run {run_id}, {:.1} s", self.clock.of("publish")));
        Ok(())
    }

    fn say_what_was_read(&self, ratings: &Encoded) {
        let spent = self.clock.of("normalise") + self.clock.of("encode");
        self.console.say(format!(
            "normalise  {} ratings of {} books by {} readers, {spent:.1} s",
            count(ratings.interactions.len()),
            count(ratings.items.len()),
            count(ratings.users.len()),
        ));
        let notes = [
            (ratings.duplicates, "older ratings of the same book left out"),
            (ratings.repaired, "with lost zeros put back"),
            (ratings.opaque.total(), "with a key that is no valid ISBN, kept as it is"),
            (self.rejects.total(), "rejected"),
        ];
        for (rows, what) in notes.into_iter().filter(|(rows, _)| *rows > 0) {
            self.console.say(format!("           {} {what}", count(rows)));
        }
        for (reason, rows, examples) in self.rejects.iter() {
            self.console.detail(format!(
                "             {reason}: {}, such as {}",
                count(rows),
                examples.join("; ")
            ));
        }
        if let Some((low, high)) = ratings.scale {
            let guessed =
                if self.config.source.scale.is_empty() { " (guessed from the ratings)" } else { "" };
            self.console.detail(format!("           ratings go from {low} to {high}{guessed}"));
        }
    }

    fn report(&self, run_id: Option<i64>, status: &str, tonight: &Tonight) -> Value {
        let mut report = tonight.counts();
        report["run_id"] = json!(run_id);
        report["status"] = json!(status);
        report["device"] = json!(self.device.to_string());
        report["metrics"] = tonight.metrics.clone();
        let mut timings = self.clock.timings();
        if timings.get("publish_s").is_none() {
            timings["publish_s"] = json!(0.0);
        }
        report["timings"] = timings;
        report["peak_memory_bytes"] = json!(peak_memory());
        report
    }
}

fn no_ratings(rows: u64, rejects: &Rejects) -> Error {
    let error = match rows {
        0 => Error::new(Kind::NoRatings, "the ratings table is empty"),
        _ => {
            let reasons: Vec<String> =
                rejects.iter().map(|(reason, rows, _)| format!("{reason} {}", count(rows))).collect();
            let all = count(rows);
            Error::new(Kind::NoRatings, format!("none of {all} ratings can be used: {}", reasons.join(", ")))
        }
    };
    error.hint("look at the table, and at [source] in the configuration file; --verbose shows examples")
}

/// The most memory that this process has had, in bytes; `None` where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
