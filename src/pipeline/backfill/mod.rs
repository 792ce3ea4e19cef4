//! `nightshelf backfill`: after an import, new lists from the published model in seconds.
//!
//! A digest of the ratings is stored with each list, so out-of-date lists are found without timestamps. Their
//! readers, and books that the model has not seen, are solved against the stored factors
//! ([`crate::model::fold_in`]), and each reader's list is replaced in one transaction.

mod plan;

use std::path::Path;
use std::time::Instant;

use crate::catalog::encode::Encoded;
use crate::context::Context;
use crate::database::Database;
use crate::database::lock::Lock;
use crate::database::publish::reader_lists::{self, Noted};
use crate::database::publish::{Labels, rehearsal, slots};
use crate::database::runs::{self, Current};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::model::device;
use crate::model_store::StoredModel;
use crate::pipeline::dataset::{Dataset, Job};
use crate::pipeline::night::{self, Finished};
use crate::run_summary::{RunKind, RunStatus, Stage};
use plan::Plan;

/// The stages in a backfill's `timings`.
const STAGES: [Stage; 8] = [
    Stage::Read,
    Stage::Normalise,
    Stage::Encode,
    Stage::Load,
    Stage::Books,
    Stage::FoldIn,
    Stage::Recommend,
    Stage::Publish,
];

#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Readers whose ratings have changed since this run, even if their lists were replaced meanwhile.
    pub since_run: Option<i64>,
    /// A file with the readers' ids, one per line.
    pub users: Option<&'a Path>,
    /// Only lists with a book that may be shown no more.
    pub refresh: bool,
    /// Do a full night if one is due.
    pub full_if_needed: bool,
    /// Write nothing.
    pub dry_run: bool,
}

/// Brings lists up to date.
///
/// # Errors
/// [`Kind::Failed`], [`Kind::NoInput`] or [`Kind::Io`] if there is no usable model; else as [`night::run`].
/// Each reader's list is then the old one or the new one.
pub fn run(context: Context<'_>, db: &Path, options: Options<'_>) -> Result<Finished> {
    let Context { config, console, .. } = context;
    let mut database = context.open(db)?;
    database.read("looking at the database", slots::refuse_foreign_tables)?;
    let names = options.users.map(read_names).transpose()?;
    let mut job = Job::new(context);
    if options.dry_run {
        let (dataset, published) = load(&mut job, &database)?;
        let base = Base::load(&database, &dataset, published, &mut job)?;
        let plan = Plan::make(&options, names.as_deref(), base, &database, &dataset, &job)?;
        plan.tell(console);
        console.say("dry run    nothing was written");
        return Ok(plan.summary(&job, None, RunStatus::DryRun, dataset.counts(0)).into());
    }
    let _lock = Lock::take(&database)?;
    let run_id = runs::begin(&mut database, RunKind::Backfill, "cpu", config)?;
    failpoint::reach("backfill.begun");
    let done = bring_up_to_date(&options, names.as_deref(), &mut job, &mut database, run_id);
    done.inspect_err(|error| {
        runs::ended(&mut database, run_id, error, &job.rejects);
    })
}

fn bring_up_to_date(
    options: &Options<'_>,
    names: Option<&[String]>,
    job: &mut Job<'_>,
    database: &mut Database,
    run_id: i64,
) -> Result<Finished> {
    let console = job.context.console;
    let (dataset, published) = load(job, database)?;
    let base = match Base::load(database, &dataset, published, job) {
        Ok(base) => base,
        Err(error) if options.full_if_needed && error.kind() != Kind::Busy => {
            database.interrupt().check()?;
            console.say(format!("full night {error}"));
            return full_night(job, database, run_id, dataset);
        }
        Err(error) => return Err(error),
    };
    let plan = Plan::make(options, names, base, database, &dataset, job)?;
    if options.full_if_needed && !plan.due.is_empty() {
        console.say(format!("full night {}", plan.due.join("; ")));
        return full_night(job, database, run_id, dataset);
    }
    plan.tell(console);
    let Encoded { users, items, .. } = &dataset.ratings;
    rehearsal::rows(database, Labels { run_id, users, items }, job.context.config.output.top)?;
    plan.carry_out(job, database, run_id, &dataset).map(Finished::from)
}

/// Does the nightly job instead, in the same row of the history.
fn full_night(job: &mut Job<'_>, database: &mut Database, run_id: i64, dataset: Dataset) -> Result<Finished> {
    let (device, why) = device::choose(&job.context.config.compute.device)?;
    job.context.console.say(format!("device     {device}: {why}"));
    runs::becomes_nightly(database, run_id, &device.to_string())?;
    let job = Job { clock: std::mem::take(&mut job.clock), rejects: job.rejects.clone(), ..*job };
    night::run_loaded(job, device, database, run_id, dataset)
}

/// The run whose set is published, and its model or why that cannot be read; `None` before the first.
type Published = Option<(Current, Result<StoredModel>)>;

/// Reads the ratings and, meanwhile, the model: SQLite keeps only one core busy.
fn load(job: &mut Job<'_>, database: &Database) -> Result<(Dataset, Published)> {
    let current = runs::current(database)?;
    let folder = &database.folder();
    std::thread::scope(|scope| {
        let published = current.map(|current| {
            let (run_id, digest) = (current.run_id, current.input_digest.clone());
            (current, scope.spawn(move || StoredModel::read(folder, run_id, digest.as_deref())))
        });
        let dataset = job.load(database)?;
        let failed = || Err(Error::new(Kind::Failed, "reading the model failed"));
        let published =
            published.map(|(current, reading)| (current, reading.join().unwrap_or_else(|_| failed())));
        Ok((dataset, published))
    })
}

/// The published model and what its lists were made from.
struct Base {
    current: Current,
    model: StoredModel,
    noted: Noted,
}

impl Base {
    /// Fails if something is missing, or has changed, so that only a full night can help.
    fn load(database: &Database, dataset: &Dataset, published: Published, job: &mut Job<'_>) -> Result<Self> {
        const FULL: &str = "`nightshelf run` makes new lists; --full-if-needed lets a backfill do so";
        let since = Instant::now();
        let unfit = |what: &str| Error::new(Kind::Failed, what).hint(FULL);
        let (current, model) =
            published.ok_or_else(|| unfit("there is no published set to bring up to date"))?;
        let model = model?;
        if model.config.items != job.context.config.items {
            return Err(unfit("key or invalid was changed: books have other names now"));
        }
        let noted = reader_lists::noted(database, &dataset.ratings.users)?
            .ok_or_else(|| unfit("the published lists do not say which ratings they were made from"))?;
        job.clock.note(Stage::Load, since);
        Ok(Self { current, model, noted })
    }
}

/// The ids in a file, one per line; empty lines are skipped.
fn read_names(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::file(&error, "read", path))?;
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Error::new(Kind::NoInput, format!("{} names no reader", path.display()))
            .hint("it should have one user_id a line"));
    }
    Ok(names)
}
