//! Candidates from a GPU: for each user the few rows of items that matter, found on the device.
//!
//! The device multiplies a tile of users with all rows, excludes the rows that the users have, and looks for
//! the best twice: the best n rows lie in the n groups with the greatest maxima, so it first finds the groups
//! and then the rows in them. Only their places and scores come back. (One reduction could find the
//! best n at once; that of burn 0.21 asks for more shared memory than there is if n is above 12.)
//!
//! `choose` makes good what a device rounds away: it scores the proposals exactly, so of each it knows the
//! device's score and the exact one. The greatest difference tells how far the device may be off, and so
//! whether any other row could be better.

use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor};
use rayon::prelude::*;

use super::Scored;
use super::layout::{GrowingList, ItemLayout, Question};
use super::search::search;
use crate::data::Editions;
use crate::error::Result;
use crate::tensors::{integers, numbers, table, whole};

/// Rows in a group.
const GROUP: usize = 64;
/// Added to a score to exclude a row.
const OUT: f32 = -1e30;
/// Scores on the device at a time: 1 GiB of them.
const SCORES: usize = 1 << 28;
/// Users whose lists are made together, at most.
const USERS: usize = 4096;

/// How many times as far off as the worst proposal of a batch any other score of it may be. A batch has up to
/// tens of thousands of proposals, whose errors are those of the same product.
const CAUTION: f32 = 4.0;

/// The greatest error at which proposals are worth asking for: with a coarser product the search on the CPU
/// is quicker.
const USELESS: f32 = 0.05;

/// Rows proposed beyond those that are asked for: as a rule the last of them are so much worse that rounding
/// does not matter.
const SPARE: usize = 8;

/// Proposes good rows for users.
pub trait CandidateSource: Send + Sync {
    /// How many users may be asked about at a time.
    fn at_once(&self) -> usize;

    /// The best `count` rows of each user and their scores, or all if there are fewer, in no particular
    /// order. `users` are their factors, one after the other; `taken` are the rows that each user must not
    /// get.
    ///
    /// If there are fewer, taken rows or places past the last row fill the answer.
    ///
    /// # Errors
    /// [`crate::error::Error::DeviceFailed`] if the device fails.
    fn propose(&self, users: &[f32], taken: &[Vec<u32>], count: usize) -> Result<Vec<Vec<Candidate>>>;
}

/// A row and its score, as computed by the source.
pub type Candidate = (u32, f32);

/// Writes the numbers of the row at this place.
pub type WriteRow<'a> = dyn Fn(usize, &mut [f32]) + Sync + 'a;

#[derive(Debug)]
pub struct OnDevice<B: Backend> {
    /// `[d + 1, groups · GROUP]`: a column for each row. Its last number excludes the columns that only fill
    /// the last group.
    rows: Tensor<B, 2>,
    width: usize,
    device: B::Device,
}

impl<B: Backend<FloatElem = f32>> OnDevice<B> {
    /// Copies `count` rows of `width` numbers, which `row` writes, to the device.
    pub fn new(width: usize, count: usize, row: &WriteRow<'_>, device: B::Device) -> Self {
        let padded = count.next_multiple_of(GROUP).max(GROUP);
        let mut columns = vec![0.0; padded * (width + 1)];
        columns.par_chunks_exact_mut(width + 1).enumerate().for_each(|(at, column)| match at < count {
            true => row(at, &mut column[..width]),
            false => column[width] = OUT,
        });
        Self { rows: table::<B>(columns, width + 1, &device).transpose(), width, device }
    }

    /// The places of the greatest numbers of each line: `[lines, count]`.
    fn greatest(mut lines: Tensor<B, 2>, count: usize) -> Tensor<B, 2, Int> {
        let out = Tensor::full([lines.dims()[0], 1], OUT, &lines.device());
        let places = (0..count).map(|_| {
            let place = lines.clone().argmax(1);
            lines = lines.clone().scatter(1, place.clone(), out.clone(), IndexingUpdateOp::Add);
            place
        });
        Tensor::cat(places.collect(), 1)
    }
}

impl<B: Backend<FloatElem = f32>> CandidateSource for OnDevice<B> {
    fn at_once(&self) -> usize {
        (SCORES / self.rows.dims()[1]).clamp(1, USERS)
    }

