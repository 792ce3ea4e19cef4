//! Measures a model and its baselines on held-out ratings.
//!
//! `evaluate`, the gate and `tune` all measure here, so their figures can be compared.

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
use crate::model::{Factors, Start};
use crate::quality::baselines::{self, DampedBias};
use crate::quality::knn;
use crate::quality::metrics::{self, RankingFigures};
use crate::recommender::training::{self, Models, View};
use crate::run_summary::QualityFigures;

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

/// Trains models, takes their predictions, and measures them.
#[derive(Debug)]
pub struct Evaluator<'a> {
    holdout: Holdout<'a>,
    device: Device,
    console: &'a Console,
    interrupt: &'a Interrupt,
    readers: &'a [u32],
    /// What is known of `readers`, in their order.
    known: Interactions,
    /// The training pairs with stars.
    rated: Interactions,
    /// Whether the log gets a line for each epoch.
    tells_epochs: bool,
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
        Self { holdout, device, console, interrupt, readers, known, rated, tells_epochs: true }
    }

    /// Without a log line for each epoch.
    pub fn quietly(self) -> Self {
        Self { tells_epochs: false, ..self }
    }

    /// Codes of the readers whose lists are measured.
    pub fn readers(&self) -> &'a [u32] {
        self.readers
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

    /// Trains a model on what is not held out. Returns its predictions, and what another training may start
    /// from.
    pub fn fit(&self, name: &str, config: &Config) -> Result<(Predictions, Start)> {
        let Holdout { split, related: Related { groups, .. }, scale, .. } = self.holdout;
        let config = &ResolvedConfig::new(config, &split.train);
        let confidence = ConfidenceMatrix::new(&split.train, groups, &config.model);
        let Self { console, interrupt, tells_epochs, .. } = *self;
        let view = View { console, interrupt, name, tells_epochs, held_out: "" };
        let Models { mut ranking, mut rating, losses } =
            training::fit(view, self.device, config, &confidence, &self.rated, scale, None)?;
        let unsolved = Unsolved { users: split.newcomers(), items: Vec::new() };
        if !unsolved.users.is_empty() {
            let known = split.known();
            let confidence = ConfidenceMatrix::new(known, groups, &config.model);
            fold_in::solve_ranking(
                &mut ranking,
                &confidence,
                &unsolved,
                config.parameters(),
                self.interrupt,
            )?;
            if let Some(model) = &mut rating {
                fold_in::solve_rating(
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

    /// `factors` has the users `self.readers`, in their order.
    fn lists(
        &self,
        factors: &Factors,
        item_scales: &[f32],
        config: &ResolvedConfig,
    ) -> Result<Vec<Vec<u32>>> {
        let (popularity, n) = (self.holdout.split.train.users_per_item(), self.holdout.longest);
        // A book that nobody has rated, held out or not, cannot be a hit.
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
        let popularity = train.users_per_item();
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
            novelty: lists.map(|lists| metrics::novelty(lists, k, &popularity, train.user_count())),
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
