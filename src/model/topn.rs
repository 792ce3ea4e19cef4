//! Everyone's best unseen books, exactly, without looking at every book.
//!
//! A score x·y is at most |x||y|. So books are laid out by falling length |y|, and readers look
//! through them in that order, a block at a time: once even the longest book left could not enter
//! a reader's list, the rest need not be scored. The answer is the same as from scoring them all.
//! Ties are broken by the item's code, the lower first: codes are in the order of the ISBN-13s.
//!
//! Products may be lifted, each item's by a number of its own ([`super::evidence::Evidence::lifts`]).

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::OnceLock;

use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::Factors;
use crate::catalog::interactions::Interactions;
use crate::error::Result;
use crate::interrupt::Interrupt;

/// Readers scored together: enough to reuse a block of books while it is in cache.
const USERS: usize = 64;
/// Books scored together.
const ITEMS: usize = 512;

/// Rounding of a product of 32-bit numbers may lift a score over the bound by this share.
const SLACK: f32 = 1.0 + 1e-4;

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The item's code.
    pub item: u32,
    /// x·y.
    pub score: f32,
}

/// Worse entries are greater, so that the top of a heap is the one to be pushed out.
impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.item.cmp(&other.item))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Scored {}

/// Which lists are wanted.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Entries in a list.
    pub n: usize,
    /// Of those, how many may be of new items.
    pub new: usize,
    /// What is new, given a code; `None` for what no list may have.
    pub is_new: &'a (dyn Fn(u32) -> Option<bool> + Sync),
    /// What each item's product is multiplied with; empty for 1.
    pub lifts: &'a [f32],
}

/// The best unseen items of each user, best first.
///
/// # Errors
/// On a signal.
pub fn best(
    factors: &Factors,
    seen: &Interactions,
    wanted: &Wanted<'_>,
    interrupt: &Interrupt,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Vec<Scored>>> {
    let Wanted { n, new, is_new, lifts } = *wanted;
    let known = Index::new(factors, lifts, |item| is_new(item) == Some(false));
    let mut lists = known.search(factors, seen, n, interrupt, done)?;
    let fresh = Index::new(factors, lifts, |item| new > 0 && is_new(item) == Some(true));
    if !fresh.codes.is_empty() {
        let additions = fresh.search(factors, seen, new, interrupt, &|_| ())?;
        for (list, addition) in lists.iter_mut().zip(additions) {
            list.extend(addition);
            list.sort();
            list.truncate(n);
        }
    }
    Ok(lists)
}

/// Items by falling length.
#[derive(Debug)]
pub struct Index<'a> {
    lifts: &'a [f32],
    width: usize,
    /// The factors of each block, row by row, once somebody has looked into it: hardly anybody looks
    /// far.
    blocks: Vec<OnceLock<Vec<f32>>>,
    /// The code of each row.
    codes: Vec<u32>,
    /// The row of each code; of those that were not taken, one behind all.
    places: Vec<u32>,
    /// |y|, lifted, of the first, and so the longest, row of each block.
    longest: Vec<f32>,
}

impl<'a> Index<'a> {
    /// Lays the items out of which `take` says so.
    pub fn new(factors: &Factors, lifts: &'a [f32], take: impl Fn(u32) -> bool) -> Self {
        let width = factors.width;
        let lengths: Vec<f32> = factors
            .items
            .par_chunks_exact(width)
            .enumerate()
            .map(|(item, row)| super::dot(row, row).sqrt() * lift(lifts, item))
            .collect();
        let mut codes: Vec<u32> = (0..lengths.len() as u32).filter(|item| take(*item)).collect();
        codes.par_sort_unstable_by(|a, b| {
            lengths[*b as usize].total_cmp(&lengths[*a as usize]).then(a.cmp(b))
        });
        let mut places = vec![u32::MAX; lengths.len()];
        for (place, code) in codes.iter().enumerate() {
            places[*code as usize] = place as u32;
        }
        Self {
            lifts,
            width,
            blocks: codes.chunks(ITEMS).map(|_| OnceLock::new()).collect(),
            longest: codes.chunks(ITEMS).map(|block| lengths[block[0] as usize]).collect(),
            codes,
            places,
        }
    }