    fn propose(&self, users: &[f32], taken: &[Vec<u32>], count: usize) -> Result<Vec<Vec<Candidate>>> {
        let (lines, groups) = (taken.len(), self.rows.dims()[1] / GROUP);
        let with_one = users.chunks_exact(self.width).flat_map(|user| user.iter().copied().chain([1.0]));
        let mut scores =
            table::<B>(with_one.collect(), self.width + 1, &self.device).matmul(self.rows.clone());
        let longest = taken.iter().map(Vec::len).max().unwrap_or(0);
        if longest > 0 {
            let mut places = vec![0i32; lines * longest];
            let mut changes = vec![0.0; lines * longest];
            for (line, taken) in taken.iter().enumerate() {
                for (at, row) in taken.iter().enumerate() {
                    (places[line * longest + at], changes[line * longest + at]) = (*row as i32, OUT);
                }
            }
            let places = integers::<B>(places, &self.device).reshape([lines, longest]);
            let changes = table(changes, longest, &self.device);
            scores = scores.scatter(1, places, changes, IndexingUpdateOp::Add);
        }
        let grouped = scores.reshape([lines, groups, GROUP]);
        let of_groups = count.min(groups);
        let best = Self::greatest(grouped.clone().max_dim(2).reshape([lines, groups]), of_groups);
        let wanted = best.clone().reshape([lines, of_groups, 1]).repeat_dim(2, GROUP);
        let within = grouped.gather(1, wanted).reshape([lines, of_groups * GROUP]);
        let places = Self::greatest(within.clone(), count.min(of_groups * GROUP));
        let scores = numbers(within.gather(1, places.clone()))?;
        let (best, places) = (whole(best)?, whole(places)?);
        let each = (places.len() / lines.max(1)).max(1);
        let lines =
            places.chunks_exact(each).zip(scores.chunks_exact(each)).zip(best.chunks_exact(of_groups));
        let row =
            |best: &[u32], place: u32| best[place as usize / GROUP] * GROUP as u32 + place % GROUP as u32;
        let line = |((places, scores), best): ((&[u32], &[f32]), &[u32])| {
            places.iter().zip(scores).map(|(place, score)| (row(best, *place), *score)).collect()
        };
        Ok(lines.map(line).collect())
    }
}

/// The lists of some users: from a GPU's proposals where those settle a list, otherwise from the CPU.
pub(super) fn choose(
    layout: &ItemLayout<'_>,
    question: &Question<'_>,
    users: &[u32],
    source: &dyn CandidateSource,
) -> Result<Vec<Vec<Scored>>> {
    let items = question.factors.items.len() / question.factors.width.max(1);
    let row_of = row_of(layout, items.max(question.seen.item_count));
    // Users with about as many items go together: their taken rows are padded to the same length.
    let mut places: Vec<usize> = (0..users.len()).collect();
    places.sort_by_key(|place| question.seen.of(users[*place] as usize).0.len());
    let mut lists: Vec<Option<Vec<Scored>>> = vec![None; users.len()];
    for places in places.chunks(source.at_once()) {
        question.interrupt.check()?;
        let of = |place: &usize| question.factors.user(users[*place] as usize);
        let rows: Vec<f32> = places.iter().flat_map(of).copied().collect();
        let taken = places
            .par_iter()
            .map(|place| taken(layout, question.list(users[*place]).seen, question.editions, &row_of));
        let proposed = source.propose(&rows, &taken.collect::<Vec<_>>(), question.n + SPARE)?;
        let off = places.par_iter().zip(&proposed);
        let off = off.map(|(place, rows)| error(layout, &question.list(users[*place]), question, rows));
        let rounding = rounding(off.reduce(|| 0.0, f32::max), question.factors.width);
        let settled = places.par_iter().zip(proposed);
        let settled = settled
            .map(|(place, rows)| settle(layout, question.list(users[*place]), question, rows, rounding));
        for (place, list) in places.iter().zip(settled.collect::<Vec<_>>()) {
            (question.done)(usize::from(list.is_some()));
            lists[*place] = list;
        }
    }
    let left: Vec<u32> =
        users.iter().zip(&lists).filter(|(_, list)| list.is_none()).map(|(user, _)| *user).collect();
    let mut looked = search(layout, question, &left)?.into_iter();
    Ok(lists.into_iter().map(|list| list.or_else(|| looked.next()).unwrap_or_default()).collect())
}

/// The row of each of the first `items` items; `u32::MAX` for those that are not laid out.
fn row_of(layout: &ItemLayout<'_>, items: usize) -> Vec<u32> {
    let mut row_of = vec![u32::MAX; items];
    for row in 0..layout.rows() {
        layout.codes_of(row).iter().for_each(|code| row_of[*code as usize] = row as u32);
    }
    row_of
}

/// The rows of which a user has all items, or other editions of them.
fn taken(layout: &ItemLayout<'_>, seen: &[u32], editions: &Editions, row_of: &[u32]) -> Vec<u32> {
    let others = seen.iter().flat_map(|code| editions.of(*code));
    let mut codes: Vec<u32> = seen.iter().chain(others).copied().collect();
    codes.sort_unstable();
    codes.dedup();
    let rows = codes.iter().map(|code| row_of[*code as usize]).filter(|row| *row != u32::MAX);
    let mut rows: Vec<u32> = rows.collect();
    rows.sort_unstable();
    let whole =
        rows.chunk_by(|a, b| a == b).filter(|own| own.len() == layout.codes_of(own[0] as usize).len());
    whole.map(|own| own[0]).collect()
}

