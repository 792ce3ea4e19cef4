//! Measures the model on ratings that it has not seen: held out of a database, or in a file.
//!
//! For every reader with a held-out book, all books are ranked except those known to be read. Baselines are
//! measured too, since a figure alone says nothing; so are variants of the model, if asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::catalog::encode::Encoded;
use crate::catalog::makers::Related;
use crate::catalog::split::{Scheme, Split};
use crate::config::Config;
use crate::context::Context;
use crate::error::Result;
use crate::model::device;
use crate::model::ranker::{Feature, Ranker};
use crate::pipeline::dataset::{Dataset, Job};
use crate::pipeline::split_files;
use crate::quality::metrics::{self, RankingFigures};
use crate::recommender::evaluator::{Evaluator, Holdout, Predictions};
use crate::recommender::ranking::{Learned, Lesson};
use crate::recommender::similar::By;
use crate::run_summary::QualityFigures;
use crate::text::count;

/// Readers are grouped by their training ratings, books by their training readers: the least of each group.
const GROUPS: [usize; 4] = [1, 6, 21, 101];

/// The models whose lists are measured alone, and what they are ordered by.
const PARTS: [(&str, Feature); 2] = [("factors", Feature::Factors), ("neighbours", Feature::Neighbours)];

/// What books are alike by.
const SIMILAR: [(&str, Option<By>); 4] = [
    ("popularity", None),
    ("factors", Some(By::Factors)),
    ("neighbours", Some(By::Neighbours)),
    ("both", Some(By::Both)),
];

#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub source: Source<'a>,
    /// A file of books to use instead of the database's table of books.
    pub books: Option<&'a Path>,
    /// The list lengths to measure at.
    pub k: &'a [usize],
    /// Variants of the model: name and settings.
    pub variants: &'a [(String, Config)],
}

#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A database, some of whose ratings are held out: as `scheme` says, or this share as a night would.
    Database { db: &'a Path, scheme: Option<Scheme>, share: f64, seed: u64 },
    /// Two files: the ratings to learn from, and the held-out ones.
    Files { train: &'a PathBuf, test: &'a PathBuf },
}

#[derive(Debug, Serialize)]
pub struct Evaluation {
    pub split: SplitSummary,
    pub device: String,
    /// An entry for each model and list length.
    pub models: Vec<ModelFigures>,
    /// How often one book of a reader foretells another.
    pub similar: Vec<SimilarFigures>,
}

/// How often the ten books that are most like one of a reader's have the held-out one.
#[derive(Debug, Serialize)]
pub struct SimilarFigures {
    pub name: &'static str,
    pub hit_rate: f64,
    pub readers: usize,
}

#[derive(Debug, Default, Serialize)]
pub struct SplitSummary {
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    pub users: usize,
    pub items: usize,
    pub train_ratings: usize,
    pub test_ratings: usize,
}

/// The figures of one model at one list length.
#[derive(Debug, Serialize)]
pub struct ModelFigures {
    pub name: String,
    #[serde(flatten)]
    pub figures: QualityFigures,
    pub coverage: Option<f64>,
    #[serde(flatten)]
    pub details: Option<Details>,
}

/// 95% intervals of the figures of lists, and figures by group of readers and of books.
#[derive(Debug, Serialize)]
pub struct Details {
    pub intervals: BTreeMap<&'static str, [f64; 2]>,
    pub by_activity: Vec<ActivityGroup>,
    pub by_popularity: Vec<PopularityGroup>,
}

/// Readers with at least `from` training ratings, and fewer than the next group.
#[derive(Debug, Serialize)]
pub struct ActivityGroup {
    pub from: usize,
    pub readers: usize,
    pub recall: f64,
    pub ndcg: f64,
}

/// Books with at least `from` training readers, and fewer than the next group.
#[derive(Debug, Serialize)]
pub struct PopularityGroup {
    pub from: usize,
    pub held_out: usize,
    /// The share of the held-out ratings whose book is in the reader's list.
    pub recall: f64,
}

