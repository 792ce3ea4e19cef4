//! Learns a ranker from what readers picked up next, and asks others whether it serves them.

use crate::catalog::encode::Encoded;
use crate::catalog::makers::Related;
use crate::catalog::split::{Scheme, Split};
use crate::config::{Config, HalfLife, RankerKind};
use crate::console::Console;
use crate::error::{Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::candidates::{CandidateSearch, Candidates};
use crate::model::device::Device;
use crate::model::ranker::{Examples, Ranker};
use crate::quality::metrics;
use crate::recommender::cases::Window;
use crate::recommender::evaluator::{Evaluator, Holdout, HoldoutModel, Measure, Predictions};
use crate::recommender::training::has_ranker;
use crate::run_summary::Lead;

/// Into how many windows a night cuts what it holds out: as a night makes lists for the next days only, they should be
/// judged, and a ranker should learn, by what is read soon after.
pub const WINDOWS: usize = 8;

/// Decides which ratings are held out: the same ones every time.
const SEED: u64 = 30;

/// Most readers for a ranker to learn from: more take time, and change little.
const EXAMPLES: usize = 3_000;

/// With fewer readers than this, those who have judged a ranker teach it afterwards.
const ENOUGH_EXAMPLES: usize = 1_000;

/// With fewer readers than this to learn from, the blend serves better.
const FEWEST_EXAMPLES: usize = 100;

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

impl Choice {
    /// Learns from one half of the readers, and asks the other half whether that serves them better than the plain
    /// blend. `None` if lists have no ranker.
    pub fn make(evaluator: &Evaluator<'_>, model: &HoldoutModel) -> Result<Option<Self>> {
        if !has_ranker(&model.config) {
            return Ok(None);
        }
        let blend = |why: &'static str, lead: Option<Lead>| -> Result<Option<Self>> {
            let (ranker, judges) = (Ranker::blend(), evaluator.cases().places());
            let predictions = evaluator.predict("", model, Some(&ranker))?;
            Ok(Some(Self { ranker, judges, predictions, lead, why }))
        };
        if model.config.ranker.kind == RankerKind::None {
            return blend("the plain blend, as set", None);
        }
        let searches = evaluator.candidates(model)?;
        let (mut examples, most) = (Examples::new(), EXAMPLES / searches.len());
        for (search, window) in searches.iter().zip(&evaluator.cases().windows) {
            let learners = evaluator.half(window, true);
            let before = examples.users();
            for places in learners.chunks(most) {
                if examples.users() - before < most {
                    let found =
                        evaluator.visit(search, places, |place, found| evaluator.example(place, found))?;
                    found.iter().for_each(|more| examples.append(more));
                }
            }
        }
        if examples.users() < FEWEST_EXAMPLES {
            return blend("the plain blend: too few picks to learn from", None);
        }
        let (mut ranker, plain) = (evaluator.fit_ranker(model, &examples)?, Ranker::blend());
        let (top, new) = evaluator.lengths(model);
        let (mut judges, mut learned, mut blended, mut more) =
            (Vec::new(), Vec::new(), Vec::new(), Examples::new());
        for (search, window) in searches.iter().zip(&evaluator.cases().windows) {
            let places = evaluator.half(window, false);
            let judged = evaluator.visit(search, &places, |place, found| {
                let list = |ranker: &Ranker| -> Vec<u32> {
                    let mut scores = Vec::with_capacity(found.items.len());
                    ranker.score(&found.features, &mut scores);
                    search.best(found, &scores, top, new).into_iter().map(|entry| entry.item).collect()
                };
                (list(&ranker), list(&plain), evaluator.example(place, found))
            })?;
            judges.extend(places);
            for (ours, theirs, example) in judged {
                learned.push(ours);
                blended.push(theirs);
                more.append(&example);
            }
        }
        let judge = evaluator.only(&judges);
        let [learned, blended] = [learned, blended].map(|lists| model.predictions("", Some(lists)));
        let ndcg = |predictions: &Predictions| Measure::Lists.by_reader(&judge, predictions).1;
        let lead = metrics::lead(&ndcg(&learned), &ndcg(&blended), model.config.model.seed);
        if lead.interval[0] <= 0.0 {
            return blend("the plain blend: the learned ranker is not better beyond doubt", Some(lead));
        }
        if examples.users() < ENOUGH_EXAMPLES {
            // Whoever judges has done so: now all may teach.
            examples.append(&more);
            ranker = evaluator.fit_ranker(model, &examples)?;
        }
        Ok(Some(Self { ranker, judges, predictions: learned, lead: Some(lead), why: "a learned ranker" }))
    }
}