/// How far the scores of a user's proposals are off at most, as a share of |x||y|; infinite if one is not
/// finite.
fn error(
    layout: &ItemLayout<'_>,
    list: &GrowingList<'_>,
    question: &Question<'_>,
    proposed: &[Candidate],
) -> f32 {
    let is_out = |score: f32| score < OUT / 2.0;
    let there = proposed.iter().filter(|(row, score)| (*row as usize) < layout.rows() && !is_out(*score));
    let share = there.map(|(row, score)| {
        let codes = layout.codes_of(*row as usize);
        let most = list.quantized.length * layout.length(question.factors, codes[0]);
        let off = (layout.score(question.factors, list.factors, codes) - score).abs();
        match off / most {
            share if share.is_finite() => share,
            // Of a row of zeros every score is 0.
            _ if off == 0.0 => 0.0,
            _ => f32::INFINITY,
        }
    });
    share.fold(0.0, f32::max)
}

/// A user's list from the proposed rows; `None` if another row might belong into it. `rounding` is how far a
/// score may be off, as a share of |x||y|.
fn settle(
    layout: &ItemLayout<'_>,
    mut list: GrowingList<'_>,
    question: &Question<'_>,
    mut proposed: Vec<Candidate>,
    rounding: f32,
) -> Option<Vec<Scored>> {
    let count = proposed.len();
    proposed.sort_unstable_by_key(|(row, _)| *row);
    proposed.dedup_by_key(|(row, _)| *row);
    // A taken row, or the same row twice: nothing else was left.
    let mut is_all = proposed.len() < count;
    let mut least = f32::INFINITY;
    for (row, _) in proposed {
        let there = (row as usize) < layout.rows();
        let codes = if there { layout.codes_of(row as usize) } else { &[] };
        if codes.iter().all(|code| question.editions.has(list.seen, *code)) {
            is_all = true;
            continue;
        }
        let score = layout.score(question.factors, list.factors, codes);
        least = least.min(score);
        list.take(codes, score);
    }
    // On the device no other row is better than the worst proposal; both scores may be off.
    let longest = layout.quantized.blocks().first().map_or(0.0, |block| block.longest);
    let most = least + 2.0 * rounding * list.quantized.length * longest;
    let is_all = is_all && rounding.is_finite();
    (is_all || most < list.floor).then(|| list.heap.into_sorted_vec())
}

/// How far any score of a batch may be off, given its worst proposal: at least what a sum of `width` products
/// in 32-bit numbers may be off on both sides; infinite if the proposals are useless.
fn rounding(worst: f32, width: usize) -> f32 {
    match worst <= USELESS {
        true => (CAUTION * worst).max(2.0 * f32::EPSILON * width as f32),
        false => f32::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Interactions;
    use crate::interrupt::Interrupt;
    use crate::{Factors, initial};

    #[test]
    fn what_a_device_proposes_settles_nearly_all_lists() {
        let triples: Vec<_> = (0..2000u32).map(|n| (n * n % 90, n * 7 % 1500, 1.0)).collect();
        let (seen, _) = Interactions::from_triples(90, 1500, &triples);
        let factors = Factors { width: 8, users: initial(90, 8, 1), items: initial(1500, 8, 2) };
        let editions = Editions::default();
        let layout = ItemLayout::new(&factors, &[], |_| true);
        let question = Question {
            factors: &factors,
            seen: &seen,
            editions: &editions,
            n: 10,
            interrupt: &Interrupt::never(),
            done: &|_| (),
        };
        let row_of = row_of(&layout, 1500);
        // As a device does it that adds up from the other end.
        let propose = |user: u32| -> Vec<Candidate> {
            let taken = taken(&layout, seen.of(user as usize).0, &editions, &row_of);
            let score = |row: u32| {
                let mut values = [0.0; 8];
                layout.write(&factors, row as usize, &mut values);
                factors.user(user as usize).iter().zip(values).rev().map(|(x, y)| x * y).sum::<f32>()
            };
            let free = (0..layout.rows() as u32).filter(|row| !taken.contains(row));
            let mut all: Vec<Candidate> = free.map(|row| (row, score(row))).collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            all.truncate(10 + SPARE);
            all
        };
        let proposed: Vec<Vec<Candidate>> = (0..90).map(propose).collect();
        let off = proposed
            .iter()
            .zip(0..)
            .map(|(rows, user)| error(&layout, &question.list(user), &question, rows));
        let rounding = rounding(off.fold(0.0, f32::max), 8);
        assert!(rounding < 1e-4, "{rounding}");
        let settled = (0..90)
            .zip(proposed)
            .filter_map(|(user, rows)| settle(&layout, question.list(user), &question, rows, rounding));
        assert!(settled.count() > 85);
    }
}
