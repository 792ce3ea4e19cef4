//! Measures a model and its baselines on held-out ratings.
//!
//! `evaluate`, the gate and `tune` all measure here, so their figures can be compared.

use crate::catalog::ids::Items;
use crate::catalog::makers::Related;
use crate::catalog::popularity::{self, Popularity};
use crate::catalog::split::Split;
use crate::config::{Config, Objective, RankerKind, ResolvedConfig};
use crate::console::Console;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::candidates::{CandidateSearch, Candidates};
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::Interactions;
use crate::model::device::Device;
use crate::model::fold_in::{self, Unsolved};
use crate::model::neighbours::Neighbours;
use crate::model::ranker::{Examples, Ranker};
use crate::model::rating::RatingModel;
use crate::model::{Factors, Start};
use crate::quality::baselines::{self, DampedBias};
use crate::quality::knn;
use crate::quality::metrics::{self, RankingFigures};
use crate::recommender::engine::engine;
use crate::recommender::lists::{Fitted, ListSearch, Shelves};
use crate::recommender::training::{self, Models, View, has_ranker, with_progress};
use crate::run_summary::{Lead, QualityFigures};

/// The held-out ratings, and how to measure on them.
#[derive(Clone, Copy, Debug)]
pub struct Holdout<'a> {
    pub split: &'a Split,
    /// Lists have only books that somebody has rated, held out or not.
    pub items: &'a Items,
    pub related: &'a Related,
    /// Lowest and highest rating; `None` if nothing was rated.
    pub scale: Option<(f32, f32)>,
    /// Whether all held-out books are new to the model; then lists may consist of new books only.
    pub only_new: bool,
    /// The length of the lists.
    pub longest: usize,
    /// The most readers whose lists are measured.
    pub most_readers: usize,
}

/// Most readers for a ranker to learn from: more take time, and change little.
const EXAMPLES: usize = 3_000;

/// With fewer readers than this, those who have judged a ranker teach it afterwards.
const ENOUGH_EXAMPLES: usize = 1_000;

/// With fewer readers than this to learn from, the blend serves better.
const FEWEST_EXAMPLES: usize = 100;

/// Trains models, takes their predictions, and measures them.
#[derive(Debug)]
pub struct Evaluator<'a> {
    holdout: Holdout<'a>,
    device: Device,
    console: &'a Console,
    interrupt: &'a Interrupt,
    readers: Vec<u32>,
    /// What is known of `readers`, in their order.
    known: Interactions,
    /// The training pairs with stars.
    rated: Interactions,
    /// Whether the log gets a line for each epoch.
    tells_epochs: bool,
}

/// A model that was trained on what is not held out. Its users are [`Evaluator::readers`], in their order.
#[derive(Debug)]
pub struct HoldoutModel {
    pub config: ResolvedConfig,
    ranking: Factors,
    item_scales: Vec<f32>,
    neighbours: Neighbours,
    rating: Option<RatingModel>,
    rated: Interactions,
    idle: Vec<f32>,
    popularity: Popularity,
    rating_epochs: Option<usize>,
    losses: Vec<f64>,
    /// Predicted stars for each of [`Split::held_out_ratings`].
    stars: Option<Vec<f32>>,
}

impl HoldoutModel {
    fn fitted<'a>(&'a self, known: &'a Interactions, ranker: Option<&'a Ranker>) -> Fitted<'a> {
        Fitted {
            interactions: known,
            ranking: &self.ranking,
            item_scales: &self.item_scales,
            neighbours: &self.neighbours,
            ranker,
            weighted: known,
            rating: self.rating.as_ref(),
            rated: &self.rated,
            idle: &self.idle,
        }
    }

    /// Whether it has the part of this name.
    pub fn has(&self, part: &str) -> bool {
        part != "neighbours" || !self.neighbours.is_empty()
    }

    /// What another training may start from.
    pub fn into_start(self) -> Start {
        Start { items: self.ranking.items, rating_epochs: self.rating_epochs, losses: self.losses }
    }
}

