//! Every user's best unseen items, exactly, without scoring every item.
//!
//! On the CPU the submodule `search` goes through the items in their [`layout`], those with long factors
//! first, and looks at most of them only in integers ([`quantized`]). A GPU looks at all of them and proposes
//! candidates ([`gpu_candidates`]), which are then scored here. Either way the lists are, to the last bit,
//! those of scoring every item on the same kind of processor; other vector registers add up in another order.
//! Ties go to the lower item code: codes are in the order of the ISBN-13s.
//!
//! Products may be scaled, each item's by a number of its own
//! ([`crate::confidence::ConfidenceMatrix::item_scales`]).

pub mod equal_rows;
pub mod gpu_candidates;
pub mod layout;
pub mod quantized;
mod search;

use std::cmp::Ordering;

use rayon::prelude::*;

use super::Factors;
use super::device::{self, Device};
use crate::data::{Editions, Interactions};
use crate::error::Result;
use crate::interrupt::Interrupt;
use equal_rows::equal_rows;
use gpu_candidates::CandidateSource;
use layout::{ItemLayout, Question};

/// One entry of a list.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    pub item: u32,
    /// x·y times the item's scale.
    pub score: f32,
}

/// Worse entries are greater, so that the top of a heap is the worst, which leaves first.
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

/// Follows the order: with `==` of numbers, -0 would equal 0 and NaN would not equal itself.
impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scored {}

#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Entries in a list.
    pub n: usize,
    /// How many of those may be new items.
    pub new: usize,
    /// Whether an item is new, given its code; `None` for an item that no list may have.
    pub is_new: &'a (dyn Fn(u32) -> Option<bool> + Sync),
    /// How many users there are to be asked about.
    pub users: usize,
}

/// For so few users, to score all items takes less time than to lay them out.
const FEW: usize = 4;

pub struct TopK<'a> {
    known: Half<'a>,
    fresh: Half<'a>,
    editions: &'a Editions,
    n: usize,
    new: usize,
}

/// Either the known items or the new ones: laid out, and on a GPU if there is one.
struct Half<'a> {
    layout: ItemLayout<'a>,
    on_gpu: Option<Box<dyn CandidateSource>>,
    /// The items, where they are not laid out but all scored.
    unlaid: Vec<u32>,
}

impl<'a> TopK<'a> {
    /// Lays out all items. Their products are multiplied by `item_scales`, or by 1 if that is empty. A list
    /// has only the best of several `editions`, and none if its user has seen another one.
    ///
    /// # Errors
    /// [`crate::error::Error::NoDevice`] if there is no such device.
    pub fn new(
        factors: &Factors,
        item_scales: &'a [f32],
        editions: &'a Editions,
        device: Device,
        wanted: &Wanted<'_>,
    ) -> Result<Self> {
        let Wanted { n, new, is_new, users } = *wanted;
        let half = |take: &dyn Fn(u32) -> bool| match users <= FEW {
            true => Ok(Half::unlaid(factors, item_scales, take)),
            false => Half::new(factors, item_scales, device, take),
        };
        let known = half(&|item| is_new(item) == Some(false))?;
        let fresh = half(&|item| new > 0 && is_new(item) == Some(true))?;
        Ok(Self { known, fresh, editions, n, new })
    }

