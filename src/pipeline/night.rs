//! The nightly job: read, judge, train, make lists, publish.

use std::path::Path;
use std::time::Instant;

use crate::catalog::encode::Encoded;
use crate::catalog::recommendation::Origin;
use crate::catalog::split::Scheme;
use crate::catalog::times;
use crate::cluster::factors::FittedElsewhere;
use crate::config::ResolvedConfig;
use crate::context::Context;
use crate::database::Database;
use crate::database::lock::Lock;
use crate::database::publish::reader_lists::Note;
use crate::database::publish::{self, Draft, Labels, rehearsal, shown, slots};
use crate::database::runs::{self, Ending};
use crate::error::{Error, Kind, Result};
use crate::model::data::Interactions;
use crate::model::device::{self, Device};
use crate::model_store::{self, StoredItems, StoredModel, StoredUsers};
use crate::pipeline::dataset::{Dataset, Job};
use crate::pipeline::gate::{self, Judgement};
use crate::pipeline::lists::{make_beside, make_lists};
use crate::pipeline::proof;
use crate::pipeline::train::train;
use crate::recommender::lists::{Fitted, ListMaker, ListStatistics};
use crate::recommender::ranking::{Lesson, WINDOWS};
use crate::recommender::training::{Beginning, Trained};
use crate::run_summary::{Losses, Metrics, RunKind, RunStatus, RunSummary, Stage};
use crate::{failpoint, machine};

/// The stages in a night's `timings`.
const STAGES: [Stage; 8] = [
    Stage::Read,
    Stage::Normalise,
    Stage::Encode,
    Stage::Books,
    Stage::Train,
    Stage::Evaluate,
    Stage::Recommend,
    Stage::Publish,
];

#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Write nothing.
    pub dry_run: bool,
    /// Train and publish even if nothing has changed or the gate objects.
    pub force: bool,
    /// A folder with factors that were fitted elsewhere.
    pub factors: Option<&'a Path>,
}

/// The result of a job that did not fail.
#[derive(Debug)]
pub struct Finished {
    pub summary: RunSummary,
    /// Why the gate refused to publish, if it did.
    pub refusal: Option<Error>,
}

impl From<RunSummary> for Finished {
    fn from(summary: RunSummary) -> Self {
        Self { summary, refusal: None }
    }
}

/// Runs the nightly job.
///
/// # Errors
/// Any [`Kind`]; the published set then stays as it was.
pub fn run(context: Context<'_>, db: &Path, options: Options<'_>) -> Result<Finished> {
    let Context { config, console, .. } = context;
    let (device, why) = device::choose(&config.compute.device)?;
    console.say(format!("device     {device}: {why}"));
    let mut database = context.open(db)?;
    database.read("looking at the database", slots::refuse_foreign_tables)?;
    let Options { force, factors, .. } = options;
    let mut night = Night { device, force, factors, given: None, job: Job::new(context) };
    if options.dry_run {
        return night.dry_run(&database);
    }
    let _lock = Lock::take(&database)?;
    let run_id = runs::begin(&mut database, RunKind::Nightly, &device.to_string(), config)?;
    failpoint::reach("night.begun");
    let done = night.job.load(&database).and_then(|dataset| match night.unchanged(&database, &dataset)? {
        Some(rows) => night.skip(&mut database, run_id, &dataset, rows),
        None => night.finish(&mut database, run_id, dataset),
    });
    done.map_err(|error| {
        let error = stopped(error);
        runs::ended(&mut database, run_id, &error, &night.job.rejects);
        error
    })
}

/// Adds to the error of a stopped night that nothing was published.
fn stopped(error: Error) -> Error {
    match error.kind() {
        Kind::Interrupted | Kind::Terminated => {
            Error::new(error.kind(), format!("{error}; nothing was published"))
                .hint("the lists of before stand")
        }
        _ => error,
    }
}

/// Does the rest of the nightly job for ratings that are loaded already, as the run `run_id`.
///
/// # Errors
/// As [`run`].
pub fn run_loaded(
    job: Job<'_>,
    device: Device,
    database: &mut Database,
    run_id: i64,
    dataset: Dataset,
) -> Result<Finished> {
    Night { device, force: false, factors: None, given: None, job }
        .finish(database, run_id, dataset)
        .map_err(stopped)
}

struct Night<'a> {
    job: Job<'a>,
    device: Device,
    force: bool,
    /// As [`Options::factors`].
    factors: Option<&'a Path>,
    /// What is in that folder, once the ratings are known.
    given: Option<FittedElsewhere>,
}

