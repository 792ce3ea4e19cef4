//! Neighbours: a sparse ridge regression of every item on the items nearest to it.
//!
//! With X the weighted ratings (a row for each reader, real or made-up) and G = XᵀX, each item i has the K
//! items N(i) that are nearest to it by the cosine G_ij / √(G_ii G_jj), and their weights are
//!
//! ```text
//! w_i = argmin Σ_u (x_ui − Σ_{j∈N(i)} w_ji x_uj)² + λ Σ_j w_ji²  =  (G_NN + λI)⁻¹ G_Ni
//! ```
//!
//! The score of i for a reader is the sum of w_ji over their own books j. This is EASE (Steck 2019,
//! "Embarrassingly shallow autoencoders for sparse data") or SLIM (Ning, Karypis 2011) whose support is chosen
//! beforehand: closed form, no epochs, items × K numbers.
//!
//! G is never stored: `cooccurrence` makes its rows one at a time, once to choose the neighbours and once
//! for the systems of some items together. `system` solves one.

pub mod batched;
mod cooccurrence;
mod system;

use rayon::prelude::*;

use crate::confidence::ConfidenceMatrix;
use crate::data::Interactions;
use crate::error::Result;
use crate::hyperparameters::Model;
use crate::interrupt::Interrupt;
use batched::Batched;
use cooccurrence::{Cooccurrence, Row};
pub use system::System;

/// Bytes of the systems that a thread builds together. The more fit, the fewer rows of G are made twice.
const TOGETHER: usize = 64 << 20;

/// Who has read more than this says little about what goes together, and the time for a row of G grows with the
/// square of it. On all of Book-Crossing the neighbours' lists are as good as with everybody, in half the time; with 500,
/// they lose 1%.
const MOST_ITEMS: usize = 1_000;

/// An item has K neighbours, but no more than [`LEAST`] and [`BY_READER`] for each of its readers.
const LEAST: usize = 10;
const BY_READER: usize = 5;

/// Items that one task looks for neighbours of.
const BLOCK: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Parameters {
    /// K, the most neighbours of an item.
    most: usize,
    /// λ.
    regularization: f32,
}

impl Parameters {
    fn of(model: &Model) -> Self {
        Self { most: model.neighbours, regularization: model.neighbour_regularization as f32 }
    }
}

/// The neighbours of every item, and their weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbours {
    /// Row i has N(i), rising, and w_ji in the place of ratings.
    of_items: Interactions,
    /// The same by neighbour: row j has the items i for which j is a neighbour.
    by_neighbour: Interactions,
}

impl Neighbours {
    /// Fits the weights to what readers have read, weighed for them. The result does not depend on the number
    /// of threads; without neighbours (K = 0) it is empty. Systems are solved by `device`, or on the CPU if that is `None`.
    ///
    /// # Errors
    /// [`crate::error::Error::Interrupted`] or [`crate::error::Error::Terminated`] on a signal;
    /// [`crate::error::Error::Diverged`] if a weight is not finite.
    pub fn fit(
        confidence: &ConfidenceMatrix,
        model: &Model,
        device: Option<&dyn Batched>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let rows = rows(confidence);
        if model.neighbours == 0 {
            let offsets = vec![0; rows.item_count + 1];
            return Ok(Self::of_rows(Interactions {
                offsets,
                item_count: rows.item_count,
                ..Interactions::default()
            }));
        }
        let everything = vec![true; rows.item_count];
        Ok(Self::of_rows(Self::of_some(&rows, &everything, Parameters::of(model), device, interrupt)?))
    }

