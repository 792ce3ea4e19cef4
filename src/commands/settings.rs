//! The settings of a command, from the file, the environment and the flags.

use crate::cli::{Cli, Command, Settings};
use crate::config::{Config, unknown_variables};
use crate::console::Console;
use crate::error::Result;

/// The settings that were given, with those of `more` in place of theirs.
pub(super) fn with(settings: &Settings, more: &[(&str, String)]) -> Result<Config> {
    let mut flags: Vec<(&str, String)> = settings.given();
    flags.extend_from_slice(more);
    load(settings, &flags)
}

/// The settings of the command that was typed; the defaults for a command without settings.
pub fn configure(cli: &Cli, console: &Console) -> Result<Config> {
    let Some(settings) = cli.settings() else {
        return Ok(Config::default());
    };
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let unknown = unknown_variables(names)?;
    if !unknown.is_empty() {
        console.warn(format!("no setting has the name of {}: ignored", unknown.join(", ")));
    }
    let mut flags = settings.given();
    if let Command::Run(args) = &cli.command
        && args.fitted_factors().is_some()
    {
        flags.retain(|(key, _)| *key != "factors");
    }
    load(settings, &flags)
}

fn load(settings: &Settings, flags: &[(&str, String)]) -> Result<Config> {
    let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    Config::load(settings.config.as_deref(), environment, flags)
}
