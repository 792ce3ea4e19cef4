//! Chooses the settings that are left to the ratings, by what small models foretell of what is held out.

use crate::catalog::times;
use crate::config::{Config, HalfLife, Model, Objective, Solver};
use crate::console::Console;
use crate::error::{Kind, Result};
use crate::model::data::HALF_LIVES as HALF_LIVES_OF_POPULARITY;
use crate::model::ranker::{Feature, Ranker};
use crate::quality::metrics;
use crate::recommender::evaluator::{Evaluator, Holdout};
use crate::recommender::measure::Measure;

/// The half-lives that are tried.
const HALF_LIVES: [HalfLife; 5] = [
    HalfLife::Never,
    HalfLife::Days(1460.0),
    HalfLife::Days(730.0),
    HalfLife::Days(365.0),
    HalfLife::Days(180.0),
];

/// The readers that settings are tried on, at most.
const READERS: usize = 5_000;

/// With more ratings than this, the rules of [`crate::model::hyperparameters::Resolved`] are as good: a ranker makes up
/// for what is left, and a trial takes seconds.
const MOST_RATINGS: usize = 300_000;

/// Passes over the ratings in a trial.
const EPOCHS: usize = 8;

/// The most steps away from where a search begins.
const MOST_STEPS: usize = 4;

impl Evaluator<'_> {
    /// The settings with those chosen that `auto` or 0 leaves to the ratings, as far as trials decide them: the half-lives
    /// if what is held out is the newest part, and, where ratings are few, the neighbours' λ, α₀ and λ. All others are
    /// resolved by rules.
    ///
    /// # Errors
    /// Those of [`Evaluator::fit`].
    pub fn with_choices(&self, config: &Config) -> Result<Config> {
        let silent = Console::silent();
        let holdout = Holdout { windows: 1, scale: None, most_readers: READERS, ..*self.holdout() };
        let search = Search { evaluator: Evaluator::new(holdout, self.device(), &silent, self.interrupt()) };
        let mut config = config.clone();
        if config.model.half_life == HalfLife::Auto {
            config.model.half_life = search.half_life(&config)?;
        }
        if config.model.popularity_half_life == HalfLife::Auto {
            config.model.popularity_half_life = self.popularity_half_life();
        }
        let Model { objective, solver, factors, neighbours, .. } = config.model;
        let is_small = self.holdout().split.train.len() <= MOST_RATINGS;
        if !is_small || objective != Objective::Ranking || solver != Solver::Als {
            return Ok(config);
        }
        if neighbours > 0 && config.model.neighbour_regularization == 0.0 {
            let by_neighbours = |config: &mut Config| config.model.factors = 0;
            let key: Key = |model| &mut model.neighbour_regularization;
            search.climb(&mut config, by_neighbours, key, 2.0)?;
        }
        if factors > 0 {
            let by_factors = |config: &mut Config| {
                (config.model.neighbours, config.model.epochs) = (0, EPOCHS.min(config.model.epochs));
            };
            if config.model.unobserved_weight == 0.0 {
                search.climb(&mut config, by_factors, |model| &mut model.unobserved_weight, 2.0)?;
            }
            if config.model.regularization == 0.0 {
                search.climb(&mut config, by_factors, |model| &mut model.regularization, 1.5)?;
            }
        }
        Ok(config)
    }

    /// That with which the most popular books foretell best what is held out; `auto` if that is not the newest part.
    fn popularity_half_life(&self) -> HalfLife {
        let mut best = (f64::NEG_INFINITY, HalfLife::Auto);
        if self.is_temporal() {
            for half_life in HALF_LIVES_OF_POPULARITY.map(|days| HalfLife::Days(f64::from(days))) {
                let (_, figures) = Measure::Lists.by_reader(self, &self.popularity(half_life));
                let mean = metrics::mean(&figures);
                if mean > best.0 {
                    best = (mean, half_life);
                }
            }
        }
        best.1
    }

    /// Whether what is held out is the newest part.
    fn is_temporal(&self) -> bool {
        let split = self.holdout().split;
        !split.later.is_empty() && times::unit(&split.moments).is_some()
    }
}

/// A setting of the model.
type Key = fn(&mut Model) -> &mut f64;

struct Search<'a> {
    evaluator: Evaluator<'a>,
}

impl Search<'_> {
    /// nDCG of each reader, ordered by factors; by neighbours where there are no factors.
    fn figures(&self, config: &Config) -> Result<(Vec<f64>, Model)> {
        let model = self.evaluator.fit("search", config)?;
        let by_neighbours = (config.model.factors == 0).then(|| Ranker::only(Feature::Neighbours));
        let predictions = self.evaluator.predict("", &model, by_neighbours.as_ref())?;
        let (_, figures) = Measure::Lists.by_reader(&self.evaluator, &predictions);
        Ok((figures, model.config.model.clone()))
    }

    fn half_life(&self, config: &Config) -> Result<HalfLife> {
        let mut best = (f64::NEG_INFINITY, HalfLife::Never);
        if self.evaluator.is_temporal() && config.model.objective == Objective::Ranking {
            for half_life in HALF_LIVES {
                let mut small = config.clone();
                small.model.half_life = half_life;
                small.model.solver = Solver::Als;
                if small.model.factors > 0 {
                    (small.model.factors, small.model.epochs) = (16.min(small.model.factors), 6);
                    small.model.neighbours = 0;
                }
                let mean = metrics::mean(&self.figures(&small)?.0);
                if mean > best.0 {
                    best = (mean, half_life);
                }
            }
        }
        Ok(best.1)
    }

    /// Sets what `key` names in `config`. It goes up or down from the value that the rule gives, as long as the mean
    /// figure rises, and stays there only if that is better than the rule beyond doubt. `alone` leaves in the settings
    /// only what is tried.
    fn climb(&self, config: &mut Config, alone: impl Fn(&mut Config), key: Key, step: f64) -> Result<()> {
        let with = |value: f64| -> Result<Option<(Vec<f64>, f64)>> {
            let mut trial = config.clone();
            alone(&mut trial);
            *key(&mut trial.model) = value;
            match self.figures(&trial) {
                Ok((figures, mut resolved)) => Ok(Some((figures, *key(&mut resolved)))),
                // Training fails with this value: it is no good.
                Err(error) if error.kind() == Kind::Failed => Ok(None),
                Err(error) => Err(error),
            }
        };
        let Some((by_rule, start)) = with(0.0)? else {
            return Ok(());
        };
        let mut best = (metrics::mean(&by_rule), start, by_rule.clone());
        for step in [step, 1.0 / step] {
            for _ in 0..MOST_STEPS {
                let value = best.1 * step;
                let Some((figures, _)) = with(value)?.filter(|(figures, _)| metrics::mean(figures) > best.0)
                else {
                    break;
                };
                best = (metrics::mean(&figures), value, figures);
            }
            if best.1 != start {
                break;
            }
        }
        let lead = metrics::lead(&best.2, &by_rule, config.model.seed);
        if lead.interval[0] > 0.0 {
            *key(&mut config.model) = best.1;
        }
        Ok(())
    }
}
