//! What a list is made of, in codes.

/// Where an entry of a list comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The model of this run.
    Model,
    /// An earlier run's model, asked about ratings that came after it.
    FoldIn,
    /// What is popular, where the model knows too little of the reader.
    Popular,
}

impl Origin {
    /// The word in the column `source`.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Model => "model",
            Origin::FoldIn => "fold-in",
            Origin::Popular => "popular",
        }
    }
}

/// One row of `recommendations`, in codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recommendation {
    /// Code of the reader.
    pub user: u32,
    /// From 1.
    pub rank: u32,
    /// Code of the book.
    pub item: u32,
    /// Code of the reader's own book that contributed most.
    pub because: Option<u32>,
    /// What the ranking is by.
    pub score: f32,
    /// Expected stars; NaN where nothing is known.
    pub stars: f32,
    /// Where it comes from.
    pub origin: Origin,
}
