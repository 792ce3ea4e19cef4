//! Measures a model and its baselines on held-out ratings.
//!
//! `evaluate`, the gate and `tune` all measure here, so their figures can be compared.

use crate::catalog::ids::Items;
use crate::catalog::makers::Related;
use crate::catalog::popularity::{self, Popularity};
use crate::catalog::split::Split;
use crate::catalog::times;
use crate::cluster::factors::Given;
use crate::config::{Config, HalfLife, Objective, ResolvedConfig, Rules};
use crate::console::Console;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::candidates::{CandidateSearch, Candidates};
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::{Interactions, ItemTraits, nearest_half_life};
use crate::model::device::Device;
use crate::model::fold_in::{self, Unsolved};
use crate::model::neighbours::Neighbours;
use crate::model::ranker::{Examples, Ranker};
use crate::model::rating::RatingModel;
use crate::model::{Factors, Start};
use crate::quality::baselines::{self, DampedBias};
use crate::quality::knn;
use crate::quality::metrics::{self, Picks, RankingFigures};
use crate::recommender::cases::{Cases, Window};
use crate::recommender::engine::engine;
use crate::recommender::lists::{Fitted, ListSearch, NOTHING, Shelves};
use crate::recommender::order::{Standing, ranked};
use crate::recommender::similar::{By, SimilarSearch};
use crate::recommender::training::{self, Beginning, Models, View, with_progress};
use crate::run_summary::QualityFigures;

/// The held-out ratings, and how to measure on them.
#[derive(Clone, Copy, Debug)]
pub struct Holdout<'a> {
    pub split: &'a Split,
    /// Lists have only books that somebody has rated, held out or not.
    pub items: &'a Items,
    pub related: &'a Related,
    /// As [`crate::catalog::encode::Encoded::attributes`].
    pub attributes: &'a [Vec<u32>],
    /// Lowest and highest rating; `None` if nothing was rated.
    pub scale: Option<(f32, f32)>,
    /// Whether all held-out books are new to the model; then lists may consist of new books only.
    pub only_new: bool,
    /// The length of the lists.
    pub longest: usize,
    /// The most readers whose lists are measured.
    pub most_readers: usize,
    /// Into how many windows what is held out is cut, if it is the newest part; see [`Cases`].
    pub windows: usize,
}

/// Trains models, takes their predictions, and measures them.
#[derive(Debug)]
pub struct Evaluator<'a> {
    holdout: Holdout<'a>,
    device: Device,
    console: &'a Console,
    interrupt: &'a Interrupt,
    cases: Cases,
    /// The training pairs with stars.
    rated: Interactions,
    /// Whether the log gets a line for each epoch.
    tells_epochs: bool,
    /// Factors that were fitted elsewhere, in the place of the model's own.
    given: Option<&'a Given>,
}

/// A model that was trained on what is not held out. Its users are the readers of the cases, in their order.
#[derive(Debug)]
pub struct HoldoutModel {
    pub config: ResolvedConfig,
    ranking: Factors,
    item_scales: Vec<f32>,
    neighbours: Neighbours,
    rating: Option<RatingModel>,
    rated: Interactions,
    /// Of each window.
    popularity: Vec<Popularity>,
    rating_epochs: Option<usize>,
    losses: Vec<f64>,
    /// Predicted stars for each of [`Split::held_out_ratings`].
    stars: Option<Vec<f32>>,
}

