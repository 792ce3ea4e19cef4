//! Measures the model on a published split: learn from one file, foretell the other.
//!
//! Every book of the training file is ranked for every reader with a held-out book, without what
//! the reader has in the training file. Baselines stand beside the model: without them no figure
//! says anything; and so do variants of the model, if they are asked for.

mod split;

use serde_json::{Map, Value, json};

use crate::catalog::groups::Group;
use crate::cli;
use crate::config::{Config, Objective};
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::model::device::{self, Device};
use crate::model::evidence::Evidence;
use crate::model::settled::Settled;
use crate::model::topn::Index;
use crate::model::{self, Factors, RatingModel, Watch};
use crate::quality::baselines::{self, DampedBias};
use crate::quality::knn;
use crate::quality::metrics::{self, RankingFigures};
use split::Split;

/// Readers by how many ratings there are to learn from, and books by how many readers they have: the
/// least of each group.
const GROUPS: [usize; 4] = [1, 6, 21, 101];

/// Measures the model, its variants and the baselines. `variant` gives the settings with one more
/// key and value.
///
/// # Errors
/// [`Kind::NoInput`] for a missing file, [`Kind::NoRatings`] if one holds nothing to use,
/// [`Kind::Config`] for a variant that is none.
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
    let split = Split::read(&args.train, &args.test, config)?;
    let groups = match &args.books {
        Some(path) => split::read_groups(path, &split.train.items, config)?,
        None => Vec::new(),
    };
    console.say(format!(
        "split      {} ratings of {} books by {} readers to learn from; {} held out, of {} readers",
        count(split.train.interactions.len()),
        count(split.train.items.len()),
        count(split.train.users.len()),
        count(split.held_out_count),
        count(split.held_out.iter().filter(|items| !items.is_empty()).count()),
    ));
    let longest = args.k.iter().copied().max().unwrap_or(1).max(1);
    let judge = Judge { split: &split, groups: &groups, console, interrupt, device, longest };
    let mut models = vec![judge.popularity(), judge.nearest()?, judge.damped_bias()];
    models.push(judge.nightshelf("nightshelf", config)?);
    for (name, config) in &variants {
        models.push(judge.nightshelf(name, config)?);
    }
    let rows: Vec<Value> =
        models.iter().flat_map(|model| args.k.iter().map(|k| model.figures(&split, *k))).collect();
    let k = match args.k.as_slice() {
        [k] => json!(k),
        several => json!(several),
    };
    let json = json!({
        "split": {
            "train": args.train.display().to_string(),
            "test": args.test.display().to_string(),
            "users": split.train.users.len(),
            "items": split.train.items.len(),
            "train_ratings": split.train.interactions.len(),
            "test_ratings": split.held_out_count,
        },
        "k": k,
        "device": device.to_string(),
        "models": rows,
    });
    Ok(Outcome { text: table(&rows), json, failure: None })
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

/// A model's answers to a split.
struct Answers {
    name: String,
    lists: Option<Vec<Vec<u32>>>,
    errors: Option<(f64, f64)>,
}

impl Answers {
    fn figures(&self, split: &Split, k: usize) -> Value {
        let mut figures = Map::new();
        figures.insert("name".into(), json!(self.name));
        figures.insert("k".into(), json!(k));
        figures.insert("rmse".into(), json!(self.errors.map(|errors| errors.0)));
        figures.insert("mae".into(), json!(self.errors.map(|errors| errors.1)));
        let by_reader = self.lists.as_ref().map(|lists| metrics::by_reader(lists, &split.held_out, k));
        let by_reader = by_reader.as_deref();
        let alone: Vec<RankingFigures> =
            by_reader.into_iter().flatten().map(|(_, figures)| *figures).collect();
        for (name, mean) in RankingFigures::average(&alone).named() {
            figures.insert(name.into(), json!(by_reader.map(|_| mean)));
        }
        let train = &split.train.interactions;
        let popularity = train.readers_per_item();
        let lists = self.lists.as_ref();
        let coverage = lists.map(|lists| metrics::coverage(lists, k, train.item_count));
        let novelty = lists.map(|lists| metrics::novelty(lists, k, &popularity, train.user_count()));
        figures.insert("coverage".into(), json!(coverage));
        figures.insert("novelty".into(), json!(novelty));
        if let (Some(by_reader), Some(lists)) = (by_reader, lists) {
            let intervals = metrics::intervals(&alone, k as u64);
            let intervals: Map<_, _> =
                intervals.into_iter().map(|(name, ends)| (name.to_owned(), json!(ends))).collect();
            figures.insert("intervals".into(), intervals.into());
            figures.insert("by_activity".into(), by_activity(by_reader, split));
            figures.insert("by_popularity".into(), by_popularity(lists, split, k, &popularity));
        }
        figures.into()
    }
}

