//! Sums that are filled for one user after another.

use crate::data::{Interactions, ItemTraits};

/// What one task writes into, user after user.
pub(super) struct Room {
    pub(super) support: Support,
    pub(super) titles: Profile,
    pub(super) subjects: Profile,
}

impl Room {
    pub(super) fn new(traits: &ItemTraits) -> Self {
        Self {
            support: Support::new(traits.readers.len()),
            titles: Profile::new(&traits.descriptions.titles),
            subjects: Profile::new(&traits.descriptions.subjects),
        }
    }
}

/// How much a user's items have of each word.
pub(super) struct Profile {
    weights: Vec<f32>,
    touched: Vec<u32>,
}

impl Profile {
    pub(super) fn new(words: &Interactions) -> Self {
        Self { weights: vec![0.0; words.item_count], touched: Vec::new() }
    }

    /// Of the items that `own` has; `words` are those of all items, of none if it has no rows.
    pub(super) fn fill(&mut self, words: &Interactions, own: &[u32]) {
        self.touched.drain(..).for_each(|word| self.weights[word as usize] = 0.0);
        for item in own.iter().filter(|item| (**item as usize) < words.user_count()) {
            let (codes, weights) = words.of(*item as usize);
            for (word, weight) in codes.iter().zip(weights) {
                self.weights[*word as usize] += weight;
                self.touched.push(*word);
            }
        }
    }

    /// The sum of the cosines of an item and the user's items.
    pub(super) fn likeness(&self, words: &Interactions, item: usize) -> f32 {
        if item >= words.user_count() {
            return 0.0;
        }
        let (codes, weights) = words.of(item);
        codes.iter().zip(weights).map(|(word, weight)| self.weights[*word as usize] * weight).sum()
    }
}

/// A sum for each item, most of them 0.
pub(super) struct Support {
    /// Sum and maximum of weights, and their number.
    pub(super) of: Vec<[f32; 3]>,
    pub(super) touched: Vec<u32>,
}

impl Support {
    pub(super) fn new(items: usize) -> Self {
        Self { of: vec![[0.0; 3]; items], touched: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        for item in self.touched.drain(..) {
            self.of[item as usize] = [0.0; 3];
        }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, item: u32, weight: f32) {
        let [sum, most, count] = &mut self.of[item as usize];
        if *count == 0.0 {
            self.touched.push(item);
        }
        *sum += weight;
        *most = most.max(weight);
        *count += 1.0;
    }

    /// Mean and deviation over all items.
    pub(super) fn moments(&self) -> (f32, f32) {
        let items = self.of.len().max(1) as f64;
        let (mut sum, mut squares) = (0.0f64, 0.0f64);
        for item in &self.touched {
            let value = f64::from(self.of[*item as usize][0]);
            sum += value;
            squares += value * value;
        }
        let mean = sum / items;
        (mean as f32, ((squares / items - mean * mean).max(0.0).sqrt() + 1e-9) as f32)
    }
}
