//! What the ranking model learns from: pairs, and the confidence weight of each.
//!
//! After the readers come made-up readers: one for each author, who "has read" that author's books, and one
//! for each publisher. This alone brings books of one author near each other, also those that hardly anybody
//! has read, and the solver needs no code for it. Made-up readers get no list and are in no count.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::data::{Group, Interactions, Maker};
use crate::hyperparameters::Model;
use crate::{Factors, dot};

/// Pairs with confidence weights: first the readers, then the made-up readers.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfidenceMatrix {
    rows: Interactions,
    users: usize,
    item_weights: Vec<f32>,
}

impl ConfidenceMatrix {
    /// Weighs what readers have read, and adds a made-up reader for each group.
    ///
    /// With n_u and n_i the numbers of ratings of reader u and book i, a the activity exponent and b the
    /// popularity exponent, a pair weighs
    ///
    /// ```text
    /// c_ui ∝ w_ui · n_u^-a · n_i^-b
    /// ```
    ///
    /// with w of each entry in `weights` (1 if that is empty), scaled so that the mean weight is 1. A pair says less about its book the more its reader reads, and
    /// less about its reader the more its book is read.
    pub fn new(interactions: &Interactions, groups: &[Group], model: &Model, weights: &[f32]) -> Self {
        let readers = interactions.user_count();
        let of_items = powers(interactions.users_per_item(), model.popularity_exponent);
        let of_items: Vec<f32> = of_items.into_iter().map(|weight| weight as f32).collect();
        let mut rows = weighed(interactions, &of_items, model, weights);
        let mean =
            rows.ratings.iter().map(|weight| f64::from(*weight)).sum::<f64>() / rows.len().max(1) as f64;
        let item_weights: Vec<f32> = of_items.iter().map(|weight| weight / mean as f32).collect();
        rows = weighed(interactions, &item_weights, model, weights);
        for group in groups {
            let weight = match group.maker {
                Maker::Author => model.author_weight,
                Maker::Publisher => model.publisher_weight,
            };
            if weight > 0.0 {
                rows.items.extend(&group.items);
                rows.ratings.resize(rows.items.len(), weight as f32);
                rows.offsets.push(rows.items.len());
            }
        }
        Self { rows, users: readers, item_weights }
    }

    /// With what readers dislike: a pair that weighs as another of its reader and book would, and is to be foretold as 0
    /// instead of 1. It takes the place of the same pair among what the reader has read.
    pub fn with_dislikes(self, dislikes: &Interactions, model: &Model) -> Self {
        if dislikes.is_empty() {
            return self;
        }
        let counts = self.rows.items_per_user();
        let mut rows =
            Interactions { offsets: vec![0], item_count: self.rows.item_count, ..Interactions::default() };
        for (user, count) in counts.into_iter().enumerate() {
            let (items, weights) = self.rows.of(user);
            let disliked = if user < self.users { dislikes.items_of(user) } else { &[] };
            let activity = f64::from(count).max(1.0).powf(-model.activity_exponent) as f32;
            let is_liked = |(item, _): &(u32, f32)| disliked.binary_search(item).is_err();
            let liked = items.iter().copied().zip(weights.iter().copied()).filter(is_liked);
            let disliked = disliked.iter().map(|item| (*item, -activity * self.item_weights[*item as usize]));
            let mut all: Vec<(u32, f32)> = liked.chain(disliked).collect();
            all.sort_unstable_by_key(|(item, _)| *item);
            rows.items.extend(all.iter().map(|(item, _)| *item));
            rows.ratings.extend(all.iter().map(|(_, weight)| *weight));
            rows.offsets.push(rows.items.len());
        }
        Self { rows, ..self }
    }

    /// Weighs the pairs of other readers, or later pairs of the same ones, in the same way. `item_weights`
    /// are those of the confidence matrix that the model was trained on.
    pub fn of_others(
        interactions: &Interactions,
        item_weights: Vec<f32>,
        model: &Model,
        weights: &[f32],
    ) -> Self {
        let rows = weighed(interactions, &item_weights, model, weights);
        Self { rows, users: interactions.user_count(), item_weights }
    }

    /// The weight of each item's pairs, without the part for the user's activity.
    pub fn item_weights(&self) -> &[f32] {
        &self.item_weights
    }

