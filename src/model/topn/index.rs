//! The search on the CPU.
//!
//! A score x·y is at most |x||y|. So books are laid out by falling length |y|, and readers look
//! through them in that order, a block at a time: once even the longest book left could not enter
//! a reader's list, the rest need not be looked at. Of those that are, products of small integers say which
//! could enter ([`super::screen`]), and only they are scored.

use std::collections::BinaryHeap;

use burn::tensor::backend::Backend;
use rayon::prelude::*;

use super::Scored;
use super::proposals::{OnDevice, Propose};
use super::screen::{Block, Probe, Screen};
use super::twins::{digest, twins};
use crate::catalog::editions::Editions;
use crate::catalog::interactions::Interactions;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::device::{self, Device};
use crate::model::kernels::simd;
use crate::model::{Factors, dot};

/// Readers who look through the books together: enough to reuse a block of books while it is in cache.
const USERS: usize = 64;

/// Items by falling length. Those with the same factors, such as books that one and the same reader alone
/// has read, have one row between them: of all of Book-Crossing's, fewer than half of the books need one
/// of their own.
#[derive(Debug)]
pub struct Index<'a> {
    lifts: &'a [f32],
    editions: &'a Editions,
    /// The codes of the items, row by row, rising within a row.
    codes: Vec<u32>,
    /// Where the codes of each row begin, and one past the last.
    starts: Vec<u32>,
    /// The rows, lifted, so that longest come first.
    pub(super) screen: Screen,
    /// The same rows on a GPU, if there is one.
    proposals: Option<Box<dyn Propose>>,
}

impl<'a> Index<'a> {
    /// Lays the items out of which `take` says so, also on the `device` if that is a GPU.
    ///
    /// # Errors
    /// [`crate::error::Kind::NoDevice`] if the device fails.
    pub fn new(
        factors: &Factors,
        lifts: &'a [f32],
        editions: &'a Editions,
        device: Device,
        take: impl Fn(u32) -> bool,
    ) -> Result<Self> {
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
        starts.push(codes.len() as u32);
        let mut index = Self { lifts, editions, codes, starts, screen: Screen::default(), proposals: None };
        index.screen = Screen::new(width, index.rows(), |row, values| index.write(factors, row, values));
        if let Device::Cuda(_) = device {
            index.proposals = Some(device::on!(device, B, at => index.on_device::<B>(factors, at))?);
        }
        Ok(index)
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Writes the factors of a row, lifted.
    fn write(&self, factors: &Factors, row: usize, values: &mut [f32]) {
        let item = self.codes_of(row)[0] as usize;
        let lift = lift(self.lifts, item);
        values.iter_mut().zip(factors.item(item)).for_each(|(to, value)| *to = value * lift);
    }

    /// Takes the rows to a device.
    pub(super) fn on_device<B: Backend<FloatElem = f32>>(
        &self,
        factors: &Factors,
        device: B::Device,
    ) -> Result<Box<dyn Propose>> {
        let write = |row: usize, values: &mut [f32]| self.write(factors, row, values);
        Ok(Box::new(OnDevice::<B>::new(factors.width, self.rows(), write, device)))
    }

    /// Whether there are no items in it.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The best `n` items of some users that they have no entry for; see [`super::Best::of`]. Memory is bounded by
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
        done(twins.of.len() - twins.firsts.len());
        let ask = Ask { factors, seen, editions: self.editions, n, interrupt, done };
        let mut lists = match &self.proposals {
            None => self.look(&ask, &twins.firsts)?,
            Some(proposals) => self.choose(&ask, &twins.firsts, &**proposals)?,
        };
        Ok(twins
            .of
            .iter()
            .map(|(place, is_last)| match is_last {
                true => std::mem::take(&mut lists[*place as usize]),
                false => lists[*place as usize].clone(),
            })
            .collect())
    }

    /// The codes of the items of a row.
    pub(super) fn codes_of(&self, row: usize) -> &[u32] {
        &self.codes[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    /// What the items of a row are to a user.
    pub(super) fn score(&self, factors: &Factors, user: &[f32], codes: &[u32]) -> f32 {
        dot(user, factors.item(codes[0] as usize)) * lift(self.lifts, codes[0] as usize)
    }

    /// The lifted length of an item.
    pub(super) fn length(&self, factors: &Factors, item: u32) -> f32 {
        let row = factors.item(item as usize);
        dot(row, row).sqrt() * lift(self.lifts, item as usize)
    }

    /// The lists of some users, on the CPU.
    pub(super) fn look(&self, ask: &Ask<'_>, users: &[u32]) -> Result<Vec<Vec<Scored>>> {
        let some = |users: &[u32]| {
            ask.interrupt.check()?;
            let lists = self.lists(ask, users);
            (ask.done)(users.len());
            Ok(lists)
        };
        let found: Vec<Vec<Vec<Scored>>> = users.par_chunks(USERS).map(some).collect::<Result<_>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The lists of a few users who look through the items together.
    fn lists(&self, ask: &Ask<'_>, users: &[u32]) -> Vec<Vec<Scored>> {
        let factors = ask.factors;
        let mut searches: Vec<Search<'_>> = users.iter().map(|user| ask.search(*user)).collect();
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
                    let codes = |place: usize| self.codes_of(first + place);
                    bits(*mask).for_each(|place| simd::expect(factors.item(codes(place)[0] as usize)));
                    for codes in bits(*mask).map(codes) {
                        if search.take(codes, self.score(factors, search.factors, codes)) {
                            *limit = search.limit(block);
                        }
                    }
                }
            }
        }
        searches.into_iter().map(|search| search.heap.into_sorted_vec()).collect()
    }
}

