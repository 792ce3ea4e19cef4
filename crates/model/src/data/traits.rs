//! What is known of items and users besides who read what.

use std::sync::Arc;

use super::{Affinity, Group, Interactions, Maker};
use crate::hyperparameters::HalfLife;

/// The code of no author, publisher or language.
pub const UNKNOWN: u32 = u32::MAX;

/// Half-lives, in days, by which recent readers are counted.
pub const HALF_LIVES: [f32; 5] = [15.0, 30.0, 90.0, 180.0, 365.0];

/// Seconds.
const DAY: f64 = 86_400.0;

/// What the table of books says, by item code; shorter than the items where nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Descriptions {
    /// [`UNKNOWN`], or a number that items of one author share.
    pub authors: Vec<u32>,
    /// The same of first authors, who may be spelled with and without middle initials.
    pub writers: Vec<u32>,
    /// The same of publishers.
    pub publishers: Vec<u32>,
    /// The same of languages.
    pub languages: Vec<u32>,
    /// The same of series; empty where none is known.
    pub series: Vec<u32>,
    /// The first and the last volume of its series that each item is: the same for all but collections. Infinite for what
    /// stands behind a volume that nobody can have; of no meaning for an item without a series.
    pub volumes: Vec<[f32; 2]>,
    /// The year of publication; NaN where it is unknown.
    pub years: Vec<f32>,
    /// The words of titles: a row for each item, with weights whose squares add up to 1 in the place of ratings.
    pub titles: Interactions,
    /// The same of subjects and descriptions.
    pub subjects: Interactions,
}

impl Maker {
    /// For each of `items` a number that those of one maker share, or [`UNKNOWN`]; an item in several groups is of the
    /// first.
    pub fn codes(self, groups: &[Group], items: usize) -> Vec<u32> {
        let mut codes = vec![UNKNOWN; items];
        for (code, group) in groups.iter().enumerate().filter(|(_, group)| group.maker == self) {
            for item in &group.items {
                let of_item = &mut codes[*item as usize];
                *of_item = (*of_item).min(code as u32);
            }
        }
        codes
    }
}

/// How an item was read lately, as seen at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recency {
    /// For each item its readers, each counted by 2^(−age / half-life), for each of [`HALF_LIVES`].
    pub readers: Vec<[f32; HALF_LIVES.len()]>,
    /// Days since each item was first read.
    pub ages: Vec<f32>,
}

impl Recency {
    /// As seen at `now`, of entries with these items and times in seconds. What is later than now, or of unknown time,
    /// does not count.
    pub fn at(now: f64, item_count: usize, items: &[u32], moments: &[f64]) -> Self {
        let (mut readers, mut ages) =
            (vec![[0.0f64; HALF_LIVES.len()]; item_count], vec![0.0f32; item_count]);
        for (item, moment) in items.iter().zip(moments) {
            let days = (now - moment) / DAY;
            if (0.0..f64::INFINITY).contains(&days) {
                let item = *item as usize;
                for (sum, half_life) in readers[item].iter_mut().zip(HALF_LIVES) {
                    *sum += (-days / f64::from(half_life)).exp2();
                }
                ages[item] = ages[item].max(days as f32);
            }
        }
        Self { readers: readers.into_iter().map(|sums| sums.map(|sum| sum as f32)).collect(), ages }
    }
}

/// The time of each user's last entry; minus infinity where it is unknown.
pub fn last_moments(interactions: &Interactions, moments: &[f64]) -> Vec<f64> {
    let last = |own: &[usize]| moments[own[0]..own[1]].iter().copied().fold(f64::NEG_INFINITY, f64::max);
    interactions.offsets.windows(2).map(last).collect()
}

/// Days from a time to `now`; 0 if the time is unknown.
pub fn days_between(moment: f64, now: f64) -> f32 {
    if moment.is_finite() { ((now - moment) / DAY).max(0.0) as f32 } else { 0.0 }
}

/// What is known of every item at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemTraits {
    /// Readers of each item.
    pub readers: Vec<u32>,
    pub descriptions: Arc<Descriptions>,
    /// Empty where nothing is known of the users but what they read.
    pub affinity: Arc<Affinity>,
    /// `None` where ratings have no times.
    pub recency: Option<Recency>,
    /// The place in [`HALF_LIVES`] of the one by which items are popular; `None` if readers count the same whenever they
    /// read.
    pub late: Option<usize>,
}

impl ItemTraits {
    /// The readers that an item counts as having where items are ordered by popularity.
    pub fn popularity(&self, item: u32) -> f32 {
        match (&self.recency, self.late) {
            (Some(recency), Some(late)) => recency.readers[item as usize][late],
            _ => self.readers[item as usize] as f32,
        }
    }
}

/// The place in [`HALF_LIVES`] of the one that is nearest to a half-life; that of 30 days if it is to be chosen yet. Where
/// a shop was replayed, these were the best of 15, 30 and 90.
pub fn nearest_half_life(half_life: HalfLife) -> Option<usize> {
    let days = match half_life {
        HalfLife::Never => return None,
        HalfLife::Auto => 30.0,
        HalfLife::Days(days) => days,
    };
    let distance = |place: &usize| (f64::from(HALF_LIVES[*place]) / days).ln().abs();
    (0..HALF_LIVES.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
}