/// Measures the model, its variants and the baselines.
///
/// # Errors
/// [`crate::error::Kind::NoInput`] for a missing file; [`crate::error::Kind::NoRatings`] if a file holds no
/// usable rating, or nothing is left to learn from.
pub fn evaluate(context: Context<'_>, request: Request<'_>) -> Result<Evaluation> {
    let Context { config, console, interrupt } = context;
    let (device, why) = device::choose(&config.compute.device)?;
    console.say(format!("device     {device}: {why}"));
    let Task { ratings, split, scheme, related, summary } = Task::new(context, &request)?;
    console.say(format!(
        "split      {}: {} ratings of {} books by {} readers to learn from; {} held out, of {} readers",
        summary.kind,
        count(split.train.len()),
        count(ratings.items.rated_count()),
        count(ratings.users.len()),
        count(split.held_out_count),
        count(split.readers.len()),
    ));
    let new_books_seed = summary.seed.filter(|_| matches!(scheme, Scheme::Books(_)));
    let holdout = Holdout {
        split: &split,
        items: &ratings.items,
        related: &related,
        attributes: &ratings.attributes,
        scale: ratings.scale,
        only_new: new_books_seed.is_some(),
        longest: request.k.iter().copied().max().unwrap_or(1),
        most_readers: usize::MAX,
        windows: 1,
    };
    let evaluator = Evaluator::new(holdout, device, console, interrupt);
    let mut models = vec![
        evaluator.popularity(config.model.popularity_half_life),
        evaluator.nearest()?,
        evaluator.damped_bias(),
    ];
    if let Some(seed) = new_books_seed {
        models.insert(0, evaluator.random(seed));
    }
    let lesson = Lesson {
        ratings: &ratings,
        split: Some(&split),
        related: &related,
        scheme,
        windows: 1,
        device,
        interrupt,
    };
    let mut similar = Vec::new();
    let own = ("nightshelf".to_owned(), config.clone());
    for (name, config) in std::iter::once(&own).chain(request.variants) {
        let choice = lesson.ranker(config)?;
        let mut config = config.clone();
        if let Some(choice) = &choice {
            config.model = choice.model.clone();
        }
        let mut model = evaluator.fit(name, &config)?;
        if let Some(Learned { blend, lead, why, .. }) = &choice {
            let lead = lead.map_or(String::new(), |lead| {
                let [low, high] = lead.interval;
                format!(", nDCG@20 {:+.4} ({low:+.4} to {high:+.4}) beside the best blend", lead.mean)
            });
            console.say(format!("ranker     {why}{lead}"));
            // What each part adds.
            if name == "nightshelf" {
                for (part, feature) in PARTS.into_iter().filter(|(part, _)| model.has(part)) {
                    models.push(evaluator.predict(part, &model, Some(&Ranker::only(feature)))?);
                }
                models.push(evaluator.predict("blend", &model, Some(blend))?);
            }
        }
        let ranker = choice.as_ref().map(|choice| &choice.ranker);
        models.push(evaluator.predict(name, &model, ranker)?);
        if name == "nightshelf" {
            if related.has_series() && config.rules.series_in_order && !evaluator.is_in_time() {
                model.keep_to(config.rules.clone());
                models.push(evaluator.predict("series in order", &model, ranker)?);
            }
            if config.output.similar_readers > 0 && model.has("factors") {
                for (name, by) in SIMILAR {
                    let (hit_rate, readers) = evaluator.foretold(&model, by)?;
                    similar.push(SimilarFigures { name, hit_rate, readers });
                }
            }
        }
    }
    let sheet = Sheet { evaluator: &evaluator, split: &split };
    let rows = models.iter().flat_map(|model| request.k.iter().map(|k| sheet.figures(model, *k)));
    Ok(Evaluation { split: summary, device: device.to_string(), models: rows.collect(), similar })
}

/// The ratings, and which of them are held out.
struct Task {
    ratings: Encoded,
    split: Split,
    /// How they were held out.
    scheme: Scheme,
    related: Related,
    summary: SplitSummary,
}

