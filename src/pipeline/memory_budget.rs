//! How much memory a night needs, and whether that much is allowed.
//!
//! Nearly all memory goes into a few tables whose sizes are known beforehand, so the need is a sum and not a
//! guess. [`Workload`] works it out; docs/figures.md compares it with measurements.

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::machine::{self, Memory};
use crate::model::ranker::features;
use crate::text::count;

/// Bytes before anything is read: the program, SQLite's cache, buffers of threads.
const BASE: u64 = 64 << 20;

/// Bytes for each rating while spellings become codes: the columns of the table, the groups of rows with
/// equal keys, the codes, and the pairs sorted by reader. Measured: 56 to 72 with integer ids and without
/// times; text ids and times add up to 24.
const PER_RATING: u64 = 100;

/// Bytes for each reader and each book, without factors: ids, keys, spellings, digests, marks, traits.
const PER_ROW: u64 = 200;

/// Bytes for each word of a book's title, genres and description: as it is read, and twice with its weight.
const PER_WORD: u64 = 32;

/// Bytes for each weight of a neighbour: by book and by neighbour, a code and a number.
const PER_WEIGHT: u64 = 16;

/// Bytes for each rating while neighbours are fitted: the weighed rows, without rare books, and by book.
const PER_WEIGHED: u64 = 24;

/// Bytes of systems that are built together while neighbours are fitted, at most.
const SYSTEMS: u64 = 128 << 20;

/// Bytes for each reader that a ranker learns from: the features of some 50 candidates.
const PER_EXAMPLE: u64 = 50 * 4 * features::COUNT as u64;

/// Bytes for each entry of a list: 40, in each of the three tiles that exist at a time.
const PER_ENTRY: u64 = 3 * 40;

/// Entries of a tile, if memory allows.
const ENTRIES: u64 = 1 << 19;

/// The sizes that the memory of a night follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    pub ratings: u64,
    /// Readers, with the made-up ones that stand for authors and publishers.
    pub users: u64,
    pub items: u64,
    /// Words of titles, genres and descriptions, of all books together.
    pub words: u64,
    /// Numbers in a row of factors.
    pub factors: u64,
    /// The most neighbours of a book.
    pub neighbours: u64,
    /// The most readers that a ranker learns from; 0 if none learns.
    pub examples: u64,
    /// Entries in a list.
    pub top: u64,
}

impl Workload {
    /// Bytes needed while the ratings are read.
    pub fn to_read(self) -> u64 {
        BASE + PER_RATING * self.ratings
    }

    /// The least bytes that are enough for a whole night: both models of all readers and books at once, the
    /// books' factors once more quantized to bytes, the neighbours, the ranker's examples, and lists
    /// for 64 readers at a time.
    pub fn least(self) -> u64 {
        let rows = PER_ROW * (self.users + self.items) + PER_WORD * self.words;
        let models = 2 * 4 * self.factors * (self.users + self.items);
        let quantized = self.factors * self.items;
        // Only a book that two have read has neighbours.
        let books = self.items.min(self.ratings / 2);
        let weights = PER_WEIGHT * self.neighbours * books;
        let systems = 2 * self.neighbours * (self.neighbours + 1) * books;
        let neighbours = match self.neighbours {
            0 => 0,
            _ => weights + PER_WEIGHED * self.ratings + systems.min(SYSTEMS),
        };
        let examples = PER_EXAMPLE * self.examples.min(self.users);
        self.to_read() + rows + models + quantized + neighbours + examples + PER_ENTRY * 64 * self.top
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MemoryBudget {
    /// Bytes that are left beyond [`Workload::least`].
    spare: u64,
    need: Workload,
}

impl MemoryBudget {
    /// The budget of a night of this size.
    ///
    /// # Errors
    /// [`Kind::Config`] if less memory is allowed than is needed; the message names the least that is enough.
    pub fn new(config: &Config, need: Workload) -> Result<Self> {
        let (most, least) = (Most::find(config), need.least());
        if least > most.bytes {
            let hint =
                format!("fewer factors (now {}) take less; max_memory sets another bound", need.factors);
            return Err(most.too_little("all of this", least).hint(hint));
        }
        Ok(Self { spare: most.bytes - least, need })
    }

    /// How many readers' lists are made together: 64 to 8192.
    pub fn tile(self) -> usize {
        let entries = ENTRIES.min(self.spare / PER_ENTRY / 4);
        (entries / self.need.top.max(1)).clamp(64, 8192) as usize
    }
}

/// Checks, before the ratings are read, that they alone fit into memory.
///
/// # Errors
/// [`Kind::Config`] if they do not.
pub fn check_reading(config: &Config, ratings: u64) -> Result<()> {
    let need = Workload { ratings, ..Workload::default() }.to_read();
    let most = Most::find(config);
    if need > most.bytes {
        let reading = format!("reading {} ratings", count(ratings));
        return Err(most.too_little(&reading, need).hint("the models take about as much again"));
    }
    Ok(())
}

/// The most memory that may be taken, and what sets this limit.
struct Most {
    bytes: u64,
    source: String,
}

impl Most {
    /// `max_memory` if it is set, else what the machine or the cgroup allows.
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
        let need = Workload {
            ratings: 748_237,
            users: 85_000,
            items: 221_000,
            words: 0,
            factors: 64,
            neighbours: 50,
            examples: 3_000,
            top: 10,
        };
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