    /// The lists of `users`, best first. `factors` must have the items that were laid out. Users whose
    /// factors are all 0 have an empty list: no item is better for them than another. `done` is called with
    /// the number of users just finished.
    pub fn of(
        &self,
        factors: &Factors,
        seen: &Interactions,
        users: &[u32],
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<Scored>>> {
        let question = Question { factors, seen, editions: self.editions, n: self.n, interrupt, done };
        self.answer(&question, self.new, users)
    }

    /// The best `n` of each user, with as many new items as there are among them.
    pub fn longest(
        &self,
        n: usize,
        factors: &Factors,
        seen: &Interactions,
        users: &[u32],
        interrupt: &Interrupt,
    ) -> Result<Vec<Vec<Scored>>> {
        let question = Question { factors, seen, editions: self.editions, n, interrupt, done: &|_| () };
        self.answer(&question, n, users)
    }

    fn answer(&self, question: &Question<'_>, most_new: usize, users: &[u32]) -> Result<Vec<Vec<Scored>>> {
        let mut lists = self.known.lists(question, users)?;
        if !self.fresh.is_empty() {
            // Any of these may be an edition of a listed item, and then the next takes its place.
            let additions = self.fresh.lists(&Question { done: &|_| (), ..*question }, users)?;
            for (list, addition) in lists.iter_mut().zip(additions) {
                let mut all: Vec<(Scored, bool)> = list.drain(..).map(|entry| (entry, false)).collect();
                all.extend(addition.into_iter().map(|entry| (entry, true)));
                all.sort();
                let mut new = 0;
                for (entry, is_new) in all {
                    let is_shown = list.iter().any(|other| self.editions.are_one(other.item, entry.item));
                    if list.len() < question.n && !is_shown && !(is_new && new == most_new) {
                        list.push(entry);
                        new += usize::from(is_new);
                    }
                }
            }
        }
        Ok(lists)
    }
}

impl<'a> Half<'a> {
    fn new(
        factors: &Factors,
        item_scales: &'a [f32],
        device: Device,
        take: impl Fn(u32) -> bool,
    ) -> Result<Self> {
        let layout = ItemLayout::new(factors, item_scales, take);
        let write = |row: usize, values: &mut [f32]| layout.write(factors, row, values);
        let on_gpu = match device {
            Device::Cpu => None,
            Device::Gpu(kind, number) => {
                device::gpu(kind, number)?.candidates(factors.width, layout.rows(), &write)
            }
        };
        Ok(Self { layout, on_gpu, unlaid: Vec::new() })
    }

    fn unlaid(factors: &Factors, item_scales: &'a [f32], take: impl Fn(u32) -> bool) -> Self {
        let items = factors.items.len() / factors.width.max(1);
        let unlaid = (0..items as u32).filter(|item| take(*item)).collect();
        Self { layout: ItemLayout::empty(item_scales), on_gpu: None, unlaid }
    }

    fn is_empty(&self) -> bool {
        self.layout.is_empty() && self.unlaid.is_empty()
    }

    /// The list of one user, from the scores of all items.
    fn scan(&self, question: &Question<'_>, user: u32) -> Vec<Scored> {
        let (factors, editions) = (question.factors, question.editions);
        let (x, seen) = (factors.user(user as usize), question.seen.of(user as usize).0);
        let mut list: Vec<Scored> = Vec::new();
        if x.iter().all(|value| *value == 0.0) {
            return list;
        }
        let score = |item: &u32| Scored { item: *item, score: self.layout.score(factors, x, &[*item]) };
        let mut all: Vec<Scored> = self.unlaid.par_iter().map(score).collect();
        // Some of the best may have been seen, or be editions of others.
        let mut from = 0;
        while list.len() < question.n && from < all.len() {
            let count = (4 * question.n + seen.len()).min(all.len() - from);
            let rest = &mut all[from..];
            if count < rest.len() {
                rest.select_nth_unstable(count);
            }
            rest[..count].sort_unstable();
            for entry in &rest[..count] {
                let is_shown = |other: &Scored| editions.are_one(other.item, entry.item);
                if list.len() < question.n && !editions.has(seen, entry.item) && !list.iter().any(is_shown) {
                    list.push(*entry);
                }
            }
            from += count;
        }
        list
    }