/// What is asked of an index.
pub(super) struct Ask<'a> {
    pub(super) factors: &'a Factors,
    pub(super) seen: &'a Interactions,
    pub(super) editions: &'a Editions,
    pub(super) n: usize,
    pub(super) interrupt: &'a Interrupt,
    pub(super) done: &'a (dyn Fn(usize) + Sync),
}

impl<'a> Ask<'a> {
    /// A user's search, before it has looked at anything.
    pub(super) fn search(&self, user: u32) -> Search<'a> {
        let (factors, seen) = (self.factors.user(user as usize), self.seen.of(user as usize).0);
        Search::new(factors, seen, self.editions, self.n)
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
pub(super) struct Search<'a> {
    pub(super) factors: &'a [f32],
    pub(super) probe: Probe,
    /// Codes of the items that the user has, rising.
    pub(super) seen: &'a [u32],
    editions: &'a Editions,
    n: usize,
    pub(super) heap: BinaryHeap<Scored>,
    /// The score under which nothing enters any more.
    pub(super) floor: f32,
}

impl<'a> Search<'a> {
    fn new(factors: &'a [f32], seen: &'a [u32], editions: &'a Editions, n: usize) -> Self {
        let probe = Probe::new(factors);
        let floor = if n == 0 || probe.length == 0.0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { factors, probe, seen, editions, n, heap: BinaryHeap::with_capacity(n), floor }
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
    pub(super) fn take(&mut self, codes: &[u32], score: f32) -> bool {
        if score < self.floor {
            return false;
        }
        for code in codes {
            let entry = Scored { item: *code, score };
            match self.heap.peek() {
                // Those that follow have higher codes.
                Some(worst) if self.heap.len() == self.n && entry >= *worst => break,
                _ if self.editions.has(self.seen, *code) => continue,
                _ => {}
            }
            match self.edition_of(*code) {
                Some(other) if other < entry => continue,
                // In its place: the list has one edition of a work, the best.
                Some(other) => self.heap.retain(|listed| listed.item != other.item),
                None if self.heap.len() == self.n => {
                    self.heap.pop();
                }
                None => {}
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

    /// The other edition of an item that is in the list.
    fn edition_of(&self, item: u32) -> Option<Scored> {
        let editions = self.editions.of(item);
        // Of most there is none.
        let mut listed = if editions.is_empty() { [].iter() } else { self.heap.as_slice().iter() };
        listed.find(|entry| self.editions.are_one(entry.item, item)).copied()
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
    use crate::model::topn::proposals::Proposal;
    use proptest::prelude::*;

    fn scored(factors: &Factors, lifts: &[f32], user: usize, item: usize) -> f32 {
        factors.score(user, item) * lift(lifts, item)
    }

    /// Every item of which no edition was seen scored and sorted, and of each work the first.
    fn brute_force(
        (factors, lifts, editions): (&Factors, &[f32], &Editions),
        seen: &Interactions,
        user: usize,
        n: usize,
    ) -> Vec<Scored> {
        let own = seen.of(user).0;
        let mut all: Vec<Scored> = (0..seen.item_count as u32)
            .filter(|item| !own.iter().any(|other| editions.are_one(*item, *other)))
            .map(|item| Scored { item, score: scored(factors, lifts, user, item as usize) })
            .collect();
        all.sort();
        let mut best: Vec<Scored> = Vec::new();
        for entry in all {
            if best.len() < n && !best.iter().any(|other| editions.are_one(entry.item, other.item)) {
                best.push(entry);
            }
        }
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn the_lists_are_those_of_brute_force(
            triples in prop::collection::vec((0u32..90, 0u32..1500, Just(1f32)), 1..3000),
            d in 1usize..12, n in 1usize..20, seed in 0u64..1000, small in 0f32..1.0,
            lifts in prop_oneof![Just(Vec::new()), prop::collection::vec(0.2f32..5.0, 1500)],
            works in prop_oneof![Just(Vec::new()), prop::collection::vec(0u32..400, 1500)],
        ) {
            let editions = Editions::of_works(works);
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
            let expected: Vec<Vec<Scored>> =
                (0..90).map(|user| brute_force((&factors, &lifts, &editions), &seen, user, n)).collect();
            let mut index = Index::new(&factors, &lifts, &editions, Device::Cpu, |_| true).expect("on the CPU");
            let device = burn_ndarray::NdArrayDevice::Cpu;
            let proposals = index.on_device::<device::Cpu>(&factors, device).expect("on the CPU");
            let mut rows = vec![0.0; index.rows() * factors.width];
            rows.chunks_exact_mut(factors.width).enumerate().for_each(|(row, values)| index.write(&factors, row, values));
            let coarse = |bits| -> Option<Box<dyn Propose>> {
                Some(Box::new(Coarse { width: factors.width, rows: rows.clone(), bits }))
            };
            for proposals in [None, Some(proposals), Some(Box::new(Terse)), coarse(10), coarse(7), coarse(3)] {
                index.proposals = proposals;
                let users = Vec::from_iter(0..90);
                let lists = index.search(&factors, &seen, &users, n, &Interrupt::never(), &|_| ());
                prop_assert_eq!(&lists.expect("no signal"), &expected);
            }
        }
    }

    /// A device that says too little to settle anything.
    #[derive(Debug)]
    struct Terse;

    impl Propose for Terse {
        fn at_once(&self) -> usize {
            7
        }

        fn propose(&self, _: &[f32], taken: &[Vec<u32>], _: usize) -> Result<Vec<Vec<Proposal>>> {
            let free = |taken: &Vec<u32>| (0..).find(|row| !taken.contains(row)).map(|row| (row, f32::NAN));
            Ok(taken.iter().map(|taken| free(taken).into_iter().collect()).collect())
        }
    }

    /// A device that keeps few bits of a factor, as tensor cores do.
    #[derive(Debug)]
    struct Coarse {
        width: usize,
        rows: Vec<f32>,
        bits: u32,
    }

    impl Propose for Coarse {
        fn at_once(&self) -> usize {
            50
        }

        fn propose(&self, users: &[f32], taken: &[Vec<u32>], count: usize) -> Result<Vec<Vec<Proposal>>> {
            let coarse = |number: f32| f32::from_bits(number.to_bits() & (u32::MAX << (23 - self.bits)));
            let best = |(user, taken): (&[f32], &Vec<u32>)| {
                let rows = self.rows.chunks_exact(self.width).zip(0u32..);
                let rows = rows.filter(|(_, row)| !taken.contains(row));
                let product =
                    |item: &[f32]| user.iter().zip(item).map(|(x, y)| coarse(*x) * coarse(*y)).sum();
                let mut all: Vec<Proposal> = rows.map(|(item, row)| (row, product(item))).collect();
                all.sort_by(|a, b| b.1.total_cmp(&a.1));
                let is_short = all.len() < count;
                all.truncate(count);
                // What is missing is past the last row.
                all.extend(is_short.then_some((u32::MAX, f32::NEG_INFINITY)));
                all
            };
            Ok(users.chunks_exact(self.width).zip(taken).map(best).collect())
        }
    }

    #[test]
    fn ties_go_to_the_lower_code() {
        let factors = Factors { width: 1, users: vec![1.0], items: vec![1.0; 2000] };
        let (seen, _) = Interactions::from_triples(1, 2000, &[(0, 0, 1.0), (0, 2, 1.0)]);
        let lists = Index::new(&factors, &[], &Editions::default(), Device::Cpu, |_| true)
            .expect("on the CPU")
            .search(&factors, &seen, &[0], 3, &Interrupt::never(), &|_| ());
        let items: Vec<u32> = lists.expect("no signal")[0].iter().map(|entry| entry.item).collect();
        assert_eq!(items, [1, 3, 4]);
    }

    #[test]
    fn fewer_books_than_asked_for_is_no_trouble() {
        let factors = Factors { width: 2, users: vec![1.0, 0.0], items: vec![1.0, 0.0, 0.5, 0.5] };
        let (seen, _) = Interactions::from_triples(1, 2, &[(0, 1, 1.0)]);
        let lists = Index::new(&factors, &[], &Editions::default(), Device::Cpu, |_| true)
            .expect("on the CPU")
            .search(&factors, &seen, &[0], 10, &Interrupt::never(), &|_| ());
        assert_eq!(lists.expect("no signal"), [vec![Scored { item: 0, score: 1.0 }]]);
    }

    #[test]
    fn who_has_no_factors_has_no_list() {
        let factors = Factors { width: 1, users: vec![0.0, -1.0], items: vec![1.0, -2.0, 0.0] };
        let (seen, _) = Interactions::from_triples(2, 3, &[]);
        let editions = Editions::default();
        let index = Index::new(&factors, &[], &editions, Device::Cpu, |_| true).expect("on the CPU");
        let lists = index.search(&factors, &seen, &[0, 1], 2, &Interrupt::never(), &|_| ());
        let entries = [Scored { item: 1, score: 2.0 }, Scored { item: 2, score: 0.0 }];
        assert_eq!(lists.expect("no signal"), [vec![], entries.to_vec()]);
    }
}
