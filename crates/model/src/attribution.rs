//! Which of a user's own items contributed most to a recommendation.
//!
//! Users' factors are the closed-form solution for their own ratings, so each score is a sum over those
//! ratings (see [`RowSystem::contributions`]). The greatest term is the reason given.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::data::Interactions;
use crate::error::Result;
use crate::hyperparameters::Resolved;
use crate::interrupt::Interrupt;
use crate::kernels::Ridge;
use crate::kernels::cpu::Prepared;
use crate::kernels::row::RowSystem;
use crate::neighbours::Neighbours;
use crate::rating::{self, RatingModel};
use crate::top_k::Scored;
use crate::{Factors, als};

/// Users that one task explains.
const USERS: usize = 64;

#[derive(Debug)]
pub struct Attribution<'a> {
    /// The users' items, with confidence weights or with the residuals of ratings.
    rows: Cow<'a, Interactions>,
    /// Whether `rows` has weights.
    weighted: bool,
    penalties: Vec<f32>,
    unobserved_weight: f32,
    prepared: Prepared<'a>,
    /// The other model whose terms count.
    neighbours: Option<&'a Neighbours>,
}

impl<'a> Attribution<'a> {
    /// For ranking scores. `weighted` are the users' items with their weights, as in [`crate::confidence`].
    pub fn ranking(factors: &'a Factors, weighted: &'a Interactions, parameters: &Resolved) -> Result<Self> {
        let unobserved_weight = parameters.model.unobserved_weight as f32;
        Ok(Self {
            rows: Cow::Borrowed(weighted),
            weighted: true,
            penalties: als::penalties(weighted, &parameters.model),
            unobserved_weight,
            prepared: Prepared::new(&factors.items, factors.width, unobserved_weight)?,
            neighbours: None,
        })
    }

    /// Counts the terms of neighbours as well: each model's are shares of its own score.
    pub fn with_neighbours(self, neighbours: &'a Neighbours) -> Self {
        Self { neighbours: Some(neighbours), ..self }
    }

    /// For the rating model: how much each rated item contributes to x_u·y_i, the part beyond mean and
    /// biases.
    pub fn stars(model: &'a RatingModel, rated: &Interactions, parameters: &Resolved) -> Result<Self> {
        let left = model.biases.residuals_of(rated, model.mean);
        Ok(Self {
            penalties: rating::user_penalties(&left, &parameters.rating),
            rows: Cow::Owned(left),
            weighted: false,
            unobserved_weight: 0.0,
            prepared: Prepared::new(&model.factors.items, model.factors.width, 0.0)?,
            neighbours: None,
        })
    }

    /// For each entry of each list, the user's own item with the greatest contribution to its score; `None`
    /// where no contribution is positive. The lists are those of the users from `first` on.
    pub fn of(
        &self,
        first: usize,
        lists: &[Vec<Scored>],
        interrupt: &Interrupt,
    ) -> Result<Vec<Vec<Option<u32>>>> {
        let (ridge, prepared, neighbours) = (&self.ridge(), &self.prepared, self.neighbours);
        let blocks: Vec<Vec<Vec<Option<u32>>>> = lists
            .par_chunks(USERS)
            .enumerate()
            .map_init(
                || (RowSystem::default(), Vec::new()),
                |(system, contributions), (block, lists)| {
                    interrupt.check()?;
                    let reasons = |(place, list): (usize, &Vec<Scored>)| {
                        let user = first + block * USERS + place;
                        let explain =
                            Explain { ridge, prepared, neighbours, system, contributions, user, list };
                        pulp::Arch::new().dispatch(explain)
                    };
                    Ok(lists.iter().enumerate().map(reasons).collect())
                },
            )
            .collect::<Result<_>>()?;
        Ok(blocks.into_iter().flatten().collect())
    }

    /// What each of a user's own items adds to x_u·y_i, in the order of [`Attribution::items`]. The sum is
    /// the product if x_u is the closed-form solution of that row.
    pub fn contributions(&self, user: usize, item: u32) -> Vec<f32> {
        let terms = Terms { ridge: &self.ridge(), prepared: &self.prepared, user, item };
        pulp::Arch::new().dispatch(terms)
    }

