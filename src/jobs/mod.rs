//! The commands. Each reads from top to bottom like a table of contents, and knows all the rooms
//! that it leads through; the rooms do not know each other.

pub mod bookshop;
pub mod check;
pub mod demo;
pub mod evaluate;
pub mod import;
pub mod keep;
pub mod nightly;
pub mod recommend;
pub mod rollback;

use serde_json::Value;

use crate::cli::{Cli, Command, Settings};
use crate::config::Config;
use crate::console::Console;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;

/// Runs the command that was typed.
///
/// # Errors
/// Whatever the command says; its [`Kind`] decides the exit code.
pub fn dispatch(cli: &Cli, console: &Console, interrupt: &Interrupt) -> Result<()> {
    let outcome = match &cli.command {
        Command::Demo(args) => {
            let config = settle(&args.settings)?;
            demo::demo(&args.db, &config, console, interrupt)?
        }
        Command::Import(args) => {
            let config = settle(&args.target.settings)?;
            import::import(args, &config, console, interrupt)?
        }
        Command::Run(args) => {
            let config = settle(&args.settings)?;
            match &args.db {
                Some(db) if !args.print_config => {
                    let night = nightly::Night { db, config: &config, dry_run: args.dry_run };
                    nightly::run(&night, console, interrupt)?
                }
                _ => {
                    console.data(&config.to_toml());
                    return Ok(());
                }
            }
        }
        Command::Evaluate(args) => {
            let config = settle(&args.settings)?;
            evaluate::evaluate(args, &config, console, interrupt)?
        }
        Command::Rollback(args) => {
            let config = settle(&args.settings)?;
            rollback::rollback(&args.db, &config, console, interrupt)?
        }
        Command::Check(args) => {
            let config = settle(&args.settings)?;
            check::check(&args.db, &config, console, interrupt)?
        }
    };
    if cli.json {
        console.data(&outcome.json.to_string());
    } else if !outcome.text.is_empty() {
        console.data(&outcome.text);
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

/// Settles the settings, and the number of threads with them.
fn settle(settings: &Settings) -> Result<Config> {
    let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let config = Config::load(settings.config.as_deref(), environment, &settings.given())?;
    let threads = config.compute.threads;
    if threads > 0 {
        for variable in ["POLARS_MAX_THREADS", "MATMUL_NUM_THREADS"] {
            // SAFETY: nothing has started a thread yet: this is the first thing that a command does.
            unsafe { std::env::set_var(variable, threads.to_string()) };
        }
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::new(Kind::Failed, format!("cannot start {threads} threads: {error}")))?;
    Ok(config)
}
