//! Measures the model on a published split: learn from one file, foretell the other.
//!
//! Every book of the training file is ranked for every reader with a held-out book, without what
//! the reader has in the training file. Baselines stand beside the model: without them no figure
//! says anything.

use std::path::Path;

use serde_json::{Value, json};

use crate::catalog::delimited::{self, Dialect, Field, Records};
use crate::catalog::frame::{self, Encoded, RatingColumns};
use crate::catalog::groups::{Group, Groups, Maker};
use crate::catalog::interactions::Interactions;
use crate::catalog::spellings;
use crate::catalog::vocabulary::{Items, UserRef};
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
use crate::quality::metrics;

/// Measures the model and the baselines.
///
/// # Errors
/// [`Kind::NoInput`] for a missing file, [`Kind::NoRatings`] if one holds nothing to use.
pub fn evaluate(
    args: &cli::Evaluate,
    config: &Config,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let (device, why) = device::choose(&config.compute.device)?;
    console.say(format!("device     {device}: {why}"));
    let split = Split::read(&args.train, &args.test, config)?;
    let groups = match &args.books {
        Some(path) => read_groups(path, &split.train.items, config)?,
        None => Vec::new(),
    };
    let config = &Settled::new(config, &split.train.interactions);
    console.say(format!(
        "split      {} ratings of {} books by {} readers to learn from; {} held out, of {} readers",
        count(split.train.interactions.len()),
        count(split.train.items.len()),
        count(split.train.users.len()),
        count(split.held_out_count),
        count(split.held_out.iter().filter(|items| !items.is_empty()).count()),
    ));
    let longest = args.k.iter().copied().max().unwrap_or(1).max(1);
    let judge = Judge { split: &split, groups: &groups, config, console, interrupt, device, longest };
    let models = [judge.popularity(), judge.damped_bias(), judge.nightshelf()?];

    let mut rows = Vec::new();
    for model in &models {
        for k in &args.k {
            rows.push(model.figures(&split, *k));
        }
    }
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

/// Two files, in the codes of the first.
struct Split {
    train: Encoded,
    rated: Interactions,
    /// The held-out items of each user of the training file. Items that it does not have get codes
    /// past its own: nobody can find them, and they count as not found.
    held_out: Vec<Vec<u32>>,
    held_out_count: usize,
    /// Held-out ratings: user and item, where known, and what was given.
    held_out_ratings: Vec<(Option<u32>, Option<u32>, f32)>,
}

impl Split {
    fn read(train: &Path, test: &Path, config: &Config) -> Result<Self> {
        let mut columns = RatingColumns::default();
        for_each_rating(train, config, |place, user, isbn, rating| {
            columns.push(user, isbn, rating, place);
        })?;
        let train = frame::encode(frame::normalise(columns, config)?)?;
        if train.interactions.is_empty() {
            return Err(Error::new(Kind::NoRatings, "the training file holds no usable ratings"));
        }
        let (users, items) = (train.users.codes(), train.items.codes());
        let mut held_out = vec![Vec::new(); train.users.len()];
        let mut held_out_ratings = Vec::new();
        let mut unknown = train.items.len() as u32;
        let mut held_out_count = 0;
        for_each_rating(test, config, |_, user, isbn, rating| {
            let Some(key) = spellings::key(isbn, config) else {
                return;
            };
            let (user, item) = (users.get(&user).copied(), items.get(key.as_str()).copied());
            held_out_count += 1;
            if let Some(user) = user {
                let code = item.unwrap_or_else(|| {
                    unknown += 1;
                    unknown
                });
                held_out[user as usize].push(code);
            }
            if !rating.is_nan() {
                held_out_ratings.push((user, item, rating));
            }
        })?;
        if held_out_count == 0 {
            return Err(Error::new(Kind::NoRatings, "the test file holds no usable ratings"));
        }
        for items in &mut held_out {
            items.sort_unstable();
            items.dedup();
        }
        drop((users, items));
        let rated = train.interactions.rated();
        Ok(Self { train, rated, held_out, held_out_count, held_out_ratings })
    }
}

/// Reads user, item and rating of each usable record; the rating is NaN if it is implicit.
fn for_each_rating(
    path: &Path,
    config: &Config,
    mut take: impl FnMut(f64, UserRef<'_>, &str, f32),
) -> Result<()> {
    let hints = cli::Hints { kind: Some(cli::FileKind::Ratings), ..Default::default() };
    let dialect = Dialect::sniff(path, &hints)?;
    let place = |field: Field| dialect.columns.iter().position(|column| *column == field);
    let (user, isbn, rating) = (place(Field::User), place(Field::Isbn), place(Field::Rating));
    for record in Records::open(path, &dialect)? {
        let record = record?;
        let field =
            |place: Option<usize>| place.and_then(|place| record.fields.get(place)).map(String::as_str);
        let (Some(user), Some(isbn)) = (field(user), field(isbn)) else {
            continue;
        };
        let stars = match field(rating) {
            None => f32::NAN,
            Some(text) => match delimited::number(text) {
                Some(number) if number == config.source.implicit_rating => f32::NAN,
                Some(number) => number as f32,
                None => continue,
            },
        };
        take(record.number as f64, UserRef::Text(user), isbn, stars);
    }
    Ok(())
}

/// Books of one author or publisher, of those that `items` has.
fn read_groups(path: &Path, items: &Items, config: &Config) -> Result<Vec<Group>> {
    let hints = cli::Hints { kind: Some(cli::FileKind::Books), ..Default::default() };
    let dialect = Dialect::sniff(path, &hints)?;
    let place = |field: Field| dialect.columns.iter().position(|column| *column == field);
    let isbn = place(Field::Isbn);
    let makers = [(Maker::Author, place(Field::Author)), (Maker::Publisher, place(Field::Publisher))];
    let codes = items.codes();
    let mut groups = Groups::default();
    for record in Records::open(path, &dialect)? {
        let record = record?;
        let field =
            |place: Option<usize>| place.and_then(|place| record.fields.get(place)).map(String::as_str);
        let key = field(isbn).and_then(|isbn| spellings::key(isbn, config));
        let Some(item) = key.and_then(|key| codes.get(key.as_str())) else {
            continue;
        };
        for (maker, place) in makers {
            if let Some(name) = field(place) {
                groups.add(*item, maker, name);
            }
        }
    }
    Ok(groups.finish())
}

/// A model's answers to a split.
struct Answers {
    name: &'static str,
    lists: Option<Vec<Vec<u32>>>,
    errors: Option<(f64, f64)>,
}

impl Answers {
    fn figures(&self, split: &Split, k: usize) -> Value {
        let ranking = self
            .lists
            .as_ref()
            .map(|lists| metrics::ranking(lists, &split.held_out, k, split.train.items.len()));
        json!({
            "name": self.name,
            "k": k,
            "rmse": self.errors.map(|errors| errors.0),
            "mae": self.errors.map(|errors| errors.1),
            "precision": ranking.map(|figures| figures.precision),
            "recall": ranking.map(|figures| figures.recall),
            "ndcg": ranking.map(|figures| figures.ndcg),
            "map": ranking.map(|figures| figures.map),
            "mrr": ranking.map(|figures| figures.mrr),
            "hit_rate": ranking.map(|figures| figures.hit_rate),
            "coverage": ranking.map(|figures| figures.coverage),
        })
    }
}

/// Trains and asks.
struct Judge<'a> {
    split: &'a Split,
    groups: &'a [Group],
    config: &'a Settled,
    console: &'a Console,
    interrupt: &'a Interrupt,
    device: Device,
    longest: usize,
}

impl Judge<'_> {
    fn popularity(&self) -> Answers {
        let lists = baselines::popularity(&self.split.train.interactions, self.longest);
        Answers { name: "popularity", lists: Some(lists), errors: None }
    }

    fn damped_bias(&self) -> Answers {
        let bias = DampedBias::new(&self.split.rated);
        let predict = |user: Option<u32>, item: Option<u32>| bias.predict(user, item);
        Answers { name: "damped bias", lists: None, errors: self.errors(&predict) }
    }

    fn nightshelf(&self) -> Result<Answers> {
        let (train, config) = (&self.split.train, self.config);
        let stars = train.scale.filter(|_| !self.split.rated.is_empty());
        let rating = match stars {
            Some(scale) => Some(self.watched("stars", config.rating.rating_epochs, |watch| {
                model::fit_rating(self.device, &self.split.rated, scale, config, watch)
            })?),
            None => None,
        };
        let lists = match (config.model.objective, &rating) {
            (Objective::Rating, Some(model)) => Some(self.lists(&model.as_products())?),
            (Objective::Rating, None) => None,
            (Objective::Ranking, _) => {
                let evidence = Evidence::new(&train.interactions, self.groups, &config.model);
                let factors = self.watched("train", config.model.epochs, |watch| {
                    model::fit_ranking(self.device, &evidence, config, watch)
                })?;
                Some(self.lists(&factors)?)
            }
        };
        let errors = rating.as_ref().and_then(|model| self.errors(&|user, item| stars_of(model, user, item)));
        Ok(Answers { name: "nightshelf", lists, errors })
    }

    fn watched<T>(&self, what: &str, epochs: usize, fit: impl FnOnce(&Watch<'_>) -> Result<T>) -> Result<T> {
        let bar = self.console.bar(what, epochs as u64);
        let epoch = |epoch: usize, loss: f64| {
            bar.advance(1);
            self.console.step(format!("           {what}, epoch {epoch}: loss {loss:.5} a rating"));
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
    const FIGURES: [&str; 9] =
        ["rmse", "mae", "precision", "recall", "ndcg", "map", "mrr", "hit_rate", "coverage"];
    let mut text = format!("{:12} {:>4}", "model", "k");
    FIGURES.iter().for_each(|name| text.push_str(&format!(" {name:>9}")));
    for row in rows {
        let name = row["name"].as_str().unwrap_or_default();
        text.push_str(&format!("\n{name:12} {:>4}", row["k"].to_string()));
        for figure in FIGURES {
            match row[figure].as_f64() {
                Some(value) => text.push_str(&format!(" {value:>9.4}")),
                None => text.push_str(&format!(" {:>9}", "-")),
            }
        }
    }
    text
}
