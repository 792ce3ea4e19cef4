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
use std::ops::Range;
use std::sync::OnceLock;

use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::Factors;
use super::twins::{digest, twins};
use crate::catalog::interactions::Interactions;
use crate::error::Result;
use crate::interrupt::Interrupt;

/// Readers scored together: enough to reuse a block of books while it is in cache; and where blocks are not
/// kept, enough for making one to be worth it.
const USERS: [usize; 2] = [64, 1024];
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
    /// Whether there is memory to keep items as products want them, a second table of their factors; else
    /// they are laid out again for each block of users.
    pub keep: bool,
}

/// The best unseen items of any user.
#[derive(Debug)]
pub struct Best<'a> {
    known: Index<'a>,
    fresh: Index<'a>,
    n: usize,
    new: usize,
}

impl<'a> Best<'a> {
    /// Lays out all items, whose products are multiplied with `lifts`; empty for 1.
    pub fn new(factors: &Factors, lifts: &'a [f32], wanted: &Wanted<'_>) -> Self {
        let Wanted { n, new, is_new, keep } = *wanted;
        Self {
            known: Index::new(factors, lifts, keep, |item| is_new(item) == Some(false)),
            fresh: Index::new(factors, lifts, keep, |item| new > 0 && is_new(item) == Some(true)),
            n,
            new,
        }
    }

    /// Those of some users, best first. `factors` are those that the items were laid out by.
    ///
    /// # Errors
    /// On a signal.
    pub fn of(
        &self,
        factors: &Factors,
        seen: &Interactions,
        users: Range<usize>,
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Scored>>> {
        let mut lists = self.known.search(factors, seen, users.clone(), self.n, interrupt, done)?;
        if !self.fresh.codes.is_empty() {
            let additions = self.fresh.search(factors, seen, users, self.new, interrupt, &|_| ())?;
            for (list, addition) in lists.iter_mut().zip(additions) {
                list.extend(addition);
                list.sort();
                list.truncate(self.n);
            }
        }
        Ok(lists)
    }
}

/// Items by falling length. Those with the same factors, such as books that one and the same reader alone
/// has read, have one row between them: of all of Book-Crossing's, fewer than half of the books need one
/// of their own.
#[derive(Debug)]
pub struct Index<'a> {
    lifts: &'a [f32],
    width: usize,
    /// The codes of the items, row by row, rising within a row.
    codes: Vec<u32>,
    /// Where the codes of each row begin, and one past the last.
    starts: Vec<u32>,
    /// |y|, lifted, of the first, and so the longest, row of each block.
    longest: Vec<f32>,
    /// The factors of each block, lifted, in columns, once somebody has looked into it: hardly anybody
    /// looks far. Empty if they are not kept.
    blocks: Vec<OnceLock<Vec<f32>>>,
}

impl<'a> Index<'a> {
    /// Lays the items out of which `take` says so.
    pub fn new(factors: &Factors, lifts: &'a [f32], keep: bool, take: impl Fn(u32) -> bool) -> Self {
        let width = factors.width;
        // Of each item its lifted length, and a digest of its row, by which equal rows come together.
        let marks: Vec<(f32, u64)> = factors
            .items
            .par_chunks_exact(width)
            .enumerate()
            .map(|(item, row)| {
                let lift = lift(lifts, item);
                (super::dot(row, row).sqrt() * lift, digest(row) ^ u64::from(lift.to_bits()))
            })
            .collect();
        let mut codes: Vec<u32> = (0..marks.len() as u32).filter(|item| take(*item)).collect();
        codes.par_sort_unstable_by(|a, b| {
            let ((length, digest), (other, another)) = (marks[*a as usize], marks[*b as usize]);
            other.total_cmp(&length).then(digest.cmp(&another)).then(a.cmp(b))
        });
        let same = |a: usize, b: usize| {
            marks[a] == marks[b] && factors.item(a) == factors.item(b) && lift(lifts, a) == lift(lifts, b)
        };
        let begins = |at: &usize| *at == 0 || !same(codes[at - 1] as usize, codes[*at] as usize);
        let mut starts: Vec<u32> = (0..codes.len()).filter(begins).map(|at| at as u32).collect();
        let longest = |block: &[u32]| marks[codes[block[0] as usize] as usize].0;
        let longest: Vec<f32> = starts.chunks(ITEMS).map(longest).collect();
        starts.push(codes.len() as u32);
        let kept = if keep { longest.len() } else { 0 };
        let blocks = (0..kept).map(|_| OnceLock::new()).collect();
        Self { lifts, width, codes, starts, blocks, longest }
    }

