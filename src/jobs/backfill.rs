//! After a data import: new and changed readers against the model that stands, in seconds.
//!
//! Each list notes from which ratings it was made, so whose list is out of date is known without
//! asking for timestamps. Those readers, and books that the model has not seen, are solved against
//! the stored factors ([`foldin`]), and each reader's list is replaced at once.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::catalog::frame::Encoded;
use crate::catalog::vocabulary::{UserId, UserRef};
use crate::config::Config;
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::interrupt::Interrupt;
use crate::jobs::keep::{self, Model, Readers};
use crate::jobs::lists::{Fitted, Lists, Popularity};
use crate::jobs::work::{Intake, Work, peak_memory};
use crate::jobs::{Outcome, nightly};
use crate::model::device::{self, Device};
use crate::model::evidence::Evidence;
use crate::model::foldin::{self, Unsolved};
use crate::store::lock::Lock;
use crate::store::publish::{Names, Origin, Recommendation};
use crate::store::readers::{self, Noted, Replacement};
use crate::store::runs::{self, Current, Ending, RunKind, Story};
use crate::store::{Database, rehearsal, slots};

/// What a backfill goes through, in `timings`.
const STAGES: [&str; 8] = ["read", "normalise", "encode", "load", "books", "fold_in", "recommend", "publish"];

/// What to bring up to date.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The application's database.
    pub db: &'a Path,
    /// The settings.
    pub config: &'a Config,
    /// Readers whose ratings have changed since this run, whatever was done for them meanwhile.
    pub since_run: Option<i64>,
    /// A file that names the readers, one a line.
    pub users: Option<&'a Path>,
    /// Do a full night where one is due.
    pub full_if_needed: bool,
    /// Write nothing.
    pub dry_run: bool,
}

/// Brings lists up to date.
///
/// # Errors
/// [`Kind::Failed`], [`Kind::NoInput`] or [`Kind::Io`] if there is no model to work with, saying
/// why; else as [`nightly::run`]. Each reader's list is the old one or the new one.
pub fn backfill(request: &Request<'_>, console: &Console, interrupt: &Interrupt) -> Result<Outcome> {
    let config = request.config;
    let patience = config.output.patience();
    let mut database = Database::open(request.db, patience, interrupt.clone())?;
    database.read("looking at the database", slots::refuse_foreign_tables)?;
    let names = request.users.map(read_names).transpose()?;
    let mut work = Work::new(config, console);
    if request.dry_run {
        let (intake, published) = take_in(&mut work, &database)?;
        let base = Base::load(&database, &intake, published, &mut work)?;
        let plan = Plan::make(request, names.as_deref(), base, &database, &intake, &work)?;
        plan.tell(console);
        console.say("dry run    nothing was written");
        return Ok(plan.report(&work, None, "dry-run", &intake.counts(0)).into());
    }
    let _lock = Lock::take(&database)?;
    let settings = serde_json::to_value(config).unwrap_or_default();
    let run_id = runs::begin(&mut database, RunKind::Backfill, "cpu", &settings)?;
    failpoint::reach("backfill.begun");
    let done = run(request, names.as_deref(), &mut work, &mut database, run_id);
    done.inspect_err(|error| {
        runs::ended(&mut database, run_id, error, &work.rejects);
    })
}

fn run(
    request: &Request<'_>,
    names: Option<&[String]>,
    work: &mut Work<'_>,
    database: &mut Database,
    run_id: i64,
) -> Result<Outcome> {
    let console = work.console;
    let (intake, published) = take_in(work, database)?;
    let base = match Base::load(database, &intake, published, work) {
        Ok(base) => base,
        Err(error) if request.full_if_needed && error.kind() != Kind::Busy => {
            database.interrupt().check()?;
            console.say(format!("full night {error}"));
            return full_night(work, database, run_id, intake);
        }
        Err(error) => return Err(error),
    };
    let plan = Plan::make(request, names, base, database, &intake, work)?;
    if request.full_if_needed && !plan.due.is_empty() {
        console.say(format!("full night {}", plan.due.join("; ")));
        return full_night(work, database, run_id, intake);
    }
    plan.tell(console);
    let Encoded { users, items, .. } = &intake.ratings;
    rehearsal::rows(database, Names { run_id, users, items }, work.config.output.top)?;
    plan.carry_out(work, database, run_id, &intake).map(Outcome::from)
}

/// The nightly job instead, in the same row of the diary.
fn full_night(work: &mut Work<'_>, database: &mut Database, run_id: i64, intake: Intake) -> Result<Outcome> {
    let (device, why) = device::choose(&work.config.compute.device)?;
    work.console.say(format!("device     {device}: {why}"));
    runs::becomes_nightly(database, run_id, &device.to_string())?;
    let work = Work { clock: std::mem::take(&mut work.clock), rejects: work.rejects.clone(), ..*work };
    nightly::go_on(work, device, database, run_id, intake)
}