impl HoldoutModel {
    fn fitted<'a>(&'a self, cases: &'a Cases, ranker: Option<&'a Ranker>) -> Fitted<'a> {
        Fitted {
            interactions: &cases.known,
            ranking: &self.ranking,
            item_scales: &self.item_scales,
            neighbours: &self.neighbours,
            ranker,
            weighted: &cases.known,
            rating: self.rating.as_ref(),
            rated: &self.rated,
            hidden: &cases.dislikes,
            dislikes: &cases.dislikes,
            shown: &NOTHING,
            idle: &cases.idle,
            attributes: &cases.attributes,
        }
    }

    pub fn predictions(&self, name: &str, lists: Option<Vec<Vec<u32>>>) -> Predictions {
        Predictions { name: name.to_owned(), lists, stars: self.stars.clone() }
    }

    /// The list of a case in the order of a ranker.
    pub fn ordered(
        &self,
        search: &CandidateSearch<'_>,
        (place, found): (u32, &Candidates),
        ranker: &Ranker,
        lengths: (usize, usize),
    ) -> Vec<u32> {
        let is_low =
            |item| self.rating.as_ref().is_some_and(|model| model.is_low(place as usize, item as usize));
        let standing = Standing { is_low: &is_low, stale: &|_| 0.0 };
        let list = ranked(search, (place, found), ranker, lengths, &standing);
        list.into_iter().map(|entry| entry.item).collect()
    }

    /// What finds similar books, at the first moment that it was asked about.
    pub fn similar(&self, by: By) -> SimilarSearch<'_> {
        SimilarSearch::new(&self.ranking, &self.neighbours, &self.popularity[0], &self.config, by)
    }

    /// Lets lists keep to other rules.
    pub fn keep_to(&mut self, rules: Rules) {
        self.config.set_rules(rules);
    }

    /// Whether it has the part of this name.
    pub fn has(&self, part: &str) -> bool {
        match part {
            "neighbours" => !self.neighbours.is_empty(),
            _ => self.config.model.factors > 0,
        }
    }

    /// What another training may start from.
    pub fn into_start(self) -> Start {
        Start { items: self.ranking.items, rating_epochs: self.rating_epochs, losses: self.losses }
    }
}

#[derive(Clone, Debug)]
pub struct Predictions {
    pub name: String,
    /// A list for each of [`Evaluator::cases`]; `None` for a baseline of stars.
    pub lists: Option<Vec<Vec<u32>>>,
    /// Predicted stars for each of [`Split::held_out_ratings`]; `None` if there are none.
    pub stars: Option<Vec<f32>>,
}

impl<'a> Evaluator<'a> {
    pub fn new(holdout: Holdout<'a>, device: Device, console: &'a Console, interrupt: &'a Interrupt) -> Self {
        let Holdout { split, items, related, attributes, most_readers, windows, .. } = holdout;
        let cases = Cases::new(split, (items, related), attributes, most_readers, windows);
        Self {
            holdout,
            device,
            console,
            interrupt,
            cases,
            rated: split.train.rated(),
            tells_epochs: true,
            given: None,
        }
    }

    /// Without a log line for each epoch.
    pub fn quietly(self) -> Self {
        Self { tells_epochs: false, ..self }
    }

    /// With factors that were fitted elsewhere, for what is not held out.
    pub fn with_factors(self, given: Option<&'a Given>) -> Self {
        Self { given, ..self }
    }

    /// Who is asked, and what they picked.
    pub fn cases(&self) -> &Cases {
        &self.cases
    }

    /// Baseline: the most popular books; where there are times, those of late.
    pub fn popularity(&self, half_life: HalfLife) -> Predictions {
        let late = nearest_half_life(half_life);
        let lists = self.cases.windows.iter().flat_map(|window| {
            let traits = ItemTraits { late, ..window.traits.clone() };
            let known = self.cases.known.select(&Vec::from_iter(window.cases.clone()));
            baselines::unseen(&popularity::order(&traits, &[]), &known, self.holdout.longest)
        });
        let lists = lists.collect();
        Predictions { name: "popularity".into(), lists: Some(lists), stars: None }
    }

    /// Baseline: random books.
    pub fn random(&self, seed: u64) -> Predictions {
        let lists = baselines::random(&self.cases.known, self.holdout.longest, seed);
        Predictions { name: "random".into(), lists: Some(lists), stars: None }
    }