/// What orders the lists, and who judged it.
#[derive(Clone, Debug)]
pub struct Choice {
    pub ranker: Ranker,
    /// Places of the readers that it did not learn from.
    pub judges: Vec<u32>,
    /// The judges' lists, in this order.
    pub predictions: Predictions,
    /// Of the learned ranker on the blend, for the judges; `None` if none was learned.
    pub lead: Option<Lead>,
    pub why: &'static str,
}

#[derive(Clone, Debug)]
pub struct Predictions {
    pub name: String,
    /// A list for each of [`Evaluator::readers`]; `None` for a baseline of stars.
    pub lists: Option<Vec<Vec<u32>>>,
    /// Predicted stars for each of [`Split::held_out_ratings`]; `None` if there are none.
    pub stars: Option<Vec<f32>>,
}

impl<'a> Evaluator<'a> {
    pub fn new(holdout: Holdout<'a>, device: Device, console: &'a Console, interrupt: &'a Interrupt) -> Self {
        let Split { readers, train, .. } = holdout.split;
        let readers = &readers[..readers.len().min(holdout.most_readers)];
        let (known, rated) = (holdout.split.known().select(readers), train.rated());
        Self { holdout, device, console, interrupt, readers: readers.to_vec(), known, rated, tells_epochs: true }
    }

    /// Without a log line for each epoch.
    pub fn quietly(self) -> Self {
        Self { tells_epochs: false, ..self }
    }

    /// Codes of the readers whose lists are measured.
    pub fn readers(&self) -> &[u32] {
        &self.readers
    }

    /// What is known of [`Evaluator::readers`], in their order.
    pub fn known(&self) -> &Interactions {
        &self.known
    }

    /// Baseline: the most popular books.
    pub fn popularity(&self) -> Predictions {
        let lists = baselines::popularity(&self.holdout.split.train, &self.known, self.holdout.longest);
        Predictions { name: "popularity".into(), lists: Some(lists), stars: None }
    }

    /// Baseline: random books.
    pub fn random(&self, seed: u64) -> Predictions {
        let lists = baselines::random(&self.known, self.holdout.longest, seed);
        Predictions { name: "random".into(), lists: Some(lists), stars: None }
    }

    /// Baseline: the books nearest to those that were read.
    pub fn nearest(&self) -> Result<Predictions> {
        let lists = knn::lists(&self.holdout.split.train, &self.known, self.holdout.longest, self.interrupt)?;
        Ok(Predictions { name: "item-kNN".into(), lists: Some(lists), stars: None })
    }

    /// Baseline: stars from the reader's and the book's averages.
    pub fn damped_bias(&self) -> Predictions {
        let bias = DampedBias::new(&self.rated, &self.holdout.split.known().rated());
        let stars = self.stars(|user, item| bias.predict(user, item));
        Predictions { name: "damped bias".into(), lists: None, stars }
    }

    /// Baseline: stars from the book's average alone, the same for every reader.
    pub fn book_averages(&self) -> Predictions {
        let bias = DampedBias::new(&self.rated, &self.rated);
        let stars = self.stars(|_, item| bias.predict(None, item));
        Predictions { name: "book averages".into(), lists: None, stars }
    }

