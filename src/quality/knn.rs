//! Item-based nearest neighbours: a baseline for `evaluate`. The gate has none of it.
//!
//! Two books are similar if the same readers have read them. A book is recommended for the reader's own
//! books that are similar to it:
//!
//! ```text
//! s_ij = n_ij / (√(n_i n_j) + h)             score(u, i) = Σ_{j read by u, j among the K nearest of i} s_ij
//! ```
//!
//! with n_i the readers of book i, n_ij the readers of both, and h a shrinkage that keeps pairs with few
//! readers from being called similar. (Sarwar et al. 2001; the shrunk cosine of Ferrari Dacrema, Cremonesi,
//! Jannach: "Are we really making much progress?", 2019, who show that it is still competitive.)

use rayon::prelude::*;

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::data::Interactions;

/// K. Of 20, 30, 50, 100, 200, 400 and 1,000 the best on Book-Crossing is 20 or 30, on MovieLens 100K it
/// is 200. This value loses 2% of nDCG to the best on the first and 4% on the second.
const NEIGHBOURS: usize = 50;

/// h. Of 0, 5, 10 and 20 this is the best or close to it on both data sets.
const SHRINKAGE: f32 = 10.0;

/// The best `n` unseen items of each user in `known`; the neighbours come from `train`.
///
/// Time grows with Σ n_u², n_u being the items of user u, and memory with items × K.
pub fn lists(
    train: &Interactions,
    known: &Interactions,
    n: usize,
    interrupt: &Interrupt,
) -> Result<Vec<Vec<u32>>> {
    let by_item = train.transposed();
    let neighbours: Vec<Vec<(u32, f32)>> = (0..train.item_count)
        .into_par_iter()
        .map_init(Sums::default, |sums, item| {
            interrupt.check()?;
            Ok(nearest(item, train, &by_item, sums))
        })
        .collect::<Result<_>>()?;
    // The items that each item is a neighbour of: these are the candidates that a user's item brings in.
    let mut recommends: Vec<Vec<(u32, f32)>> = vec![Vec::new(); train.item_count];
    for (item, near) in neighbours.iter().enumerate() {
        for (other, likeness) in near {
            recommends[*other as usize].push((item as u32, *likeness));
        }
    }
    (0..known.user_count())
        .into_par_iter()
        .map_init(Sums::default, |sums, user| {
            interrupt.check()?;
            let own = known.of(user).0;
            sums.begin(train.item_count);
            for item in own {
                for (candidate, likeness) in &recommends[*item as usize] {
                    sums.add(*candidate, *likeness);
                }
            }
            let unseen = |item: &u32| own.binary_search(item).is_err();
            Ok(sums.best(n, unseen, |_, sum| sum).into_iter().map(|(item, _)| item).collect())
        })
        .collect()
}

/// The K items most similar to one, and how similar they are.
fn nearest(item: usize, train: &Interactions, by_item: &Interactions, sums: &mut Sums) -> Vec<(u32, f32)> {
    sums.begin(train.item_count);
    let readers = by_item.of(item).0;
    for user in readers {
        for other in train.of(*user as usize).0 {
            sums.add(*other, 1.0);
        }
    }
    let popularity = |item: u32| (by_item.offsets[item as usize + 1] - by_item.offsets[item as usize]) as f32;
    let likeness =
        |other: u32, both: f32| both / ((readers.len() as f32 * popularity(other)).sqrt() + SHRINKAGE);
    sums.best(NEIGHBOURS, |other| *other as usize != item, likeness)
}

/// A sum for each of a few items; clearing them does not touch the others.
#[derive(Default)]
struct Sums {
    of: Vec<f32>,
    touched: Vec<u32>,
}

impl Sums {
    fn begin(&mut self, items: usize) {
        self.of.resize(items, 0.0);
        self.touched.drain(..).for_each(|item| self.of[item as usize] = 0.0);
    }

    fn add(&mut self, item: u32, value: f32) {
        let sum = &mut self.of[item as usize];
        if *sum == 0.0 {
            self.touched.push(item);
        }
        *sum += value;
    }

    /// The `n` items with the greatest values, greatest first; the lower code of equals.
    fn best(
        &self,
        n: usize,
        take: impl Fn(&u32) -> bool,
        value: impl Fn(u32, f32) -> f32,
    ) -> Vec<(u32, f32)> {
        let mut found: Vec<(u32, f32)> = self
            .touched
            .iter()
            .filter(|item| take(item))
            .map(|item| (*item, value(*item, self.of[*item as usize])))
            .collect();
        let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if found.len() > n {
            found.select_nth_unstable_by(n, order);
            found.truncate(n);
        }
        found.sort_unstable_by(order);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_by_hand() {
        // Books 0 and 1 share two readers, 1 and 2 one; reader 3 has read 0 alone.
        let triples =
            [(0, 0, 1.0), (0, 1, 1.0), (1, 0, 1.0), (1, 1, 1.0), (2, 1, 1.0), (2, 2, 1.0), (3, 0, 1.0)];
        let (train, _) = Interactions::from_triples(4, 4, &triples);
        let lists = lists(&train, &train, 3, &Interrupt::never()).expect("no signal");
        assert_eq!(lists[3], [1], "2 is no neighbour of 0");
        assert_eq!(lists[0], [2]);
        assert_eq!(lists[2], [0]);
        let mut sums = Sums::default();
        let near = nearest(1, &train, &train.transposed(), &mut sums);
        assert_eq!(near.len(), 2);
        assert_eq!((near[0].0, near[1].0), (0, 2));
        assert!((near[0].1 - 2.0 / (3.0 + SHRINKAGE)).abs() < 1e-6);
        assert!((near[1].1 - 1.0 / (3f32.sqrt() + SHRINKAGE)).abs() < 1e-6);
    }
}
