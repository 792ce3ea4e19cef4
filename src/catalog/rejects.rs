//! Rows that could not be used: counted by reason, with a few of each kept to look at.

use std::collections::BTreeMap;

/// Examples kept for each reason.
const EXAMPLES: usize = 5;

/// Counts and examples by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejects {
    by_reason: BTreeMap<String, (u64, Vec<String>)>,
}

impl Rejects {
    /// None yet.
    pub const fn new() -> Self {
        Self { by_reason: BTreeMap::new() }
    }

    /// How many rows there are for one reason.
    pub fn of(&self, reason: &str) -> u64 {
        self.by_reason.get(reason).map_or(0, |(count, _)| *count)
    }

    /// Counts one row; `example` is asked for only while more are wanted.
    pub fn add(&mut self, reason: &str, example: impl FnOnce() -> String) {
        self.add_many(reason, 1, example);
    }

    /// Counts several rows that are alike.
    pub fn add_many(&mut self, reason: &str, count: u64, example: impl FnOnce() -> String) {
        if !self.by_reason.contains_key(reason) {
            self.by_reason.insert(reason.to_owned(), Default::default());
        }
        if let Some((total, examples)) = self.by_reason.get_mut(reason) {
            *total += count;
            if examples.len() < EXAMPLES {
                examples.push(example());
            }
        }
    }

    /// Adds what another part of the work rejected.
    pub fn absorb(&mut self, other: Rejects) {
        for (reason, (count, examples)) in other.by_reason {
            let (total, mine) = self.by_reason.entry(reason).or_default();
            *total += count;
            mine.extend(examples);
            mine.truncate(EXAMPLES);
        }
    }

    /// How many rows there are in all.
    pub fn total(&self) -> u64 {
        self.by_reason.values().map(|(count, _)| count).sum()
    }

    /// Reason, count and examples, by reason.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64, &[String])> {
        self.by_reason
            .iter()
            .map(|(reason, (count, examples))| (reason.as_str(), *count, examples.as_slice()))
    }
}
