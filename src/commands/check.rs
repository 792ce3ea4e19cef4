//! `nightshelf check`: checks that the published recommendations keep their promises.

use serde_json::{Value, json};

use super::Outcome;
use crate::catalog::encode;
use crate::cli::Target;
use crate::context::Context;
use crate::database::check::{self, Present};
use crate::database::{readers, runs, source};
use crate::error::{Error, Kind, Result};
use crate::pipeline::dataset;
use crate::query::nothing_published;
use crate::text::count;

/// Checks the tables alone, and against the present ratings.
///
/// Ratings that came after a list was made are not its fault: for such readers, the two promises about
/// ratings are reported, but do not fail the check.
///
/// # Errors
/// [`Kind::Failed`] if nothing was published yet.
pub fn check(context: Context<'_>, args: &Target) -> Result<Outcome> {
    let config = context.config;
    let database = context.open(&args.db)?;
    let current = runs::current(&database)?.ok_or_else(nothing_published)?;
    // The settings of the run that wrote the rows, if they are still known.
    let settings = current.config;
    let top = settings.as_ref().map_or(config.output.top, |settings| settings.output.top);
    let mut findings = check::tables(&database, top)?;

    let reading = source::read(&database, config)?;
    let mut ratings = encode::encode(encode::normalise(reading.columns, config)?)?;
    readers::read(&database, settings.as_ref().unwrap_or(config))?.finish(&mut ratings)?;
    let related = dataset::related(&database, config, &mut ratings)?;
    let editions = related.editions(settings.as_ref().unwrap_or(config));
    let items = current.counts.items.unwrap_or_default() as usize;
    let selection = reading.selected.resolve(&ratings.users, &ratings.items, &related.genres, config)?;
    let present = Present {
        ratings: &ratings,
        selection: &selection,
        editions: &editions,
        descriptions: &related.descriptions(&ratings.items),
        rules: &settings.as_ref().unwrap_or(config).rules,
        items,
    };
    let against = check::against_ratings(&database, present)?;
    findings.extend(against.firm);
    let since: Vec<_> = against.since.into_iter().filter(|finding| finding.broken > 0).collect();

    let broken: Vec<_> = findings.iter().filter(|finding| finding.broken > 0).collect();
    let mut text = String::new();
    for finding in &findings {
        let verdict = if finding.broken == 0 { "ok " } else { "NOT" };
        text.push_str(&format!("{verdict}  {}", finding.promise));
        if finding.broken > 0 {
            text.push_str(&format!(": {} broken", finding.broken));
            if let Some(example) = &finding.example {
                text.push_str(&format!(", such as {example}"));
            }
        }
        text.push('\n');
    }
    if against.stale > 0 {
        text.push_str(&format!(
            "--   the ratings of {} readers have changed since their lists were made",
            count(against.stale)
        ));
        for finding in &since {
            text.push_str(&format!(
                "\n--   of theirs, {} exceptions to: {}",
                count(finding.broken),
                finding.promise
            ));
        }
    }
    let failure = (!broken.is_empty()).then(|| {
        Error::new(Kind::Failed, format!("{} of {} promises are broken", broken.len(), findings.len()))
            .hint(
                "`nightshelf refresh` makes lists anew that have a book which may be shown no more; `nightshelf rollback` \
                 puts the set before back; `nightshelf run --force` makes a new one",
            )
    });
    let as_json = |finding: &check::PromiseCheck| json!({ "promise": finding.promise, "broken": finding.broken, "example": finding.example });
    let json = json!({
        "ok": broken.is_empty(),
        "run_id": current.run_id,
        "changed_readers": against.stale,
        "checks": findings.iter().map(as_json).collect::<Vec<Value>>(),
        "since_the_run": since.iter().map(as_json).collect::<Vec<Value>>(),
    });
    Ok(Outcome { text, json, failure })
}