    /// Trains a model on what is not held out.
    pub fn fit(&self, name: &str, config: &Config) -> Result<HoldoutModel> {
        let Holdout { split, related, scale, items, .. } = self.holdout;
        let config = ResolvedConfig::new(config, &split.train);
        let confidence = ConfidenceMatrix::new(&split.train, &related.groups, &config.model);
        let Self { console, interrupt, tells_epochs, .. } = *self;
        let view = View { console, interrupt, name, tells_epochs, held_out: "" };
        let Models { mut ranking, neighbours, mut rating, losses } =
            training::fit(view, self.device, &config, &confidence, &self.rated, scale, None)?;
        let known = split.known();
        let unsolved = Unsolved { users: split.newcomers(), items: Vec::new() };
        if !unsolved.users.is_empty() {
            let confidence = ConfidenceMatrix::new(known, &related.groups, &config.model);
            let parameters = config.parameters();
            fold_in::solve_ranking(&mut ranking, &confidence, &unsolved, parameters, interrupt)?;
            if let Some(model) = &mut rating {
                fold_in::solve_rating(model, &known.rated(), &ranking, &unsolved, parameters, interrupt)?;
            }
        }
        let stars =
            rating.as_ref().and_then(|model| self.stars(|user, item| model.stars_if_known(user, item)));
        let item_scales = confidence.item_scales(&ranking, config.model.length_exponent);
        let editions = related.editions(&config).into_owned();
        let (traits, idle) = popularity::traits(&split.train, &split.moments, items, related);
        let idle_of = |reader: &u32| idle.get(*reader as usize).copied().unwrap_or_default();
        Ok(HoldoutModel {
            item_scales,
            neighbours,
            popularity: Popularity::new(&self.rated, confidence.rows(), editions, traits),
            idle: self.readers.iter().map(idle_of).collect(),
            rating_epochs: rating.as_ref().map(|model| model.epochs),
            ranking: ranking.only(&self.readers),
            rating: rating.map(|model| model.only(&self.readers)),
            rated: known.rated().select(&self.readers),
            losses,
            stars,
            config,
        })
    }

    /// The lists of a trained model, in the order of `ranker` if there is one, and its stars.
    pub fn predict(&self, name: &str, model: &HoldoutModel, ranker: Option<&Ranker>) -> Result<Predictions> {
        let lists = match (model.config.model.objective, &model.rating) {
            (Objective::Rating, None) => None,
            _ => Some(self.lists(model, ranker)?),
        };
        Ok(Predictions { name: name.to_owned(), lists, stars: model.stars.clone() })
    }

    /// The place of each of [`Evaluator::readers`].
    fn places(&self) -> Vec<u32> {
        (0..self.readers.len() as u32).collect()
    }

    /// The length of a list, and how many of it may be new books.
    fn lengths(&self, model: &HoldoutModel) -> (usize, usize) {
        let top = self.holdout.longest;
        match self.holdout.only_new {
            true => (top, top),
            false => (top, (top as f64 * model.config.output.new_books) as usize),
        }
    }