/// The night whose set is published, and its model, as far as that can be read.
type Published = Option<(Current, Result<Model>)>;

/// The ratings, and meanwhile the model: SQLite keeps one core busy only.
fn take_in(work: &mut Work<'_>, database: &Database) -> Result<(Intake, Published)> {
    let current = runs::current(database)?;
    let folder = &database.folder();
    std::thread::scope(|scope| {
        let published = current.map(|current| {
            let (run_id, digest) = (current.run_id, current.input_digest.clone());
            (current, scope.spawn(move || Model::read(folder, run_id, digest.as_deref())))
        });
        let intake = work.take_in(database)?;
        let failed = || Err(Error::new(Kind::Failed, "reading the model failed"));
        let published =
            published.map(|(current, reading)| (current, reading.join().unwrap_or_else(|_| failed())));
        Ok((intake, published))
    })
}

/// What a backfill builds upon.
struct Base {
    current: Current,
    model: Model,
    noted: Noted,
}

impl Base {
    /// Everything without which only a full night will do.
    fn load(database: &Database, intake: &Intake, published: Published, work: &mut Work<'_>) -> Result<Self> {
        const FULL: &str = "`nightshelf run` makes new lists; --full-if-needed lets a backfill do so";
        let since = Instant::now();
        let unfit = |what: &str| Error::new(Kind::Failed, what).hint(FULL);
        let (current, model) =
            published.ok_or_else(|| unfit("there is no published set to bring up to date"))?;
        let model = model?;
        if model.config.items != work.config.items {
            return Err(unfit("key or invalid was changed: books have other names now"));
        }
        let noted = readers::noted(database, &intake.ratings.users)?
            .ok_or_else(|| unfit("the published lists do not say which ratings they were made from"))?;
        work.clock.note("load", since);
        Ok(Self { current, model, noted })
    }
}

/// Whose lists are to be replaced, and what for.
struct Plan {
    current: Current,
    model: Model,
    /// For each reader of today the code in the model.
    users: Vec<Option<u32>>,
    /// For each book of today the code in the model.
    items: Vec<Option<u32>>,
    digests: Vec<i64>,
    /// Readers who get a new list, by code.
    chosen: Vec<u32>,
    /// Readers who lose theirs.
    gone: Vec<UserId>,
    /// Of the chosen, those who had none.
    new_users: usize,
    /// Rows that the model does not have, or not as they should be today.
    unsolved: Unsolved,
    /// Why a full night is due.
    due: Vec<String>,
}

impl Plan {
    fn make(
        request: &Request<'_>,
        names: Option<&[String]>,
        base: Base,
        database: &Database,
        intake: &Intake,
        work: &Work<'_>,
    ) -> Result<Self> {
        let Base { current, model, noted } = base;
        let ratings = &intake.ratings;
        let users = ratings.users.codes_in(&model.readers.users);
        let items = ratings.items.codes_in(&model.books.items);
        let digests = ratings.reader_digests();
        let trained = model.readers.digests_of(&users);
        let (chosen, gone) = match (names, request.since_run) {
            (Some(names), _) => named(names, ratings, &noted, work.console)?,
            (None, None) => (differing(&noted.digests, &digests), noted.others.clone()),
            (None, Some(run)) if run == current.run_id => {
                (differing(&trained, &digests), noted.others.clone())
            }
            (None, Some(run)) => {
                let then = readers_of(&database.folder(), run)?;
                let then = then.digests_of(&ratings.users.codes_in(&then.users));
                (differing(&then, &digests), noted.others.clone())
            }
        };
        let new_users = chosen.iter().filter(|user| noted.digests[**user as usize].is_none()).count();
        let changed = differing(&trained, &digests);
        // Also books that the model knows by their authors only.
        let was_rated =
            |item: usize| items[item].is_some_and(|item| model.books.items.is_rated(item as usize));
        let is_new = |item: &u32| match ratings.items.is_rated(*item as usize) {
            true => !was_rated(*item as usize),
            false => items[*item as usize].is_none(),
        };
        let unseen: Vec<u32> = (0..ratings.items.len() as u32).filter(is_new).collect();
        let new_rated = unseen.iter().filter(|item| ratings.items.is_rated(**item as usize)).count();
        let still_there = users.iter().flatten().count();
        let due = due(&Due {
            config: work.config,
            current: &current,
            readers: (changed.len() + model.readers.users.len() - still_there, ratings.users.len()),
            books: (new_rated, ratings.items.rated_count()),
        });
        let mut unsolved = Unsolved { users: changed, items: unseen };
        // Those who are named get a new list even if nothing of theirs has changed.
        unsolved.users.extend(&chosen);
        unsolved.users.sort_unstable();
        unsolved.users.dedup();
        Ok(Self { current, model, users, items, digests, chosen, gone, new_users, unsolved, due })
    }

