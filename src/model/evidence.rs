//! What the ranking model learns from: pairs, and how much each of them counts.
//!
//! Behind the readers stand made-up ones: one for each author, who "has read" that author's books,
//! and one for each publisher. Nothing else is needed for books of one author to come to lie near
//! each other, also those that hardly anybody has read; and the solver does not know. Made-up
//! readers get no list and are in no count.

use crate::catalog::groups::{Group, Maker};
use crate::catalog::interactions::Interactions;
use crate::config;

/// Pairs with weights: readers, then made-up readers.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    rows: Interactions,
    readers: usize,
}

impl Evidence {
    /// Weighs what readers have read, and adds a made-up reader for each group.
    ///
    /// With n_u and n_i the numbers of ratings of reader u and book i, a pair weighs
    ///
    /// ```text
    /// c_ui ∝ n_u^-a · n_i^-b
    /// ```
    ///
    /// so scaled that the weights' mean is 1: what somebody who reads everything has read says less
    /// of each book, and what everybody has read says less of each reader.
    pub fn new(interactions: &Interactions, groups: &[Group], model: &config::Model) -> Self {
        let readers = interactions.user_count();
        let popularity = interactions.readers_per_item();
        let mut rows = interactions.clone();
        for user in 0..readers {
            let own = rows.offsets[user]..rows.offsets[user + 1];
            let activity = (own.len() as f64).powf(-model.activity_exponent);
            for at in own {
                let readers = f64::from(popularity[rows.items[at] as usize]);
                rows.ratings[at] = (activity * readers.powf(-model.popularity_exponent)) as f32;
            }
        }
        let mean =
            rows.ratings.iter().map(|weight| f64::from(*weight)).sum::<f64>() / rows.len().max(1) as f64;
        rows.ratings.iter_mut().for_each(|weight| *weight /= mean as f32);
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
        Self { rows, readers }
    }

    /// The pairs by user, made-up ones last; their weights stand in the place of ratings.
    pub fn rows(&self) -> &Interactions {
        &self.rows
    }

    /// As [`Evidence::rows`].
    pub fn into_rows(self) -> Interactions {
        self.rows
    }

    /// The made-up readers who have read any of these books.
    pub fn groups_with(&self, items: &[u32]) -> Vec<u32> {
        let mut wanted = vec![false; self.rows.item_count];
        items.iter().for_each(|item| wanted[*item as usize] = true);
        (self.readers..self.rows.user_count())
            .filter(|user| self.rows.of(*user).0.iter().any(|item| wanted[*item as usize]))
            .map(|user| user as u32)
            .collect()
    }

    /// How many of the users are real.
    pub fn readers(&self) -> usize {
        self.readers
    }
}
