//! Parse, run, and map the result to an exit code: the only place that ends the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use nightshelf::cli::Cli;
use nightshelf::console::Console;
use nightshelf::error::{Error, Kind};
use nightshelf::interrupt::Interrupt;
use nightshelf::{commands, panics};

fn main() -> ExitCode {
    panics::install();
    #[cfg(feature = "cuda")]
    nightshelf_cuda::install();
    #[cfg(feature = "vulkan")]
    {
        // SAFETY: this program has started no other thread yet.
        unsafe { std::env::set_var("RUST_MIN_STACK", nightshelf_vulkan::STACK.to_string()) };
        nightshelf_vulkan::install();
    }
    let cli = Cli::parse();
    let console = Console::new(cli.verbosity());
    let work = || {
        let config = commands::configure(&cli, &console)?;
        limit_threads(config.compute.threads);
        let interrupt = Interrupt::on_signals()
            .map_err(|error| Error::new(Kind::Failed, format!("cannot listen for signals: {error}")))?;
        commands::dispatch(&cli, &config, &console, &interrupt)
    };
    // No input should get us here; a driver or a library might. Cron still gets a code that it knows.
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::new(Kind::Failed, "a defect in nightshelf or in a library stopped the job; see above")
            .hint("please report the lines above, and try --device cpu; `nightshelf check` says whether what is published is whole"))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Tells libraries that start threads of their own how many to start; 0 leaves it to them.
fn limit_threads(threads: usize) {
    for variable in ["POLARS_MAX_THREADS", "MATMUL_NUM_THREADS"].into_iter().filter(|_| threads > 0) {
        // SAFETY: this program has started no other thread yet.
        unsafe { std::env::set_var(variable, threads.to_string()) };
    }
}