    fn tell(&self, console: &Console) {
        console.say(format!(
            "changes    {} new, {} changed, {} gone readers, {} new books since run {}",
            count(self.new_users),
            count(self.chosen.len() - self.new_users),
            count(self.gone.len()),
            count(self.unsolved.items.len()),
            self.current.run_id,
        ));
        for reason in &self.due {
            console.warn(format!("a full night is due: {reason}"));
        }
    }

    fn carry_out(
        mut self,
        work: &mut Work<'_>,
        database: &mut Database,
        run_id: i64,
        intake: &Intake,
    ) -> Result<Value> {
        let rows = match self.chosen.is_empty() {
            true => Vec::new(),
            false => self.fill(work, database, intake)?,
        };
        let since = Instant::now();
        self.replace(work.console, database, run_id, &intake.ratings, &rows)?;
        work.clock.note("publish", since);
        let nothing = self.chosen.is_empty() && self.gone.is_empty();
        let good = if nothing { Ending::Unchanged } else { Ending::Published };
        let counts = intake.counts(rows.len() as u64);
        let story = Story {
            counts: counts.clone(),
            metrics: self.changes(),
            timings: work.clock.timings(&STAGES),
            input_digest: Some(intake.digest.clone()),
            error: None,
        };
        database.write("noting what was done", |transaction| {
            runs::note_rejects(transaction, run_id, &work.rejects)?;
            runs::finished(transaction, run_id, good, &story)
        })?;
        work.console.say(match nothing {
            true => "unchanged  every list is made from today's ratings".to_owned(),
            false => format!(
                "publish    run {run_id}: {} lists replaced, {} taken away, {:.1} s",
                count(self.chosen.len()),
                count(self.gone.len()),
                work.clock.of("publish")
            ),
        });
        Ok(self.report(work, Some(run_id), good.word(), &counts))
    }

    /// Solves what is unsolved, and fills the lists of the chosen.
    fn fill(
        &mut self,
        work: &mut Work<'_>,
        database: &Database,
        intake: &Intake,
    ) -> Result<Vec<Recommendation>> {
        let ratings = &intake.ratings;
        let (config, unsolved, interrupt) = (&self.model.config, &self.unsolved, database.interrupt());
        let interactions = &ratings.interactions;
        let evidence = Evidence::new(interactions, &intake.related.groups, &config.model);
        let rated = interactions.rated();
        let (ranking, rating) = work.clock.time("fold_in", || -> Result<_> {
            let mut ranking = self.model.ranking.recoded(&self.users, &self.items);
            foldin::ranking(&mut ranking, &evidence, unsolved, config, interrupt)?;
            let mut rating = self.model.rating.take().map(|model| model.recoded(&self.users, &self.items));
            if let Some(model) = &mut rating {
                foldin::rating(model, &rated, &ranking, unsolved, config, interrupt)?;
            }
            Ok((ranking, rating))
        })?;
        let mut rows = work.clock.time("recommend", || {
            let editions = intake.related.editions(config).into_owned();
            let popularity = Popularity::new(interactions, &rated, evidence.rows(), editions);
            let lifts = evidence.lifts(&ranking, config.model.length_exponent);
            let rating = rating.map(|model| model.only(&self.chosen));
            let fitted = Fitted {
                interactions: &interactions.select(&self.chosen),
                lifts: &lifts,
                ranking: &ranking.only(&self.chosen),
                weighted: &evidence.rows().select(&self.chosen),
                rating: rating.as_ref(),
                rated: &rated.select(&self.chosen),
            };
            let bar = work.console.bar("recommend", self.chosen.len() as u64);
            let done = |users| bar.advance(users as u64);
            let lists = Lists::new(fitted, &popularity, Origin::FoldIn, config, Device::Cpu)?;
            lists.of(0..self.chosen.len(), interrupt, &done)
        })?;
        rows.iter_mut().for_each(|row| row.user = self.chosen[row.user as usize]);
        work.console.say(format!(
            "recommend  {} for {} readers, {:.1} s",
            count(rows.len()),
            count(self.chosen.len()),
            work.clock.of("fold_in") + work.clock.of("recommend"),
        ));
        Ok(rows)
    }