    pub fn items(&self, user: usize) -> &[u32] {
        self.rows.of(user).0
    }

    fn ridge(&self) -> Ridge<'_> {
        let numbers = Some(self.rows.ratings.as_slice());
        Ridge {
            offsets: &self.rows.offsets,
            columns: &self.rows.items,
            targets: numbers.filter(|_| !self.weighted),
            weights: numbers.filter(|_| self.weighted),
            penalties: &self.penalties,
            unobserved_weight: self.unobserved_weight,
        }
    }
}

/// Finds one user's reasons, in the vector registers of this processor.
struct Explain<'a> {
    ridge: &'a Ridge<'a>,
    prepared: &'a Prepared<'a>,
    neighbours: Option<&'a Neighbours>,
    system: &'a mut RowSystem,
    contributions: &'a mut Vec<f32>,
    user: usize,
    list: &'a [Scored],
}

impl pulp::WithSimd for Explain<'_> {
    type Output = Vec<Option<u32>>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> Vec<Option<u32>> {
        let Ridge { offsets, columns, .. } = self.ridge;
        let Prepared { features, spectrum } = self.prepared;
        let own = &columns[offsets[self.user]..offsets[self.user + 1]];
        let mut reasons = vec![None; self.list.len()];
        if own.is_empty() || reasons.is_empty() {
            return reasons;
        }
        let d = spectrum.values.len();
        self.system.load(simd, self.ridge, self.user, features, &spectrum.values);
        for (reason, entry) in reasons.iter_mut().zip(self.list) {
            let feature = &features[entry.item as usize * d..][..d];
            self.system.contributions(simd, feature, self.contributions);
            if let Some(neighbours) = self.neighbours {
                let mut terms = neighbours.terms(own, entry.item);
                let weights = self.ridge.weights.unwrap_or_default();
                for (term, at) in terms.iter_mut().zip(offsets[self.user]..) {
                    // What is disliked speaks against.
                    if weights.get(at).is_some_and(|weight| *weight < 0.0) {
                        *term = -*term;
                    }
                }
                add_shares(self.contributions, terms);
            }
            *reason = greatest(own, self.contributions);
        }
        reasons
    }
}

/// All terms of one user's score of one item.
struct Terms<'a> {
    ridge: &'a Ridge<'a>,
    prepared: &'a Prepared<'a>,
    user: usize,
    item: u32,
}

impl pulp::WithSimd for Terms<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> Vec<f32> {
        let (mut system, mut terms) = (RowSystem::default(), Vec::new());
        let Prepared { features, spectrum } = self.prepared;
        let d = spectrum.values.len();
        let Ridge { offsets, .. } = self.ridge;
        if offsets[self.user] < offsets[self.user + 1] {
            system.load(simd, self.ridge, self.user, features, &spectrum.values);
            system.contributions(simd, &features[self.item as usize * d..][..d], &mut terms);
        }
        terms
    }
}

/// Makes shares of the terms of factors, of the sum of those above 0, and adds those of the neighbours' terms.
pub fn add_shares(terms: &mut [f32], mut weights: Vec<f32>) {
    as_shares(terms);
    as_shares(&mut weights);
    terms.iter_mut().zip(weights).for_each(|(term, weight)| *term += weight);
}

/// Divides terms by the sum of those above 0.
fn as_shares(terms: &mut [f32]) {
    let sum: f32 = terms.iter().map(|term| term.max(0.0)).sum();
    if sum > 0.0 {
        terms.iter_mut().for_each(|term| *term /= sum);
    }
}

/// The item with the greatest positive contribution; the first of equals.
fn greatest(items: &[u32], contributions: &[f32]) -> Option<u32> {
    let mut best = None;
    let mut most = 0.0;
    for (item, contribution) in items.iter().zip(contributions) {
        if *contribution > most {
            (best, most) = (Some(*item), *contribution);
        }
    }
    best
}
