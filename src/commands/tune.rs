//! `nightshelf tune`: looks for better settings, and writes them as a configuration file.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Outcome;
use super::settings::with;
use crate::cli::Tune;
use crate::config::Config;
use crate::console::Console;
use crate::context::Context;
use crate::database::trials::Trial;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pipeline::tuning::{self, Confirmed, Effort};
use crate::recommender::measure::Measure;

/// The beginning of a file that may be written over.
const HEAD: &str = "# Settings found by `nightshelf tune`";

/// Searches, and writes the settings that it found.
///
/// # Errors
/// [`Kind::Config`] if the file exists and was not written by `tune`; else as [`tuning::search`].
pub fn tune(context: Context<'_>, args: &Tune) -> Result<Outcome> {
    let console = context.console;
    refuse_a_file_of_ones_own(&args.out)?;
    let effort = Effort { trials: args.trials as usize, minutes: args.minutes, restart: args.restart };
    let variant = |more: &[(&str, String)]| with(&args.target.settings, more);
    let found = tuning::search(context, &args.target.db, effort, variant)?;
    let (measure, Confirmed { before, after, better, .. }) = (found.measure, &found.confirmed);
    let name = measure.name();
    console.say(format!(
        "confirmed  {name} {before:.4} before, {after:.4} after, on ratings that the search has not seen"
    ));
    if !better {
        console.say("unchanged  nothing was found that is better than the settings as they were");
    }
    let reached = if *better { after } else { before };
    write(&args.out, &found.config, &format!("{name} {reached:.4}"))?;
    console.say(format!("written    {}: nightshelf run --config {0}", args.out.display()));
    let json = json!({
        "figure": name,
        "trials": found.trials.iter().map(|trial| as_json(trial, measure)).collect::<Vec<_>>(),
        "best": as_json(&found.best, measure),
        "confirmed": found.confirmed,
        "config": args.out.display().to_string(),
        "finished": found.finished,
    });
    Ok(Outcome { text: leaderboard(&found.trials, measure, console), json, failure: None })
}

fn as_json(trial: &Trial, measure: Measure) -> Value {
    json!({
        "trial": trial.number,
        "factors": trial.factors,
        "value": measure.show(trial.score),
        "settings": trial.settings,
        "seconds": trial.seconds,
    })
}

/// The best trials, those with most factors first: only trials with equal factors compare fairly.
fn leaderboard(made: &[Trial], measure: Measure, console: &Console) -> String {
    const SHOWN: usize = 12;
    let mut order: Vec<&Trial> = made.iter().collect();
    order.sort_by(|a, b| b.factors.cmp(&a.factors).then(b.score.total_cmp(&a.score)));
    let row = |trial: &&Trial| {
        let settings: Vec<String> = trial
            .pairs()
            .into_iter()
            .filter(|(key, _)| *key != "factors")
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let settings = if settings.is_empty() { "as they were".to_owned() } else { settings.join(" ") };
        let value = format!("{:.4}", measure.show(trial.score));
        vec![trial.number.to_string(), trial.factors.to_string(), value, settings]
    };
    let rows = order.iter().take(SHOWN).map(row).collect();
    console.table(&["trial", "factors", measure.name(), "settings"], rows, &[])
}

fn refuse_a_file_of_ones_own(path: &Path) -> Result<()> {
    match fs::read_to_string(path) {
        Ok(text) if !text.starts_with(HEAD) => Err(Error::new(
            Kind::Config,
            format!("{} is there already, and was not written by tune", path.display()),
        )
        .hint("name another file with --out")),
        _ => Ok(()),
    }
}

fn write(path: &Path, config: &Config, found: &str) -> Result<()> {
    let text = format!("{HEAD}: {found}.\n# jobs/nightly.toml explains the keys.\n\n{}", config.to_toml());
    files::replace(path, text.as_bytes(), None)
}
