//! Everyone's best unseen books, exactly, without scoring every book.
//!
//! [`index`] looks through the books on the CPU, those with long factors first, and for most of them only
//! at [`screen`]s of small integers. A GPU looks at all of them and makes [`proposals`], which the index
//! then checks. Whoever looks, the lists are those of scoring every book on the same kind of processor, to the last
//! bit: other vector registers add up in another order. Ties are broken by the item's code, the lower first: codes are
//! in the order of the ISBN-13s.
//!
//! Products may be lifted, each item's by a number of its own ([`super::evidence::Evidence::lifts`]).

pub mod index;
pub mod proposals;
pub mod screen;
pub mod twins;

use std::cmp::Ordering;

use super::Factors;
use super::device::Device;
use crate::catalog::editions::Editions;
use crate::catalog::interactions::Interactions;
use crate::error::Result;
use crate::interrupt::Interrupt;
use index::Index;

/// One entry of a list.
#[derive(Clone, Copy, Debug)]
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

/// Equal is what neither comes before: to `==` of numbers, -0 would equal 0, and what is not a number not itself.
impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
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
    editions: &'a Editions,
    n: usize,
    new: usize,
}

impl<'a> Best<'a> {
    /// Lays out all items, whose products are multiplied with `lifts`; empty for 1. Of several `editions` a list
    /// has the best one, and none if its reader has seen another.
    ///
    /// # Errors
    /// [`crate::error::Kind::NoDevice`] if the device fails.
    pub fn new(
        factors: &Factors,
        lifts: &'a [f32],
        editions: &'a Editions,
        device: Device,
        wanted: &Wanted<'_>,
    ) -> Result<Self> {
        let Wanted { n, new, is_new } = *wanted;
        let index = |take: &dyn Fn(u32) -> bool| Index::new(factors, lifts, editions, device, take);
        let known = index(&|item| is_new(item) == Some(false))?;
        let fresh = index(&|item| new > 0 && is_new(item) == Some(true))?;
        Ok(Self { known, fresh, editions, n, new })
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
        if !self.fresh.is_empty() {
            // Of these, any may be an edition of one in the list, and others take its place.
            let additions = self.fresh.search(factors, seen, users, self.n, interrupt, &|_| ())?;
            for (list, addition) in lists.iter_mut().zip(additions) {
                let mut all: Vec<(Scored, bool)> = list.drain(..).map(|entry| (entry, false)).collect();
                all.extend(addition.into_iter().map(|entry| (entry, true)));
                all.sort();
                let mut new = 0;
                for (entry, is_new) in all {
                    let is_shown = list.iter().any(|other| self.editions.are_one(other.item, entry.item));
                    if list.len() < self.n && !is_shown && !(is_new && new == self.new) {
                        list.push(entry);
                        new += usize::from(is_new);
                    }
                }
            }
        }
        Ok(lists)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let lists = |n, new, lifts: &[f32]| -> Vec<Vec<u32>> {
            let (wanted, editions) = (Wanted { n, new, is_new: &is_new }, Editions::default());
            let best = Best::new(&factors, lifts, &editions, Device::Cpu, &wanted).expect("on the CPU");
            let lists = best.of(&factors, &seen, &[0, 1], &Interrupt::never(), &|_| ()).expect("no signal");
            lists.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()).collect()
        };
        assert_eq!(lists(3, 1, &[]), [[7, 3, 2], [6, 2, 1]]);
        assert_eq!(lists(3, 0, &[]), [vec![3, 2, 1], vec![2, 1]]);
        assert_eq!(lists(3, 3, &[]), [[7, 6, 5], [6, 5, 4]]);
        // Lifted far enough, an old one comes first.
        assert_eq!(lists(2, 1, &[1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), [[1, 7], [1, 6]]);
        // 7 is a new edition of 3, and 6 one of 2.
        let editions = Editions::of_works(vec![0, 1, 6, 7, 4, 5, 6, 7]);
        let wanted = Wanted { n: 3, new: 2, is_new: &is_new };
        let best = Best::new(&factors, &[], &editions, Device::Cpu, &wanted).expect("on the CPU");
        let lists = best.of(&factors, &seen, &[0, 1], &Interrupt::never(), &|_| ()).expect("no signal");
        let items = lists.iter().map(|list| list.iter().map(|entry| entry.item).collect::<Vec<_>>());
        assert_eq!(items.collect::<Vec<_>>(), [[7, 6, 1], [6, 5, 1]]);
        // What is left out as an edition takes no place of another new one: 2 is the best, 5 its new edition.
        let factors = Factors { items: vec![1.0, 3.0, 9.0, 2.0, 6.0, 8.0, 4.0, 5.0], ..factors };
        let editions = Editions::of_works(vec![0, 1, 5, 3, 4, 5, 6, 7]);
        let wanted = Wanted { n: 3, new: 1, is_new: &is_new };
        let best = Best::new(&factors, &[], &editions, Device::Cpu, &wanted).expect("on the CPU");
        let lists = best.of(&factors, &seen, &[0], &Interrupt::never(), &|_| ()).expect("no signal");
        let items: Vec<u32> = lists[0].iter().map(|entry| entry.item).collect();
        assert_eq!(items, [2, 4, 1]);
    }
}
