//! Which items could reach a score, found with products of small integers.
//!
//! A processor multiplies four to eight times as many bytes at once as floating-point numbers. So items and
//! users are rounded to integers times a step: y ≈ s v with |v_k| ≤ 63, and x ≈ t w with |w_k| ≤ 127. With
//! the errors ε ≥ |y − s v| and φ ≥ |x − t w|
//!
//! ```text
//! x·y = s t v·w + t w·(y − s v) + (x − t w)·y ≤ s t v·w + (|x| + φ) ε + φ |y|
//! ```
//!
//! If v·w is too small for the right side to reach a score, the item cannot reach it either. Of
//! Book-Crossing's books at 64 factors, some twenty remain for a list of ten; those get their exact score.
//! The bound is the Cauchy–Schwarz inequality, and the rounding of the exact scores is part of it: nothing is
//! lost.
//!
//! Items are stored as v + 64, because the instructions need one side without a sign; 64 Σ w is part of the
//! limit that they are compared with. No sum of two products overflows 16 bits and no sum overflows 32, so
//! all kernels give the same answer on every processor.

#[cfg(target_arch = "x86_64")]
mod x86;

use rayon::prelude::*;

use crate::dot;

/// Items that are compared at once: the answer is a bit for each.
pub const TILE: usize = 64;
/// Tiles of a block; its items share a step, an error and a greatest length.
const TILES: usize = 8;
pub const BLOCK: usize = TILES * TILE;
/// Numbers whose products one instruction adds up.
const GROUP: usize = 4;
/// What stands for 0 in an item.
const ZERO: u8 = 64;
/// The greatest absolute value of an item's integers, and of a user's.
const MOST: (f32, f32) = (63.0, 127.0);
/// Rounding may change an exact score by this share of |x||y|.
const ROUNDING: f64 = 1e-4;

/// The same four numbers of each item of a tile.
type Group = [[u8; GROUP]; TILE];

#[derive(Debug, Default)]
pub struct QuantizedItems {
    rows: usize,
    /// Groups of numbers in a row.
    groups: usize,
    /// The groups of each tile.
    tiles: Vec<Group>,
    blocks: Vec<Block>,
}

/// What the items of a block share.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// s.
    step: f32,
    /// ε.
    error: f32,
    /// The greatest |y|.
    pub longest: f32,
}

#[derive(Clone, Debug)]
pub struct QuantizedUser {
    groups: Vec<[i8; GROUP]>,
    /// t.
    step: f32,
    /// φ.
    error: f32,
    /// |x|.
    pub length: f32,
    /// 64 Σ w.
    offset: i32,
}

impl QuantizedItems {
    /// Rounds `rows` items of `width` numbers each, which `row` writes.
    pub fn new(width: usize, rows: usize, row: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let groups = width.div_ceil(GROUP);
        let mut tiles = vec![[[ZERO; GROUP]; TILE]; groups * rows.div_ceil(TILE)];
        let blocks = tiles
            .par_chunks_mut(TILES * groups)
            .enumerate()
            .map_init(
                || vec![0.0; BLOCK * width],
                |values, (number, tiles)| {
                    let first = number * BLOCK;
                    let values = &mut values[..BLOCK.min(rows - first) * width];
                    values
                        .chunks_exact_mut(width)
                        .enumerate()
                        .for_each(|(at, values)| row(first + at, values));
                    Block::new(width, values, tiles)
                },
            )
            .collect();
        Self { rows, groups, tiles, blocks }
    }

    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The tiles of a block, each with the place of its first item.
    pub fn tiles(&self, block: usize) -> impl Iterator<Item = (usize, Tile<'_>)> {
        let tiles = self.tiles.chunks_exact(self.groups).enumerate().skip(block * TILES).take(TILES);
        tiles.map(|(number, groups)| {
            let first = number * TILE;
            let there = u64::MAX >> TILE.saturating_sub(self.rows - first);
            (first, Tile { groups, there })
        })
    }
}