    /// The best `n` items of each user that the user has no entry for, best first. `factors` are those
    /// that the items were laid out by.
    ///
    /// Memory is bounded by users × n and one block of scores a thread.
    ///
    /// # Errors
    /// On a signal.
    pub fn search(
        &self,
        factors: &Factors,
        seen: &Interactions,
        n: usize,
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Scored>>> {
        let users: Vec<usize> = (0..seen.user_count()).collect();
        let blocks: Vec<Vec<Vec<Scored>>> = users
            .par_chunks(USERS)
            .map_init(
                || vec![0.0; USERS * ITEMS],
                |scores, users| {
                    interrupt.check()?;
                    let lists = self.block(factors, seen, users, n, scores);
                    done(users.len());
                    Ok(lists)
                },
            )
            .collect::<Result<_>>()?;
        Ok(blocks.into_iter().flatten().collect())
    }

    fn block(
        &self,
        factors: &Factors,
        seen: &Interactions,
        users: &[usize],
        n: usize,
        scores: &mut [f32],
    ) -> Vec<Vec<Scored>> {
        let mut searches: Vec<Search> = users
            .iter()
            .map(|user| Search::new(factors.user(*user), self.seen_places(seen, *user)))
            .collect();
        let mut active: Vec<usize> = (0..searches.len()).collect();
        let mut rows: Vec<f32> = Vec::with_capacity(users.len() * self.width);
        for (number, codes) in self.codes.chunks(ITEMS).enumerate() {
            active.retain(|at| searches[*at].could_take(self.longest[number], n));
            if active.is_empty() {
                break;
            }
            rows.clear();
            active.iter().for_each(|at| rows.extend_from_slice(factors.user(users[*at])));
            let items = self.blocks[number].get_or_init(|| {
                let mut rows = Vec::with_capacity(codes.len() * self.width);
                for code in codes {
                    let lift = lift(self.lifts, *code as usize);
                    rows.extend(factors.item(*code as usize).iter().map(|value| value * lift));
                }
                rows
            });
            let scores = &mut scores[..active.len() * codes.len()];
            faer::linalg::matmul::matmul(
                MatMut::from_row_major_slice_mut(scores, active.len(), codes.len()),
                Accum::Replace,
                MatRef::from_row_major_slice(&rows, active.len(), self.width),
                MatRef::from_row_major_slice(items, codes.len(), self.width).transpose(),
                1.0,
                Par::Seq,
            );
            for (at, scores) in active.iter().zip(scores.chunks_exact(codes.len())) {
                searches[*at].take(number * ITEMS, codes, scores, n);
            }
        }
        searches.into_iter().map(|search| search.heap.into_sorted_vec()).collect()
    }

    /// Where the books that a user has read stand, rising.
    fn seen_places(&self, seen: &Interactions, user: usize) -> Vec<u32> {
        let mut places: Vec<u32> = seen.of(user).0.iter().map(|item| self.places[*item as usize]).collect();
        places.sort_unstable();
        places
    }
}

/// One user's list while it grows.
struct Search {
    length: f32,
    /// Places of the books that the user has read, rising.
    seen: Vec<u32>,
    heap: BinaryHeap<Scored>,
}

impl Search {
    fn new(user: &[f32], seen: Vec<u32>) -> Self {
        Self { length: super::dot(user, user).sqrt(), seen, heap: BinaryHeap::new() }
    }

    /// Whether an item no longer than `longest` might still enter. A tie might, by its code.
    fn could_take(&self, longest: f32, n: usize) -> bool {
        self.length * longest * SLACK >= self.floor(n)
    }

    fn take(&mut self, first_place: usize, codes: &[u32], scores: &[f32], n: usize) {
        let mut floor = self.floor(n);
        for (offset, (code, score)) in codes.iter().zip(scores).enumerate() {
            // Nearly all end here, so whether the book was read is asked of the few others only.
            if *score < floor || self.seen.binary_search(&((first_place + offset) as u32)).is_ok() {
                continue;
            }
            let entry = Scored { item: *code, score: *score };
            if self.heap.len() < n {
                self.heap.push(entry);
            } else if let Some(mut worst) = self.heap.peek_mut()
                && entry < *worst
            {
                *worst = entry;
            }
            floor = self.floor(n);
        }
    }

    /// The score under which nothing enters any more.
    fn floor(&self, n: usize) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= n => worst.score,
            _ => f32::NEG_INFINITY,
        }
    }
}

