//! Simple methods that a model has to beat: popularity, random order, and damped biases.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use crate::model::data::Interactions;

/// One random order for everyone, without each user's books in `known`.
pub fn random(known: &Interactions, n: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..known.item_count as u32).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    unseen(&order, known, n)
}

/// The first `n` books of one order for everyone, without each user's books in `known`.
pub fn unseen(order: &[u32], known: &Interactions, n: usize) -> Vec<Vec<u32>> {
    let list = |user| {
        let own = known.of(user).0;
        order.iter().filter(|item| own.binary_search(item).is_err()).take(n).copied().collect()
    };
    (0..known.user_count()).map(list).collect()
}

/// Mean plus damped biases: each bias is averaged with a few ratings of no bias (Funk 2006; the baseline
/// of Koren 2008, section 2.1, with item biases first and user biases on the residuals).
#[derive(Clone, Debug, PartialEq)]
pub struct DampedBias {
    mean: f32,
    users: Vec<f32>,
    items: Vec<f32>,
}

impl DampedBias {
    /// The number of ratings of no bias in each average, as LensKit's authors set it.
    const DAMPING: f32 = 5.0;

    /// From rated pairs only: item biases from `rated`, user biases from `known`, which may have more users.
    pub fn new(rated: &Interactions, known: &Interactions) -> Self {
        let mean =
            rated.ratings.iter().map(|rating| f64::from(*rating)).sum::<f64>() / rated.len().max(1) as f64;
        let mean = mean as f32;
        let damped = |rows: &Interactions, known: &dyn Fn(usize, u32) -> f32| -> Vec<f32> {
            (0..rows.user_count())
                .map(|row| {
                    let (others, ratings) = rows.of(row);
                    let sum: f32 =
                        others.iter().zip(ratings).map(|(other, rating)| rating - known(row, *other)).sum();
                    sum / (ratings.len() as f32 + Self::DAMPING)
                })
                .collect()
        };
        let items = damped(&rated.transposed(), &|_, _| mean);
        let users = damped(known, &|_, item| mean + items[item as usize]);
        Self { mean, users, items }
    }

    /// Predicted stars; a user or item that is `None`, or has no training ratings, has no bias.
    pub fn predict(&self, user: Option<u32>, item: Option<u32>) -> f32 {
        let bias = |biases: &[f32], code: Option<u32>| code.map_or(0.0, |code| biases[code as usize]);
        self.mean + bias(&self.users, user) + bias(&self.items, item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_for_everyone_leaves_out_ones_own() {
        let triples =
            vec![(0, 2, 1.0), (1, 2, 1.0), (1, 1, 1.0), (2, 1, 1.0), (2, 0, 1.0), (1, 0, 1.0), (3, 2, 1.0)];
        let (train, _) = Interactions::from_triples(4, 3, &triples);
        assert_eq!(unseen(&[0, 1, 2], &train, 2), [vec![0, 1], vec![], vec![2], vec![0, 1]]);
    }

    #[test]
    fn biases_shrink_with_few_ratings() {
        let (rated, _) = Interactions::from_triples(2, 1, &[(0, 0, 10.0), (1, 0, 4.0)]);
        let bias = DampedBias::new(&rated, &rated);
        assert_eq!(bias.predict(None, None), 7.0);
        assert_eq!(bias.predict(Some(0), Some(0)), 7.5);
        assert_eq!(bias.predict(Some(1), None), 6.5);
    }
}