impl Block {
    /// Rounds items of `width` values each into `tiles`.
    fn new(width: usize, values: &[f32], tiles: &mut [Group]) -> Self {
        let step = step(values, MOST.0);
        let groups = width.div_ceil(GROUP);
        let mut block = Self { step, error: 0.0, longest: 0.0 };
        let mut rest = vec![0.0; width];
        for (place, row) in values.chunks_exact(width).enumerate() {
            let tile = &mut tiles[place / TILE * groups..][..groups];
            for (k, value) in row.iter().enumerate() {
                let whole = (value / step).round();
                tile[k / GROUP][place % TILE][k % GROUP] = (whole + f32::from(ZERO)) as u8;
                rest[k] = value - whole * step;
            }
            block.error = block.error.max(length(&rest));
            block.longest = block.longest.max(length(row));
        }
        block
    }
}

impl QuantizedUser {
    pub fn new(row: &[f32]) -> Self {
        let step = step(row, MOST.1);
        let whole: Vec<f32> = row.iter().map(|value| (value / step).round()).collect();
        let rest: Vec<f32> = row.iter().zip(&whole).map(|(value, whole)| value - whole * step).collect();
        let mut groups = vec![[0; GROUP]; row.len().div_ceil(GROUP)];
        for (k, whole) in whole.iter().enumerate() {
            groups[k / GROUP][k % GROUP] = *whole as i8;
        }
        let offset = i32::from(ZERO) * whole.iter().map(|whole| *whole as i32).sum::<i32>();
        Self { groups, step, error: length(&rest), length: length(row), offset }
    }

    /// The rounded factors, in the form that [`Tile::reaching`] needs.
    pub fn groups(&self) -> &[[i8; GROUP]] {
        &self.groups
    }

    /// Whether items of a block can reach a score, judging by their length.
    #[inline]
    pub fn can_reach(&self, block: &Block, score: f32) -> bool {
        f64::from(self.length) * f64::from(block.longest) * (1.0 + ROUNDING) >= f64::from(score)
    }

    /// What the integers of an item of a block, with their offset, must reach: otherwise its score cannot
    /// reach `score`.
    #[inline]
    pub fn limit(&self, block: &Block, score: f32) -> i32 {
        let (length, error) = (f64::from(self.length), f64::from(self.error));
        let longest = f64::from(block.longest);
        let most = (length + error) * f64::from(block.error) + (error + ROUNDING * length) * longest;
        let least = (f64::from(score) - most) / (f64::from(self.step) * f64::from(block.step));
        // An infinite limit becomes one that no sum reaches, or that all reach.
        (least.floor() as i32).saturating_add(self.offset)
    }
}

/// Items that are compared at once.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a> {
    groups: &'a [Group],
    /// A bit for each place that has an item.
    there: u64,
}

impl Tile<'_> {
    /// For each user which items reach the user's limit: bit n is set if item n does. `readers` are the
    /// users' groups, one user after the other.
    pub fn reaching(self, readers: &[[i8; GROUP]], limits: &[i32], masks: &mut [u64]) {
        assert_eq!((readers.len(), masks.len()), (limits.len() * self.groups.len(), limits.len()));
        #[cfg(target_arch = "x86_64")]
        let done = x86::reaching(self.groups, readers, limits, masks);
        #[cfg(not(target_arch = "x86_64"))]
        let done = false;
        if !done {
            plain(self.groups, readers, limits, masks);
        }
        masks.iter_mut().for_each(|mask| *mask &= self.there);
    }
}

/// For any processor: in floating-point numbers, which every compiler can vectorise.
fn plain(tile: &[Group], readers: &[[i8; GROUP]], limits: &[i32], masks: &mut [u64]) {
    const LANES: usize = 16;
    /// Numbers whose products add up to less than 2²⁴, so that their sum is exact.
    const EXACT: usize = (1 << 24) / (127 * 127);
    let column = |items: &Group, k: usize| items.map(|item| f32::from(item[k]));
    let columns: Vec<[f32; TILE]> =
        tile.iter().flat_map(|items| (0..GROUP).map(move |k| column(items, k))).collect();
    for ((reader, limit), mask) in readers.chunks_exact(tile.len()).zip(limits).zip(masks) {
        *mask = 0;
        for first in (0..TILE).step_by(LANES) {
            let mut whole = [0; LANES];
            for (columns, reader) in columns.chunks(EXACT).zip(reader.as_flattened().chunks(EXACT)) {
                let mut sums = [0.0; LANES];
                for (column, value) in columns.iter().zip(reader) {
                    let (items, value) = (&column[first..][..LANES], f32::from(*value));
                    for lane in 0..LANES {
                        sums[lane] += items[lane] * value;
                    }
                }
                whole.iter_mut().zip(sums).for_each(|(whole, sum)| *whole += sum as i32);
            }
            for (lane, sum) in whole.iter().enumerate() {
                *mask |= u64::from(sum >= limit) << (first + lane);
            }
        }
    }
}