    /// N(i) and w_ji of the `wanted` items, fitted to X, whose values stand in the place of ratings; nothing of the
    /// others.
    fn of_some(
        rows: &Interactions,
        wanted: &[bool],
        parameters: Parameters,
        device: Option<&dyn Batched>,
        interrupt: &Interrupt,
    ) -> Result<Interactions> {
        // What only one reader has read says nothing about another, but takes places among the nearest.
        let readers = rows.users_per_item();
        let rows = rows.filter_places(|at| readers[rows.items[at] as usize] > 1);
        let rows = &without_longest(rows);
        let by_item = rows.transposed();
        let matrix = Cooccurrence::new(rows, &by_item);
        let nearest = nearest(&matrix, wanted, parameters.most, interrupt)?;
        let weights = solve(&matrix, &nearest, parameters.regularization, device, interrupt)?;
        if weights.iter().any(|weight| !weight.is_finite()) {
            return Err(crate::not_finite("solving for neighbours"));
        }
        Ok(Interactions { ratings: weights, ..nearest })
    }

    /// Solves `items` anew, from what readers have read now, while all other rows stay. `confidence` has the same
    /// items.
    ///
    /// # Errors
    /// As [`Neighbours::fit`].
    pub fn solve(
        &mut self,
        confidence: &ConfidenceMatrix,
        items: &[u32],
        model: &Model,
        interrupt: &Interrupt,
    ) -> Result<()> {
        if items.is_empty() || model.neighbours == 0 {
            return Ok(());
        }
        let mut wanted = vec![false; self.of_items.user_count()];
        items.iter().for_each(|item| wanted[*item as usize] = true);
        let solved = Self::of_some(&rows(confidence), &wanted, Parameters::of(model), None, interrupt)?;
        let mut all = Interactions { offsets: vec![0], item_count: wanted.len(), ..Interactions::default() };
        for (item, is_new) in wanted.iter().enumerate() {
            let (near, weights) = if *is_new { solved.of(item) } else { self.of_items.of(item) };
            all.items.extend_from_slice(near);
            all.ratings.extend_from_slice(weights);
            all.offsets.push(all.items.len());
        }
        *self = Self::of_rows(all);
        Ok(())
    }

    /// From stored rows: N(i) and w_ji of each item.
    pub fn of_rows(of_items: Interactions) -> Self {
        Self { by_neighbour: of_items.transposed(), of_items }
    }

    /// N(i) and w_ji of each item, in the place of ratings.
    pub fn rows(&self) -> &Interactions {
        &self.of_items
    }

    /// What each of a user's items, whose codes rise, adds to the score of `item`.
    pub fn terms(&self, own: &[u32], item: u32) -> Vec<f32> {
        let (near, weights) = self.of_items.of(item as usize);
        let term = |other: &u32| near.binary_search(other).map_or(0.0, |place| weights[place]);
        own.iter().map(term).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.of_items.is_empty()
    }

    /// The same neighbours under other codes: item n of the result is item `items[n]`, or has no neighbours.
    pub fn recoded(&self, items: &[Option<u32>]) -> Self {
        let mut now = vec![None; self.of_items.item_count];
        for (code, old) in items.iter().enumerate() {
            if let Some(old) = old {
                now[*old as usize] = Some(code as u32);
            }
        }
        let mut rows = Interactions { offsets: vec![0], item_count: items.len(), ..Interactions::default() };
        for old in items {
            let (near, weights) = old.map_or((&[][..], &[][..]), |old| self.of_items.of(old as usize));
            let mut kept: Vec<(u32, f32)> = near
                .iter()
                .zip(weights)
                .filter_map(|(item, weight)| Some((now[*item as usize]?, *weight)))
                .collect();
            kept.sort_unstable_by_key(|(item, _)| *item);
            rows.items.extend(kept.iter().map(|(item, _)| *item));
            rows.ratings.extend(kept.iter().map(|(_, weight)| *weight));
            rows.offsets.push(rows.items.len());
        }
        Self::of_rows(rows)
    }

    /// The items that have `item` as a neighbour, and its weights.
    pub fn reached_from(&self, item: u32) -> (&[u32], &[f32]) {
        self.by_neighbour.of(item as usize)
    }
}