/// What an item's product is multiplied with.
fn lift(lifts: &[f32], item: usize) -> f32 {
    lifts.get(item).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::initial;
    use proptest::prelude::*;

    fn scored(factors: &Factors, lifts: &[f32], user: usize, item: usize) -> f32 {
        factors.score(user, item) * lift(lifts, item)
    }

    /// Every unseen item scored and sorted.
    fn brute_force(
        factors: &Factors,
        lifts: &[f32],
        seen: &Interactions,
        user: usize,
        n: usize,
    ) -> Vec<Scored> {
        let mut all: Vec<Scored> = (0..seen.item_count as u32)
            .filter(|item| !seen.of(user).0.contains(item))
            .map(|item| Scored { item, score: scored(factors, lifts, user, item as usize) })
            .collect();
        all.sort();
        all.truncate(n);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn the_lists_are_those_of_brute_force(
            triples in prop::collection::vec((0u32..90, 0u32..1500, Just(1f32)), 1..3000),
            d in 1usize..12, n in 1usize..20, seed in 0u64..1000, small in 0f32..1.0,
            lifts in prop_oneof![Just(Vec::new()), prop::collection::vec(0.2f32..5.0, 1500)],
        ) {
            let (seen, _) = Interactions::from_triples(90, 1500, &triples);
            let mut factors = Factors {
                width: d,
                users: initial(90, d, seed),
                items: initial(1500, d, seed + 1),
            };
            // Lengths that differ widely, as those of popular and obscure books do.
            for (place, row) in factors.items.chunks_exact_mut(d).enumerate() {
                let shrink = small.powi(place as i32 % 40);
                row.iter_mut().for_each(|value| *value *= shrink);
            }
            let lists = Index::new(&factors, &lifts, |_| true)
                .search(&factors, &seen, n, &Interrupt::never(), &|_| ())
                .expect("no signal");
            for (user, list) in lists.iter().enumerate() {
                let expected = brute_force(&factors, &lifts, &seen, user, n);
                prop_assert_eq!(list.len(), expected.len());
                for (got, expected) in list.iter().zip(&expected) {
                    // The order of summing differs, so near ties may change places.
                    let tolerance = 1e-6 + 1e-5 * expected.score.abs();
                    prop_assert!((got.score - expected.score).abs() < tolerance);
                    prop_assert!((scored(&factors, &lifts, user, got.item as usize) - got.score).abs() < tolerance);
                    prop_assert!(!seen.of(user).0.contains(&got.item));
                }
            }
        }
    }

    #[test]
    fn ties_go_to_the_lower_code() {
        let factors = Factors { width: 1, users: vec![1.0], items: vec![1.0; 2000] };
        let (seen, _) = Interactions::from_triples(1, 2000, &[(0, 0, 1.0), (0, 2, 1.0)]);
        let lists =
            Index::new(&factors, &[], |_| true).search(&factors, &seen, 3, &Interrupt::never(), &|_| ());
        let items: Vec<u32> = lists.expect("no signal")[0].iter().map(|entry| entry.item).collect();
        assert_eq!(items, [1, 3, 4]);
    }

    #[test]
    fn fewer_books_than_asked_for_is_no_trouble() {
        let factors = Factors { width: 2, users: vec![1.0, 0.0], items: vec![1.0, 0.0, 0.5, 0.5] };
        let (seen, _) = Interactions::from_triples(1, 2, &[(0, 1, 1.0)]);
        let lists =
            Index::new(&factors, &[], |_| true).search(&factors, &seen, 10, &Interrupt::never(), &|_| ());
        assert_eq!(lists.expect("no signal"), [vec![Scored { item: 0, score: 1.0 }]]);
    }

    #[test]
    fn new_items_get_no_more_places_than_they_may() {
        // Items 4 to 7 are new, and the best; 0 may not be shown.
        let factors =
            Factors { width: 1, users: vec![1.0, 1.0], items: (1..=8).map(|score| score as f32).collect() };
        let (seen, _) = Interactions::from_triples(2, 8, &[(1, 7, 1.0), (1, 3, 1.0)]);
        let is_new = |item: u32| (item > 0).then_some(item > 3);
        let lists = |n, new, lifts: &[f32]| -> Vec<Vec<u32>> {
            let wanted = Wanted { n, new, is_new: &is_new, lifts };
            let lists = best(&factors, &seen, &wanted, &Interrupt::never(), &|_| ()).expect("no signal");
            lists.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()).collect()
        };
        assert_eq!(lists(3, 1, &[]), [[7, 3, 2], [6, 2, 1]]);
        assert_eq!(lists(3, 0, &[]), [vec![3, 2, 1], vec![2, 1]]);
        assert_eq!(lists(3, 3, &[]), [[7, 6, 5], [6, 5, 4]]);
        // Lifted far enough, an old one comes first.
        assert_eq!(lists(2, 1, &[1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), [[1, 7], [1, 6]]);
    }
}
