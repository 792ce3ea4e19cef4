//! How much memory a night takes, and whether there is that much.
//!
//! Everything large is one of a few tables whose sizes are known beforehand, so what a night will need is a
//! sum and not a guess. The numbers stand in one place, [`Workload`]; docs/figures.md shows them beside what was
//! measured.

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::machine::{self, Memory};
use crate::text::count;

/// What is there before anything is read: the program, SQLite's cache, buffers of threads.
const BASE: u64 = 64 << 20;

/// Bytes a rating while spellings become codes: the columns of the table, the groups of rows with equal
/// keys, the codes, and the pairs sorted by reader. Measured: 56 to 72 where ids are numbers and no times are
/// known; both would add up to 24.
const PER_RATING: u64 = 100;

/// Bytes for each reader and each book beside factors: ids, keys, spellings, digests, marks.
const PER_ROW: u64 = 160;

/// Bytes of a row of a list, of which three tiles are on their way at a time.
const PER_ENTRY: u64 = 3 * 40;

/// Rows of lists that are made together, where there is room.
const ENTRIES: u64 = 1 << 19;

/// What a night needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Ratings in the table.
    pub ratings: u64,
    /// Readers, made-up ones with them.
    pub users: u64,
    /// Books.
    pub items: u64,
    /// Numbers of a row of factors.
    pub factors: u64,
    /// Entries of a list.
    pub top: u64,
}

impl Workload {
    /// Bytes while the ratings are read.
    pub fn to_read(self) -> u64 {
        BASE + PER_RATING * self.ratings
    }

    /// Bytes that will do for all of a night: both models of all readers and books stand side by side, the
    /// books once more in bytes, and lists are made from them a few at a time.
    pub fn least(self) -> u64 {
        let rows = PER_ROW * (self.users + self.items);
        let models = 2 * 4 * self.factors * (self.users + self.items);
        let screen = self.factors * self.items;
        self.to_read() + rows + models + screen + PER_ENTRY * 64 * self.top
    }
}

/// How much of the memory may be taken.
#[derive(Clone, Copy, Debug)]
pub struct MemoryBudget {
    /// Bytes that are left for what is not necessary.
    spare: u64,
    need: Workload,
}

impl MemoryBudget {
    /// What a night has that needs `need`.
    ///
    /// # Errors
    /// [`Kind::Config`] if it is not enough, naming the least that would do.
    pub fn new(config: &Config, need: Workload) -> Result<Self> {
        let (most, least) = (Most::find(config), need.least());
        if least > most.bytes {
            let hint =
                format!("fewer factors (now {}) take less; max_memory sets another bound", need.factors);
            return Err(most.too_little("all of this", least).hint(hint));
        }
        Ok(Self { spare: most.bytes - least, need })
    }

    /// Readers whose lists are made together.
    pub fn tile(self) -> usize {
        let entries = ENTRIES.min(self.spare / PER_ENTRY / 4);
        (entries / self.need.top.max(1)).clamp(64, 8192) as usize
    }
}

/// Whether the ratings alone fit, before they are read.
///
/// # Errors
/// As [`MemoryBudget::new`].
pub fn check_reading(config: &Config, ratings: u64) -> Result<()> {
    let need = Workload { ratings, users: 0, items: 0, factors: 0, top: 0 }.to_read();
    let most = Most::find(config);
    if need > most.bytes {
        let reading = format!("reading {} ratings", count(ratings));
        return Err(most.too_little(&reading, need).hint("the models take about as much again"));
    }
    Ok(())
}

/// The most that may be taken, and who says so.
struct Most {
    bytes: u64,
    source: String,
}

impl Most {
    /// What is set, or what the machine or its cgroup allows.
    fn find(config: &Config) -> Self {
        if let Some(bytes) = config.compute.most_memory() {
            return Self { bytes, source: format!("max_memory is {}", config.compute.max_memory) };
        }
        let unbounded = Self { bytes: u64::MAX, source: String::new() };
        machine::memory().map_or(unbounded, |Memory { bytes, source }| Self {
            bytes,
            source: format!("{source} {}M", bytes / 1_000_000),
        })
    }

    fn too_little(&self, what: &str, least: u64) -> Error {
        let (source, megabytes) = (&self.source, least.div_ceil(1_000_000));
        Error::new(Kind::Config, format!("{source}, but {what} takes {megabytes}M at least"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_is_named_is_enough() {
        let need = Workload { ratings: 748_237, users: 85_000, items: 221_000, factors: 64, top: 10 };
        let mut config = Config::default();
        assert_eq!(MemoryBudget::new(&config, need).expect("no bound").tile(), 8192);
        config.compute.max_memory = "10M".into();
        let error = MemoryBudget::new(&config, need).expect_err("too little").to_string();
        let named = error.split_whitespace().find(|word| word.ends_with('M') && *word != "10M,");
        config.compute.max_memory = named.expect("a figure").to_owned();
        let tile = MemoryBudget::new(&config, need).expect("enough").tile();
        assert!((64..8192).contains(&tile), "{tile}");
        assert!(check_reading(&config, 748_237).is_ok());
        assert!(check_reading(&config, 1 << 40).is_err());
    }
}