    fn replace(
        &self,
        console: &Console,
        database: &mut Database,
        run_id: i64,
        ratings: &Encoded,
        rows: &[Recommendation],
    ) -> Result<()> {
        let mut replacements: Vec<Replacement<'_>> = self
            .gone
            .iter()
            .map(|user| Replacement { user: user.borrow(), digest: None, rows: &[] })
            .collect();
        let mut rest = rows;
        for user in &self.chosen {
            let own = rest.iter().take_while(|row| row.user == *user).count();
            let (rows, others) = rest.split_at(own);
            rest = others;
            let digest = Some(self.digests[*user as usize]);
            replacements.push(Replacement { user: ratings.users.get(*user as usize), digest, rows });
        }
        let names = Names { run_id, users: &ratings.users, items: &ratings.items };
        let bar = console.bar("publish", replacements.len() as u64);
        let mut finished = 0;
        readers::replace(database, names, &replacements, &bar, |done| finished = done).map_err(|error| {
            // A signal's own message is about whole sets; here it matters how far we came.
            match error.kind() {
                Kind::Interrupted | Kind::Terminated => Error::new(
                    error.kind(),
                    format!("stopped; {} of {} lists are new", count(finished), count(replacements.len())),
                )
                .hint("the same command again goes on with the others"),
                _ => error,
            }
        })
    }

    fn changes(&self) -> Value {
        json!({
            "model_run": self.current.run_id,
            "new_users": self.new_users,
            "changed_users": self.chosen.len() - self.new_users,
            "gone_users": self.gone.len(),
            "new_items": self.unsolved.items.len(),
            "full_night_due": !self.due.is_empty(),
        })
    }

    fn report(&self, work: &Work<'_>, run_id: Option<i64>, status: &str, counts: &Value) -> Value {
        let mut report = counts.clone();
        report["run_id"] = json!(run_id);
        report["status"] = json!(status);
        report["device"] = json!("cpu");
        report["metrics"] = self.changes();
        report["due"] = json!(self.due);
        report["timings"] = work.clock.timings(&STAGES);
        report["peak_memory_bytes"] = json!(peak_memory());
        report
    }
}

/// Readers whose ratings of today are not those from before.
fn differing(before: &[Option<i64>], digests: &[i64]) -> Vec<u32> {
    (0..digests.len() as u32).filter(|user| before[*user as usize] != Some(digests[*user as usize])).collect()
}

/// What decides whether a full night is due.
struct Due<'a> {
    config: &'a Config,
    current: &'a Current,
    /// Readers who differ from those that the model was trained on, of how many.
    readers: (usize, usize),
    /// Books that the model has not seen, of how many.
    books: (usize, usize),
}

/// Why a full night is due, if it is.
fn due(question: &Due<'_>) -> Vec<String> {
    let Due { config, current, readers, books } = question;
    let mut due = Vec::new();
    for ((part, all), what) in [(readers, "readers have changed"), (books, "books are new")] {
        let share = *part as f64 / (*all).max(1) as f64;
        if share > config.backfill.full_share {
            let (part, all) = (count(*part), count(*all));
            due.push(format!("{part} of {all} {what} since run {}", current.run_id));
        }
    }
    let then: Option<Config> = current.config.as_deref().and_then(|json| serde_json::from_str(json).ok());
    if then.is_none_or(|then| then.decisive() != config.decisive()) {
        due.push(format!("settings differ from those of run {}, which hold until then", current.run_id));
    }
    due
}

/// The names in a file, one a line; empty lines do not count.
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

/// The readers who are named, with ratings and without.
fn named(
    names: &[String],
    ratings: &Encoded,
    noted: &Noted,
    console: &Console,
) -> Result<(Vec<u32>, Vec<UserId>)> {
    let codes = ratings.users.codes();
    let others: HashSet<UserRef<'_>> = noted.others.iter().map(UserId::borrow).collect();
    let (mut chosen, mut gone, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let mut known = false;
        for id in UserId::readings(name) {
            if let Some(code) = codes.get(&id.borrow()) {
                chosen.push(*code);
                known = true;
            } else if others.contains(&id.borrow()) {
                gone.push(id);
                known = true;
            }
        }
        if !known {
            unknown.push(name.as_str());
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    if !unknown.is_empty() {
        let message = format!("{} of {} readers have no ratings", unknown.len(), names.len());
        console.warn(format!("{message}, such as {:?}", unknown[0]));
        if unknown.len() == names.len() {
            // Without an id: the message is kept.
            return Err(Error::new(Kind::NoRatings, message).hint("--users takes a user_id a line"));
        }
    }
    Ok((chosen, gone))
}

/// The readers of a run that somebody named.
fn readers_of(folder: &Path, run_id: i64) -> Result<Readers> {
    Readers::read(folder, run_id, None).map(|(readers, _)| readers).map_err(|error| {
        let mut runs: Vec<i64> = keep::models(folder).into_iter().filter_map(|(_, run)| run).collect();
        runs.sort_unstable();
        let runs: Vec<String> = runs.iter().map(i64::to_string).collect();
        error.hint(format!("what ratings were like is known of runs {}", runs.join(", ")))
    })
}