/// X: what readers have read, weighed as in the ranking model but for the books' popularity, which the ridge
/// allows for by itself. The mean of squares is 1 for readers; a made-up reader has the root of its weight.
fn rows(confidence: &ConfidenceMatrix) -> Interactions {
    let mut rows = confidence.rows().clone();
    let of_items = confidence.item_weights();
    let readers = rows.offsets[confidence.users()];
    let (own, made_up) = rows.ratings.split_at_mut(readers);
    for (weight, item) in own.iter_mut().zip(&rows.items) {
        *weight /= of_items[*item as usize];
    }
    let squares: f64 = own.iter().map(|weight| f64::from(*weight).powi(2)).sum();
    let scale = (own.len().max(1) as f64 / squares.max(f64::MIN_POSITIVE)).sqrt() as f32;
    own.iter_mut().for_each(|weight| *weight *= scale);
    made_up.iter_mut().for_each(|weight| *weight = weight.sqrt());
    rows
}

/// Without the rows of more than [`MOST_ITEMS`].
fn without_longest(rows: Interactions) -> Interactions {
    let lengths = rows.items_per_user();
    let keep: Vec<bool> = lengths
        .iter()
        .flat_map(|length| std::iter::repeat_n(*length as usize <= MOST_ITEMS, *length as usize))
        .collect();
    rows.filter_places(|at| keep[at])
}

/// For some items how many neighbours each has, and the neighbours with their values.
type Found = (Vec<usize>, Vec<(u32, f32)>);