    fn lists(&self, model: &HoldoutModel, ranker: Option<&Ranker>) -> Result<Vec<Vec<u32>>> {
        let (top, new) = self.lengths(model);
        let is_new = |item: u32| self.is_new(model, item);
        let shelves = Shelves { top, new, is_new: &is_new };
        let fitted = model.fitted(&self.known, ranker);
        let search = ListSearch::new(fitted, &model.popularity, &model.config, self.device, &shelves)?;
        let lists = search.of(&self.places(), self.interrupt, &|_| ())?;
        Ok(lists.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()).collect())
    }

    /// A book that nobody has rated, held out or not, cannot be a hit.
    fn is_new(&self, model: &HoldoutModel, item: u32) -> Option<bool> {
        let is_new = model.popularity.traits.readers[item as usize] == 0;
        self.holdout.items.is_rated(item as usize).then_some(is_new)
    }

    /// Learns from one half of the readers, and asks the other half whether that serves them better than the plain
    /// blend. `None` if lists have no ranker.
    pub fn choose_ranker(&self, model: &HoldoutModel) -> Result<Option<Choice>> {
        if !has_ranker(&model.config) {
            return Ok(None);
        }
        let blend = |why: &'static str, lead: Option<Lead>| -> Result<Option<Choice>> {
            let (ranker, judges) = (Ranker::blend(), self.places());
            let predictions = self.predict("", model, Some(&ranker))?;
            Ok(Some(Choice { ranker, judges, predictions, lead, why }))
        };
        if model.config.ranker.kind == RankerKind::None {
            return blend("the plain blend, as set", None);
        }
        let learns = |place: &u32| self.holdout.split.learns[self.readers[*place as usize] as usize];
        let (learners, judges): (Vec<u32>, Vec<u32>) = self.places().into_iter().partition(learns);
        let shelf = |item: u32| self.is_new(model, item);
        let (top, new) = self.lengths(model);
        let stage = model.fitted(&self.known, None).first_stage(&model.popularity);
        let search = CandidateSearch::new(stage, top, &shelf, new, self.device)?;
        let mut examples = Examples::new();
        for places in learners.chunks(EXAMPLES) {
            if examples.users() < EXAMPLES {
                let found = search.of(places, self.interrupt, &|_| (), |place, found| self.example(place, found))?;
                found.iter().for_each(|more| examples.append(more));
            }
        }
        if examples.users() < FEWEST_EXAMPLES {
            return blend("the plain blend: too few picks to learn from", None);
        }
        let (mut ranker, plain) = (self.fit_ranker(model, &examples)?, Ranker::blend());
        let judged = search.of(&judges, self.interrupt, &|_| (), |place, found| {
            let list = |ranker: &Ranker| -> Vec<u32> {
                let mut scores = Vec::with_capacity(found.items.len());
                ranker.score(&found.features, &mut scores);
                search.best(found, &scores, top, new).into_iter().map(|entry| entry.item).collect()
            };
            (list(&ranker), list(&plain), self.example(place, found))
        })?;
        let (mut learned, mut blended, mut more) = (Vec::new(), Vec::new(), Examples::new());
        for (ours, theirs, example) in judged {
            learned.push(ours);
            blended.push(theirs);
            more.append(&example);
        }
        let judge = self.only(&judges);
        let predictions = |lists: Vec<Vec<u32>>| Predictions {
            name: String::new(),
            lists: Some(lists),
            stars: model.stars.clone(),
        };
        let (learned, blended) = (predictions(learned), predictions(blended));
        let ndcg = |predictions: &Predictions| -> Vec<f64> {
            let figures = judge.by_reader(predictions, top).unwrap_or_default();
            figures.into_iter().map(|figures| figures.ndcg).collect()
        };
        let lead = metrics::lead(&ndcg(&learned), &ndcg(&blended), model.config.model.seed);
        if lead.interval[0] <= 0.0 {
            return blend("the plain blend: the learned ranker is not better beyond doubt", Some(lead));
        }
        if examples.users() < ENOUGH_EXAMPLES {
            // Whoever judges has done so: now all may teach.
            examples.append(&more);
            ranker = self.fit_ranker(model, &examples)?;
        }
        Ok(Some(Choice { ranker, judges, predictions: learned, lead: Some(lead), why: "a learned ranker" }))
    }

    fn example(&self, place: u32, found: &Candidates) -> Examples {
        let reader = self.readers[place as usize];
        let held_out = &self.holdout.split.held_out[reader as usize];
        let picked: Vec<bool> = found.items.iter().map(|item| held_out.binary_search(item).is_ok()).collect();
        let mut example = Examples::new();
        example.add(&found.features, &picked, u64::from(reader));
        example
    }

    fn fit_ranker(&self, model: &HoldoutModel, examples: &Examples) -> Result<Ranker> {
        let (engine, settings) = (engine(self.device)?, &model.config.ranker);
        let Self { console, interrupt, .. } = *self;
        let view = View { console, interrupt, name: "", tells_epochs: false, held_out: "" };
        let (ranker, _) = with_progress(view, "ranker", settings.ranker_epochs, |watch| {
            engine.fit_ranker(examples, settings, model.config.model.seed, watch)
        })?;
        Ok(ranker)
    }

    /// The same for some of the readers, by their places.
    pub fn only(&self, places: &[u32]) -> Self {
        Self {
            readers: places.iter().map(|place| self.readers[*place as usize]).collect(),
            known: self.known.select(places),
            rated: self.rated.clone(),
            ..*self
        }
    }

    /// Predicted stars, limited to the scale.
    fn stars(&self, predict: impl Fn(Option<u32>, Option<u32>) -> f32) -> Option<Vec<f32>> {
        let (low, high) = self.holdout.scale?;
        let pairs = &self.holdout.split.held_out_ratings;
        Some(pairs.iter().map(|(user, item, _)| predict(*user, *item).clamp(low, high)).collect())
    }

    /// The figures of the first k books of each reader's list.
    pub fn by_reader(&self, predictions: &Predictions, k: usize) -> Option<Vec<RankingFigures>> {
        let held_out: Vec<&[u32]> = self
            .readers
            .iter()
            .map(|reader| self.holdout.split.held_out[*reader as usize].as_slice())
            .collect();
        predictions.lists.as_ref().map(|lists| metrics::by_reader(lists, &held_out, k))
    }

    /// RMSE and MAE of the predicted stars.
    pub fn errors(&self, predictions: &Predictions) -> Option<(f64, f64)> {
        let given = self.holdout.split.held_out_ratings.iter().map(|(_, _, rating)| *rating);
        metrics::errors(given.zip(predictions.stars.as_ref()?.iter().copied()))
    }

    /// The figures of all readers together: means over readers, and novelty.
    pub fn figures(&self, predictions: &Predictions, k: usize) -> QualityFigures {
        let train = &self.holdout.split.train;
        let lists = predictions.lists.as_ref();
        let mean = self.by_reader(predictions, k).map(|figures| RankingFigures::average(&figures));
        let errors = self.errors(predictions);
        let readers = train.users_per_item();
        QualityFigures {
            k,
            rmse: errors.map(|errors| errors.0),
            mae: errors.map(|errors| errors.1),
            precision: mean.map(|mean| mean.precision),
            recall: mean.map(|mean| mean.recall),
            ndcg: mean.map(|mean| mean.ndcg),
            map: mean.map(|mean| mean.map),
            mrr: mean.map(|mean| mean.mrr),
            hit_rate: mean.map(|mean| mean.hit_rate),
            novelty: lists.map(|lists| metrics::novelty(lists, k, &readers, train.user_count())),
        }
    }

    /// The share of the books that are in any list; see [`metrics::coverage`].
    pub fn coverage(&self, predictions: &Predictions, k: usize) -> Option<f64> {
        let lists = predictions.lists.as_ref();
        lists.map(|lists| metrics::coverage(lists, k, self.holdout.split.train.item_count))
    }
}

