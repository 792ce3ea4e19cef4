//! Learns a ranker from what readers picked up next, and asks others whether it serves them.

use crate::catalog::encode::Encoded;
use crate::catalog::makers::Related;
use crate::catalog::split::{Scheme, Split};
use crate::config::{Config, Model, RankerKind};
use crate::console::Console;
use crate::error::{Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::candidates::{CandidateSearch, Candidates};
use crate::model::device::Device;
use crate::model::ranker::{Examples, Ranker};
use crate::quality::metrics;
use crate::recommender::blend;
use crate::recommender::cases::Window;
use crate::recommender::evaluator::{Evaluator, Holdout, HoldoutModel, Predictions};
use crate::recommender::measure::Measure;
use crate::recommender::training::has_ranker;
use crate::run_summary::Lead;

/// Into how many windows a night cuts what it holds out: as a night makes lists for the next days only, they should be
/// judged, and a ranker should learn, by what is read soon after.
pub const WINDOWS: usize = 8;

/// Decides which ratings are held out: the same ones every time.
const SEED: u64 = 30;

/// Most readers for a ranker to learn from: more take time, and change little.
pub const EXAMPLES: usize = 3_000;

/// With fewer examples than this, each half of the readers teaches a ranker for the other half to judge, and all teach
/// the one that is published.
const ENOUGH_EXAMPLES: usize = 1_000;

/// With fewer examples than this, a blend serves as well.
const FEWEST_EXAMPLES: usize = 100;

/// What orders the lists, and who judged it.
#[derive(Clone, Debug)]
pub struct Choice {
    pub ranker: Ranker,
    /// The best blend.
    pub blend: Ranker,
    /// Places of the judges, rising: no list of theirs was made by what learned from them.
    pub judges: Vec<u32>,
    /// The judges' lists, in this order.
    pub predictions: Predictions,
    /// Of the learned ranker on the blend, for the judges; `None` if none was learned.
    pub lead: Option<Lead>,
    pub why: &'static str,
}

/// What some readers teach.
#[derive(Default)]
struct Taught {
    examples: Examples,
    /// For each of them, the figure of each of the [`blend::all`].
    figures: Vec<Vec<f64>>,
}

/// A judge's place, and the lists of a learned ranker and of a blend.
type Judged = (u32, Vec<u32>, Vec<u32>);

/// Whether a ranker is learned with these settings, if there is enough to learn from.
pub fn learns(config: &Config) -> bool {
    has_ranker(config) && config.ranker.kind != RankerKind::None
}

impl Choice {
    /// Learns from one half of the readers, and asks the other half whether that serves them better than the best
    /// blend, which one half chooses for the other, too. `None` if lists have no ranker.
    pub fn make(evaluator: &Evaluator<'_>, model: &HoldoutModel) -> Result<Option<Self>> {
        if !has_ranker(&model.config) {
            return Ok(None);
        }
        let is_wanted = learns(&model.config);
        let searches = evaluator.candidates(model)?;
        let blends =
            blend::all(evaluator.cases().windows.iter().any(|window| window.traits.recency.is_some()));
        let seed = model.config.model.seed;
        let mut taught = vec![evaluator.taught(model, &searches, &blends, true)?];
        if taught[0].examples.users() < ENOUGH_EXAMPLES {
            taught.push(evaluator.taught(model, &searches, &blends, false)?);
        }
        let learns = is_wanted && taught[0].examples.users() >= FEWEST_EXAMPLES;
        let mut judged: Vec<Judged> = Vec::new();
        let mut ranker = Ranker::blend();
        for (taught, half) in taught.iter().zip([true, false]) {
            let blend = &blends[blend::best(&taught.figures, seed)];
            if learns {
                ranker = evaluator.fit_ranker(model, &taught.examples)?;
            }
            judged.extend(evaluator.judged(model, &searches, (&ranker, blend), !half)?);
        }
        judged.sort_unstable_by_key(|(place, ..)| *place);
        let has_both = taught.len() > 1;
        let all = taught.into_iter().reduce(Taught::and).unwrap_or_default();
        let blend = blends[blend::best(&all.figures, seed)].clone();
        let judges: Vec<u32> = judged.iter().map(|(place, ..)| *place).collect();
        let (learned, blended) = judged.into_iter().map(|(_, learned, blended)| (learned, blended)).unzip();
        let [learned, blended] = [learned, blended].map(|lists| model.predictions("", Some(lists)));
        let of_blend = |why, lead| {
            Ok(Some(Self {
                ranker: blend.clone(),
                blend: blend.clone(),
                judges: judges.clone(),
                predictions: blended.clone(),
                lead,
                why,
            }))
        };
        if !learns {
            return match is_wanted {
                true => of_blend("the blend: too few picks to learn from", None),
                false => of_blend("the blend, as set", None),
            };
        }
        let judge = evaluator.only(&judges);
        let ndcg = |predictions: &Predictions| Measure::Lists.by_reader(&judge, predictions).1;
        let lead = metrics::lead(&ndcg(&learned), &ndcg(&blended), seed);
        if lead.interval[0] <= 0.0 {
            return of_blend("the blend: the learned ranker is not better beyond doubt", Some(lead));
        }
        if has_both {
            // Whoever judges has done so: now all may teach.
            ranker = evaluator.fit_ranker(model, &all.examples)?;
        }
        Ok(Some(Self {
            ranker,
            blend,
            judges,
            predictions: learned,
            lead: Some(lead),
            why: "a learned ranker",
        }))
    }
}

impl Taught {
    fn and(mut self, other: Self) -> Self {
        self.examples.append(&other.examples);
        self.figures.extend(other.figures);
        self
    }
}

impl Evaluator<'_> {
    /// The places of the half of the readers that a ranker may learn from, or of the other one.
    fn half(&self, window: &Window, learns: bool) -> Vec<u32> {
        let (readers, halves) = (&self.cases().readers, &self.holdout().split.learns);
        window.cases.clone().filter(|place| halves[readers[*place as usize] as usize] == learns).collect()
    }

    /// What the readers of a half teach, up to [`EXAMPLES`] of them.
    fn taught(
        &self,
        model: &HoldoutModel,
        searches: &[CandidateSearch<'_>],
        blends: &[Ranker],
        half: bool,
    ) -> Result<Taught> {
        let lengths = self.lengths(model);
        let most = EXAMPLES / searches.len();
        // Blends differ in so little that some thousand readers are enough.
        let every = 1 + self.cases().len() as u32 / 4_000;
        let mut taught = Taught { examples: Examples::new(), figures: Vec::new() };
        for (search, window) in searches.iter().zip(&self.cases().windows) {
            let before = taught.examples.users();
            for places in self.half(window, half).chunks(most) {
                if taught.examples.users() - before < most {
                    let found = self.visit(search, places, |place, found| {
                        let example = self.example(place, found);
                        let figure = |blend: &Ranker| {
                            let list = model.ordered(search, (place, found), blend, lengths);
                            metrics::by_reader(&[list], &[self.cases().picks(place)], Measure::LENGTH)[0].ndcg
                        };
                        // Who picked no candidate has the same figure with every blend.
                        let is_asked = example.users() > 0 && place % every == 0;
                        let figures = is_asked.then(|| blends.iter().map(figure).collect());
                        (example, figures)
                    })?;
                    for (example, figures) in found {
                        taught.examples.append(&example);
                        taught.figures.extend(figures);
                    }
                }
            }
        }
        Ok(taught)
    }

    /// The lists of the readers of a half, by a learned ranker and by a blend.
    fn judged(
        &self,
        model: &HoldoutModel,
        searches: &[CandidateSearch<'_>],
        (ranker, blend): (&Ranker, &Ranker),
        half: bool,
    ) -> Result<Vec<Judged>> {
        let lengths = self.lengths(model);
        let mut judged = Vec::new();
        for (search, window) in searches.iter().zip(&self.cases().windows) {
            judged.extend(self.visit(search, &self.half(window, half), |place, found| {
                let list = |ranker: &Ranker| model.ordered(search, (place, found), ranker, lengths);
                (place, list(ranker), list(blend))
            })?);
        }
        Ok(judged)
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
        let (reader, held_out) = (cases.readers[place as usize], &cases.held_out[place as usize]);
        let weight = |item: &u32| match held_out.binary_search(item) {
            Ok(_) => self.holdout().split.weight_of(reader, *item),
            Err(_) => 0.0,
        };
        let picked: Vec<f32> = found.items.iter().map(weight).collect();
        let mut example = Examples::new();
        example.add(&found.features, &picked, u64::from(reader));
        example
    }
}

/// What orders the lists, and how that was decided; see [`Choice`].
#[derive(Clone, Debug)]
pub struct Learned {
    pub ranker: Ranker,
    /// The best blend.
    pub blend: Ranker,
    /// The model's settings that it was learned with, some of which were chosen from the ratings.
    pub model: Model,
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
        let plain = |why| {
            let (blend, model) = (Ranker::blend(), config.model.clone());
            Ok(Some(Learned { ranker: blend.clone(), blend, model, lead: None, why }))
        };
        let (rows, about) = match split {
            Some(split) => (&split.train, (&split.moments[..], &split.weights[..], &split.dislikes)),
            None => (&ratings.interactions, (&ratings.moments[..], &ratings.weights[..], &ratings.dislikes)),
        };
        let names = (&ratings.users, &ratings.items);
        let split = match Split::draw_from(rows, about, names, scheme.inner(config.gate.holdout), SEED) {
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
            attributes: &ratings.attributes,
            // A ranker needs no stars.
            scale: None,
            only_new: matches!(scheme, Scheme::Books(_)),
            longest: Measure::LENGTH,
            most_readers: Measure::MOST_READERS,
            windows,
        };
        let silent = Console::silent();
        let evaluator = Evaluator::new(holdout, device, &silent, interrupt);
        let config = &evaluator.with_choices(config)?;
        let fitted = evaluator.fit("ranker", config)?;
        let learned = |choice: Choice| {
            let Choice { ranker, blend, lead, why, .. } = choice;
            Learned { ranker, blend, model: config.model.clone(), lead, why }
        };
        Ok(Choice::make(&evaluator, &fitted)?.map(learned))
    }
}
