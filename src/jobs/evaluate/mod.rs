//! Measures the model on ratings that it has not seen: held out of a database, or in a file.
//!
//! Every book is ranked for every reader with a held-out book, without what is known of the reader.
//! Baselines stand beside the model: without them no figure says anything; and so do variants of the
//! model, if they are asked for.

mod files;

use serde_json::{Map, Value, json};

use crate::catalog::frame::Encoded;
use crate::catalog::groups::Related;
use crate::catalog::split::{Scheme, Split};
use crate::cli::{self, SplitKind};
use crate::config::Config;
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::jobs::judge::{Answers, Case, Judge};
use crate::jobs::work::{Intake, Work};
use crate::model::device;
use crate::quality::metrics::{self, RankingFigures};
use crate::store::Database;

/// Readers by how many ratings there are to learn from, and books by how many readers they have: the
/// least of each group.
const GROUPS: [usize; 4] = [1, 6, 21, 101];

/// Measures the model, its variants and the baselines. `variant` gives the settings with one more
/// key and value.
///
/// # Errors
/// [`Kind::NoInput`] for a missing file, [`Kind::NoRatings`] if one holds nothing to use or nothing is
/// left to learn from, [`Kind::Config`] for a variant that is none.
pub fn evaluate(
    args: &cli::Evaluate,
    config: &Config,
    variant: impl Fn(&str, &str) -> Result<Config>,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let variants: Vec<(String, Config)> =
        args.compare.iter().map(|words| named_variant(words, config, &variant)).collect::<Result<_>>()?;
    let (device, why) = device::choose(&config.compute.device)?;
    console.say(format!("device     {device}: {why}"));
    let Task { ratings, split, related, mut told } = Task::new(args, config, console, interrupt)?;
    console.say(format!(
        "split      {} ratings of {} books by {} readers to learn from; {} held out, of {} readers",
        count(split.train.len()),
        count(ratings.items.rated_count()),
        count(ratings.users.len()),
        count(split.held_out_count),
        count(split.readers.len()),
    ));
    let longest = args.k.iter().copied().max().unwrap_or(1);
    let new_books = args.split == SplitKind::NewBooks && args.train.is_none();
    let case = Case {
        split: &split,
        items: &ratings.items,
        related: &related,
        scale: ratings.scale,
        only_new: new_books,
        longest,
        most_readers: usize::MAX,
    };
    let judge = Judge::new(case, device, console, interrupt);
    let mut models = vec![judge.popularity(), judge.nearest()?, judge.damped_bias()];
    if new_books {
        models.insert(0, judge.random(args.split_seed));
    }
    models.push(judge.model("nightshelf", config)?.0);
    for (name, config) in &variants {
        models.push(judge.model(name, config)?.0);
    }
    let sheet = Sheet { judge: &judge, split: &split };
    let rows: Vec<Value> =
        models.iter().flat_map(|model| args.k.iter().map(|k| sheet.figures(model, *k))).collect();
    told["users"] = json!(ratings.users.len());
    told["items"] = json!(ratings.items.rated_count());
    told["train_ratings"] = json!(split.train.len());
    told["test_ratings"] = json!(split.held_out_count);
    let k = match args.k.as_slice() {
        [k] => json!(k),
        several => json!(several),
    };
    let json = json!({ "split": told, "k": k, "device": device.to_string(), "models": rows });
    Ok(Outcome { text: table(&rows), json, failure: None })
}

/// What is to be learned, and what to be foretold.
struct Task {
    ratings: Encoded,
    split: Split,
    related: Related,
    /// How it was split, for the report.
    told: Value,
}

impl Task {
    fn new(args: &cli::Evaluate, config: &Config, console: &Console, interrupt: &Interrupt) -> Result<Self> {
        let (ratings, split, mut related, told) = match (&args.train, &args.test, &args.db) {
            (Some(train), Some(test), _) => {
                let (ratings, split) = files::read(train, test, config)?;
                let told = json!({
                    "kind": "files",
                    "train": train.display().to_string(),
                    "test": test.display().to_string(),
                });
                (ratings, split, Related::default(), told)
            }
            (_, _, Some(db)) => {
                let database = Database::open(db, config.output.patience(), interrupt.clone())?;
                let Intake { ratings, related, .. } = Work::new(config, console).take_in(&database)?;
                let scheme = scheme(args);
                let split = Split::draw(&ratings, scheme, args.split_seed)?;
                let mut told = json!({ "kind": args.split.word(), "seed": args.split_seed });
                match scheme {
                    Scheme::LeaveLast(last) => told["last"] = json!(last),
                    Scheme::LeaveOne => {}
                    _ => told["share"] = json!(args.share()),
                }
                (ratings, split, related, told)
            }
            _ => {
                return Err(Error::new(Kind::NoInput, "there is nothing to evaluate")
                    .hint("name a database with --db, or two files with --train and --test"));
            }
        };
        if let Some(path) = &args.books {
            related = files::read_books(path, &ratings.items, config)?;
        }
        Ok(Self { ratings, split, related, told })
    }
}