    /// Baseline: the books nearest to those that were read.
    pub fn nearest(&self) -> Result<Predictions> {
        let lists =
            knn::lists(&self.holdout.split.train, &self.cases.known, self.holdout.longest, self.interrupt)?;
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

    /// What a model is trained on: settings, once they have seen what is not held out, and its weights.
    pub fn problem(&self, config: &Config) -> (ResolvedConfig, ConfidenceMatrix) {
        let Holdout { split, related, .. } = self.holdout;
        let mut config = ResolvedConfig::new(config, &split.train);
        if !self.is_in_time() {
            config.set_rules(Rules { series_in_order: false, ..config.rules.clone() });
        }
        let weights = times::weighed_decays(&split.moments, None, config.model.half_life, &split.weights);
        let confidence = ConfidenceMatrix::new(&split.train, &related.groups, &config.model, &weights)
            .with_dislikes(&split.dislikes, &config.model);
        (config, confidence)
    }

    /// Trains a model on what is not held out.
    pub fn fit(&self, name: &str, config: &Config) -> Result<HoldoutModel> {
        let Holdout { split, related, scale, .. } = self.holdout;
        let (config, confidence) = self.problem(config);
        let Self { console, interrupt, tells_epochs, .. } = *self;
        let view = View { console, interrupt, name, tells_epochs, held_out: "" };
        let beginning = Beginning { start: None, given: self.given };
        let Models { mut ranking, neighbours, mut rating, losses } =
            training::fit(view, self.device, &config, &confidence, &self.rated, scale, beginning)?;
        let known = split.known();
        let unsolved = Unsolved { users: split.newcomers(), items: Vec::new() };
        if !unsolved.users.is_empty() {
            // A split by readers is none by time.
            let confidence = ConfidenceMatrix::new(known, &related.groups, &config.model, &[]);
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
        let readers = &self.cases.readers;
        let late = nearest_half_life(config.model.popularity_half_life);
        let popularity = |window: &Window| {
            let (rated, rows) = (&self.rated, confidence.rows());
            let traits = ItemTraits { late, ..window.traits.clone() };
            Popularity::new(rated, rating.as_ref(), rows, editions.clone(), traits)
        };
        let popularity = self.cases.windows.iter().map(popularity).collect();
        Ok(HoldoutModel {
            item_scales,
            neighbours,
            popularity,
            rating_epochs: rating.as_ref().map(|model| model.epochs),
            ranking: ranking.only(readers),
            rating: rating.map(|model| model.only(readers)),
            rated: known.rated().select(readers),
            losses,
            stars,
            config,
        })
    }

    /// The lists of a trained model, in the order of `ranker` if there is one, and its stars.
    pub fn predict(&self, name: &str, model: &HoldoutModel, ranker: Option<&Ranker>) -> Result<Predictions> {
        let lists = match (model.config.model.objective, &model.rating) {
            (Objective::Rating, None) => None,
            _ => Some(self.lists(model, ranker, &self.cases.places())?),
        };
        Ok(model.predictions(name, lists))
    }

    /// Whether what is held out came last. What is drawn at random may be any volume of a series, so that lists which keep
    /// to its order cannot be judged by it.
    pub fn is_in_time(&self) -> bool {
        !self.holdout.split.moments.is_empty()
    }

    pub fn holdout(&self) -> &Holdout<'a> {
        &self.holdout
    }

    pub fn device(&self) -> Device {
        self.device
    }

    pub fn interrupt(&self) -> &'a Interrupt {
        self.interrupt
    }

    /// Fits a ranker to examples, with the settings of a model.
    pub fn fit_ranker(&self, model: &HoldoutModel, examples: &Examples) -> Result<Ranker> {
        let (engine, settings) = (engine(self.device)?, &model.config.ranker);
        let Self { console, interrupt, .. } = *self;
        let view = View { console, interrupt, name: "", tells_epochs: false, held_out: "" };
        let (ranker, _) = with_progress(view, "ranker", settings.ranker_epochs, |watch| {
            engine.fit_ranker(examples, settings, model.config.model.seed, watch)
        })?;
        Ok(ranker)
    }