impl Evaluator<'_> {
    /// The places of the half of the readers that a ranker may learn from, or of the other one.
    fn half(&self, window: &Window, learns: bool) -> Vec<u32> {
        let (readers, halves) = (&self.cases().readers, &self.holdout().split.learns);
        window.cases.clone().filter(|place| halves[readers[*place as usize] as usize] == learns).collect()
    }

    fn visit<T: Send>(
        &self,
        search: &CandidateSearch<'_>,
        places: &[u32],
        take: impl Fn(u32, &Candidates) -> T + Sync,
    ) -> Result<Vec<T>> {
        Ok(search.of(places, self.interrupt(), &|_| (), take)?)
    }

    fn example(&self, place: u32, found: &Candidates) -> Examples {
        let cases = self.cases();
        let held_out = &cases.held_out[place as usize];
        let picked: Vec<bool> = found.items.iter().map(|item| held_out.binary_search(item).is_ok()).collect();
        let mut example = Examples::new();
        example.add(&found.features, &picked, u64::from(cases.readers[place as usize]));
        example
    }
}

/// What orders the lists, and how that was decided; see [`Choice`].
#[derive(Clone, Debug)]
pub struct Learned {
    pub ranker: Ranker,
    /// The half-life that it was learned with.
    pub half_life: HalfLife,
    pub lead: Option<Lead>,
    pub why: &'static str,
}

/// What a ranker is learned from.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// Whose ratings, readers and books these are; only `split` says which of the ratings may be looked at.
    pub ratings: &'a Encoded,
    /// The ratings to learn from; `None` for all.
    pub split: Option<&'a Split>,
    pub related: &'a Related,
    /// How to hold out: as those will do who judge the lists.
    pub scheme: Scheme,
    /// As [`Holdout::windows`]: how many times lists are made anew in as long a time as is held out.
    pub windows: usize,
    pub device: Device,
    pub interrupt: &'a Interrupt,
}

impl Lesson<'_> {
    /// Holds out a part of the ratings, trains on the rest, and fits a ranker to what was held out; the plain blend
    /// where that is not better beyond doubt, or where too little is known. `None` if lists have no ranker.
    ///
    /// # Errors
    /// Those of [`Evaluator::fit`].
    pub fn ranker(&self, config: &Config) -> Result<Option<Learned>> {
        let Self { ratings, split, related, scheme, windows, device, interrupt } = *self;
        if !has_ranker(config) {
            return Ok(None);
        }
        let (ranker, half_life) = (Ranker::blend(), config.model.half_life);
        let plain = |why| Ok(Some(Learned { ranker, half_life, lead: None, why }));
        let (rows, moments) = match split {
            Some(split) => (&split.train, &split.moments),
            None => (&ratings.interactions, &ratings.moments),
        };
        let names = (&ratings.users, &ratings.items);
        let split = match Split::draw_from(rows, moments, names, scheme.inner(config.gate.holdout), SEED) {
            Ok(split) => split,
            Err(error) if error.kind() == Kind::NoRatings => {
                return plain("the plain blend: too few ratings to learn from");
            }
            Err(error) => return Err(error),
        };
        let holdout = Holdout {
            split: &split,
            items: &ratings.items,
            related,
            // A ranker needs no stars.
            scale: None,
            only_new: matches!(scheme, Scheme::Books(_)),
            longest: Measure::LENGTH,
            most_readers: Measure::MOST_READERS,
            windows,
        };
        let silent = Console::silent();
        let evaluator = Evaluator::new(holdout, device, &silent, interrupt);
        let config = &evaluator.with_half_life(config)?;
        if config.ranker.kind == RankerKind::None {
            let (half_life, why) = (config.model.half_life, "the plain blend, as set");
            return Ok(Some(Learned { ranker: Ranker::blend(), half_life, lead: None, why }));
        }
        let model = evaluator.fit("ranker", config)?;
        let half_life = config.model.half_life;
        let learned = |Choice { ranker, lead, why, .. }| Learned { ranker, half_life, lead, why };
        Ok(Choice::make(&evaluator, &model)?.map(learned))
    }
}
