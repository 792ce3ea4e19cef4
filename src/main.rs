//! Parse, run, and map the result to an exit code: the only place that ends the process.

use std::process::ExitCode;

use clap::Parser;
use nightshelf::cli::Cli;
use nightshelf::console::Console;
use nightshelf::interrupt::Interrupt;
use nightshelf::jobs;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new(cli.verbosity());
    let done = Interrupt::on_signals().and_then(|interrupt| jobs::dispatch(&cli, &console, &interrupt));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}