    /// The best `n` items of some users that they have no entry for, best first. `factors` are those
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
        users: Range<usize>,
        n: usize,
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Scored>>> {
        let twins = twins(factors, seen, users);
        let together = USERS[usize::from(self.blocks.is_empty())];
        let found: Vec<Vec<Vec<Scored>>> = twins
            .firsts
            .par_chunks(together)
            .map_init(
                || vec![0.0; together * ITEMS],
                |scores, users| {
                    interrupt.check()?;
                    let lists = self.block(factors, seen, users, n, scores);
                    done(users.len());
                    Ok(lists)
                },
            )
            .collect::<Result<_>>()?;
        done(twins.of.len() - twins.firsts.len());
        let mut lists: Vec<Vec<Scored>> = found.into_iter().flatten().collect();
        Ok(twins
            .of
            .iter()
            .map(|(place, is_last)| match is_last {
                true => std::mem::take(&mut lists[*place as usize]),
                false => lists[*place as usize].clone(),
            })
            .collect())
    }

    fn block(
        &self,
        factors: &Factors,
        seen: &Interactions,
        users: &[u32],
        n: usize,
        scores: &mut [f32],
    ) -> Vec<Vec<Scored>> {
        let mut searches: Vec<Search<'_>> = users
            .iter()
            .map(|user| Search::new(factors.user(*user as usize), seen.of(*user as usize).0, n))
            .collect();
        let mut active: Vec<usize> = (0..searches.len()).collect();
        let mut rows: Vec<f32> = Vec::with_capacity(users.len() * self.width);
        let mut passing;
        for (number, longest) in self.longest.iter().enumerate() {
            active.retain(|at| searches[*at].could_take(*longest));
            if active.is_empty() {
                break;
            }
            if rows.len() != active.len() * self.width {
                rows.clear();
                active.iter().for_each(|at| rows.extend_from_slice(factors.user(users[*at] as usize)));
            }
            let first = number * ITEMS;
            let count = ITEMS.min(self.starts.len() - 1 - first);
            let items = match self.blocks.get(number) {
                Some(kept) => kept.get_or_init(|| self.columns(factors, first, count)),
                None => {
                    passing = self.columns(factors, first, count);
                    &passing
                }
            };
            let scores = &mut scores[..active.len() * count];
            faer::linalg::matmul::matmul(
                MatMut::from_row_major_slice_mut(scores, active.len(), count),
                Accum::Replace,
                MatRef::from_row_major_slice(&rows, active.len(), self.width),
                MatRef::from_row_major_slice(items, self.width, count),
                1.0,
                Par::Seq,
            );
            for (at, scores) in active.iter().zip(scores.chunks_exact(count)) {
                let search = &mut searches[*at];
                let mut from = 0;
                while let Some(place) =
                    pulp::Arch::new().dispatch(Reaching { scores, from, floor: search.floor })
                {
                    let row = first + place;
                    let codes = &self.codes[self.starts[row] as usize..self.starts[row + 1] as usize];
                    search.take(codes, scores[place]);
                    from = place + 1;
                }
            }
        }
        searches.into_iter().map(|search| search.heap.into_sorted_vec()).collect()
    }

    /// Some rows, lifted, a column each: so the product finds what it needs side by side.
    fn columns(&self, factors: &Factors, first: usize, count: usize) -> Vec<f32> {
        let mut columns = vec![0.0; count * self.width];
        for place in 0..count {
            let item = self.codes[self.starts[first + place] as usize] as usize;
            let lift = lift(self.lifts, item);
            for (k, value) in factors.item(item).iter().enumerate() {
                columns[k * count + place] = value * lift;
            }
        }
        columns
    }
}

