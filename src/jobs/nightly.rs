//! The nightly job: read, normalise, encode, train, recommend, publish.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::catalog::frame::Encoded;
use crate::config::Config;
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::jobs::gate::{self, Finding, Past, Shrinkage};
use crate::jobs::keep::{self, Books, Model, Readers};
use crate::jobs::lists::{Fitted, Lists, Tally};
use crate::jobs::room::Room;
use crate::jobs::training::{Trained, Training};
use crate::jobs::work::{Intake, Work, peak_memory};
use crate::model::device::{self, Device};
use crate::model::evidence::Evidence;
use crate::model::settled::Settled;
use crate::store::lock::Lock;
use crate::store::publish::{self, Draft, Names, Origin, Recommendation};
use crate::store::runs::{self, Ending, RunKind, Story};
use crate::store::{Database, rehearsal, slots};

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
/// Any [`Kind`](crate::error::Kind); the set from before stands then.
pub fn run(night: &Night<'_>, console: &Console, interrupt: &Interrupt) -> Result<Outcome> {
    let config = night.config;
    let (device, why) = device::choose(&config.compute.device)?;
    console.say(format!("device     {device}: {why}"));
    let patience = config.output.patience();
    let mut database = Database::open(night.db, patience, interrupt.clone())?;
    database.read("looking at the database", slots::refuse_foreign_tables)?;
    let mut job = Job { device, force: night.force, work: Work::new(config, console) };
    if night.dry_run {
        let intake = job.work.take_in(&database)?;
        let Encoded { users, items, .. } = &intake.ratings;
        rehearsal::rows(&database, Names { run_id: 0, users, items }, config.output.top)?;
        let outcome = match job.fit(&database, intake)? {
            Outlook::Fit(tonight) => job.rehearse(interrupt, *tonight)?,
            Outlook::Refused(refused) => job.refusal(None, refused),
        };
        console.say("dry run    nothing was written");
        return Ok(outcome);
    }
    let _lock = Lock::take(&database)?;
    let settings = serde_json::to_value(config).unwrap_or_default();
    let run_id = runs::begin(&mut database, RunKind::Nightly, &device.to_string(), &settings)?;
    failpoint::reach("night.begun");
    let done = job.work.take_in(&database).and_then(|intake| match job.unchanged(&database, &intake)? {
        Some(rows) => job.leave(&mut database, run_id, &intake, rows),
        None => job.finish(&mut database, run_id, intake),
    });
    done.map_err(|error| {
        let error = stopped(error);
        runs::ended(&mut database, run_id, &error, &job.work.rejects);
        error
    })
}

/// The error of a night, which has published nothing if it was stopped.
fn stopped(error: Error) -> Error {
    match error.kind() {
        Kind::Interrupted | Kind::Terminated => {
            Error::new(error.kind(), format!("{error}; nothing was published"))
                .hint("the lists of before stand")
        }
        _ => error,
    }
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
    Job { device, force: false, work }.finish(database, run_id, intake).map_err(stopped)
}

/// A night that may be published.
struct Tonight {
    settings: Settled,
    intake: Intake,
    trained: Trained,
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

/// A night's work in progress.
struct Job<'a> {
    work: Work<'a>,
    device: Device,
    force: bool,
}

