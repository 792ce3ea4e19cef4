//! A model, and what it is measured against, on ratings that were held out.
//!
//! Everything that says how good a model is goes through here: `evaluate`, the gate and `tune` ask the
//! same questions in the same way.

use crate::catalog::ids::Items;
use crate::catalog::makers::Related;
use crate::catalog::split::Split;
use crate::config::{Config, Objective, ResolvedConfig};
use crate::console::Console;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::Interactions;
use crate::model::device::Device;
use crate::model::fold_in::{self, Unsolved};
use crate::model::top_k::{TopK, Wanted};
use crate::model::{Factors, Start, fit_ranking, fit_rating};
use crate::quality::baselines::{self, DampedBias};
use crate::quality::knn;
use crate::quality::metrics::{self, RankingFigures};
use crate::recommender::training::{View, watched};
use crate::run_summary::Figures;

/// What there is to judge by.
#[derive(Clone, Copy, Debug)]
pub struct Holdout<'a> {
    /// What is learned from, and what is held out.
    pub split: &'a Split,
    /// The books; lists have only such as somebody has rated, held out or not.
    pub items: &'a Items,
    /// How books belong together.
    pub related: &'a Related,
    /// Lowest and highest rating; `None` if nothing was rated.
    pub scale: Option<(f32, f32)>,
    /// Whether only books are held out that nobody knows, so that lists may be full of those.
    pub only_new: bool,
    /// How long the lists are.
    pub longest: usize,
    /// How many readers' lists are looked at, at most.
    pub most_readers: usize,
}

/// Trains, asks, and measures.
#[derive(Debug)]
pub struct Evaluator<'a> {
    holdout: Holdout<'a>,
    device: Device,
    console: &'a Console,
    interrupt: &'a Interrupt,
    readers: &'a [u32],
    /// What is known of these readers, in their order.
    known: Interactions,
    /// What is learned from, of that what has a rating.
    rated: Interactions,
    /// Whether a log gets a line an epoch.
    tells_epochs: bool,
}

/// A model's predictions.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// What it is called.
    pub name: String,
    /// A list for each of the readers.
    pub lists: Option<Vec<Vec<u32>>>,
    /// Expected stars for each held-out rating.
    pub stars: Option<Vec<f32>>,
}

impl<'a> Evaluator<'a> {
    /// Of one holdout.
    pub fn new(holdout: Holdout<'a>, device: Device, console: &'a Console, interrupt: &'a Interrupt) -> Self {
        let Split { readers, train, .. } = holdout.split;
        let readers = &readers[..readers.len().min(holdout.most_readers)];
        let (known, rated) = (holdout.split.known().select(readers), train.rated());
        Self { holdout, device, console, interrupt, readers, known, rated, tells_epochs: true }
    }

    /// The same, but a log does not hear of each epoch.
    pub fn quietly(self) -> Self {
        Self { tells_epochs: false, ..self }
    }

