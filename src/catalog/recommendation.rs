//! A row of a list, in codes.

/// What put a book into a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The model of this run.
    Model,
    /// An earlier run's model, by fold-in of ratings that came after it.
    FoldIn,
    /// The books with most readers, where the model knows too little of the reader.
    Popular,
}

impl Origin {
    /// The value of the column `source`.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Model => "model",
            Origin::FoldIn => "fold-in",
            Origin::Popular => "popular",
        }
    }

    /// From such a value; what is none is taken for the model's.
    pub fn of_word(word: &str) -> Self {
        let all = [Origin::FoldIn, Origin::Popular];
        all.into_iter().find(|origin| origin.word() == word).unwrap_or(Origin::Model)
    }
}

/// One row of `recommendations`, in codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recommendation {
    pub user: u32,
    /// From 1.
    pub rank: u32,
    pub item: u32,
    /// The reader's own book that contributed most.
    pub because: Option<u32>,
    /// What the list is ordered by.
    pub score: f32,
    /// Predicted stars; NaN if unknown.
    pub stars: f32,
    pub origin: Origin,
}
