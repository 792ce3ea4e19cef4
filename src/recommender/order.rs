//! Orders the candidates of a list.

use crate::model::candidates::{CandidateSearch, Candidates};
use crate::model::ranker::Ranker;
use crate::model::top_k::Scored;

/// What stands further back than its score says.
pub struct Standing<'a> {
    /// Whether the reader is expected to mark a book low.
    pub is_low: &'a dyn Fn(u32) -> bool,
    /// The logarithm of what a book's score is multiplied by, for having been shown so often; 0 for most.
    pub stale: &'a dyn Fn(u32) -> f32,
}

/// The best candidates in the order of a ranker, with probabilities as scores: `lengths` says how many, and how many of
/// those may be new. What the reader is expected to mark low stands behind all others.
pub fn ranked(
    search: &CandidateSearch<'_>,
    (user, found): (u32, &Candidates),
    ranker: &Ranker,
    (top, new): (usize, usize),
    standing: &Standing<'_>,
) -> Vec<Scored> {
    let mut scores = Vec::with_capacity(found.items.len());
    ranker.score(&found.features, &mut scores);
    for (score, item) in scores.iter_mut().zip(&found.items) {
        *score += (standing.stale)(*item);
    }
    // Some of the best may be left out, as editions of others or as too many of a kind.
    put_behind(found, &mut scores, 3 * top, standing.is_low);
    as_probabilities(&mut scores);
    search.best(user, found, &scores, top, new)
}

/// Lowers the scores of what is low below all others, as far as it stands before the first `enough` others.
pub fn put_behind(found: &Candidates, scores: &mut [f32], enough: usize, is_low: &dyn Fn(u32) -> bool) {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b)));
    let Some(least) = order.last().map(|place| scores[*place as usize]) else { return };
    let mut others = 0;
    for place in order {
        match is_low(found.items[place as usize]) {
            true => scores[place as usize] = least - 1.0,
            false => others += 1,
        }
        if others >= enough {
            break;
        }
    }
}

/// Turns scores into probabilities that add up to 1: the softmax that the ranker is fitted by. All are above 0, so
/// that what is only popular stands below.
pub fn as_probabilities(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - most).exp());
    let sum: f32 = scores.iter().sum();
    for score in scores {
        *score /= sum;
        // Not `max`, which would hide a NaN.
        if *score < f32::MIN_POSITIVE {
            *score = f32::MIN_POSITIVE;
        }
    }
}
