//! `nightshelf init`: makes a configuration file for an unknown database.

mod config_file;
mod shown;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::path::Path;

use serde_json::json;

use super::Outcome;
use crate::cli::Init;
use crate::config::Config;
use crate::console::Console;
use crate::context::Context;
use crate::database::{Database, source, survey};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::ingest::columns::{self, Place, SampledTable};
use crate::text::{count, plain};
use config_file::config_file;
use shown::{show, shown};

/// Looks at a database, shows what was found, and writes a configuration file for it.
///
/// # Errors
/// [`Kind::NoRatings`] if no table looks like ratings; [`Kind::Failed`] if the file exists and `--force` is
/// not given.
pub fn init(context: Context<'_>, args: &Init) -> Result<Outcome> {
    let console = context.console;
    let Init { db, out, force, .. } = args;
    let database = context.open(db)?;
    let tables = survey::survey(&database)?;
    let failed = Cell::new(None);
    let values =
        |place: &Place| survey::values(&database, place).map_err(|error| failed.set(Some(error))).ok();
    let guess = columns::guess(&tables, &values);
    // Without all values of a state, what is no reading might be taken for one.
    if let Some(error) = failed.take() {
        return Err(error);
    }
    let guess = guess.ok_or_else(|| nothing_found(&tables))?;
    let text = config_file(&guess, context.config.output.top);
    let checked = Config::from_toml(&text)?;
    if out.exists() && !*force {
        return Err(Error::new(Kind::Failed, format!("{} is there already", out.display()))
            .hint("--out names another file, --force writes over this one"));
    }
    files::replace(out, text.as_bytes(), None)?;
    let program = std::env::current_exe().unwrap_or_else(|_| "nightshelf".into());
    let absolute = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (full_db, full_out) = (absolute(db), absolute(out));
    let crontab = format!(
        "17 4 * * *  {} run --quiet --db {} --config {}",
        word(&program),
        word(&full_db),
        word(&full_out)
    );
    let shown = shown(&guess, &tables, console) + &tried(&database, &checked, console)?;
    let (db_word, out_word) = (word(db), word(out));
    let text = format!(
        "{shown}
{wrote} {out}: look it through, and change what was guessed wrong.

{next}
  nightshelf run --db {db_word} --config {out_word} --dry-run
  nightshelf run --db {db_word} --config {out_word}
  nightshelf report --db {db_word} --config {out_word}

{nightly}
  {crontab}
",
        wrote = console.heading("Written:"),
        out = out.display(),
        next = console.heading("Next: try it without writing, then in earnest"),
        nightly = console.heading("Every night at 4:17, as a line of `crontab -e`"),
    );
    let json = json!({
        "source": checked.source,
        "items": checked.items,
        "file": out.display().to_string(),
        "crontab": crontab,
        "tables": tables.iter().map(|table| json!({ "name": table.name, "rows": table.rows })).collect::<Vec<_>>(),
    });
    Ok(Outcome { text, json, failure: None })
}

/// What the settings find: some of the rows, and how many can be used.
fn tried(database: &Database, config: &Config, console: &Console) -> Result<String> {
    let (rows, usable) = match source::try_out(database, config, ROWS) {
        Ok(found) => found,
        Err(error) if error.kind() == Kind::Busy => return Err(error),
        // A view may call what only the application has.
        Err(error) => {
            console.warn(format!("this cannot be tried here: {error}"));
            return Ok(String::new());
        }
    };
    let shown = |row: &Vec<Option<String>>| row.iter().map(|text| show(text.as_deref())).collect::<Vec<_>>();
    let header = &["reader", "book", "rating", "when", "counts"][..rows.first().map_or(0, Vec::len).min(5)];
    let table = console.table(header, rows.iter().map(shown).collect(), &[]);
    let head = console.heading(&format!("Readings: {} rows with a reader and a book", count(usable)));
    if usable == 0 {
        console.warn("these tables give no reading yet: change the file, or run again when they have rows");
    }
    Ok(format!("{head}\n{table}\n"))
}

/// How many readings are shown.
const ROWS: usize = 10;

fn nothing_found(tables: &[SampledTable]) -> Error {
    let why = columns::why_none(tables);
    let what = if why.is_empty() { "it is empty".to_owned() } else { plain(&why.join("; ")) };
    Error::new(Kind::NoRatings, format!("no table here looks like who read which book: {what}")).hint(
        "`nightshelf import` loads files; for tables that go by names of their own, write [source] by hand, as \
         in jobs/nightly.toml",
    )
}

/// A path, quoted for a shell if necessary.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let safe = |c: char| c.is_alphanumeric() || "/._-+:@,".contains(c);
    if text.chars().all(safe) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