    /// The lists of some users. Memory is bounded by users × n.
    fn lists(&self, question: &Question<'_>, users: &[u32]) -> Result<Vec<Vec<Scored>>> {
        if !self.unlaid.is_empty() {
            return Ok(users.iter().map(|user| self.scan(question, *user)).collect());
        }
        let equal = equal_rows(question.factors, question.seen, users);
        (question.done)(equal.of.len() - equal.firsts.len());
        let mut lists = match &self.on_gpu {
            None => search::search(&self.layout, question, &equal.firsts)?,
            Some(source) => gpu_candidates::choose(&self.layout, question, &equal.firsts, &**source)?,
        };
        let of_user = |(place, is_last): &(u32, bool)| match is_last {
            true => std::mem::take(&mut lists[*place as usize]),
            false => lists[*place as usize].clone(),
        };
        Ok(equal.of.iter().map(of_user).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::gpu_candidates::Candidate;
    use super::*;
    use crate::initial;
    use proptest::prelude::*;

    #[test]
    fn entries_compare_as_they_are_ordered() {
        let entry = |score: f32| Scored { item: 3, score };
        for (one, other) in [(0.0, -0.0), (f32::NAN, f32::NAN), (1.0, 1.0), (-f32::NAN, f32::NAN)] {
            let (one, other) = (entry(one), entry(other));
            assert_eq!(one == other, one.cmp(&other) == Ordering::Equal, "{one:?} {other:?}");
        }
    }

    #[test]
    fn new_items_get_no_more_places_than_they_may() {
        // Items 4 to 7 are new, and the best; 0 may not be shown.
        let factors =
            Factors { width: 1, users: vec![1.0, 1.0], items: (1..=8).map(|score| score as f32).collect() };
        let (seen, _) = Interactions::from_triples(2, 8, &[(1, 7, 1.0), (1, 3, 1.0)]);
        let is_new = |item: u32| (item > 0).then_some(item > 3);
        let lists = |n, new, item_scales: &[f32]| -> Vec<Vec<u32>> {
            let (wanted, editions) =
                (Wanted { n, new, is_new: &is_new, users: usize::MAX }, Editions::default());
            let best = TopK::new(&factors, item_scales, &editions, Device::Cpu, &wanted).expect("on the CPU");
            let lists = best.of(&factors, &seen, &[0, 1], &Interrupt::never(), &|_| ()).expect("no signal");
            lists.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()).collect()
        };
        assert_eq!(lists(3, 1, &[]), [[7, 3, 2], [6, 2, 1]]);
        assert_eq!(lists(3, 0, &[]), [vec![3, 2, 1], vec![2, 1]]);
        assert_eq!(lists(3, 3, &[]), [[7, 6, 5], [6, 5, 4]]);
        // Scaled far enough, an old one comes first.
        assert_eq!(lists(2, 1, &[1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), [[1, 7], [1, 6]]);
        // 7 is a new edition of 3, and 6 one of 2.
        let editions = Editions::of_works(vec![0, 1, 6, 7, 4, 5, 6, 7]);
        let wanted = Wanted { n: 3, new: 2, is_new: &is_new, users: usize::MAX };
        let best = TopK::new(&factors, &[], &editions, Device::Cpu, &wanted).expect("on the CPU");
        let lists = best.of(&factors, &seen, &[0, 1], &Interrupt::never(), &|_| ()).expect("no signal");
        let items = lists.iter().map(|list| list.iter().map(|entry| entry.item).collect::<Vec<_>>());
        assert_eq!(items.collect::<Vec<_>>(), [[7, 6, 1], [6, 5, 1]]);
        // What is left out as an edition takes no place of another new one: 2 is the best, 5 its new edition.
        let factors = Factors { items: vec![1.0, 3.0, 9.0, 2.0, 6.0, 8.0, 4.0, 5.0], ..factors };
        let editions = Editions::of_works(vec![0, 1, 5, 3, 4, 5, 6, 7]);
        let wanted = Wanted { n: 3, new: 1, is_new: &is_new, users: usize::MAX };
        let best = TopK::new(&factors, &[], &editions, Device::Cpu, &wanted).expect("on the CPU");
        let lists = best.of(&factors, &seen, &[0], &Interrupt::never(), &|_| ()).expect("no signal");
        let items: Vec<u32> = lists[0].iter().map(|entry| entry.item).collect();
        assert_eq!(items, [2, 4, 1]);
    }

    fn scored(factors: &Factors, item_scales: &[f32], user: usize, item: usize) -> f32 {
        factors.score(user, item) * item_scales.get(item).copied().unwrap_or(1.0)
    }

    /// Every item of which no edition was seen scored and sorted, and of each work the first.
    fn brute_force(
        (factors, item_scales, editions): (&Factors, &[f32], &Editions),
        seen: &Interactions,
        user: usize,
        n: usize,
    ) -> Vec<Scored> {
        let own = seen.of(user).0;
        let mut all: Vec<Scored> = (0..seen.item_count as u32)
            .filter(|item| !own.iter().any(|other| editions.are_one(*item, *other)))
            .map(|item| Scored { item, score: scored(factors, item_scales, user, item as usize) })
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
            item_scales in prop_oneof![Just(Vec::new()), prop::collection::vec(0.2f32..5.0, 1500)],
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
                (0..90).map(|user| brute_force((&factors, &item_scales, &editions), &seen, user, n)).collect();
            let mut half = Half::new(&factors, &item_scales, Device::Cpu, |_| true).expect("on the CPU");
            let mut rows = vec![0.0; half.layout.rows() * d];
            rows.chunks_exact_mut(d).enumerate().for_each(|(row, values)| half.layout.write(&factors, row, values));
            let coarse = |bits| -> Option<Box<dyn CandidateSource>> {
                Some(Box::new(Coarse { width: factors.width, rows: rows.clone(), bits }))
            };
            let few = Half::unlaid(&factors, &item_scales, |_| true);
            prop_assert_eq!(&lists(&few, (&factors, &seen, &editions), &Vec::from_iter(0..90), n), &expected);
            for on_gpu in [None, coarse(23), Some(Box::new(Terse)), coarse(10), coarse(7), coarse(3)] {
                half.on_gpu = on_gpu;
                let users = Vec::from_iter(0..90);
                let lists = lists(&half, (&factors, &seen, &editions), &users, n);
                prop_assert_eq!(&lists, &expected);
            }
        }
    }

    /// A device that says too little to settle anything.
    struct Terse;

    impl CandidateSource for Terse {
        fn at_once(&self) -> usize {
            7
        }

        fn propose(&self, _: &[f32], taken: &[Vec<u32>], _: usize) -> Result<Vec<Vec<Candidate>>> {
            let free = |taken: &Vec<u32>| (0..).find(|row| !taken.contains(row)).map(|row| (row, f32::NAN));
            Ok(taken.iter().map(|taken| free(taken).into_iter().collect()).collect())
        }
    }

    /// A device that keeps few bits of a factor, as tensor cores do.
    struct Coarse {
        width: usize,
        rows: Vec<f32>,
        bits: u32,
    }

    impl CandidateSource for Coarse {
        fn at_once(&self) -> usize {
            50
        }

        fn propose(&self, users: &[f32], taken: &[Vec<u32>], count: usize) -> Result<Vec<Vec<Candidate>>> {
            let coarse = |number: f32| f32::from_bits(number.to_bits() & (u32::MAX << (23 - self.bits)));
            let best = |(user, taken): (&[f32], &Vec<u32>)| {
                let rows = self.rows.chunks_exact(self.width).zip(0u32..);
                let rows = rows.filter(|(_, row)| !taken.contains(row));
                let product =
                    |item: &[f32]| user.iter().zip(item).map(|(x, y)| coarse(*x) * coarse(*y)).sum();
                let mut all: Vec<Candidate> = rows.map(|(item, row)| (row, product(item))).collect();
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

    fn lists(
        half: &Half<'_>,
        (factors, seen, editions): (&Factors, &Interactions, &Editions),
        users: &[u32],
        n: usize,
    ) -> Vec<Vec<Scored>> {
        let interrupt = &Interrupt::never();
        let question = Question { factors, seen, editions, n, interrupt, done: &|_| () };
        half.lists(&question, users).expect("no signal")
    }

    fn searched(factors: &Factors, seen: &Interactions, users: &[u32], n: usize) -> Vec<Vec<Scored>> {
        let half = Half::new(factors, &[], Device::Cpu, |_| true).expect("on the CPU");
        lists(&half, (factors, seen, &Editions::default()), users, n)
    }

    #[test]
    fn ties_go_to_the_lower_code() {
        let factors = Factors { width: 1, users: vec![1.0], items: vec![1.0; 2000] };
        let (seen, _) = Interactions::from_triples(1, 2000, &[(0, 0, 1.0), (0, 2, 1.0)]);
        let lists = searched(&factors, &seen, &[0], 3);
        let items: Vec<u32> = lists[0].iter().map(|entry| entry.item).collect();
        assert_eq!(items, [1, 3, 4]);
    }

    #[test]
    fn fewer_books_than_asked_for_is_no_trouble() {
        let factors = Factors { width: 2, users: vec![1.0, 0.0], items: vec![1.0, 0.0, 0.5, 0.5] };
        let (seen, _) = Interactions::from_triples(1, 2, &[(0, 1, 1.0)]);
        assert_eq!(searched(&factors, &seen, &[0], 10), [vec![Scored { item: 0, score: 1.0 }]]);
    }

    #[test]
    fn who_has_no_factors_has_no_list() {
        let factors = Factors { width: 1, users: vec![0.0, -1.0], items: vec![1.0, -2.0, 0.0] };
        let (seen, _) = Interactions::from_triples(2, 3, &[]);
        let entries = [Scored { item: 1, score: 2.0 }, Scored { item: 2, score: 0.0 }];
        assert_eq!(searched(&factors, &seen, &[0, 1], 2), [vec![], entries.to_vec()]);
    }
}