/// The results of training, which may be published.
struct Tonight {
    config: ResolvedConfig,
    dataset: Dataset,
    trained: Trained,
    quality: Vec<f64>,
    metrics: Metrics,
}

/// The result of a night before anything is written.
enum Outlook {
    /// The models are trained, and lists can be made.
    Fit(Box<Tonight>),
    /// The gate objects.
    Refused(Box<(Dataset, Judgement)>),
}

impl Night<'_> {
    /// The number of published rows, if training would only give the same ones again and is not forced.
    fn unchanged(&self, database: &Database, dataset: &Dataset) -> Result<Option<u64>> {
        // Whoever brings factors wants them used.
        let wanted = self.force || self.factors.is_some();
        let Some(current) = runs::current(database)?.filter(|_| !wanted) else {
            return Ok(None);
        };
        let settings = self.job.context.config.decisive();
        let same = current.version == env!("CARGO_PKG_VERSION")
            && current.input_digest.as_deref() == Some(&dataset.digest)
            && current.config.is_some_and(|then| then.decisive() == settings);
        // Only then is it worth checking that the published set is complete and holds no other rows.
        if !same
            || database.read("looking at the published tables", slots::are_outdated)?
            || model_store::verify(&database.folder(), current.run_id, Some(&dataset.digest)).is_err()
        {
            return Ok(None);
        }
        let (all, own) = runs::rows_of(database, current.run_id)?;
        let published = current.counts.recommendations;
        Ok(Some(all).filter(|all| own == *all && published == Some(*all)))
    }

    /// Records in the history that there was nothing to do.
    fn skip(&self, database: &mut Database, run_id: i64, dataset: &Dataset, rows: u64) -> Result<Finished> {
        let summary = self.summary(Some(run_id), RunStatus::Unchanged, dataset, rows, Metrics::default());
        self.note(database, "noting that nothing has changed", dataset, &summary, None)?;
        self.job.context.console.say(
            "unchanged  ratings, settings and version are those of the published set, which stands; \
             --force trains anyway",
        );
        Ok(summary.into())
    }

    /// Goes from ratings to a published set, unless the gate objects.
    fn finish(&mut self, database: &mut Database, run_id: i64, dataset: Dataset) -> Result<Finished> {
        self.rehearse_publishing(database, run_id, &dataset)?;
        rehearsal::exchange(database)?;
        let outlook = std::thread::scope(|scope| {
            // Empties the unused slots. If this fails, it is tried again when they are needed.
            let beside = database.again();
            scope.spawn(move || beside.and_then(|mut database| publish::empty_unused_slots(&mut database)));
            self.fit(database, dataset)
        });
        match outlook? {
            Outlook::Fit(tonight) => self.publish(database, run_id, *tonight),
            Outlook::Refused(refused) => {
                let (dataset, judgement) = *refused;
                let finished = self.refused(Some(run_id), &dataset, &judgement);
                let why = finished.refusal.as_ref().map(Error::to_string);
                let doing = "noting that nothing was published";
                self.note(database, doing, &dataset, &finished.summary, why.as_deref())?;
                Ok(finished)
            }
        }
    }

    /// A dry run: does all but publishing, and writes nothing.
    fn dry_run(&mut self, database: &Database) -> Result<Finished> {
        let dataset = self.job.load(database)?;
        self.rehearse_publishing(database, 0, &dataset)?;
        let finished = match self.fit(database, dataset)? {
            Outlook::Refused(refused) => self.refused(None, &refused.0, &refused.1),
            Outlook::Fit(tonight) => {
                let Tonight { config, dataset, mut trained, mut metrics, .. } = *tonight;
                let interactions = &dataset.ratings.interactions;
                let editions = dataset.related.editions(&config).into_owned();
                let popularity =
                    trained.popularity(editions).with_candidates(dataset.selection.candidates.clone());
                let fitted = Fitted {
                    hidden: &dataset.selection.hidden,
                    dislikes: &dataset.ratings.dislikes,
                    ..trained.fitted(interactions)
                };
                let lists = ListMaker::new(fitted, &popularity, Origin::Model, &config, self.device)?;
                let statistics = make_lists(&mut self.job, &lists, dataset.memory, |_| Ok(()))?;
                self.describe(&mut metrics, &statistics, &dataset);
                self.summary(None, RunStatus::DryRun, &dataset, statistics.rows as u64, metrics).into()
            }
        };
        self.job.context.console.say("dry run    nothing was written");
        Ok(finished)
    }

    /// Checks before any training that the published tables would accept the lists.
    fn rehearse_publishing(&self, database: &Database, run_id: i64, dataset: &Dataset) -> Result<()> {
        let Encoded { users, items, .. } = &dataset.ratings;
        rehearsal::rows(database, Labels { run_id, users, items }, self.job.context.config.output.top)
    }

    /// Runs the gate and, unless it objects, trains the models; writes nothing.
    fn fit(&mut self, database: &Database, dataset: Dataset) -> Result<Outlook> {
        let Job { context, clock, .. } = &mut self.job;
        if let Some(folder) = self.factors {
            let read = || FittedElsewhere::read(folder, &dataset.digest, &context.config.model);
            let given = clock.time(Stage::Train, read)?;
            context.console.say(format!("factors    {}, by {}", folder.display(), given.engine));
            self.given = Some(given);
        }
        let given = self.given.as_ref();
        let judgement = gate::judge(*context, clock, database, &dataset, (self.device, given), self.force)?;
        if judgement.refusal().is_some() {
            return Ok(Outlook::Refused(Box::new((dataset, judgement))));
        }
        let ratings = &dataset.ratings;
        let (mut metrics, held_out) = (judgement.metrics(), judgement.in_short());
        let Judgement { quality, start, mut ranker, model, .. } = judgement;
        let mut config = context.config.clone();
        config.model = model.or(given.map(|given| given.model.clone())).unwrap_or(config.model);
        if ranker.is_none() {
            let lesson = Lesson {
                ratings,
                split: None,
                related: &dataset.related,
                scheme: Scheme::of_night(&ratings.moments, config.gate.holdout),
                windows: WINDOWS,
                device: self.device,
                interrupt: context.interrupt,
            };
            if let Some(learned) = clock.time(Stage::Train, || lesson.ranker(&config))? {
                config.model = learned.model;
                ranker = Some(learned.ranker);
            }
        }
        let (config, confidence) = dataset.problem(&config);
        let beginning = Beginning { start, given: given.map(|given| &given.all) };
        let books = (ratings, &dataset.related);
        let trained =
            train(&mut self.job, self.device, books, &config, confidence, (beginning, ranker), &held_out)?;
        metrics.loss = trained.losses.last().copied();
        metrics.losses =
            Some(Losses { all: Some(trained.losses.clone()), ..metrics.losses.unwrap_or_default() });
        metrics.regularization = Some(config.model.regularization);
        metrics.unobserved_weight = Some(config.model.unobserved_weight);
        metrics.length_exponent = Some(config.model.length_exponent);
        Ok(Outlook::Fit(Box::new(Tonight { config, dataset, trained, quality, metrics })))
    }

    fn publish(&mut self, database: &mut Database, run_id: i64, tonight: Tonight) -> Result<Finished> {
        let (console, folder) = (self.job.context.console, database.folder());
        let Tonight { config, dataset, mut trained, quality, mut metrics } = tonight;
        let current = match runs::current(database)? {
            Some(_) => shown::current(database, &dataset.ratings)?,
            None => Vec::new(),
        };
        let shown = match config.rules.stale_after {
            0 => Interactions::default(),
            _ => shown::nights_with(&current, &shown::nights(database, &dataset.ratings)?, &dataset.ratings),
        };
        metrics.proof = proof::count(database, &dataset, &current)?;
        if let Some(proof) = metrics.proof.as_ref().filter(|proof| proof.picks > 0) {
            console.say(format!("proof      {}", proof.in_words()));
        }
        let Encoded { interactions, users, items, .. } = &dataset.ratings;
        let editions = dataset.related.editions(&config).into_owned();
        let model = StoredModel {
            run_id,
            input_digest: dataset.digest.clone(),
            config: config.clone(),
            readers: StoredUsers {
                users: users.clone(),
                digests: dataset.ratings.reader_digests(),
                ratings: interactions.items_per_user(),
                quality,
                attributes: dataset.ratings.attributes.clone(),
            },
            books: StoredItems {
                items: items.clone(),
                popularity: trained
                    .popularity(editions)
                    .with_candidates(dataset.selection.candidates.clone()),
                weights: trained.confidence.item_weights().to_vec(),
                item_scales: std::mem::take(&mut trained.item_scales),
            },
            ranking: std::mem::take(&mut trained.ranking),
            neighbours: std::mem::take(&mut trained.neighbours),
            ranker: trained.ranker.take(),
            newest: times::newest(&dataset.ratings.moments),
            rating: trained.rating.take(),
        };
        let books = &model.books;
        let labels = Labels { run_id, users, items };
        let published = std::thread::scope(|scope| -> Result<RunSummary> {
            // The models are written to disk while lists are made from them.
            let storing = scope.spawn(|| model.write(&folder));
            let mut draft = Draft::begin(database, labels)?;
            let fitted = Fitted {
                interactions,
                ranking: &model.ranking,
                neighbours: &model.neighbours,
                ranker: model.ranker.as_ref(),
                idle: &trained.idle,
                attributes: &trained.attributes,
                item_scales: &books.item_scales,
                weighted: trained.confidence.rows(),
                rating: model.rating.as_ref(),
                rated: &trained.rated,
                hidden: &dataset.selection.hidden,
                dislikes: &dataset.ratings.dislikes,
                shown: &shown,
            };
            let lists = ListMaker::new(fitted, &books.popularity, Origin::Model, &config, self.device)?;
            let statistics =
                make_lists(&mut self.job, &lists, dataset.memory, |rows| draft.add(rows, &shown))?;
            drop(lists);
            let beside = make_beside(&mut self.job, &model, &dataset.selection)?;
            let popular: Vec<Option<u32>> =
                beside.popular.iter().take(config.output.top).map(|entry| Some(entry.item)).collect();
            let note = |(user, digest): (usize, &i64)| {
                let own = interactions.of(user).0;
                let popular = proof::popular_among(&popular, own) as u32;
                Note { digest: *digest, ratings: own.len() as u32, popular }
            };
            let notes: Vec<Note> = model.readers.digests.iter().enumerate().map(note).collect();
            let since = Instant::now();
            storing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            self.describe(&mut metrics, &statistics, &dataset);
            let rows = statistics.rows as u64;
            draft.publish(&notes, &beside, |transaction| {
                self.job.clock.note(Stage::Publish, since);
                let summary =
                    self.summary(Some(run_id), RunStatus::Published, &dataset, rows, metrics.clone());
                let input_digest = &dataset.digest;
                runs::note_rejects(transaction, run_id, &self.job.rejects)?;
                runs::finished(transaction, run_id, &Ending { summary: &summary, input_digest, error: None })
            })?;
            self.job.clock.note(Stage::Publish, since);
            Ok(self.summary(Some(run_id), RunStatus::Published, &dataset, rows, metrics))
        });
        let summary = published.inspect_err(|_| {
            // This model's lists were not published. If removing it fails, the next run does it.
            let _ = std::fs::remove_dir_all(model_store::path(&folder, run_id));
        })?;
        // The set is published, so a failure to clean up is only a warning.
        if let Err(error) = publish::leave_strict(database) {
            console.warn(format!("the set before is still in STRICT tables: {error}"));
        }
        if let Ok(runs) = runs::published(database) {
            model_store::forget_all_but(&folder, &runs);
        }
        console.say(format!("publish    run {run_id}, {:.1} s", self.job.clock.of(Stage::Publish)));
        Ok(summary.into())
    }

    fn refused(&self, run_id: Option<i64>, dataset: &Dataset, judgement: &Judgement) -> Finished {
        let summary = self.summary(run_id, RunStatus::Refused, dataset, 0, judgement.metrics());
        Finished { summary, refusal: judgement.refusal() }
    }

    /// Records in the history how a run ended that publishes nothing.
    fn note(
        &self,
        database: &mut Database,
        doing: &str,
        dataset: &Dataset,
        summary: &RunSummary,
        error: Option<&str>,
    ) -> Result<()> {
        let (rejects, input_digest) = (&self.job.rejects, &dataset.digest);
        let run_id = summary.run_id.unwrap_or_default();
        database.write(doing, |transaction| {
            runs::note_rejects(transaction, run_id, rejects)?;
            runs::finished(transaction, run_id, &Ending { summary, input_digest, error })
        })?;
        Ok(())
    }

    /// Adds to the metrics the memory, and the figures of all lists together: of the lists to publish, not of
    /// those that the gate judged.
    fn describe(&self, metrics: &mut Metrics, lists: &ListStatistics, dataset: &Dataset) {
        metrics.coverage = Some(lists.coverage(dataset.ratings.items.len()));
        metrics.popular_share = Some(lists.popular_share());
        metrics.peak_memory_bytes = machine::peak_memory();
        metrics.memory_bytes = self.job.clock.memory();
    }

    fn summary(
        &self,
        run_id: Option<i64>,
        status: RunStatus,
        dataset: &Dataset,
        rows: u64,
        metrics: Metrics,
    ) -> RunSummary {
        RunSummary {
            run_id,
            status,
            device: self.device.to_string(),
            counts: dataset.counts(rows),
            metrics,
            timings: self.job.clock.timings(&STAGES),
            peak_memory_bytes: machine::peak_memory(),
            due: None,
        }
    }
}