    /// The length of a list, and how many of it may be new books.
    pub fn lengths(&self, model: &HoldoutModel) -> (usize, usize) {
        let top = self.holdout.longest;
        match self.holdout.only_new {
            true => (top, top),
            false => (top, (top as f64 * model.config.output.new_books) as usize),
        }
    }

    /// The lists of some of the cases, by their places, which must rise.
    pub fn lists(
        &self,
        model: &HoldoutModel,
        ranker: Option<&Ranker>,
        places: &[u32],
    ) -> Result<Vec<Vec<u32>>> {
        let (top, new) = self.lengths(model);
        let mut lists = Vec::with_capacity(places.len());
        let before = |case: u32| places.partition_point(|place| *place < case);
        for (window, popularity) in self.cases.windows.iter().zip(&model.popularity) {
            let is_new = |item: u32| self.is_new(&window.traits, item);
            let shelves = Shelves { top, new, is_new: &is_new };
            let fitted = model.fitted(&self.cases, ranker);
            let search = ListSearch::new(fitted, popularity, &model.config, self.device, &shelves)?;
            let inside = &places[before(window.cases.start)..before(window.cases.end)];
            let found = search.of(inside, self.interrupt, &|_| ())?;
            lists.extend(found.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()));
        }
        Ok(lists)
    }

    /// A book that nobody has rated, held out or not, cannot be a hit.
    fn is_new(&self, traits: &ItemTraits, item: u32) -> Option<bool> {
        self.holdout.items.is_rated(item as usize).then(|| traits.readers[item as usize] == 0)
    }

    /// What finds the candidates of each window.
    pub fn candidates<'b>(&'b self, model: &'b HoldoutModel) -> Result<Vec<CandidateSearch<'b>>> {
        let (top, new) = self.lengths(model);
        let windows = self.cases.windows.iter().zip(&model.popularity);
        let search = |(window, popularity): (&'b Window, &'b Popularity)| {
            let is_new = |item: u32| self.is_new(&window.traits, item);
            let stage = model.fitted(&self.cases, None).first_stage(popularity);
            let rules = popularity.rules(&model.config.rules);
            Ok(CandidateSearch::new(stage, rules, top, &is_new, new, self.device)?)
        };
        windows.map(search).collect()
    }

    /// The same for some of the cases, by their places, which must rise.
    pub fn only(&self, places: &[u32]) -> Self {
        Self { cases: self.cases.only(places), rated: self.rated.clone(), ..*self }
    }

    /// Predicted stars, limited to the scale.
    fn stars(&self, predict: impl Fn(Option<u32>, Option<u32>) -> f32) -> Option<Vec<f32>> {
        let (low, high) = self.holdout.scale?;
        let pairs = &self.holdout.split.held_out_ratings;
        Some(pairs.iter().map(|(user, item, _)| predict(*user, *item).clamp(low, high)).collect())
    }

    /// The figures of the first k books of each case's list.
    pub fn by_case(&self, predictions: &Predictions, k: usize) -> Option<Vec<RankingFigures>> {
        let picks: Vec<Picks<'_>> =
            self.cases.places().into_iter().map(|place| self.cases.picks(place)).collect();
        predictions.lists.as_ref().map(|lists| metrics::by_reader(lists, &picks, k))
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
        let mean = self.by_case(predictions, k).map(|figures| RankingFigures::average(&figures));
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
            liked: mean.map(|mean| mean.liked),
            novelty: lists.map(|lists| metrics::novelty(lists, k, &readers, train.user_count())),
        }
    }

    /// The share of the books that are in any list; see [`metrics::coverage`].
    pub fn coverage(&self, predictions: &Predictions, k: usize) -> Option<f64> {
        let lists = predictions.lists.as_ref();
        lists.map(|lists| metrics::coverage(lists, k, self.holdout.split.train.item_count))
    }
}
