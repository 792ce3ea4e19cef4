//! The nightly job: read, normalise, encode, train, recommend, publish.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::catalog::frame::Encoded;
use crate::config::{Config, Objective};
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::jobs::gate::{self, Finding, Past};
use crate::jobs::keep::{self, Model, Readers};
use crate::jobs::recommend::{self, Fitted, Popularity};
use crate::jobs::work::{Intake, Work, peak_memory};
use crate::model::device::{self, Device};
use crate::model::evidence::Evidence;
use crate::model::settled::Settled;
use crate::model::{self, Watch};
use crate::store::lock::Lock;
use crate::store::publish::{Names, Origin, Publication, Recommendation};
use crate::store::runs::{self, Ending, RunKind, Story};
use crate::store::{Database, slots};

/// What a night goes through, in `timings`.
const STAGES: [&str; 8] =
    ["read", "normalise", "encode", "books", "train", "evaluate", "recommend", "publish"];

/// What to do tonight.
#[derive(Clone, Copy, Debug)]
pub struct Night<'a> {
    /// The application's database.
    pub db: &'a Path,
    /// The settings.
    pub config: &'a Config,
    /// Write nothing.
    pub dry_run: bool,
    /// Train and publish although nothing has changed.
    pub force: bool,
}

/// Runs the nightly job.
///
/// # Errors
/// Any [`Kind`]; the set from before stands then.
pub fn run(night: &Night<'_>, console: &Console, interrupt: &Interrupt) -> Result<Outcome> {
    let config = night.config;
    let (device, why) = device::choose(&config.compute.device)?;
    console.say(format!("device     {device}: {why}"));
    let patience = config.output.patience();
    let mut database = Database::open(night.db, patience, interrupt.clone())?;
    database.read("looking at the database", slots::refuse_foreign_tables)?;
    let mut job = Job { device, loss: None, force: night.force, work: Work::new(config, console) };
    if night.dry_run {
        let intake = job.work.take_in(&database)?;
        let tonight = job.fit(&database, intake)?;
        console.say("dry run    nothing was written");
        return Ok(match tonight {
            Outlook::Fit(tonight) => job.report(None, "dry-run", &tonight.counts(), &tonight.metrics).into(),
            Outlook::Refused(refused) => job.refusal(None, refused),
        });
    }
    let _lock = Lock::take(&database)?;
    let settings = serde_json::to_value(config).unwrap_or_default();
    let run_id = runs::begin(&mut database, RunKind::Nightly, &device.to_string(), &settings)?;
    let done = job.work.take_in(&database).and_then(|intake| match job.unchanged(&database, &intake)? {
        Some(rows) if !night.force => job.leave(&mut database, run_id, &intake, rows),
        _ => job.finish(&mut database, run_id, intake),
    });
    done.inspect_err(|error| {
        runs::ended(&mut database, run_id, error, &job.work.rejects);
    })
}

/// Does the whole job for ratings that were taken in already, as the run `run_id`.
///
/// # Errors
/// As [`run`].
pub fn go_on(
    work: Work<'_>,
    device: Device,
    database: &mut Database,
    run_id: i64,
    intake: Intake,
) -> Result<Outcome> {
    Job { device, loss: None, force: false, work }.finish(database, run_id, intake)
}

/// Everything that one night knows by its end.
struct Tonight {
    settings: Settled,
    intake: Intake,
    fitted: Fitted,
    rows: Vec<Recommendation>,
    popular: Vec<(u32, u32)>,
    quality: Vec<f64>,
    metrics: Value,
}

/// What a night has come to before anything is written.
enum Outlook {
    /// There are lists to publish.
    Fit(Box<Tonight>),
    /// The gate objects.
    Refused(Box<Refused>),
}

/// A night whose lists are not to be seen.
struct Refused {
    intake: Intake,
    finding: Finding,
}

impl Tonight {
    fn counts(&self) -> Value {
        self.intake.counts(self.rows.len() as u64)
    }
}

/// A night's work in progress.
struct Job<'a> {
    work: Work<'a>,
    device: Device,
    loss: Option<f64>,
    force: bool,
}