/// The first place from `from` on whose score is not under the floor.
struct Reaching<'a> {
    scores: &'a [f32],
    from: usize,
    floor: f32,
}

impl pulp::WithSimd for Reaching<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> Option<usize> {
        let Self { scores, from, floor } = self;
        // Nearly all are under it, and as many as this are as quickly asked as one.
        const TOGETHER: usize = 4;
        let (head, _) = S::as_simd_f32s(&scores[from..]);
        let mut start = from;
        for [a, b, c, d] in head.as_chunks::<TOGETHER>().0 {
            let most = simd.max_f32s(simd.max_f32s(*a, *b), simd.max_f32s(*c, *d));
            if simd.reduce_max_f32s(most) >= floor {
                break;
            }
            start += TOGETHER * S::F32_LANES;
        }
        for (place, score) in scores.iter().enumerate().skip(start) {
            if *score >= floor {
                return Some(place);
            }
        }
        None
    }
}

/// One user's list while it grows.
struct Search<'a> {
    length: f32,
    /// Codes of the items that the user has, rising.
    seen: &'a [u32],
    n: usize,
    heap: BinaryHeap<Scored>,
    /// The score under which nothing enters any more.
    floor: f32,
}

impl<'a> Search<'a> {
    fn new(user: &[f32], seen: &'a [u32], n: usize) -> Self {
        let floor = if n == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { length: super::dot(user, user).sqrt(), seen, n, heap: BinaryHeap::with_capacity(n), floor }
    }

    /// Whether an item no longer than `longest` might still enter. A tie might, by its code.
    fn could_take(&self, longest: f32) -> bool {
        self.length * longest * SLACK >= self.floor
    }

    /// Takes what is to be taken of items with the same score.
    fn take(&mut self, codes: &[u32], score: f32) {
        for code in codes {
            let entry = Scored { item: *code, score };
            match self.heap.peek() {
                // Those that follow have higher codes.
                Some(worst) if self.heap.len() == self.n && entry >= *worst => break,
                _ if self.seen.binary_search(code).is_ok() => continue,
                _ => {}
            }
            if self.heap.len() == self.n {
                self.heap.pop();
            }
            self.heap.push(entry);
        }
        if let Some(worst) = self.heap.peek().filter(|_| self.heap.len() == self.n) {
            self.floor = worst.score;
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
            let lists = Index::new(&factors, &lifts, seed % 2 == 0, |_| true)
                .search(&factors, &seen, 0..90, n, &Interrupt::never(), &|_| ())
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
        let lists = Index::new(&factors, &[], true, |_| true).search(
            &factors,
            &seen,
            0..1,
            3,
            &Interrupt::never(),
            &|_| (),
        );
        let items: Vec<u32> = lists.expect("no signal")[0].iter().map(|entry| entry.item).collect();
        assert_eq!(items, [1, 3, 4]);
    }

    #[test]
    fn fewer_books_than_asked_for_is_no_trouble() {
        let factors = Factors { width: 2, users: vec![1.0, 0.0], items: vec![1.0, 0.0, 0.5, 0.5] };
        let (seen, _) = Interactions::from_triples(1, 2, &[(0, 1, 1.0)]);
        let lists = Index::new(&factors, &[], true, |_| true).search(
            &factors,
            &seen,
            0..1,
            10,
            &Interrupt::never(),
            &|_| (),
        );
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
            let best = Best::new(&factors, lifts, &Wanted { n, new, is_new: &is_new, keep: true });
            let lists = best.of(&factors, &seen, 0..2, &Interrupt::never(), &|_| ()).expect("no signal");
            lists.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()).collect()
        };
        assert_eq!(lists(3, 1, &[]), [[7, 3, 2], [6, 2, 1]]);
        assert_eq!(lists(3, 0, &[]), [vec![3, 2, 1], vec![2, 1]]);
        assert_eq!(lists(3, 3, &[]), [[7, 6, 5], [6, 5, 4]]);
        // Lifted far enough, an old one comes first.
        assert_eq!(lists(2, 1, &[1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), [[1, 7], [1, 6]]);
    }
}