impl Job<'_> {
    /// How many rows are published, if training would only give the same ones again and nobody wants that.
    fn unchanged(&self, database: &Database, intake: &Intake) -> Result<Option<u64>> {
        let Some(current) = runs::current(database)?.filter(|_| !self.force) else {
            return Ok(None);
        };
        let settings: Option<Config> =
            current.config.as_deref().and_then(|settings| serde_json::from_str(settings).ok());
        let same = current.version == env!("CARGO_PKG_VERSION")
            && current.input_digest.as_deref() == Some(&intake.digest)
            && settings.is_some_and(|settings| settings.decisive() == self.work.config.decisive());
        // Only then is it worth looking whether all of it still stands, and nothing else does.
        if !same
            || database.read("looking at the published tables", slots::are_outdated)?
            || keep::verify(&database.folder(), current.run_id, Some(&intake.digest)).is_err()
        {
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
        let Encoded { users, items, .. } = &intake.ratings;
        rehearsal::rows(database, Names { run_id, users, items }, self.work.config.output.top)?;
        rehearsal::exchange(database)?;
        let outlook = std::thread::scope(|scope| {
            // If this fails, it is tried again when the room is needed.
            let beside = database.again();
            scope.spawn(move || beside.and_then(|mut database| publish::make_room(&mut database)));
            self.fit(database, intake)
        });
        let refused = match outlook? {
            Outlook::Fit(tonight) => return self.publish(database, run_id, *tonight),
            Outlook::Refused(refused) => refused,
        };
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
        Ok(self.refusal(Some(run_id), refused))
    }

    fn refusal(&self, run_id: Option<i64>, refused: Box<Refused>) -> Outcome {
        let Refused { intake, finding } = *refused;
        let json = self.report(run_id, Ending::Refused.word(), &intake.counts(0), &finding.metrics);
        Outcome { json, failure: Some(gate::refusal(&finding.objections)), ..Outcome::default() }
    }

    /// Everything up to the trained models, unless the gate objects; writes nothing.
    fn fit(&mut self, database: &Database, intake: Intake) -> Result<Outlook> {
        let interrupt = database.interrupt();
        let finding = self.examine(database, &intake)?;
        if !finding.objections.is_empty() && !self.force {
            return Ok(Outlook::Refused(Box::new(Refused { intake, finding })));
        }
        let ratings = &intake.ratings;
        let settings = Settled::new(self.work.config, &ratings.interactions);
        let evidence = Evidence::new(&ratings.interactions, &intake.related.groups, &settings.model);
        let Finding { mut metrics, quality, start, .. } = finding;
        let held_out = match (metrics["gate"]["figure"].as_str(), metrics["gate"]["model"].as_f64()) {
            (Some(name), Some(figure)) => format!(", held-out {name} {figure:.4}"),
            _ => String::new(),
        };
        let trained =
            Training { device: self.device, interrupt, ratings, settings: &settings, held_out: &held_out }
                .train(&mut self.work, evidence, start)?;
        metrics["loss"] = json!(trained.losses.last());
        metrics["losses"]["all"] = json!(trained.losses);
        metrics["regularization"] = json!(settings.model.regularization);
        metrics["unobserved_weight"] = json!(settings.model.unobserved_weight);
        metrics["length_exponent"] = json!(settings.model.length_exponent);
        Ok(Outlook::Fit(Box::new(Tonight { settings, intake, trained, quality, metrics })))
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
            let Shrinkage { objections, missing } =
                past.as_ref().map(|past| past.shrunk(intake, config.gate.shrink)).unwrap_or_default();
            let mut finding = match objections.is_empty() || self.force {
                true => gate::examine(intake, past.as_ref(), config, device, console, database.interrupt())?,
                // Known without training anything.
                false => Finding::none(readers, "the input shrank"),
            };
            finding.objections.extend(objections);
            if !missing.is_empty() {
                finding.lines.push(format!(
                    "not compared, since the run before did not note it: {}",
                    missing.join(", ")
                ));
                finding.metrics["gate"]["missing"] = json!(missing);
            }
            Ok(finding)
        })?;
        let mut lines = finding.lines.iter();
        if let Some(first) = lines.next() {
            console.say(format!("evaluate   {first}, {:.1} s", self.work.clock.of("evaluate")));
        }
        lines.for_each(|line| console.say(format!("           {line}")));
        let judged = finding.metrics["gate"]["not_judged"].is_null();
        let verdict = match (finding.objections.is_empty(), self.force) {
            (true, _) if !judged => "not judged",
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

    /// Makes all lists and hands them to `write`, some readers' at a time: the next are made while the last
    /// are written.
    fn recommend(
        &mut self,
        interrupt: &Interrupt,
        lists: &Lists<'_>,
        room: Room,
        mut write: impl FnMut(&[Recommendation]) -> Result<()>,
    ) -> Result<Tally> {
        let console = self.work.console;
        let (readers, tile) = (lists.readers(), room.tile());
        let tally = self.work.clock.time("recommend", || {
            let bar = console.bar("recommend", readers as u64);
            let done = |users| bar.advance(users as u64);
            let mut tally = Tally::default();
            std::thread::scope(|scope| {
                let (to_write, made) = std::sync::mpsc::sync_channel(1);
                let making = scope.spawn(move || -> Result<()> {
                    for first in (0..readers).step_by(tile) {
                        let rows = lists.of(first..readers.min(first + tile), interrupt, &done)?;
                        if to_write.send(rows).is_err() {
                            // Writing has failed, and says so itself.
                            break;
                        }
                    }
                    Ok(())
                });
                for rows in made {
                    tally.add(&rows);
                    write(&rows)?;
                }
                making.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .map(|()| tally)
        })?;
        console.say(format!(
            "recommend  {} for {} readers, {:.1} s",
            count(tally.rows),
            count(readers),
            self.work.clock.of("recommend")
        ));
        Ok(tally)
    }

    /// A night that nobody sees.
    fn rehearse(&mut self, interrupt: &Interrupt, tonight: Tonight) -> Result<Outcome> {
        let Tonight { settings, intake, trained, mut metrics, .. } = tonight;
        let interactions = &intake.ratings.interactions;
        let popularity = trained.popularity(interactions, intake.related.editions(&settings).into_owned());
        let fitted = trained.fitted(interactions);
        let lists = Lists::new(fitted, &popularity, Origin::Model, &settings, self.device)?;
        let tally = self.recommend(interrupt, &lists, intake.room, |_| Ok(()))?;
        note(&mut metrics, &tally, &intake, &self.work);
        Ok(self.report(None, "dry-run", &intake.counts(tally.rows as u64), &metrics).into())
    }

    fn publish(&mut self, database: &mut Database, run_id: i64, tonight: Tonight) -> Result<Outcome> {
        let (console, interrupt, folder) =
            (self.work.console, database.interrupt().clone(), database.folder());
        let Tonight { settings, intake, mut trained, quality, mut metrics } = tonight;
        let Encoded { interactions, users, items, .. } = &intake.ratings;
        let model = Model {
            run_id,
            input_digest: intake.digest.clone(),
            config: settings.clone(),
            readers: Readers {
                users: users.clone(),
                digests: intake.ratings.reader_digests(),
                ratings: interactions.items_per_user(),
                quality,
            },
            books: Books {
                items: items.clone(),
                popularity: trained.popularity(interactions, intake.related.editions(&settings).into_owned()),
                weights: trained.evidence.item_weights().to_vec(),
                lifts: std::mem::take(&mut trained.lifts),
            },
            ranking: std::mem::take(&mut trained.ranking),
            rating: trained.rating.take(),
        };
        let books = &model.books;
        let names = Names { run_id, users, items };
        let published = std::thread::scope(|scope| -> Result<Value> {
            // The models go to the disk while lists are made from them.
            let keeping = scope.spawn(|| model.write(&folder));
            let mut draft = Draft::begin(database, names)?;
            let fitted = Fitted {
                interactions,
                ranking: &model.ranking,
                lifts: &books.lifts,
                weighted: trained.evidence.rows(),
                rating: model.rating.as_ref(),
                rated: &trained.rated,
            };
            let lists = Lists::new(fitted, &books.popularity, Origin::Model, &settings, self.device)?;
            let tally = self.recommend(&interrupt, &lists, intake.room, |rows| draft.add(rows))?;
            let since = Instant::now();
            drop(lists);
            keeping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            note(&mut metrics, &tally, &intake, &self.work);
            let counts = intake.counts(tally.rows as u64);
            let Work { clock, rejects, .. } = &mut self.work;
            draft.publish(
                &model.readers.digests,
                &books.popularity.best(settings.output.popular),
                |transaction| {
                    clock.note("publish", since);
                    let story = Story {
                        counts: counts.clone(),
                        metrics: metrics.clone(),
                        timings: clock.timings(&STAGES),
                        input_digest: Some(intake.digest.clone()),
                        error: None,
                    };
                    runs::note_rejects(transaction, run_id, rejects)?;
                    runs::finished(transaction, run_id, Ending::Published, &story)
                },
            )?;
            clock.note("publish", since);
            Ok(counts)
        });
        let counts = published.inspect_err(|_| {
            // A model that nobody sees the lists of. If this fails, the next run removes it.
            let _ = std::fs::remove_dir_all(keep::path(&folder, run_id));
        })?;
        // It is published: what stays for once is no reason to say otherwise.
        if let Err(error) = publish::leave_strict(database) {
            console.warn(format!("the set before is still in STRICT tables: {error}"));
        }
        if let Ok(runs) = runs::on_the_shelf(database) {
            keep::forget_all_but(&folder, &runs);
        }
        console.say(format!("publish    run {run_id}, {:.1} s", self.work.clock.of("publish")));
        Ok(self.report(Some(run_id), Ending::Published.word(), &counts, &metrics).into())
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

/// What is known of all lists together goes into the metrics: that of the published ones, not of those that
/// were judged.
fn note(metrics: &mut Value, tally: &Tally, intake: &Intake, work: &Work<'_>) {
    metrics["coverage"] = json!(tally.coverage(intake.ratings.items.len()));
    metrics["popular_share"] = json!(tally.popular_share());
    metrics["peak_memory_bytes"] = json!(peak_memory());
    metrics["memory_bytes"] = work.clock.memory();
}