impl Job<'_> {
    /// How many rows are published, if training would only give the same ones again.
    fn unchanged(&self, database: &Database, intake: &Intake) -> Result<Option<u64>> {
        let Some(current) = runs::current(database)? else {
            return Ok(None);
        };
        let settings: Option<Config> =
            current.config.as_deref().and_then(|settings| serde_json::from_str(settings).ok());
        let same = current.version == env!("CARGO_PKG_VERSION")
            && current.input_digest.as_deref() == Some(&intake.digest)
            && settings.is_some_and(|settings| settings.decisive() == self.work.config.decisive());
        // Only then is it worth looking whether all of it still stands, and nothing else does.
        if !same || keep::verify(&database.folder(), current.run_id, Some(&intake.digest)).is_err() {
            return Ok(None);
        }
        let (all, own) = runs::rows_of(database, current.run_id)?;
        let published = current.counts["recommendations"].as_u64();
        Ok(Some(all).filter(|all| own == *all && published == Some(*all)))
    }

    /// Notes that there was nothing to do.
    fn leave(&self, database: &mut Database, run_id: i64, intake: &Intake, rows: u64) -> Result<Outcome> {
        let counts = intake.counts(rows);
        let story = Story {
            counts: counts.clone(),
            metrics: json!({}),
            timings: self.work.clock.timings(&STAGES),
            input_digest: Some(intake.digest.clone()),
            error: None,
        };
        database.write("noting that nothing has changed", |transaction| {
            runs::note_rejects(transaction, run_id, &self.work.rejects)?;
            runs::finished(transaction, run_id, Ending::Unchanged, &story)
        })?;
        self.work.console.say(
            "unchanged  ratings, settings and version are those of the published set, which stands; \
             --force trains anyway",
        );
        Ok(self.report(Some(run_id), Ending::Unchanged.word(), &counts, &story.metrics).into())
    }

    fn finish(&mut self, database: &mut Database, run_id: i64, intake: Intake) -> Result<Outcome> {
        let mut tonight = match self.fit(database, intake)? {
            Outlook::Fit(tonight) => tonight,
            Outlook::Refused(refused) => {
                let story = Story {
                    counts: refused.intake.counts(0),
                    metrics: refused.finding.metrics.clone(),
                    timings: self.work.clock.timings(&STAGES),
                    input_digest: Some(refused.intake.digest.clone()),
                    error: Some(gate::refusal(&refused.finding.objections).to_string()),
                };
                database.write("noting that nothing was published", |transaction| {
                    runs::note_rejects(transaction, run_id, &self.work.rejects)?;
                    runs::finished(transaction, run_id, Ending::Refused, &story)
                })?;
                return Ok(self.refusal(Some(run_id), refused));
            }
        };
        self.publish(database, run_id, &mut tonight)?;
        let status = Ending::Published.word();
        Ok(self.report(Some(run_id), status, &tonight.counts(), &tonight.metrics).into())
    }

    fn refusal(&self, run_id: Option<i64>, refused: Box<Refused>) -> Outcome {
        let Refused { intake, finding } = *refused;
        let json = self.report(run_id, Ending::Refused.word(), &intake.counts(0), &finding.metrics);
        Outcome { json, failure: Some(gate::refusal(&finding.objections)), ..Outcome::default() }
    }

    /// Everything up to the finished lists, unless the gate objects; writes nothing.
    fn fit(&mut self, database: &Database, intake: Intake) -> Result<Outlook> {
        let interrupt = database.interrupt();
        let finding = self.examine(database, &intake)?;
        if !finding.objections.is_empty() && !self.force {
            return Ok(Outlook::Refused(Box::new(Refused { intake, finding })));
        }
        let ratings = &intake.ratings;
        let settings = Settled::new(self.work.config, &ratings.interactions);
        let evidence = Evidence::new(&ratings.interactions, &intake.groups, &settings.model);
        let fitted = self.train(interrupt, ratings, evidence, &settings)?;
        let popularity = Popularity::new(&ratings.interactions, &fitted.rated, &fitted.weighted);
        let rows = self.recommend(interrupt, ratings, &settings, &fitted, &popularity)?;
        let mut metrics = finding.metrics;
        // Coverage is that of the published lists, not of those that were judged.
        metrics["coverage"] = json!(recommend::coverage(&rows, ratings.items.rated_count()));
        metrics["popular_share"] = json!(recommend::popular_share(&rows));
        metrics["loss"] = json!(self.loss);
        metrics["regularization"] = json!(settings.model.regularization);
        metrics["unobserved_weight"] = json!(settings.model.unobserved_weight);
        metrics["length_exponent"] = json!(settings.model.length_exponent);
        let popular = popularity.best(settings.output.popular);
        let quality = finding.quality;
        Ok(Outlook::Fit(Box::new(Tonight { settings, intake, fitted, rows, popular, quality, metrics })))
    }

    /// What the gate says.
    fn examine(&mut self, database: &Database, intake: &Intake) -> Result<Finding> {
        let (config, console, device) = (self.work.config, self.work.console, self.device);
        let readers = intake.ratings.users.len();
        if !config.gate.enabled {
            return Ok(Finding::none(readers, "the gate is turned off"));
        }
        let mut finding = self.work.clock.time("evaluate", || -> Result<Finding> {
            let past = Past::find(database)?;
            let shrunk = past.as_ref().map(|past| past.shrunk(intake, config.gate.shrink));
            let mut finding = match shrunk {
                // Known without training anything.
                Some(shrunk) if !shrunk.is_empty() && !self.force => {
                    let mut finding = Finding::none(readers, "the input shrank");
                    finding.objections = shrunk;
                    return Ok(finding);
                }
                _ => gate::examine(intake, past.as_ref(), config, device, console, database.interrupt())?,
            };
            finding.objections.extend(shrunk.into_iter().flatten());
            Ok(finding)
        })?;
        let mut lines = finding.lines.iter();
        if let Some(first) = lines.next() {
            console.say(format!("evaluate   {first}, {:.1} s", self.work.clock.of("evaluate")));
        }
        lines.for_each(|line| console.say(format!("           {line}")));
        let verdict = match (finding.objections.is_empty(), self.force) {
            (true, _) => "passed",
            (false, false) => "refused",
            (false, true) => "forced",
        };
        if self.force {
            finding.objections.iter().for_each(|objection| console.warn(format!("--force: {objection}")));
        }
        finding.metrics["gate"]["verdict"] = json!(verdict);
        finding.metrics["gate"]["objections"] = json!(finding.objections);
        Ok(finding)
    }

    fn train(
        &mut self,
        interrupt: &Interrupt,
        ratings: &Encoded,
        evidence: Evidence,
        config: &Settled,
    ) -> Result<Fitted> {
        let (console, device) = (self.work.console, self.device);
        let rated = ratings.interactions.rated();
        let stars = ratings.scale.filter(|_| !rated.is_empty());
        if stars.is_none() && config.model.objective == Objective::Rating {
            return Err(Error::new(
                Kind::NoRatings,
                "objective = \"rating\" needs ratings, and all rows are implicit",
            )
            .hint("use --objective ranking, or look at implicit_rating under [source]"));
        }
        let fitted = self.work.clock.time("train", || -> Result<Fitted> {
            let bar = console.bar("train", config.model.epochs as u64);
            let loss = std::sync::Mutex::new(None);
            let epoch = |epoch: usize, value: f64| {
                bar.advance(1);
                console.step(format!("           epoch {epoch}: loss {value:.5} a rating"));
                if let Ok(mut loss) = loss.lock() {
                    *loss = Some(value);
                }
            };
            let ranking = model::fit_ranking(device, &evidence, config, &Watch { interrupt, epoch: &epoch })?;
            self.loss = loss.into_inner().ok().flatten();
            let rating = match stars {
                None => None,
                Some(scale) => {
                    let bar = console.bar("train stars", config.rating.rating_epochs as u64);
                    let epoch = |epoch: usize, value: f64| {
                        bar.advance(1);
                        console.step(format!("           stars, epoch {epoch}: loss {value:.5} a rating"));
                    };
                    let watch = Watch { interrupt, epoch: &epoch };
                    Some(model::fit_rating(device, &rated, &ranking, scale, config, &watch)?)
                }
            };
            let lifts = evidence.lifts(&ranking, config.model.length_exponent);
            Ok(Fitted { ranking, lifts, weighted: evidence.into_rows(), rating, rated })
        })?;
        let loss = self.loss.map_or(String::new(), |loss| format!(", loss {loss:.4}"));
        let config = &config.model;
        console.say(format!(
            "train      {} factors, {} epochs, λ {:.1e}, α₀ {:.3}, γ {:.2}{loss}, {:.1} s",
            config.factors,
            config.epochs,
            config.regularization,
            config.unobserved_weight,
            config.length_exponent,
            self.work.clock.of("train")
        ));
        Ok(fitted)
    }

    fn recommend(
        &mut self,
        interrupt: &Interrupt,
        ratings: &Encoded,
        config: &Settled,
        fitted: &Fitted,
        popularity: &Popularity,
    ) -> Result<Vec<Recommendation>> {
        let console = self.work.console;
        let rows = self.work.clock.time("recommend", || {
            let bar = console.bar("recommend", ratings.users.len() as u64);
            let done = |users| bar.advance(users as u64);
            let interactions = &ratings.interactions;
            recommend::fill(interactions, fitted, popularity, Origin::Model, config, interrupt, &done)
        })?;
        console.say(format!(
            "recommend  {} for {} readers, {:.1} s",
            count(rows.len()),
            count(ratings.users.len()),
            self.work.clock.of("recommend")
        ));
        Ok(rows)
    }

    fn publish(&mut self, database: &mut Database, run_id: i64, tonight: &mut Tonight) -> Result<()> {
        let (console, since) = (self.work.console, Instant::now());
        let (users, items) = (&tonight.intake.ratings.users, &tonight.intake.ratings.items);
        let folder = database.folder();
        let model = Model {
            run_id,
            input_digest: tonight.intake.digest.clone(),
            config: tonight.settings.clone(),
            readers: Readers {
                users: users.clone(),
                digests: tonight.intake.ratings.reader_digests(),
                ratings: tonight.intake.ratings.interactions.items_per_user(),
                quality: std::mem::take(&mut tonight.quality),
            },
            items: items.clone(),
            // From here on nobody else needs them.
            ranking: std::mem::take(&mut tonight.fitted.ranking),
            rating: tonight.fitted.rating.take(),
        };
        model.write(&folder)?;
        let counts = tonight.counts();
        let publication = Publication {
            names: Names { run_id, users, items },
            digests: &model.readers.digests,
            rows: &tonight.rows,
            popular: &tonight.popular,
        };
        let Work { clock, rejects, .. } = &mut self.work;
        let bar = console.bar("publish", tonight.rows.len() as u64);
        let published = publication.publish(database, &bar, |transaction| {
            clock.note("publish", since);
            let story = Story {
                counts: counts.clone(),
                metrics: tonight.metrics.clone(),
                timings: clock.timings(&STAGES),
                input_digest: Some(tonight.intake.digest.clone()),
                error: None,
            };
            runs::note_rejects(transaction, run_id, rejects)?;
            runs::finished(transaction, run_id, Ending::Published, &story)
        });
        drop(bar);
        if let Err(error) = published {
            // A model that nobody sees the lists of. If this fails, the next run removes it.
            let _ = std::fs::remove_dir_all(keep::path(&folder, run_id));
            return Err(error);
        }
        // It is published: older models that stay for once are no reason to say otherwise.
        if let Ok(runs) = runs::on_the_shelf(database) {
            keep::forget_all_but(&folder, &runs);
        }
        self.work.clock.note("publish", since);
        console.say(format!("publish    run {run_id}, {:.1} s", self.work.clock.of("publish")));
        Ok(())
    }

    fn report(&self, run_id: Option<i64>, status: &str, counts: &Value, metrics: &Value) -> Value {
        let mut report = counts.clone();
        report["run_id"] = json!(run_id);
        report["status"] = json!(status);
        report["device"] = json!(self.device.to_string());
        report["metrics"] = metrics.clone();
        report["timings"] = self.work.clock.timings(&STAGES);
        report["peak_memory_bytes"] = json!(peak_memory());
        report
    }
}
