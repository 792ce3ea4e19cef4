//! For `nightshelf doctor`: what is wrong or missing on this machine and in this database, and how to fix it.

use std::path::Path;
use std::time::Duration;
use std::{fmt, fs};

use chrono::{TimeDelta, Utc};
use serde::Serialize;

use crate::config::Config;
use crate::context::Context;
use crate::database::lock::Lock;
use crate::database::publish::slots;
use crate::database::{Database, runs, snapshot, source};
use crate::error::{Error, Kind, Result};
use crate::model::device;
use crate::pipeline::joining;
use crate::recommender::trial::trial;
use crate::run_summary::RunStatus;
use crate::text::count;
use crate::{machine, model_store};

/// A published set older than this gets a warning.
const STALE: TimeDelta = TimeDelta::hours(48);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Severity {
    #[serde(rename = "ok")]
    Good,
    #[serde(rename = "warning")]
    Odd,
    #[serde(rename = "problem")]
    Bad,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The result of one check.
#[derive(Debug, Serialize)]
pub struct Finding {
    #[serde(rename = "verdict")]
    pub severity: Severity,
    pub topic: &'static str,
    pub found: String,
    /// What to do, if there is advice.
    pub fix: Option<String>,
}

#[derive(Debug, Default)]
struct Examination(Vec<Finding>);

impl Examination {
    fn good(&mut self, topic: &'static str, found: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Good, topic, found: found.into(), fix: None });
    }

    fn odd(&mut self, topic: &'static str, found: impl Into<String>, fix: &str) {
        let (found, fix) = (found.into(), Some(fix.to_owned()));
        self.0.push(Finding { severity: Severity::Odd, topic, found, fix });
    }

    fn bad(&mut self, topic: &'static str, error: &Error) {
        let (found, fix) = (error.to_string(), error.next_step().map(str::to_owned));
        self.0.push(Finding { severity: Severity::Bad, topic, found, fix });
    }
}

/// Checks the machine and, if `db` is given, the database.
///
/// # Errors
/// Only if the history cannot be read; any other problem is a finding.
pub fn examine(context: Context<'_>, db: Option<&Path>) -> Result<Vec<Finding>> {
    let config = context.config;
    let mut seen = Examination::default();
    let with = match (cfg!(feature = "cuda"), cfg!(feature = "vulkan")) {
        (true, true) => "with CUDA and Vulkan",
        (true, false) => "with CUDA",
        (false, true) => "with Vulkan",
        (false, false) => "without CUDA",
    };
    seen.good("program", format!("nightshelf {}, built {with}", env!("CARGO_PKG_VERSION")));
    match device::choose(&config.compute.device) {
        Ok((device, why)) => match trial(device) {
            Ok(seconds) => {
                seen.good("device", format!("{device}: {why}; a small training there took {seconds:.1} s"))
            }
            Err(error) => seen.bad("device", &error),
        },
        Err(error) => seen.bad("device", &error.into()),
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let free =
        machine::available_memory().map_or(String::new(), |bytes| format!(", {} free", megabytes(bytes)));
    seen.good("machine", format!("{cores} cores{free}"));
    match (config.compute.max_memory.as_str(), machine::memory()) {
        ("", Some(most)) => {
            seen.good("memory", format!("{} {} (max_memory)", most.source, megabytes(most.bytes)))
        }
        ("", None) => seen.odd("memory", "the system does not say how much there is", "set max_memory"),
        (set, _) => seen.good("memory", format!("max_memory allows {set}")),
    }
    seen.good("sqlite", format!("SQLite {}, in the program", rusqlite::version()));
    if let Some(db) = db {
        let patience = Duration::from_secs(config.output.patience.min(10));
        match Database::open(db, patience, context.interrupt.clone()) {
            Ok(mut database) => examine_database(&mut database, config, &mut seen)?,
            Err(error) => seen.bad("database", &error),
        }
    }
    Ok(seen.0)
}

fn examine_database(database: &mut Database, config: &Config, seen: &mut Examination) -> Result<()> {
    let size = fs::metadata(database.path()).map_or(0, |about| about.len());
    seen.good("database", format!("{}, {}", database.path().display(), megabytes(size)));
    match database.journal_mode() {
        Ok(mode) if mode == "wal" => seen.good("journal", "WAL"),
        Ok(mode) => seen.odd(
            "journal",
            format!("{mode}: readers and writers wait for each other"),
            "if your application can do with it, once: PRAGMA journal_mode = WAL",
        ),
        Err(error) => seen.bad("journal", &error),
    }
    integrity(database, seen);
    match source::count(database, config) {
        Ok(0) => seen.odd("ratings", "the ratings table is empty", "`nightshelf import` loads files"),
        Ok(rows) => {
            seen.good("ratings", format!("{} rows", count(rows)));
            // What only the application understands cannot be asked here.
            if let Ok(Some(doubt)) = joining::ask(database, config) {
                seen.odd("books", doubt, "let book_isbn, or isbn, under [source] name the other's column");
            }
        }
        Err(error) => seen.bad("ratings", &error),
    }
    match database.read("looking at the tables", slots::refuse_foreign_tables) {
        Ok(()) => seen.good("tables", "no table of yours is in the way"),
        Err(error) => seen.bad("tables", &error),
    }
    match database.read("looking at the tables", slots::children) {
        Ok(children) if children.is_empty() => {}
        Ok(children) => seen.odd(
            "foreign keys",
            format!("{} refers to recommendations, whose rows are others every night", children.join(", ")),
            "let it keep user_id and isbn without a foreign key",
        ),
        Err(error) => seen.bad("foreign keys", &error),
    }
    // A write that changes nothing.
    match database.write("trying to write", |_| Ok(())).and_then(|_| try_folder(database)) {
        Ok(()) => seen.good("permissions", "the database and its folder can be written to"),
        Err(error) => seen.bad("permissions", &error),
    }
    disk(database, size, seen);
    let at_work = Lock::held(database);
    if let Some(who) = &at_work {
        seen.odd("lock", format!("another nightshelf is at work{who}"), "wait for it, or stop it");
    }
    last_run(database, at_work.is_some(), seen)?;
    if let Some(current) = runs::current(database)? {
        match model_store::verify(&database.folder(), current.run_id, current.input_digest.as_deref()) {
            Ok(()) => seen.good("model", format!("that of run {} is whole", current.run_id)),
            Err(error) => seen.bad("model", &error),
        }
    }
    Ok(())
}

/// Runs SQLite's check of the whole file, and compares the published tables with their indexes.
fn integrity(database: &Database, seen: &mut Examination) {
    let checked = snapshot::read(database, "checking the database", |connection| {
        let whole = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        Ok((whole, snapshot::faults_of_published(connection)?))
    });
    match checked {
        Err(error) if error.kind() == Kind::Io => seen.bad("integrity", &error),
        Err(error) => {
            seen.odd("integrity", error.to_string(), error.next_step().unwrap_or("try again later"))
        }
        Ok((_, faults)) if !faults.is_empty() => seen.bad(
            "integrity",
            &Error::new(
                Kind::Failed,
                format!("published tables and their indexes do not agree: {}", faults[0]),
            )
            .hint("REINDEX recommendations, or `nightshelf run --force`, which writes all of them anew"),
        ),
        Ok((Ok(word), _)) if word == "ok" => seen.good("integrity", "tables and indexes are whole"),
        Ok((Ok(what), _)) => seen.bad("integrity", &damaged(&what)),
        Ok((Err(error), _)) => seen.odd(
            "integrity",
            format!("the published tables are whole; the others cannot be looked at here: {error}"),
            "ask from within your application: PRAGMA integrity_check",
        ),
    }
}

fn damaged(what: &str) -> Error {
    Error::new(Kind::Io, format!("the database is damaged: {what}"))
        .hint("restore a copy, or see `.recover` in the sqlite3 shell")
}

/// Checks that files can be made beside the database, and in nightshelf's own folder if it exists.
fn try_folder(database: &Database) -> Result<()> {
    let own = database.folder();
    let folders = database.path().parent().into_iter().chain(own.is_dir().then_some(own.as_path()));
    for folder in folders {
        tempfile::tempfile_in(folder).map_err(|error| {
            Error::file(&error, "write to", folder).hint(
                "this user must be able to write to the folder: SQLite's journal and the model lie there",
            )
        })?;
    }
    Ok(())
}

/// Checks that the disk has space for a night: beside the two existing sets, for a third one, as much again
/// in the journal, and a third model.
fn disk(database: &Database, size: u64, seen: &mut Examination) {
    let Some(Ok(disk)) = database.path().parent().map(rustix::fs::statvfs) else {
        return;
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let models: u64 = model_store::models(&database.folder())
        .iter()
        .filter_map(|(path, _)| fs::read_dir(path).ok())
        .flat_map(|files| files.flatten().filter_map(|file| file.metadata().ok()))
        .map(|about| about.len())
        .sum();
    // Before the first night, only the database's present size is known.
    let need = if models == 0 { size.saturating_mul(4) } else { size + models };
    let found = format!("{} free, a night takes up to {}", megabytes(free), megabytes(need));
    if free < need {
        seen.odd("disk", found, "make room: a night that finds the disk full publishes nothing");
    } else {
        seen.good("disk", found);
    }
}

fn last_run(database: &Database, at_work: bool, seen: &mut Examination) -> Result<()> {
    let last = runs::last(database, 100)?;
    let Some(run) = last.first() else {
        seen.odd("last run", "none yet", "`nightshelf run --db FILE` makes the first");
        return Ok(());
    };
    let now = Utc::now();
    let when =
        run.started.map_or("an unknown time".into(), |time| time.format("%Y-%m-%d %H:%M UTC").to_string());
    let found = format!("run {}, {}, began {when}: {}", run.run_id, run.kind, run.status);
    let set = last.iter().find(|run| run.is_good());
    let age = set.and_then(|run| run.finished).map(|time| now - time);
    if set.and_then(|run| run.counts.as_ref()?.users) == Some(1) {
        let fix = "see in [source] whether all ratings are read; recommendations take several readers";
        seen.odd("readers", "there is only one reader, and nobody to compare with", fix);
    }
    match run.status {
        RunStatus::Running if !at_work => seen.odd(
            "last run",
            found + ", but nobody is at work",
            "it was killed, or the power went: the next run clears up after it",
        ),
        RunStatus::Failed | RunStatus::Interrupted | RunStatus::Refused => {
            let error = run.error.clone().unwrap_or_default();
            let found = format!("{found}: {error}");
            let fix = Some("put right what it says, and run again".to_owned());
            seen.0.push(Finding { severity: Severity::Bad, topic: "last run", found, fix });
        }
        _ => seen.good("last run", found),
    }
    if run.started.is_some_and(|time| time > now + TimeDelta::minutes(5)) {
        let fix = "set the clock; nothing depends on it but these dates";
        seen.odd("clock", "the last run began in the future: this machine's clock has gone back", fix);
    }
    match age {
        Some(age) if age > STALE => seen.odd(
            "age",
            format!("the published set is {} hours old", age.num_hours()),
            "see whether cron or the timer still starts the job",
        ),
        _ => {}
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", count(bytes.div_ceil(1_000_000)))
}
