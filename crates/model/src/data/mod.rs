//! The input in integer codes: what models are trained on and asked about.

mod affinity;
mod editions;
mod interactions;
mod traits;

pub use affinity::Affinity;
pub use editions::{ALONE, Editions};
pub use interactions::Interactions;
pub use traits::{
    Descriptions, HALF_LIVES, ItemTraits, Recency, UNKNOWN, days_between, last_moments, nearest_half_life,
};

/// Who made a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Maker {
    Author,
    Publisher,
}

/// Books of one author, or of one publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub maker: Maker,
    /// Codes of the books, rising.
    pub items: Vec<u32>,
}
