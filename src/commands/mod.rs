//! The commands: what was typed, the call, what is shown.

mod backfill;
mod check;
mod demo;
mod doctor;
mod evaluate;
mod explain;
mod export;
mod forget;
mod generate;
mod import;
mod init;
mod predict;
mod recommend;
mod report;
mod rollback;
mod run;
mod runs;
mod settings;
mod similar;
mod tune;
mod watched;

use serde_json::Value;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::console::Console;
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;

pub use settings::configure;

/// Runs the command that was typed, with the settings that [`configure`] gave.
///
/// # Errors
/// Whatever the command says; its [`Kind`] decides the exit code.
pub fn dispatch(cli: &Cli, config: &Config, console: &Console, interrupt: &Interrupt) -> Result<()> {
    start_threads(config.compute.threads)?;
    let context = Context { config, console, interrupt };
    let outcome = match &cli.command {
        Command::Demo(args) => demo::demo(context, args),
        Command::Init(args) => init::init(context, args),
        Command::Import(args) => import::import(context, args),
        Command::Run(args) => run::run(context, args),
        Command::Backfill(args) => backfill::backfill(context, args),
        Command::Forget(args) => forget::forget(context, args),
        Command::Recommend(args) => recommend::recommend(context, args),
        Command::Predict(args) => predict::predict(context, args),
        Command::Similar(args) => similar::similar(context, args),
        Command::Explain(args) => explain::explain(context, args),
        Command::Evaluate(args) => evaluate::evaluate(context, args),
        Command::Tune(args) => tune::tune(context, args),
        Command::Rollback(args) => rollback::rollback(context, args),
        Command::Check(args) => check::check(context, args),
        Command::Runs(args) => runs::runs(context, args),
        Command::Doctor(args) => doctor::doctor(context, args),
        Command::Report(args) => report::report(context, args),
        Command::Export(args) => export::export(context, args, cli.json),
        Command::Generate(args) => generate::generate(context, args),
    }?;
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

/// Facts for programs, as JSON.
fn as_json(facts: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(facts)
        .map_err(|error| Error::new(Kind::Failed, format!("this cannot be written as JSON: {error}")))
}

/// Starts the threads that everything shares; 0 for one a core.
fn start_threads(threads: usize) -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::new(Kind::Failed, format!("cannot start {threads} threads: {error}")))
}
