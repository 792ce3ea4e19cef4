//! Parse, run, and map the result to an exit code: the only place that ends the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use nightshelf::cli::Cli;
use nightshelf::console::Console;
use nightshelf::error::{Error, Kind};
use nightshelf::interrupt::Interrupt;
use nightshelf::jobs;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new(cli.verbosity());
    let work = || Interrupt::on_signals().and_then(|interrupt| jobs::dispatch(&cli, &console, &interrupt));
    // No input should get us here; a driver or a library might. Cron still gets a code that it knows.
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::new(Kind::Failed, "a defect in nightshelf or in a library stopped the job; see above")
            .hint("nothing was published; please report the lines above, and try --device cpu"))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}
