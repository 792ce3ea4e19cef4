//! The search on the CPU.
//!
//! Users go through the items in the order of the [layout](super::layout), a block at a time. Among the items
//! that are long enough to enter, products of small integers tell which ones really could
//! ([`super::quantized`]), and only those are scored.

use rayon::prelude::*;

use super::Scored;
use super::layout::{GrowingList, ItemLayout, Question};
use crate::error::Result;
use crate::kernels::simd;

/// Users who go through the items together: enough to reuse a block of items while it is in cache.
const USERS: usize = 64;

pub(super) fn search(
    layout: &ItemLayout<'_>,
    question: &Question<'_>,
    users: &[u32],
) -> Result<Vec<Vec<Scored>>> {
    let some = |users: &[u32]| {
        question.interrupt.check()?;
        let lists = lists(layout, question, users);
        (question.done)(users.len());
        Ok(lists)
    };
    let found: Vec<Vec<Vec<Scored>>> = users.par_chunks(USERS).map(some).collect::<Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// The lists of a few users, who go through the items together.
fn lists(layout: &ItemLayout<'_>, question: &Question<'_>, users: &[u32]) -> Vec<Vec<Scored>> {
    let factors = question.factors;
    let mut growing: Vec<GrowingList<'_>> = users.iter().map(|user| question.list(*user)).collect();
    let mut active: Vec<usize> = (0..growing.len()).collect();
    let mut groups = Vec::new();
    let mut limits: Vec<i32> = Vec::with_capacity(users.len());
    let mut masks = vec![0; users.len()];
    for (number, block) in layout.quantized.blocks().iter().enumerate() {
        let before = active.len();
        active.retain(|at| growing[*at].could_take(block));
        if active.is_empty() {
            break;
        }
        if number == 0 || active.len() != before {
            groups.clear();
            active.iter().for_each(|at| groups.extend_from_slice(growing[*at].quantized.groups()));
        }
        limits.clear();
        limits.extend(active.iter().map(|at| growing[*at].limit(block)));
        let masks = &mut masks[..active.len()];
        for (first, tile) in layout.quantized.tiles(number) {
            tile.reaching(&groups, &limits, masks);
            for ((at, limit), mask) in active.iter().zip(&mut limits).zip(&*masks) {
                let list = &mut growing[*at];
                let codes = |place: usize| layout.codes_of(first + place);
                bits(*mask).for_each(|place| simd::expect(factors.item(codes(place)[0] as usize)));
                for codes in bits(*mask).map(codes) {
                    if list.take(codes, layout.score(factors, list.factors, codes)) {
                        *limit = list.limit(block);
                    }
                }
            }
        }
    }
    growing.into_iter().map(|list| list.heap.into_sorted_vec()).collect()
}

/// The places of the bits that are set, rising.
fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(place)
    })
}
