//! Learns a ranker where nothing is held out yet: from a part of the ratings that is held out for that alone.

use crate::catalog::encode::Encoded;
use crate::catalog::makers::Related;
use crate::catalog::split::{Scheme, Split};
use crate::config::{Config, RankerKind};
use crate::console::Console;
use crate::error::{Kind, Result};
use crate::interrupt::Interrupt;
use crate::model::device::Device;
use crate::model::ranker::Ranker;
use crate::recommender::evaluator::{Choice, Evaluator, Holdout, Measure};
use crate::recommender::training::has_ranker;
use crate::run_summary::Lead;

/// Decides which ratings are held out: the same ones every time.
const SEED: u64 = 30;

/// What orders the lists, and how that was decided; see [`Choice`].
#[derive(Clone, Debug)]
pub struct Learned {
    pub ranker: Ranker,
    pub lead: Option<Lead>,
    pub why: &'static str,
}

impl From<Choice> for Learned {
    fn from(Choice { ranker, lead, why, .. }: Choice) -> Self {
        Self { ranker, lead, why }
    }
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
        let Self { ratings, split, related, scheme, device, interrupt } = *self;
        if !has_ranker(config) {
            return Ok(None);
        }
        let plain = |why| Ok(Some(Learned { ranker: Ranker::blend(), lead: None, why }));
        if config.ranker.kind == RankerKind::None {
            return plain("the plain blend, as set");
        }
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
        };
        let silent = Console::silent();
        let evaluator = Evaluator::new(holdout, device, &silent, interrupt);
        let model = evaluator.fit("ranker", config)?;
        evaluator.choose_ranker(&model).map(|choice| choice.map(Learned::from))
    }
}