    /// The number by which each item's product x·y is multiplied to give its score. `factors` has the same
    /// items.
    ///
    /// A book with few readers has a short y, because the penalty holds it back more than its few readers can
    /// pull. In a sparse table popular books are therefore too far ahead. So the scale is 1 / |y|^γ: γ = 0
    /// leaves the product that the model was trained for, γ = 1 gives the cosine times |x|.
    ///
    /// A book without readers is known by its makers alone, and its length only says how much is known of it.
    /// It is expected to do as well as its makers' other books, so it gets their mean length.
    pub fn item_scales(&self, factors: &Factors, exponent: f64) -> Vec<f32> {
        let length = |row: &[f32]| dot(row, row).sqrt();
        let lengths: Vec<f32> = factors.items.par_chunks_exact(factors.width).map(length).collect();
        let scale = |length: f32| if length > 0.0 { length.powf(-exponent as f32) } else { 1.0 };
        let mut item_scales: Vec<f32> = lengths.par_iter().map(|length| scale(*length)).collect();
        let mut has_readers = vec![false; self.rows.item_count];
        let real = &self.rows.items[..self.rows.offsets[self.users]];
        real.iter().for_each(|item| has_readers[*item as usize] = true);
        // For each book without readers: the weighted sum of its makers' mean lengths, and the sum of the
        // weights.
        let mut expected: HashMap<u32, (f32, f32)> = HashMap::new();
        for maker in self.users..self.rows.user_count() {
            let (items, weights) = self.rows.of(maker);
            let known = || items.iter().filter(|item| has_readers[**item as usize]);
            let sum: f32 = known().map(|item| lengths[*item as usize]).sum();
            let mean = sum / known().count().max(1) as f32;
            for (item, weight) in items.iter().zip(weights).filter(|(item, _)| !has_readers[**item as usize])
            {
                let (sum, count) = expected.entry(*item).or_default();
                *sum += weight * mean;
                *count += weight;
            }
        }
        for (item, (sum, count)) in expected {
            let (expected, length) = (sum / count, lengths[item as usize]);
            if length > 0.0 {
                item_scales[item as usize] = expected / length * scale(expected);
            }
        }
        item_scales
    }

    /// The pairs by user, made-up ones last; weights stand in the place of ratings.
    pub fn rows(&self) -> &Interactions {
        &self.rows
    }

    /// The made-up readers who have read any of these books.
    pub fn groups_with(&self, items: &[u32]) -> Vec<u32> {
        let mut wanted = vec![false; self.rows.item_count];
        items.iter().for_each(|item| wanted[*item as usize] = true);
        (self.users..self.rows.user_count())
            .filter(|user| self.rows.of(*user).0.iter().any(|item| wanted[*item as usize]))
            .map(|user| user as u32)
            .collect()
    }

    /// The number of real users.
    pub fn users(&self) -> usize {
        self.users
    }
}

/// n^-exponent of each count.
fn powers(counts: Vec<u32>, exponent: f64) -> Vec<f64> {
    // At least 1: a book that nobody has read may be read later.
    counts.par_iter().map(|count| f64::from(*count).max(1.0).powf(-exponent)).collect()
}

/// The same pairs, with weights in the place of ratings.
fn weighed(
    interactions: &Interactions,
    item_weights: &[f32],
    model: &Model,
    weights: &[f32],
) -> Interactions {
    let mut rows = interactions.clone();
    let of_users = powers(interactions.items_per_user(), model.activity_exponent);
    for (user, activity) in of_users.into_iter().enumerate() {
        for at in rows.offsets[user]..rows.offsets[user + 1] {
            rows.ratings[at] = (activity * f64::from(item_weights[rows.items[at] as usize])) as f32
                * weights.get(at).copied().unwrap_or(1.0);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_disliked_weighs_as_much_below_zero() {
        let (rows, _) = Interactions::from_triples(2, 4, &[(0, 0, 1.0), (0, 2, 1.0), (1, 1, 1.0)]);
        let (dislikes, _) = Interactions::from_triples(2, 4, &[(0, 2, f32::NAN), (0, 3, f32::NAN)]);
        let model = Model { activity_exponent: 0.0, popularity_exponent: 0.0, ..Model::default() };
        let plain = ConfidenceMatrix::new(&rows, &[], &model, &[]);
        let confidence = plain.clone().with_dislikes(&dislikes, &model);
        assert_eq!(confidence.rows().of(0), (&[0, 2, 3][..], &[1.0, -1.0, -1.0][..]));
        assert_eq!(confidence.rows().of(1), plain.rows().of(1));
        assert_eq!(plain.clone().with_dislikes(&Interactions::default(), &model), plain);
    }

    #[test]
    fn new_books_are_lifted_to_what_their_makers_others_have() {
        // Books 0 and 1 are read; 2 is new, by the author of both; 3 is new, and nobody's.
        let (rows, _) = Interactions::from_triples(2, 4, &[(0, 0, 1.0), (1, 0, 1.0), (1, 1, 1.0)]);
        let groups = [
            Group { maker: Maker::Author, items: vec![0, 1, 2] },
            Group { maker: Maker::Publisher, items: vec![1, 2] },
        ];
        let model = Model { author_weight: 3.0, publisher_weight: 1.0, ..Default::default() };
        let confidence = ConfidenceMatrix::new(&rows, &groups, &model, &[]);
        assert_eq!((confidence.users(), confidence.rows().user_count()), (2, 4));
        let items = vec![4.0, 0.0, 0.0, 2.0, 0.1, 0.0, 0.0, 0.0];
        let factors = Factors { width: 2, users: Vec::new(), items };
        assert_eq!(confidence.item_scales(&factors, 0.0), [1.0, 1.0, (3.0 * 3.0 + 2.0) / 4.0 / 0.1, 1.0]);
        let item_scales = confidence.item_scales(&factors, 0.5);
        let expected = [0.5, 0.5f32.sqrt(), 2.75 / 0.1 / 2.75f32.sqrt(), 1.0];
        assert!(
            item_scales.iter().zip(expected).all(|(scale, expected)| (scale - expected).abs() < 1e-5),
            "{item_scales:?}"
        );
    }
}