/// The step in which no value is more than `most`.
fn step(values: &[f32], most: f32) -> f32 {
    let greatest = values.iter().fold(0.0f32, |greatest, value| greatest.max(value.abs()));
    // Anything smaller counts as 0.
    (greatest / most).max(f32::MIN_POSITIVE)
}

fn length(row: &[f32]) -> f32 {
    dot(row, row).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn what_reaches_a_score_passes_and_all_kernels_agree(
            width in 1usize..40, rows in 1usize..700, readers in 1usize..10,
            values in prop::collection::vec(-1f32..1.0, 40 * 64), size in -8i32..4, share in 0f32..1.5,
        ) {
            // No two rows alike, of sizes that differ a thousandfold.
            let value = |row: usize, k: usize| {
                values[(row * 41 + k * 7) % values.len()] * 10f32.powi(size) / (1 + row % 1000) as f32
            };
            let row = |at: usize| -> Vec<f32> { (0..width).map(|k| value(at, k)).collect() };
            let quantized = QuantizedItems::new(width, rows, |at, row| {
                row.iter_mut().enumerate().for_each(|(k, place)| *place = value(at, k));
            });
            let asked: Vec<Vec<f32>> = (0..readers).map(|at| row(at * 13 + 5)).collect();
            let users: Vec<QuantizedUser> = asked.iter().map(|row| QuantizedUser::new(row)).collect();
            let groups: Vec<[i8; GROUP]> = users.iter().flat_map(|user| user.groups.clone()).collect();
            let mut masks = vec![0; readers];
            for (number, block) in quantized.blocks().iter().enumerate() {
                // The score of something in the middle, more or less.
                let score = |reader: usize| dot(&asked[reader], &row(number * BLOCK)) * share;
                let limits: Vec<i32> = (0..readers).map(|at| users[at].limit(block, score(at))).collect();
                for (first, tile) in quantized.tiles(number) {
                    tile.reaching(&groups, &limits, &mut masks);
                    let mut expected = vec![0; readers];
                    plain(tile.groups, &groups, &limits, &mut expected);
                    expected.iter_mut().for_each(|mask| *mask &= tile.there);
                    prop_assert_eq!(&masks, &expected);
                    #[cfg(target_arch = "x86_64")]
                    for others in x86::all(tile.groups, &groups, &limits) {
                        let others: Vec<u64> = others.iter().map(|mask| mask & tile.there).collect();
                        prop_assert_eq!(&masks, &others);
                    }
                    for (reader, mask) in masks.iter().enumerate() {
                        for place in 0..TILE {
                            let is_there = first + place < rows;
                            let exact = dot(&asked[reader], &row(first + place));
                            let reaches = is_there && exact >= score(reader);
                            prop_assert!(!reaches || mask >> place & 1 == 1);
                            prop_assert!(!reaches || users[reader].can_reach(block, score(reader)));
                            prop_assert!(is_there || mask >> place & 1 == 0);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn few_pass_that_do_not_reach() {
        let value = |row: usize, k: usize| ((row * 37 + k * 101 + row * k) % 199) as f32 / 99.0 - 1.0;
        let row = |at: usize| -> Vec<f32> { (0..64).map(|k| value(at, k)).collect() };
        let quantized = QuantizedItems::new(64, BLOCK, |at, place| place.copy_from_slice(&row(at)));
        let asked = row(1000);
        let mut scores: Vec<f32> = (0..BLOCK).map(|at| dot(&asked, &row(at))).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let user = QuantizedUser::new(&asked);
        let limit = user.limit(&quantized.blocks()[0], scores[9]);
        let mut passed = 0;
        for (_, tile) in quantized.tiles(0) {
            let mut masks = [0];
            tile.reaching(user.groups(), &[limit], &mut masks);
            passed += masks[0].count_ones();
        }
        assert!((10..60).contains(&passed), "{passed}");
    }
}
