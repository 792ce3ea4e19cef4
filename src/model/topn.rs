//! Everyone's best unseen books, exactly, without scoring every book.
//!
//! A score x·y is at most |x||y|. So books are laid out by falling length |y|, and readers look
//! through them in that order, a block at a time: once even the longest book left could not enter
//! a reader's list, the rest need not be looked at. Of those that are, products of small integers say which
//! could enter ([`super::screen`]), and only they are scored. The answer is the same as from scoring all.
//! Ties are broken by the item's code, the lower first: codes are in the order of the ISBN-13s.
//!
//! Products may be lifted, each item's by a number of its own ([`super::evidence::Evidence::lifts`]).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::kernels::simd;
use super::screen::{Block, Probe, Screen};
use super::twins::{digest, twins};
use super::{Factors, dot};
use crate::catalog::interactions::Interactions;
use crate::error::Result;
use crate::interrupt::Interrupt;

/// Readers who look through the books together: enough to reuse a block of books while it is in cache.
const USERS: usize = 64;

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
        let Wanted { n, new, is_new } = *wanted;
        Self {
            known: Index::new(factors, lifts, |item| is_new(item) == Some(false)),
            fresh: Index::new(factors, lifts, |item| new > 0 && is_new(item) == Some(true)),
            n,
            new,
        }
    }

    /// Those of some users, list by list, best first. `factors` are those that the items were laid out by.
    /// Users whose factors are all 0 have none: nothing is better for them than anything else.
    ///
    /// # Errors
    /// On a signal.
    pub fn of(
        &self,
        factors: &Factors,
        seen: &Interactions,
        users: &[u32],
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Scored>>> {
        let mut lists = self.known.search(factors, seen, users, self.n, interrupt, done)?;
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
    /// The codes of the items, row by row, rising within a row.
    codes: Vec<u32>,
    /// Where the codes of each row begin, and one past the last.
    starts: Vec<u32>,
    /// The rows, lifted, so that longest come first.
    screen: Screen,
}

impl<'a> Index<'a> {
    /// Lays the items out of which `take` says so.
    pub fn new(factors: &Factors, lifts: &'a [f32], take: impl Fn(u32) -> bool) -> Self {
        let width = factors.width;
        // Of each item its lifted length, and a digest of its row, by which equal rows come together.
        let marks: Vec<(f32, u64)> = factors
            .items
            .par_chunks_exact(width)
            .enumerate()
            .map(|(item, row)| {
                let lift = lift(lifts, item);
                (dot(row, row).sqrt() * lift, digest(row) ^ u64::from(lift.to_bits()))
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
        let screen = Screen::new(width, starts.len(), |row, values| {
            let item = codes[starts[row] as usize] as usize;
            let lift = lift(lifts, item);
            values.iter_mut().zip(factors.item(item)).for_each(|(to, value)| *to = value * lift);
        });
        starts.push(codes.len() as u32);
        Self { lifts, codes, starts, screen }
    }

    /// The best `n` items of some users that they have no entry for; see [`Best::of`]. Memory is bounded by
    /// users × n.
    ///
    /// # Errors
    /// On a signal.
    pub fn search(
        &self,
        factors: &Factors,
        seen: &Interactions,
        users: &[u32],
        n: usize,
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Scored>>> {
        let twins = twins(factors, seen, users);
        let found: Vec<Vec<Vec<Scored>>> = twins
            .firsts
            .par_chunks(USERS)
            .map(|users| {
                interrupt.check()?;
                let lists = self.lists(factors, seen, users, n);
                done(users.len());
                Ok(lists)
            })
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

    /// The first item of a row.
    fn first_of(&self, row: usize) -> usize {
        self.codes[self.starts[row] as usize] as usize
    }

    /// The lists of a few users who look through the items together.
    fn lists(&self, factors: &Factors, seen: &Interactions, users: &[u32], n: usize) -> Vec<Vec<Scored>> {
        let search = |user: &u32| Search::new(factors.user(*user as usize), seen.of(*user as usize).0, n);
        let mut searches: Vec<Search<'_>> = users.iter().map(search).collect();
        let mut active: Vec<usize> = (0..searches.len()).collect();
        let mut groups = Vec::new();
        let mut limits: Vec<i32> = Vec::with_capacity(users.len());
        let mut masks = vec![0; users.len()];
        for (number, block) in self.screen.blocks().iter().enumerate() {
            let before = active.len();
            active.retain(|at| searches[*at].could_take(block));
            if active.is_empty() {
                break;
            }
            if number == 0 || active.len() != before {
                groups.clear();
                active.iter().for_each(|at| groups.extend_from_slice(searches[*at].probe.groups()));
            }
            limits.clear();
            limits.extend(active.iter().map(|at| searches[*at].limit(block)));
            let masks = &mut masks[..active.len()];
            for (first, tile) in self.screen.tiles(number) {
                tile.reaching(&groups, &limits, masks);
                for ((at, limit), mask) in active.iter().zip(&mut limits).zip(&*masks) {
                    let search = &mut searches[*at];
                    bits(*mask).for_each(|place| simd::expect(factors.item(self.first_of(first + place))));
                    for place in bits(*mask) {
                        let row = first + place;
                        let codes = &self.codes[self.starts[row] as usize..self.starts[row + 1] as usize];
                        let item = codes[0] as usize;
                        let score = dot(search.factors, factors.item(item)) * lift(self.lifts, item);
                        if search.take(codes, score) {
                            *limit = search.limit(block);
                        }
                    }
                }
            }
        }
        searches.into_iter().map(|search| search.heap.into_sorted_vec()).collect()
    }
}

/// The places of the bits that are set, rising.
fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(place)
    })
}

/// One user's list while it grows.
struct Search<'a> {
    factors: &'a [f32],
    probe: Probe,
    /// Codes of the items that the user has, rising.
    seen: &'a [u32],
    n: usize,
    heap: BinaryHeap<Scored>,
    /// The score under which nothing enters any more.
    floor: f32,
}

impl<'a> Search<'a> {
    fn new(factors: &'a [f32], seen: &'a [u32], n: usize) -> Self {
        let probe = Probe::new(factors);
        let floor = if n == 0 || probe.length == 0.0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { factors, probe, seen, n, heap: BinaryHeap::with_capacity(n), floor }
    }

    /// Whether any item of a block might still enter. A tie might, by its code.
    fn could_take(&self, block: &Block) -> bool {
        self.probe.can_reach(block, self.floor)
    }

    /// What integers of a block's items must reach for one of them to enter.
    fn limit(&self, block: &Block) -> i32 {
        self.probe.limit(block, self.floor)
    }

    /// Takes what is to be taken of items with the same score. Returns whether the floor has risen.
    fn take(&mut self, codes: &[u32], score: f32) -> bool {
        if score < self.floor {
            return false;
        }
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
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.n && worst.score > self.floor => {
                self.floor = worst.score;
                true
            }
            _ => false,
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
                .search(&factors, &seen, &Vec::from_iter(0..90), n, &Interrupt::never(), &|_| ())
                .expect("no signal");
            for (user, list) in lists.iter().enumerate() {
                let expected = brute_force(&factors, &lifts, &seen, user, n);
                prop_assert_eq!(list.len(), expected.len());
                for (got, expected) in list.iter().zip(&expected) {
                    prop_assert_eq!(got, expected);
                }
            }
        }
    }

    #[test]
    fn ties_go_to_the_lower_code() {
        let factors = Factors { width: 1, users: vec![1.0], items: vec![1.0; 2000] };
        let (seen, _) = Interactions::from_triples(1, 2000, &[(0, 0, 1.0), (0, 2, 1.0)]);
        let lists = Index::new(&factors, &[], |_| true).search(
            &factors,
            &seen,
            &[0],
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
        let lists = Index::new(&factors, &[], |_| true).search(
            &factors,
            &seen,
            &[0],
            10,
            &Interrupt::never(),
            &|_| (),
        );
        assert_eq!(lists.expect("no signal"), [vec![Scored { item: 0, score: 1.0 }]]);
    }

    #[test]
    fn who_has_no_factors_has_no_list() {
        let factors = Factors { width: 1, users: vec![0.0, -1.0], items: vec![1.0, -2.0, 0.0] };
        let (seen, _) = Interactions::from_triples(2, 3, &[]);
        let index = Index::new(&factors, &[], |_| true);
        let lists = index.search(&factors, &seen, &[0, 1], 2, &Interrupt::never(), &|_| ());
        let entries = [Scored { item: 1, score: 2.0 }, Scored { item: 2, score: 0.0 }];
        assert_eq!(lists.expect("no signal"), [vec![], entries.to_vec()]);
    }

    #[test]
    fn new_items_get_no_more_places_than_they_may() {
        // Items 4 to 7 are new, and the best; 0 may not be shown.
        let factors =
            Factors { width: 1, users: vec![1.0, 1.0], items: (1..=8).map(|score| score as f32).collect() };
        let (seen, _) = Interactions::from_triples(2, 8, &[(1, 7, 1.0), (1, 3, 1.0)]);
        let is_new = |item: u32| (item > 0).then_some(item > 3);
        let lists = |n, new, lifts: &[f32]| -> Vec<Vec<u32>> {
            let best = Best::new(&factors, lifts, &Wanted { n, new, is_new: &is_new });
            let lists = best.of(&factors, &seen, &[0, 1], &Interrupt::never(), &|_| ()).expect("no signal");
            lists.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()).collect()
        };
        assert_eq!(lists(3, 1, &[]), [[7, 3, 2], [6, 2, 1]]);
        assert_eq!(lists(3, 0, &[]), [vec![3, 2, 1], vec![2, 1]]);
        assert_eq!(lists(3, 3, &[]), [[7, 6, 5], [6, 5, 4]]);
        // Lifted far enough, an old one comes first.
        assert_eq!(lists(2, 1, &[1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), [[1, 7], [1, 6]]);
    }
}