/// What a model is judged by; higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Lists,
    /// The negative mean squared error of predicted stars.
    Stars,
}

impl Measure {
    /// The list length to judge by, whatever length is published, so that nights can be compared.
    pub const LENGTH: usize = 20;

    /// More readers than this make a comparison slower, but hardly more certain.
    pub const MOST_READERS: usize = 20_000;

    pub fn of(objective: Objective) -> Self {
        match objective {
            Objective::Ranking => Measure::Lists,
            Objective::Rating => Measure::Stars,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Measure::Lists => "nDCG@20",
            Measure::Stars => "RMSE",
        }
    }

    /// The figure that [`Measure::name`] names: for `Stars`, the root without the minus sign.
    pub fn show(self, mean: f64) -> f64 {
        match self {
            Measure::Lists => mean,
            Measure::Stars => (-mean).max(0.0).sqrt(),
        }
    }

    /// Codes of readers, and the figure of each.
    pub fn by_reader(self, evaluator: &Evaluator<'_>, predictions: &Predictions) -> (Vec<u32>, Vec<f64>) {
        match self {
            Measure::Lists => {
                let figures = evaluator.by_reader(predictions, Self::LENGTH).unwrap_or_default();
                (evaluator.readers().to_vec(), figures.into_iter().map(|figures| figures.ndcg).collect())
            }
            Measure::Stars => {
                let split = evaluator.holdout.split;
                let mut sums = vec![(0.0, 0usize); split.held_out.len()];
                let stars = predictions.stars.iter().flatten();
                for ((user, _, given), expected) in split.held_out_ratings.iter().zip(stars) {
                    if let Some(user) = user {
                        let (sum, count) = &mut sums[*user as usize];
                        *sum -= f64::from(given - expected).powi(2);
                        *count += 1;
                    }
                }
                let of = |(user, (sum, count)): (usize, (f64, usize))| {
                    (count > 0).then(|| (user as u32, sum / count as f64))
                };
                sums.into_iter().enumerate().filter_map(of).unzip()
            }
        }
    }
}
