//! The figure that a model is judged by.

use std::collections::HashMap;

use crate::config::Objective;
use crate::recommender::evaluator::{Evaluator, Predictions};

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
                let figures = evaluator.by_case(predictions, Self::LENGTH).unwrap_or_default();
                let ndcg: Vec<f64> = figures.into_iter().map(|figures| figures.ndcg).collect();
                means(&evaluator.cases().readers, &ndcg)
            }
            Measure::Stars => {
                let split = evaluator.holdout().split;
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

/// Each reader once, in the order of their first cases, with the mean figure of their cases.
fn means(readers: &[u32], figures: &[f64]) -> (Vec<u32>, Vec<f64>) {
    let mut places: HashMap<u32, usize> = HashMap::new();
    let (mut order, mut sums) = (Vec::new(), Vec::new());
    for (reader, figure) in readers.iter().zip(figures) {
        let place = *places.entry(*reader).or_insert_with(|| {
            order.push(*reader);
            sums.push((0.0, 0));
            sums.len() - 1
        });
        sums[place].0 += figure;
        sums[place].1 += 1;
    }
    (order, sums.into_iter().map(|(sum, count)| sum / f64::from(count)).collect())
}