/// The group of a number of ratings or readers, if it has any.
fn group(number: usize) -> Option<usize> {
    GROUPS.iter().rposition(|least| number >= *least)
}

/// Recall and nDCG of readers by how many ratings there are to learn from.
fn by_activity(by_reader: &[(usize, RankingFigures)], split: &Split) -> Value {
    let mut groups = vec![Vec::new(); GROUPS.len()];
    for (user, figures) in by_reader {
        if let Some(group) = group(split.train.interactions.of(*user).0.len()) {
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
fn by_popularity(lists: &[Vec<u32>], split: &Split, k: usize, popularity: &[u32]) -> Value {
    let mut groups = vec![(0usize, 0usize); GROUPS.len() + 1];
    for (list, held_out) in lists.iter().zip(&split.held_out) {
        let list = &list[..k.min(list.len())];
        for item in held_out {
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

/// Trains and asks.
struct Judge<'a> {
    split: &'a Split,
    groups: &'a [Group],
    console: &'a Console,
    interrupt: &'a Interrupt,
    device: Device,
    longest: usize,
}

impl Judge<'_> {
    fn popularity(&self) -> Answers {
        let lists = baselines::popularity(&self.split.train.interactions, self.longest);
        Answers { name: "popularity".into(), lists: Some(lists), errors: None }
    }

    fn nearest(&self) -> Result<Answers> {
        let lists = knn::lists(&self.split.train.interactions, self.longest, self.interrupt)?;
        Ok(Answers { name: "item-kNN".into(), lists: Some(lists), errors: None })
    }

    fn damped_bias(&self) -> Answers {
        let bias = DampedBias::new(&self.split.rated);
        let predict = |user: Option<u32>, item: Option<u32>| bias.predict(user, item);
        Answers { name: "damped bias".into(), lists: None, errors: self.errors(&predict) }
    }

    fn nightshelf(&self, name: &str, config: &Config) -> Result<Answers> {
        let train = &self.split.train;
        let config = &Settled::new(config, &train.interactions);
        let stars = train.scale.filter(|_| !self.split.rated.is_empty());
        let rating = match stars {
            Some(scale) => Some(self.watched(name, "stars", config.rating.rating_epochs, |watch| {
                model::fit_rating(self.device, &self.split.rated, scale, config, watch)
            })?),
            None => None,
        };
        let lists = match (config.model.objective, &rating) {
            (Objective::Rating, Some(model)) => Some(self.lists(&model.as_products())?),
            (Objective::Rating, None) => None,
            (Objective::Ranking, _) => {
                let evidence = Evidence::new(&train.interactions, self.groups, &config.model);
                let factors = self.watched(name, "train", config.model.epochs, |watch| {
                    model::fit_ranking(self.device, &evidence, config, watch)
                })?;
                Some(self.lists(&factors)?)
            }
        };
        let errors = rating.as_ref().and_then(|model| self.errors(&|user, item| stars_of(model, user, item)));
        Ok(Answers { name: name.into(), lists, errors })
    }

    fn watched<T>(
        &self,
        name: &str,
        what: &str,
        epochs: usize,
        fit: impl FnOnce(&Watch<'_>) -> Result<T>,
    ) -> Result<T> {
        let bar = self.console.bar(what, epochs as u64);
        let epoch = |epoch: usize, loss: f64| {
            bar.advance(1);
            self.console.step(format!("           {name}, {what}, epoch {epoch}: loss {loss:.5} a rating"));
        };
        fit(&Watch { interrupt: self.interrupt, epoch: &epoch })
    }

    fn lists(&self, factors: &Factors) -> Result<Vec<Vec<u32>>> {
        let seen = &self.split.train.interactions;
        let lists = Index::new(factors).search(factors, seen, self.longest, self.interrupt, &|_| ())?;
        Ok(lists.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()).collect())
    }

    fn errors(&self, predict: &dyn Fn(Option<u32>, Option<u32>) -> f32) -> Option<(f64, f64)> {
        let (low, high) = self.split.train.scale?;
        let pairs = &self.split.held_out_ratings;
        metrics::errors(
            pairs.iter().map(|(user, item, rating)| (*rating, predict(*user, *item).clamp(low, high))),
        )
    }
}

/// Expected stars where the reader or the book may be unknown: then its bias and factors are zero.
fn stars_of(model: &RatingModel, user: Option<u32>, item: Option<u32>) -> f32 {
    let bias = |row: &[f32]| row[row.len() - 1];
    match (user, item) {
        (Some(user), Some(item)) => model.stars(user as usize, item as usize),
        (Some(user), None) => model.mean + bias(model.factors.user(user as usize)),
        (None, Some(item)) => model.mean + bias(model.factors.item(item as usize)),
        (None, None) => model.mean,
    }
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