    /// The readers whose lists are looked at, by code.
    pub fn readers(&self) -> &'a [u32] {
        self.readers
    }

    /// What is known of them, in their order.
    pub fn known(&self) -> &Interactions {
        &self.known
    }

    /// What everybody reads.
    pub fn popularity(&self) -> Predictions {
        let lists = baselines::popularity(&self.holdout.split.train, &self.known, self.holdout.longest);
        Predictions { name: "popularity".into(), lists: Some(lists), stars: None }
    }

    /// Any books.
    pub fn random(&self, seed: u64) -> Predictions {
        let lists = baselines::random(&self.known, self.holdout.longest, seed);
        Predictions { name: "random".into(), lists: Some(lists), stars: None }
    }

    /// What is near to what was read.
    ///
    /// # Errors
    /// On a signal.
    pub fn nearest(&self) -> Result<Predictions> {
        let lists = knn::lists(&self.holdout.split.train, &self.known, self.holdout.longest, self.interrupt)?;
        Ok(Predictions { name: "item-kNN".into(), lists: Some(lists), stars: None })
    }

    /// Stars by the reader's and the book's averages.
    pub fn damped_bias(&self) -> Predictions {
        let bias = DampedBias::new(&self.rated, &self.holdout.split.known().rated());
        let stars = self.stars(|user, item| bias.predict(user, item));
        Predictions { name: "damped bias".into(), lists: None, stars }
    }

    /// Stars by the book's average alone: what anybody could say who does not know the reader.
    pub fn book_averages(&self) -> Predictions {
        let bias = DampedBias::new(&self.rated, &self.rated);
        let stars = self.stars(|_, item| bias.predict(None, item));
        Predictions { name: "book averages".into(), lists: None, stars }
    }

    /// The model with some settings, trained on what is not held out; and what another training may start
    /// from.
    ///
    /// # Errors
    /// See [`model::fit_ranking`].
    pub fn model(&self, name: &str, config: &Config) -> Result<(Predictions, Start)> {
        let Holdout { split, related: Related { groups, .. }, scale, .. } = self.holdout;
        let config = &ResolvedConfig::new(config, &split.train);
        let confidence = ConfidenceMatrix::new(&split.train, groups, &config.model);
        let Self { console, interrupt, tells_epochs, .. } = *self;
        let view = View { console, interrupt, name, tells_epochs, held_out: "" };
        let (mut ranking, losses) = watched(view, "train", config.model.epochs, |watch| {
            fit_ranking(self.device, &confidence, config.parameters(), None, watch)
        })?;
        let mut rating = match scale.filter(|_| !self.rated.is_empty()) {
            Some(scale) => {
                let (fitted, _) = watched(view, "stars", config.rating.rating_epochs, |watch| {
                    fit_rating(self.device, &self.rated, &ranking, scale, config.parameters(), None, watch)
                })?;
                Some(fitted)
            }
            None => None,
        };
        let unsolved = Unsolved { users: split.newcomers(), items: Vec::new() };
        if !unsolved.users.is_empty() {
            let known = split.known();
            let confidence = ConfidenceMatrix::new(known, groups, &config.model);
            fold_in::ranking(&mut ranking, &confidence, &unsolved, config.parameters(), self.interrupt)?;
            if let Some(model) = &mut rating {
                fold_in::rating(
                    model,
                    &known.rated(),
                    &ranking,
                    &unsolved,
                    config.parameters(),
                    self.interrupt,
                )?;
            }
        }
        let rating_epochs = rating.as_ref().map(|model| model.epochs);
        let stars =
            rating.as_ref().and_then(|model| self.stars(|user, item| model.stars_if_known(user, item)));
        let (lists, items) = match (config.model.objective, rating) {
            (Objective::Ranking, _) => {
                let item_scales = confidence.item_scales(&ranking, config.model.length_exponent);
                let factors = ranking.only(self.readers);
                (Some(self.lists(&factors, &item_scales, config)?), factors.items)
            }
            (Objective::Rating, Some(model)) => {
                let factors = model.as_products().only(self.readers);
                (Some(self.lists(&factors, &[], config)?), ranking.items)
            }
            (Objective::Rating, None) => (None, ranking.items),
        };
        Ok((Predictions { name: name.into(), lists, stars }, Start { items, rating_epochs, losses }))
    }

    /// `factors` are those of the readers who are asked, in their order.
    fn lists(
        &self,
        factors: &Factors,
        item_scales: &[f32],
        config: &ResolvedConfig,
    ) -> Result<Vec<Vec<u32>>> {
        let (popularity, n) = (self.holdout.split.train.users_per_item(), self.holdout.longest);
        // What nobody has rated, held out or not, can only be wrong.
        let is_new = |item: u32| {
            let item = item as usize;
            self.holdout.items.is_rated(item).then(|| popularity[item] == 0)
        };
        let new = match self.holdout.only_new {
            true => n,
            false => (n as f64 * config.output.new_books) as usize,
        };
        let wanted = Wanted { n, new, is_new: &is_new };
        let users = Vec::from_iter(0..self.known.user_count() as u32);
        let editions = self.holdout.related.editions(config);
        let best = TopK::new(factors, item_scales, &editions, self.device, &wanted)?;
        let lists = best.of(factors, &self.known, &users, self.interrupt, &|_| ())?;
        Ok(lists.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()).collect())
    }

    /// Inside the scale.
    fn stars(&self, predict: impl Fn(Option<u32>, Option<u32>) -> f32) -> Option<Vec<f32>> {
        let (low, high) = self.holdout.scale?;
        let pairs = &self.holdout.split.held_out_ratings;
        Some(pairs.iter().map(|(user, item, _)| predict(*user, *item).clamp(low, high)).collect())
    }

    /// The figures of each reader's first k books.
    pub fn by_reader(&self, predictions: &Predictions, k: usize) -> Option<Vec<RankingFigures>> {
        let held_out: Vec<&[u32]> = self
            .readers
            .iter()
            .map(|reader| self.holdout.split.held_out[*reader as usize].as_slice())
            .collect();
        predictions.lists.as_ref().map(|lists| metrics::by_reader(lists, &held_out, k))
    }

    /// RMSE and MAE.
    pub fn errors(&self, predictions: &Predictions) -> Option<(f64, f64)> {
        let given = self.holdout.split.held_out_ratings.iter().map(|(_, _, rating)| *rating);
        metrics::errors(given.zip(predictions.stars.as_ref()?.iter().copied()))
    }

    /// The figures that hold for all readers together: means, and those that only a set of lists has.
    pub fn figures(&self, predictions: &Predictions, k: usize) -> Figures {
        let train = &self.holdout.split.train;
        let lists = predictions.lists.as_ref();
        let mean = self.by_reader(predictions, k).map(|figures| RankingFigures::average(&figures));
        let errors = self.errors(predictions);
        let popularity = train.users_per_item();
        Figures {
            k,
            rmse: errors.map(|errors| errors.0),
            mae: errors.map(|errors| errors.1),
            precision: mean.map(|mean| mean.precision),
            recall: mean.map(|mean| mean.recall),
            ndcg: mean.map(|mean| mean.ndcg),
            map: mean.map(|mean| mean.map),
            mrr: mean.map(|mean| mean.mrr),
            hit_rate: mean.map(|mean| mean.hit_rate),
            novelty: lists.map(|lists| metrics::novelty(lists, k, &popularity, train.user_count())),
        }
    }

    /// The share of the books that stand in any list; see [`metrics::coverage`].
    pub fn coverage(&self, predictions: &Predictions, k: usize) -> Option<f64> {
        let lists = predictions.lists.as_ref();
        lists.map(|lists| metrics::coverage(lists, k, self.holdout.split.train.item_count))
    }
}

/// What a model is judged by, more being better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// nDCG of the list.
    Lists,
    /// The mean squared error of expected stars, below zero.
    Stars,
}

impl Measure {
    /// The length of list that is judged, whatever is published: so that nights can be compared.
    pub const LENGTH: usize = 20;

    /// More readers than this make a comparison hardly surer, but slower.
    pub const MOST_READERS: usize = 20_000;

    /// What an objective is judged by.
    pub fn of(objective: Objective) -> Self {
        match objective {
            Objective::Ranking => Measure::Lists,
            Objective::Rating => Measure::Stars,
        }
    }

    /// As people know it.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Lists => "nDCG@20",
            Measure::Stars => "RMSE",
        }
    }

    /// A mean as people know it.
    pub fn show(self, mean: f64) -> f64 {
        match self {
            Measure::Lists => mean,
            Measure::Stars => (-mean).max(0.0).sqrt(),
        }
    }

    /// Readers by code, and the figure of each.
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
