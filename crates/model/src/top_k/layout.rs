//! The items as a search needs them, and the users' growing lists.
//!
//! A score x·y is at most |x||y|. So items are laid out by falling length |y|: once even the longest one left
//! could not enter a user's list, the rest need not be looked at.

use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::Scored;
use super::equal_rows::digest;
use super::quantized::{Block, QuantizedItems, QuantizedUser};
use crate::data::{Editions, Interactions};
use crate::interrupt::Interrupt;
use crate::{Factors, dot};

/// Items by falling scaled length. Items with the same factors, such as books that one and the same reader
/// alone has read, share a row: fewer than half of Book-Crossing's books need a row of their own.
pub struct ItemLayout<'a> {
    item_scales: &'a [f32],
    /// The codes of the items, row by row, rising within a row.
    codes: Vec<u32>,
    /// Where the codes of each row begin, and one past the last.
    starts: Vec<u32>,
    /// The rows, scaled, the longest first.
    pub(super) quantized: QuantizedItems,
}

impl<'a> ItemLayout<'a> {
    /// Lays out the items for which `take` is true.
    pub fn new(factors: &Factors, item_scales: &'a [f32], take: impl Fn(u32) -> bool) -> Self {
        let width = factors.width;
        // For each item its scaled length, and a digest of its row that brings equal rows together.
        let marks: Vec<(f32, u64)> = factors
            .items
            .par_chunks_exact(width)
            .enumerate()
            .map(|(item, row)| {
                let scale = scale(item_scales, item);
                (dot(row, row).sqrt() * scale, digest(row) ^ u64::from(scale.to_bits()))
            })
            .collect();
        let mut codes: Vec<u32> = (0..marks.len() as u32).filter(|item| take(*item)).collect();
        codes.par_sort_unstable_by(|a, b| {
            let ((length, digest), (other, another)) = (marks[*a as usize], marks[*b as usize]);
            other.total_cmp(&length).then(digest.cmp(&another)).then(a.cmp(b))
        });
        let same = |a: usize, b: usize| {
            marks[a] == marks[b]
                && factors.item(a) == factors.item(b)
                && scale(item_scales, a) == scale(item_scales, b)
        };
        let begins = |at: &usize| *at == 0 || !same(codes[at - 1] as usize, codes[*at] as usize);
        let mut starts: Vec<u32> = (0..codes.len()).filter(begins).map(|at| at as u32).collect();
        starts.push(codes.len() as u32);
        let mut layout = Self { item_scales, codes, starts, quantized: QuantizedItems::default() };
        layout.quantized =
            QuantizedItems::new(width, layout.rows(), |row, values| layout.write(factors, row, values));
        layout
    }

    /// Without any item.
    pub fn empty(item_scales: &'a [f32]) -> Self {
        Self { item_scales, codes: Vec::new(), starts: vec![0], quantized: QuantizedItems::default() }
    }

    pub(super) fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Writes the factors of a row, scaled.
    pub(super) fn write(&self, factors: &Factors, row: usize, values: &mut [f32]) {
        let item = self.codes_of(row)[0] as usize;
        let scale = scale(self.item_scales, item);
        values.iter_mut().zip(factors.item(item)).for_each(|(to, value)| *to = value * scale);
    }

    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    pub(super) fn codes_of(&self, row: usize) -> &[u32] {
        &self.codes[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    /// A user's score of the items of one row.
    pub(super) fn score(&self, factors: &Factors, user: &[f32], codes: &[u32]) -> f32 {
        dot(user, factors.item(codes[0] as usize)) * scale(self.item_scales, codes[0] as usize)
    }

    /// The scaled length of an item.
    pub(super) fn length(&self, factors: &Factors, item: u32) -> f32 {
        let row = factors.item(item as usize);
        dot(row, row).sqrt() * scale(self.item_scales, item as usize)
    }
}

/// What a search for some users needs to know.
pub(super) struct Question<'a> {
    pub(super) factors: &'a Factors,
    pub(super) seen: &'a Interactions,
    pub(super) editions: &'a Editions,
    pub(super) n: usize,
    pub(super) interrupt: &'a Interrupt,
    pub(super) done: &'a (dyn Fn(usize) + Sync),
}

impl<'a> Question<'a> {
    /// A user's list, still empty.
    pub(super) fn list(&self, user: u32) -> GrowingList<'a> {
        let (factors, seen) = (self.factors.user(user as usize), self.seen.of(user as usize).0);
        GrowingList::new(factors, seen, self.editions, self.n)
    }
}

/// One user's list while it grows.
pub(super) struct GrowingList<'a> {
    pub(super) factors: &'a [f32],
    pub(super) quantized: QuantizedUser,
    /// Codes of the items that the user has, rising.
    pub(super) seen: &'a [u32],
    editions: &'a Editions,
    n: usize,
    pub(super) heap: BinaryHeap<Scored>,
    /// Scores under this do not enter any more.
    pub(super) floor: f32,
}

impl<'a> GrowingList<'a> {
    fn new(factors: &'a [f32], seen: &'a [u32], editions: &'a Editions, n: usize) -> Self {
        let quantized = QuantizedUser::new(factors);
        let floor = if n == 0 || quantized.length == 0.0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { factors, quantized, seen, editions, n, heap: BinaryHeap::with_capacity(n), floor }
    }

    /// Whether any item of a block might still enter. A tie might, because of its code.
    pub(super) fn could_take(&self, block: &Block) -> bool {
        self.quantized.can_reach(block, self.floor)
    }

    /// What the integers of one of a block's items must reach for it to enter.
    pub(super) fn limit(&self, block: &Block) -> i32 {
        self.quantized.limit(block, self.floor)
    }

    /// Takes those of some items with the same score that belong into the list. Returns whether the floor has
    /// risen.
    pub(super) fn take(&mut self, codes: &[u32], score: f32) -> bool {
        if score < self.floor {
            return false;
        }
        for code in codes {
            let entry = Scored { item: *code, score };
            match self.heap.peek() {
                // The codes that follow are higher.
                Some(worst) if self.heap.len() == self.n && entry >= *worst => break,
                _ if self.editions.has(self.seen, *code) => continue,
                _ => {}
            }
            match self.edition_of(*code) {
                Some(other) if other < entry => continue,
                // Takes its place: the list has one edition of a work, the best.
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

    /// The listed item that is an edition of the same work.
    fn edition_of(&self, item: u32) -> Option<Scored> {
        let editions = self.editions.of(item);
        // Most items have no other edition.
        let mut listed = if editions.is_empty() { [].iter() } else { self.heap.as_slice().iter() };
        listed.find(|entry| self.editions.are_one(entry.item, item)).copied()
    }
}

/// The number by which an item's product is multiplied.
fn scale(item_scales: &[f32], item: usize) -> f32 {
    item_scales.get(item).copied().unwrap_or(1.0)
}
