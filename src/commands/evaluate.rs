//! `nightshelf evaluate`: compares the model with baselines on held-out ratings.

use serde::Serialize;

use super::settings::with;
use super::{Outcome, as_json};
use crate::catalog::split::Scheme;
use crate::cli::{Evaluate, SplitKind};
use crate::config::Config;
use crate::console::Console;
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::pipeline::evaluation::{self, Evaluation, ModelFigures, Request, Source};

/// The output as JSON.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    evaluation: Evaluation,
    k: Lengths,
}

/// In JSON a number for one list length, an array for several.
#[derive(Serialize)]
#[serde(untagged)]
enum Lengths {
    One(usize),
    Several(Vec<usize>),
}

/// Measures the model, its variants and the baselines.
///
/// # Errors
/// [`Kind::Config`] for a `--compare` that is not one setting of the model; [`Kind::NoInput`] if there is
/// nothing to evaluate; else as [`evaluation::evaluate`].
pub fn evaluate(context: Context<'_>, args: &Evaluate) -> Result<Outcome> {
    let variants: Vec<(String, Config)> =
        args.compare.iter().map(|words| named_variant(words, context.config, args)).collect::<Result<_>>()?;
    let source = match (&args.train, &args.test, &args.db) {
        (Some(train), Some(test), _) => Source::Files { train, test },
        (_, _, Some(db)) => {
            let (scheme, share) = (args.split.map(|kind| scheme(kind, args)), args.share());
            Source::Database { db, scheme, share, seed: args.split_seed }
        }
        _ => {
            return Err(Error::new(Kind::NoInput, "there is nothing to evaluate")
                .hint("name a database with --db, or two files with --train and --test"));
        }
    };
    let request = Request { source, books: args.books.as_deref(), k: &args.k, variants: &variants };
    let evaluation = evaluation::evaluate(context, request)?;
    let text = table(&evaluation.models, context.console);
    let k = match args.k.as_slice() {
        [k] => Lengths::One(*k),
        several => Lengths::Several(several.to_vec()),
    };
    Ok(Outcome { text, json: as_json(&Told { evaluation, k })?, failure: None })
}

fn scheme(kind: SplitKind, args: &Evaluate) -> Scheme {
    let share = args.share();
    match kind {
        SplitKind::Random => Scheme::Random(share),
        SplitKind::LeaveOneOut => Scheme::LeaveOne,
        SplitKind::LeaveLast => Scheme::LeaveLast(args.last),
        SplitKind::Time => Scheme::Time(share),
        SplitKind::Users => Scheme::Readers(share),
        SplitKind::NewBooks => Scheme::Books(share),
    }
}

/// A variant from words such as `factors=8`.
fn named_variant(words: &str, config: &Config, args: &Evaluate) -> Result<(String, Config)> {
    let bad = |what: String| {
        Error::new(Kind::Config, format!("--compare {words}: {what}"))
            .hint("it takes one setting of the model, such as factors=8 or solver=adam, and may be repeated")
    };
    let (key, value) = words.split_once('=').ok_or_else(|| bad("there is no =".into()))?;
    let other = with(&args.settings, &[(key.trim(), value.trim().to_owned())])
        .map_err(|error| bad(error.to_string()))?;
    if other.items != config.items || other.source != config.source || other.compute != config.compute {
        return Err(bad(format!("{key} changes what is measured, not the model")));
    }
    Ok((words.to_owned(), other))
}

/// A figure of a model: its heading, its value, and whether its interval is shown.
type Figure = (&'static str, fn(&ModelFigures) -> Option<f64>, bool);

/// Intervals are shown for the figures that a list is judged by: recall and nDCG.
const FIGURES: [Figure; 11] = [
    ("rmse", |row| row.figures.rmse, false),
    ("mae", |row| row.figures.mae, false),
    ("precision", |row| row.figures.precision, false),
    ("recall", |row| row.figures.recall, true),
    ("ndcg", |row| row.figures.ndcg, true),
    ("map", |row| row.figures.map, false),
    ("mrr", |row| row.figures.mrr, false),
    ("hit_rate", |row| row.figures.hit_rate, false),
    ("liked", |row| row.figures.liked, false),
    ("coverage", |row| row.coverage, false),
    ("novelty", |row| row.figures.novelty, false),
];

fn table(models: &[ModelFigures], console: &Console) -> String {
    let header: Vec<&str> = ["model", "k"].into_iter().chain(FIGURES.map(|(name, ..)| name)).collect();
    let row = |row: &ModelFigures| {
        let figures = FIGURES.iter().map(|(name, value, with_interval)| {
            let interval = row.details.as_ref().and_then(|details| details.intervals.get(name));
            match (value(row), interval.filter(|_| *with_interval)) {
                (Some(value), Some([low, high])) => format!("{value:.4} ±{:.4}", (high - low) / 2.0),
                (Some(value), None) => format!("{value:.4}"),
                (None, _) => "-".to_owned(),
            }
        });
        [row.name.clone(), row.figures.k.to_string()].into_iter().chain(figures).collect()
    };
    let numbers: Vec<usize> = (1..header.len()).collect();
    console.table(&header, models.iter().map(row).collect(), &numbers)
}