impl Task {
    fn new(context: Context<'_>, request: &Request<'_>) -> Result<Self> {
        let config = context.config;
        let (ratings, split, scheme, mut related, summary) = match request.source {
            Source::Files { train, test } => {
                let (ratings, split) = split_files::read(train, test, config)?;
                let scheme = match split.later.is_empty() {
                    true => Scheme::Random(config.gate.holdout),
                    false => Scheme::Time(config.gate.holdout),
                };
                let [train, test] = [train, test].map(|path| Some(path.display().to_string()));
                let summary = SplitSummary { kind: "files", train, test, ..SplitSummary::default() };
                (ratings, split, scheme, Related::default(), summary)
            }
            Source::Database { db, scheme, share, seed } => {
                let database = context.open(db)?;
                let Dataset { ratings, related, .. } = Job::new(context).load(&database)?;
                let scheme = scheme.unwrap_or_else(|| Scheme::of_night(&ratings.moments, share));
                let split = Split::draw(&ratings, scheme, seed)?;
                let summary = SplitSummary {
                    kind: scheme.word(),
                    seed: Some(seed),
                    share: scheme.share(),
                    last: match scheme {
                        Scheme::LeaveLast(last) => Some(last),
                        _ => None,
                    },
                    ..SplitSummary::default()
                };
                (ratings, split, scheme, related, summary)
            }
        };
        if let Some(path) = request.books {
            related = split_files::read_books(path, &ratings.items, config)?;
        }
        let summary = SplitSummary {
            users: ratings.users.len(),
            items: ratings.items.rated_count(),
            train_ratings: split.train.len(),
            test_ratings: split.held_out_count,
            ..summary
        };
        Ok(Self { ratings, split, scheme, related, summary })
    }
}

/// Works out the [`ModelFigures`].
struct Sheet<'a> {
    evaluator: &'a Evaluator<'a>,
    split: &'a Split,
}

impl Sheet<'_> {
    fn figures(&self, predictions: &Predictions, k: usize) -> ModelFigures {
        let details = match (self.evaluator.by_case(predictions, k), &predictions.lists) {
            (Some(by_reader), Some(lists)) => Some(Details {
                intervals: metrics::intervals(&by_reader, k as u64).into_iter().collect(),
                by_activity: self.by_activity(&by_reader),
                by_popularity: self.by_popularity(lists, k),
            }),
            _ => None,
        };
        ModelFigures {
            name: predictions.name.clone(),
            figures: self.evaluator.figures(predictions, k),
            coverage: self.evaluator.coverage(predictions, k),
            details,
        }
    }

    /// Recall and nDCG by the reader's number of training ratings.
    fn by_activity(&self, by_reader: &[RankingFigures]) -> Vec<ActivityGroup> {
        let mut groups = vec![Vec::new(); GROUPS.len()];
        for (place, figures) in by_reader.iter().enumerate() {
            if let Some(group) = group(self.evaluator.cases().known.of(place).0.len()) {
                groups[group].push(*figures);
            }
        }
        let told =
            groups.iter().zip(GROUPS).filter(|(figures, _)| !figures.is_empty()).map(|(figures, least)| {
                let mean = RankingFigures::average(figures);
                ActivityGroup { from: least, readers: figures.len(), recall: mean.recall, ndcg: mean.ndcg }
            });
        told.collect()
    }

    /// Recall by the held-out book's number of training readers; books without any come first.
    fn by_popularity(&self, lists: &[Vec<u32>], k: usize) -> Vec<PopularityGroup> {
        let popularity = self.split.train.users_per_item();
        let mut groups = vec![(0usize, 0usize); GROUPS.len() + 1];
        for (list, reader) in lists.iter().zip(&self.evaluator.cases().readers) {
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
            PopularityGroup { from: least, held_out: *all, recall: *found as f64 / *all as f64 }
        });
        told.collect()
    }
}

/// The index in [`GROUPS`] of a number of ratings or readers; `None` for 0.
fn group(number: usize) -> Option<usize> {
    GROUPS.iter().rposition(|least| number >= *least)
}
