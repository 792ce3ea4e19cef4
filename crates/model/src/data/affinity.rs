//! Which readers like what, by what is known of the readers besides what they read.

use super::{Interactions, UNKNOWN};

/// Readers of no category in particular that each item begins with: with few readers, its readers say little.
const PRIOR: f64 = 10.0;

/// How much more often readers of a category read an item than readers do in general.
///
/// A category is a value of an attribute, such as a country or an age; all attributes share one numbering. With n_i the
/// readers of item i whose category is known, n_ic those of category c, and p_c the share of c in all entries, the lift is
///
/// ```text
/// log ((n_ic + βp_c) / ((n_i + β) p_c))
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Affinity {
    /// The lift of each category of which the item has readers; rows are items. Empty where nothing is known.
    pub lifts: Interactions,
    /// For each item the lift of all other categories.
    pub others: Vec<f32>,
}

impl Affinity {
    /// `attributes` has, for each attribute, the category of each user, or [`UNKNOWN`].
    pub fn new(interactions: &Interactions, attributes: &[Vec<u32>]) -> Self {
        let codes = attributes.iter().flatten().filter(|code| **code != UNKNOWN);
        let Some(categories) = codes.max().map(|most| *most as usize + 1) else {
            return Self::default();
        };
        let mut of_category = vec![0u64; categories];
        let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(interactions.len() * attributes.len());
        for user in 0..interactions.user_count() {
            for code in attributes.iter().map(|codes| codes[user]).filter(|code| *code != UNKNOWN) {
                let own = interactions.of(user).0;
                of_category[code as usize] += own.len() as u64;
                pairs.extend(own.iter().map(|item| (*item, code)));
            }
        }
        pairs.sort_unstable();
        // An attribute's categories share what is known of it.
        let all = pairs.len().max(1) as f64 / attributes.len() as f64;
        let share = |code: u32| of_category[code as usize] as f64 / all;
        let mut found = Self {
            lifts: Interactions { offsets: vec![0], item_count: categories, ..Interactions::default() },
            others: Vec::with_capacity(interactions.item_count),
        };
        let mut rest = pairs.as_slice();
        for item in 0..interactions.item_count as u32 {
            let (own, after) = rest.split_at(rest.partition_point(|(other, _)| *other <= item));
            rest = after;
            let readers = own.len() as f64 / attributes.len() as f64 + PRIOR;
            for same in own.chunk_by(|a, b| a.1 == b.1) {
                let (code, count) = (same[0].1, same.len() as f64);
                let lift = ((count + PRIOR * share(code)) / (readers * share(code))).ln();
                found.lifts.items.push(code);
                found.lifts.ratings.push(lift as f32);
            }
            found.lifts.offsets.push(found.lifts.items.len());
            found.others.push((PRIOR / readers).ln() as f32);
        }
        found
    }

    /// The sum of the lifts of an item in some categories.
    pub fn of(&self, item: usize, categories: impl Iterator<Item = u32>) -> f32 {
        let Some(others) = self.others.get(item) else {
            return 0.0;
        };
        let (codes, lifts) = self.lifts.of(item);
        let lift = |code: u32| codes.binary_search(&code).map_or(*others, |place| lifts[place]);
        categories.filter(|code| *code != UNKNOWN).map(lift).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_country_reads_is_lifted_there() {
        // Item 0 is read by users 0 to 39 of country 0, item 1 by all 80, item 2 by user 79.
        let triples: Vec<(u32, u32, f32)> = (0..80)
            .flat_map(|user| {
                [(user, 0, 1.0), (user, 1, 1.0)]
                    .into_iter()
                    .filter(move |(user, item, _)| *item == 1 || *user < 40)
            })
            .chain([(79, 2, 1.0)])
            .collect();
        let (interactions, _) = Interactions::from_triples(80, 3, &triples);
        let country: Vec<u32> = (0..80).map(|user| u32::from(user >= 40)).collect();
        let sex: Vec<u32> = (0..80).map(|user| if user < 70 { 2 + user % 2 } else { UNKNOWN }).collect();
        let affinity = Affinity::new(&interactions, &[country, sex]);
        let lift = |item: usize, code: u32| affinity.of(item, std::iter::once(code));
        assert!(lift(0, 0) > 0.2 && lift(0, 1) < -1.0 && lift(1, 1) > 0.1);
        assert!(lift(0, 2).abs() < 0.2 && lift(2, 0).abs() < lift(0, 1).abs(), "few readers say little");
        assert_eq!(lift(0, UNKNOWN), 0.0);
        assert!((affinity.of(0, [0, 2].into_iter()) - lift(0, 0) - lift(0, 2)).abs() < 1e-6);
        assert_eq!(Affinity::new(&interactions, &[]), Affinity::default());
        assert_eq!(Affinity::default().of(0, std::iter::once(0)), 0.0);
    }
}
