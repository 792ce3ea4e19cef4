//! The commands: each takes what was typed, calls a job or a query, and shows the result.

mod backfill;
mod check;
mod demo;
mod doctor;
mod evaluate;
mod explain;
mod export;
mod forget;
mod generate;
mod half_step;
mod import;
mod init;
mod monitored;
mod predict;
mod recommend;
mod report;
mod rollback;
mod run;
mod runs;
mod settings;
mod similar;
mod tune;

use serde_json::Value;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::console::Console;
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;

pub use settings::configure;

/// Runs the command that was typed, with the settings from [`configure`].
///
/// # Errors
/// The command's; its [`Kind`] decides the exit code.
pub fn dispatch(cli: &Cli, config: &Config, console: &Console, interrupt: &Interrupt) -> Result<()> {
    start_threads(config.compute.threads)?;
    let context = Context { config, console, interrupt };
    let outcome = match &cli.command {
        Command::Demo(args) => demo::demo(context, args),
        Command::Init(args) => init::init(context, args),
        Command::Import(args) => import::import(context, args),
        Command::Run(args) => run::run(context, args),
        Command::Backfill(args) => backfill::backfill(context, args),
        Command::Refresh(args) => backfill::refresh(context, args),
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
        Command::HalfStep(args) => half_step::half_step(context, args),
    }?;
    // Manual pages and completions have no JSON: their text is the data.
    if cli.json && !outcome.json.is_null() {
        console.data(&outcome.json.to_string())?;
    } else if !outcome.text.is_empty() {
        console.data(&outcome.text)?;
    }
    outcome.failure.map_or(Ok(()), Err)
}

/// What a command writes to stdout: text for people, or JSON for programs.
#[derive(Debug, Default)]
pub struct Outcome {
    /// May be empty.
    pub text: String,
    /// Null if there is only text.
    pub json: Value,
    /// The command did its work and the answer is "no": the output is shown, and this decides the exit code.
    pub failure: Option<Error>,
}

impl From<Value> for Outcome {
    fn from(json: Value) -> Self {
        Self { json, ..Self::default() }
    }
}

fn as_json(facts: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(facts)
        .map_err(|error| Error::new(Kind::Failed, format!("this cannot be written as JSON: {error}")))
}

/// Starts the shared thread pool; 0 for one thread per core.
fn start_threads(threads: usize) -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::new(Kind::Failed, format!("cannot start {threads} threads: {error}")))
}