/// N(i) of the `wanted` items, with G_ij in the place of ratings.
fn nearest(
    matrix: &Cooccurrence<'_>,
    wanted: &[bool],
    most: usize,
    interrupt: &Interrupt,
) -> Result<Interactions> {
    let items = matrix.items();
    let blocks: Vec<usize> = (0..items).step_by(BLOCK).collect();
    let found: Vec<Found> = blocks
        .into_par_iter()
        .map_init(
            || (matrix.row(), Vec::new()),
            |(row, near), first| {
                interrupt.check()?;
                let (mut counts, mut all) = (Vec::with_capacity(BLOCK), Vec::new());
                for (item, wanted) in wanted.iter().enumerate().take(first + BLOCK).skip(first) {
                    if !wanted {
                        counts.push(0);
                        continue;
                    }
                    near.clear();
                    matrix.fill(row, item as u32, 0);
                    near.extend(
                        row.entries()
                            .filter(|(other, _)| *other != item as u32)
                            .map(|(other, value)| (value / matrix.length(other).sqrt(), other, value)),
                    );
                    // Few readers cannot tell many neighbours apart.
                    let most = most.min(LEAST + BY_READER * matrix.readers(item as u32));
                    let best =
                        |a: &(f32, u32, f32), b: &(f32, u32, f32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
                    if near.len() > most {
                        near.select_nth_unstable_by(most, best);
                        near.truncate(most);
                    }
                    near.sort_unstable_by_key(|(_, other, _)| *other);
                    all.extend(near.iter().map(|(_, other, value)| (*other, *value)));
                    counts.push(near.len());
                    row.clear();
                }
                Ok((counts, all))
            },
        )
        .collect::<Result<_>>()?;
    let mut nearest = Interactions { offsets: vec![0], item_count: items, ..Interactions::default() };
    for (counts, entries) in found {
        for count in counts {
            nearest.offsets.push(nearest.offsets.last().copied().unwrap_or_default() + count);
        }
        nearest.items.extend(entries.iter().map(|(other, _)| *other));
        nearest.ratings.extend(entries.iter().map(|(_, value)| *value));
    }
    Ok(nearest)
}

/// w_ji in the order of `nearest`.
///
/// Some items' systems are built together: whenever a row of G has been made, all of them take what they need of
/// it. Neighbours are about as popular as their item, so items go by popularity: the long rows are then
/// wanted by few groups.
fn solve(
    matrix: &Cooccurrence<'_>,
    nearest: &Interactions,
    regularization: f32,
    device: Option<&dyn Batched>,
    interrupt: &Interrupt,
) -> Result<Vec<f32>> {
    let mut order: Vec<u32> =
        (0..nearest.user_count() as u32).filter(|item| !nearest.of(*item as usize).0.is_empty()).collect();
    order.sort_unstable_by(|a, b| matrix.length(*b).total_cmp(&matrix.length(*a)).then(a.cmp(b)));
    let mut groups: Vec<&[u32]> = Vec::new();
    let (mut rest, mut bytes, mut taken) = (order.as_slice(), 0, 0);
    while taken < rest.len() {
        let size = nearest.of(rest[taken] as usize).0.len();
        bytes += System::numbers(size) * size_of::<f32>();
        taken += 1;
        if bytes > TOGETHER || taken == rest.len() {
            let (group, left) = rest.split_at(taken);
            groups.push(group);
            (rest, bytes, taken) = (left, 0, 0);
        }
    }
    let build = |row: &mut Row, group: &[u32]| {
        let mut systems: Vec<System> =
            group.iter().map(|item| System::new(nearest.of(*item as usize).1)).collect();
        // Which system wants which row of G, and where.
        let mut wanted: Vec<(u32, u32, u32)> = Vec::new();
        for (place, item) in group.iter().enumerate() {
            let near = nearest.of(*item as usize).0.iter().enumerate();
            wanted.extend(near.map(|(at, other)| (*other, place as u32, at as u32)));
        }
        wanted.sort_unstable();
        for same in wanted.chunk_by(|a, b| a.0 == b.0) {
            interrupt.check()?;
            let item = same[0].0;
            // Systems are symmetric: what comes after the item is enough.
            matrix.fill(row, item, item);
            for (_, place, at) in same {
                let near = nearest.of(group[*place as usize] as usize).0;
                systems[*place as usize].set(*at as usize, &near[*at as usize..], row);
            }
            row.clear();
        }
        Ok(systems)
    };
    let solved: Vec<Vec<Vec<f32>>> = match device {
        None => groups
            .par_iter()
            .map_init(
                || (matrix.row(), Vec::new()),
                |(row, room), group| {
                    let systems = build(row, group)?.into_iter();
                    Ok(systems.map(|system| system.solve(regularization, room)).collect())
                },
            )
            .collect::<Result<_>>()?,
        // A device is given its work by one thread.
        Some(device) => {
            let mut solved = Vec::with_capacity(groups.len());
            for some in groups.chunks(rayon::current_num_threads()) {
                let built = some.par_iter().map_init(|| matrix.row(), |row, group| build(row, group));
                for systems in built.collect::<Result<Vec<_>>>()? {
                    solved.push(device.solve(&systems, regularization)?);
                }
            }
            solved
        }
    };
    let mut weights = vec![0.0; nearest.len()];
    for (item, solution) in groups.into_iter().flatten().zip(solved.into_iter().flatten()) {
        weights[nearest.offsets[*item as usize]..][..solution.len()].copy_from_slice(&solution);
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PENALTY: f32 = 0.7;

    fn matrix(triples: &[(u32, u32, f32)], users: usize, items: usize) -> Interactions {
        Interactions::from_triples(users, items, triples).0
    }

    fn fitted(rows: &Interactions, most: usize, wanted: &[bool]) -> Interactions {
        let parameters = Parameters { most, regularization: PENALTY };
        Neighbours::of_some(rows, wanted, parameters, None, &Interrupt::never()).expect("fitted")
    }

    /// Solves a dense system by Gauss's elimination.
    fn dense(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
        let size = right.len();
        for column in 0..size {
            let pivot = matrix[column][column];
            let (above, below) = (matrix[column].clone(), right[column]);
            for (place, row) in matrix.iter_mut().enumerate().filter(|(place, _)| *place != column) {
                let factor = row[column] / pivot;
                row.iter_mut().zip(&above).for_each(|(value, above)| *value -= factor * above);
                right[place] -= factor * below;
            }
        }
        (0..size).map(|at| right[at] / matrix[at][at]).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn weights_are_those_of_a_dense_ridge_regression(
            triples in prop::collection::vec((0u32..25, 0u32..14, 0.2f32..2.0), 1..220)
        ) {
            let rows = matrix(&triples, 25, 14);
            let solved = fitted(&rows, 100, &[true; 14]);
            let by_item = rows.transposed();
            let product = |a: u32, b: u32| -> f64 {
                let (readers, weights) = by_item.of(a as usize);
                let (others, values) = by_item.of(b as usize);
                let value = |reader: &u32| others.binary_search(reader).map_or(0.0, |at| f64::from(values[at]));
                readers.iter().zip(weights).map(|(reader, weight)| f64::from(*weight) * value(reader)).sum()
            };
            for item in 0..14u32 {
                let (near, weights) = solved.of(item as usize);
                // Neighbours are the items that another reader besides has read, and some reader with this one.
                let read = |other: u32| by_item.of(other as usize).0.len();
                let all: Vec<u32> = (0..14)
                    .filter(|other| *other != item && read(*other) > 1 && read(item) > 1 && product(item, *other) > 0.0)
                    .collect();
                prop_assert!(near.iter().all(|other| all.contains(other)));
                prop_assert_eq!(near.len(), all.len().min(LEAST + BY_READER * read(item)));
                let gram = |a: &u32, b: &u32| product(*a, *b) + if a == b { f64::from(PENALTY) } else { 0.0 };
                let matrix = near.iter().map(|a| near.iter().map(|b| gram(a, b)).collect()).collect();
                let expected = dense(matrix, near.iter().map(|other| product(*other, item)).collect());
                for (weight, expected) in weights.iter().zip(expected) {
                    prop_assert!((f64::from(*weight) - expected).abs() < 2e-3, "{weight} {expected}");
                }
            }
        }

        #[test]
        fn neither_threads_nor_company_change_a_weight(
            triples in prop::collection::vec((0u32..60, 0u32..40, 0.2f32..2.0), 1..900), most in 1usize..12,
        ) {
            let rows = matrix(&triples, 60, 40);
            let on = |threads: usize, wanted: &[bool]| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                pool.install(|| fitted(&rows, most, wanted))
            };
            let (one, three) = (on(1, &[true; 40]), on(3, &[true; 40]));
            prop_assert_eq!(&one, &three);
            let some: Vec<bool> = (0..40).map(|item| item % 7 == 2).collect();
            let alone = on(2, &some);
            for (item, wanted) in some.iter().enumerate() {
                let expected = if *wanted { one.of(item) } else { (&[][..], &[][..]) };
                prop_assert_eq!(alone.of(item), expected);
            }
            let nearest = one.offsets.windows(2).map(|row| row[1] - row[0]).max();
            prop_assert!(nearest <= Some(most));
        }
    }

    #[test]
    fn codes_may_change_and_terms_add_up() {
        let triples: Vec<(u32, u32, f32)> = (0..200).map(|n| (n % 20, n * n % 11, 1.0)).collect();
        let rows = matrix(&triples, 20, 11);
        let neighbours = Neighbours::of_rows(fitted(&rows, 5, &[true; 11]));
        // Backwards, with a stranger in front.
        let codes: Vec<Option<u32>> = std::iter::once(None).chain((0..11).rev().map(Some)).collect();
        let recoded = neighbours.recoded(&codes);
        for item in 0..11u32 {
            let own: Vec<u32> = (0..11).collect();
            let mut terms = neighbours.terms(&own, item);
            let sum: f32 = terms.iter().sum();
            let reached = own.iter().map(|own| neighbours.reached_from(*own));
            let found =
                reached.filter_map(|(items, weights)| Some(weights[items.binary_search(&item).ok()?]));
            assert!((found.sum::<f32>() - sum).abs() < 1e-6);
            terms.reverse();
            assert_eq!(recoded.terms(&(1..12).collect::<Vec<_>>(), 11 - item), terms);
        }
        assert!(recoded.terms(&[1, 2, 3], 0).iter().all(|term| *term == 0.0));
        assert!(Neighbours::of_rows(fitted(&rows, 0, &[true; 11])).is_empty());
    }
}
