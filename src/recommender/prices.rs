//! What each rule that lists keep to costs, in the figure that lists are judged by.

use std::collections::BTreeMap;

use crate::config::{Language, Rules};
use crate::error::Result;
use crate::model::ranker::Ranker;
use crate::quality::metrics;
use crate::recommender::evaluator::{Evaluator, HoldoutModel};
use crate::recommender::measure::Measure;
use crate::run_summary::Lead;

/// With more readers, a price is hardly more certain.
const READERS: usize = 1_000;

/// A setting, and what makes of some rules the same ones without it; `None` if they are.
type Without = (&'static str, fn(&Rules) -> Option<Rules>);

const RULES: [Without; 3] = [
    ("per_author", |rules| (rules.per_author > 0).then(|| Rules { per_author: 0, ..rules.clone() })),
    ("series_in_order", |rules| {
        rules.series_in_order.then(|| Rules { series_in_order: false, ..rules.clone() })
    }),
    ("language", |rules| {
        (rules.language != Language::Off).then(|| Rules { language: Language::Off, ..rules.clone() })
    }),
];

impl Evaluator<'_> {
    /// What a list gains, by nDCG@20, from each rule that it keeps to, beside one that keeps to all others; mostly less
    /// than nothing. Of a thousand of the cases, and only of rules that can be judged here and change any list.
    ///
    /// # Errors
    /// Those of [`Evaluator::lists`].
    pub fn prices(
        &self,
        model: &mut HoldoutModel,
        ranker: Option<&Ranker>,
    ) -> Result<BTreeMap<String, Lead>> {
        let every = 1 + self.cases().len() / READERS;
        let places: Vec<u32> = self.cases().places().into_iter().step_by(every).collect();
        let judges = self.only(&places);
        let rules = model.config.rules.clone();
        let with = self.lists(model, ranker, &places)?;
        let mut prices = BTreeMap::new();
        for (name, without) in RULES {
            let Some(others) = without(&rules) else { continue };
            model.keep_to(others);
            let without = self.lists(model, ranker, &places);
            model.keep_to(rules.clone());
            let without = without?;
            if without != with {
                let ndcg = |lists: &[Vec<u32>]| {
                    Measure::Lists.by_reader(&judges, &model.predictions("", Some(lists.to_vec()))).1
                };
                prices.insert(
                    name.to_owned(),
                    metrics::lead(&ndcg(&with), &ndcg(&without), model.config.model.seed),
                );
            }
        }
        Ok(prices)
    }
}
