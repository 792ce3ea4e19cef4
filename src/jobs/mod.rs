//! The commands. Each reads from top to bottom like a table of contents, and knows all the rooms
//! that it leads through; the rooms do not know each other.

pub mod answers;
pub mod backfill;
pub mod bookshop;
pub mod check;
pub mod demo;
pub mod diary;
pub mod doctor;
pub mod evaluate;
pub mod export;
pub mod forget;
pub mod gate;
pub mod gauges;
pub mod generate;
pub mod import;
pub mod init;
pub mod judge;
pub mod keep;
pub mod lists;
pub mod nightly;
pub mod report;
pub mod rollback;
pub mod room;
pub mod training;
pub mod tune;
pub mod work;

use std::path::Path;
use std::time::Instant;

use chrono::Local;
use serde_json::Value;

use crate::cli::{Cli, Command, Settings};
use crate::config::{Config, unknown_variables};
use crate::console::Console;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::jobs::answers::Desk;

/// Runs the command that was typed, with the settings that [`configure`] gave.
///
/// # Errors
/// Whatever the command says; its [`Kind`] decides the exit code.
pub fn dispatch(cli: &Cli, config: &Config, console: &Console, interrupt: &Interrupt) -> Result<()> {
    start_threads(config.compute.threads)?;
    let desk = |db| Desk::open(db, config, console, interrupt);
    let outcome = match &cli.command {
        Command::Demo(args) => demo::demo(&args.db, config, console, interrupt)?,
        Command::Init(args) => init::init(&args.db, &args.out, args.force, config, console, interrupt)?,
        Command::Import(args) => import::import(args, config, console, interrupt)?,
        Command::Run(args) => match &args.db {
            Some(db) if !args.print_config => {
                let night = nightly::Night { db, config, dry_run: args.dry_run, force: args.force };
                watched("run", db, config, console, interrupt, || nightly::run(&night, console, interrupt))?
            }
            _ => return console.data(&config.to_toml()),
        },
        Command::Backfill(args) => {
            let request = backfill::Request {
                db: &args.target.db,
                config,
                since_run: args.since_run,
                users: args.users.as_deref(),
                full_if_needed: args.full_if_needed,
                dry_run: args.dry_run,
            };
            watched("backfill", request.db, config, console, interrupt, || {
                backfill::backfill(&request, console, interrupt)
            })?
        }
        Command::Forget(args) => {
            forget::forget(&args.target.db, &args.user.user, config, console, interrupt)?
        }
        Command::Recommend(args) => answers::recommend(&desk(&args.target.db)?, &args.user.user)?,
        Command::Predict(args) => answers::predict(&desk(&args.target.db)?, args.words())?,
        Command::Similar(args) => answers::similar(&desk(&args.target.db)?, &args.book.isbn)?,
        Command::Explain(args) => answers::explain(&desk(&args.target.db)?, args.words())?,
        Command::Evaluate(args) => {
            let variant = |key: &str, value: &str| with(&args.settings, &[(key, value.to_owned())]);
            evaluate::evaluate(args, config, variant, console, interrupt)?
        }
        Command::Tune(args) => {
            tune::tune(args, config, |more| with(&args.target.settings, more), console, interrupt)?
        }
        Command::Rollback(args) => watched("rollback", &args.db, config, console, interrupt, || {
            rollback::rollback(&args.db, config, console, interrupt)
        })?,
        Command::Check(args) => check::check(&args.db, config, console, interrupt)?,
        Command::Runs(args) => diary::runs(&args.target.db, args.last, config, console, interrupt)?,
        Command::Doctor(args) => doctor::doctor(args.db.as_deref(), config, console, interrupt)?,
        Command::Report(args) => report::report(&args.target.db, args, config, console, interrupt)?,
        Command::Export(args) => export::export(args, cli.json, config, console, interrupt)?,
        Command::Generate(args) => generate::generate(&args.what, console)?,
    };
    // Pages and completions are data themselves.
    if cli.json && !outcome.json.is_null() {
        console.data(&outcome.json.to_string())?;
    } else if !outcome.text.is_empty() {
        console.data(&outcome.text)?;
    }
    outcome.failure.map_or(Ok(()), Err)
}

/// What a command leaves on stdout: text for people, or JSON for programs.
#[derive(Debug, Default)]
pub struct Outcome {
    /// For people; may be empty.
    pub text: String,
    /// For programs.
    pub json: Value,
    /// The command did its work and the answer is "no": shown, and then an exit code.
    pub failure: Option<Error>,
}

impl From<Value> for Outcome {
    fn from(json: Value) -> Self {
        Self { json, ..Self::default() }
    }
}

/// Runs a job that nobody watches: the log says when it began and ended, and figures are left for
/// Prometheus, however it ended.
fn watched(
    command: &str,
    db: &Path,
    config: &Config,
    console: &Console,
    interrupt: &Interrupt,
    job: impl FnOnce() -> Result<Outcome>,
) -> Result<Outcome> {
    let since = Instant::now();
    let now = || Local::now().format("%Y-%m-%d %H:%M:%S %:z");
    let version = env!("CARGO_PKG_VERSION");
    console.say(format!("start      {}: nightshelf {version} {command}, {}", now(), db.display()));
    let done = job();
    let how = match &done {
        Ok(outcome) => outcome.json["status"].as_str().unwrap_or("done"),
        Err(_) => "without success",
    };
    console.say(format!("end        {}: {how}, after {:.1} s", now(), since.elapsed().as_secs_f64()));
    if !config.output.metrics_file.is_empty() {
        let file = Path::new(&config.output.metrics_file);
        let error = done.as_ref().map_or_else(Some, |outcome| outcome.failure.as_ref());
        let code = error.map_or(0, |error| error.kind().exit_code());
        let attempt = gauges::Attempt { command, code, took: since.elapsed() };
        if let Err(error) = gauges::leave(file, db, &attempt, interrupt) {
            // The night itself is none the worse for it.
            console.warn(format!("no figures for Prometheus: {error}"));
        }
    }
    done
}

/// The settings that were given, and some more that win over them.
fn with(settings: &Settings, more: &[(&str, String)]) -> Result<Config> {
    let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let mut flags: Vec<(&str, String)> = settings.given();
    flags.extend_from_slice(more);
    Config::load(settings.config.as_deref(), environment, &flags)
}

/// The settings of the command that was typed; the defaults for one that takes none.
///
/// # Errors
/// As [`Config::load`].
pub fn configure(cli: &Cli, console: &Console) -> Result<Config> {
    let Some(settings) = cli.settings() else {
        return Ok(Config::default());
    };
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let unknown = unknown_variables(names)?;
    if !unknown.is_empty() {
        console.warn(format!("no setting has the name of {}: ignored", unknown.join(", ")));
    }
    with(settings, &[])
}

/// Starts the threads that all rooms share; 0 for one a core.
fn start_threads(threads: usize) -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::new(Kind::Failed, format!("cannot start {threads} threads: {error}")))
}