fn scheme(args: &cli::Evaluate) -> Scheme {
    let share = args.share();
    match args.split {
        SplitKind::Random => Scheme::Random(share),
        SplitKind::LeaveOneOut => Scheme::LeaveOne,
        SplitKind::LeaveLast => Scheme::LeaveLast(args.last),
        SplitKind::Time => Scheme::Time(share),
        SplitKind::Users => Scheme::Readers(share),
        SplitKind::NewBooks => Scheme::Books(share),
    }
}

/// A variant from words such as `factors=8`.
fn named_variant(
    words: &str,
    config: &Config,
    variant: &impl Fn(&str, &str) -> Result<Config>,
) -> Result<(String, Config)> {
    let bad = |what: String| {
        Error::new(Kind::Config, format!("--compare {words}: {what}"))
            .hint("it takes one setting of the model, such as factors=8 or solver=adam, and may be repeated")
    };
    let (key, value) = words.split_once('=').ok_or_else(|| bad("there is no =".into()))?;
    let other = variant(key.trim(), value.trim()).map_err(|error| bad(error.to_string()))?;
    if other.items != config.items || other.source != config.source || other.compute != config.compute {
        return Err(bad(format!("{key} changes what is measured, not the model")));
    }
    Ok((words.to_owned(), other))
}

/// All figures of a model, with how sure they are and whom they are about.
struct Sheet<'a> {
    judge: &'a Judge<'a>,
    split: &'a Split,
}

impl Sheet<'_> {
    fn figures(&self, answers: &Answers, k: usize) -> Value {
        let mut figures = self.judge.figures(answers, k);
        if let (Some(by_reader), Some(lists)) = (self.judge.by_reader(answers, k), &answers.lists) {
            let intervals = metrics::intervals(&by_reader, k as u64);
            let intervals: Map<_, _> =
                intervals.into_iter().map(|(name, ends)| (name.to_owned(), json!(ends))).collect();
            figures["intervals"] = intervals.into();
            figures["by_activity"] = self.by_activity(&by_reader);
            figures["by_popularity"] = self.by_popularity(lists, k);
        }
        figures
    }

    /// Recall and nDCG of readers by how much is known of them.
    fn by_activity(&self, by_reader: &[RankingFigures]) -> Value {
        let mut groups = vec![Vec::new(); GROUPS.len()];
        for (place, figures) in by_reader.iter().enumerate() {
            if let Some(group) = group(self.judge.known().of(place).0.len()) {
                groups[group].push(*figures);
            }
        }
        let told =
            groups.iter().zip(GROUPS).filter(|(figures, _)| !figures.is_empty()).map(|(figures, least)| {
                let mean = RankingFigures::average(figures);
                json!({ "from": least, "readers": figures.len(), "recall": mean.recall, "ndcg": mean.ndcg })
            });
        told.collect()
    }

    /// The share of held-out books that were found, by how many readers they have to learn from; those
    /// that nobody has come first.
    fn by_popularity(&self, lists: &[Vec<u32>], k: usize) -> Value {
        let popularity = self.split.train.readers_per_item();
        let mut groups = vec![(0usize, 0usize); GROUPS.len() + 1];
        for (list, reader) in lists.iter().zip(self.judge.readers()) {
            let list = &list[..k.min(list.len())];
            for item in &self.split.held_out[*reader as usize] {
                let readers = popularity.get(*item as usize).copied().unwrap_or_default() as usize;
                let (found, all) = &mut groups[group(readers).map_or(0, |group| group + 1)];
                *found += usize::from(list.contains(item));
                *all += 1;
            }
        }
        let least = std::iter::once(0).chain(GROUPS);
        let told = groups.iter().zip(least).filter(|((_, all), _)| *all > 0).map(|((found, all), least)| {
            json!({ "from": least, "held_out": all, "recall": *found as f64 / *all as f64 })
        });
        told.collect()
    }
}

/// The group of a number of ratings or readers, if it has any.
fn group(number: usize) -> Option<usize> {
    GROUPS.iter().rposition(|least| number >= *least)
}

fn table(rows: &[Value]) -> String {
    const FIGURES: [&str; 10] =
        ["rmse", "mae", "precision", "recall", "ndcg", "map", "mrr", "hit_rate", "coverage", "novelty"];
    // Those that a list is judged by, with how far chance alone may have moved them.
    const WITH_INTERVAL: [&str; 2] = ["recall", "ndcg"];
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["model", "k"].into_iter().chain(FIGURES));
    for row in rows {
        let mut cells = vec![row["name"].as_str().unwrap_or_default().to_owned(), row["k"].to_string()];
        for figure in FIGURES {
            let interval = &row["intervals"][figure];
            cells.push(match (row[figure].as_f64(), interval[0].as_f64(), interval[1].as_f64()) {
                (Some(value), Some(low), Some(high)) if WITH_INTERVAL.contains(&figure) => {
                    format!("{value:.4} ±{:.4}", (high - low) / 2.0)
                }
                (Some(value), ..) => format!("{value:.4}"),
                (None, ..) => "-".to_owned(),
            });
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    table.trim_fmt()
}
