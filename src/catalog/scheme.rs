//! The ways in which ratings are held out.

use crate::catalog::times;

/// What is held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scheme {
    /// This share of all ratings, at random.
    Random(f64),
    /// One rating of each reader, at random.
    LeaveOne,
    /// The newest n ratings of each reader.
    LeaveLast(usize),
    /// Everything from one moment on, which is this share of all ratings: every training rating is older
    /// than every held-out one.
    Time(f64),
    /// This share of the readers: the model is trained without them, and folds them in from most of their
    /// ratings (strong generalisation).
    Readers(f64),
    /// Every rating of this share of the books: only their authors and publishers are known.
    Books(f64),
}

impl Scheme {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Scheme::Random(_) => "random",
            Scheme::LeaveOne => "leave-one-out",
            Scheme::LeaveLast(_) => "leave-last",
            Scheme::Time(_) => "time",
            Scheme::Readers(_) => "users",
            Scheme::Books(_) => "new-books",
        }
    }

    /// How a night holds out a `share` of ratings with these times: the newest, if most times are known, since lists are
    /// to foretell the future.
    pub fn of_night(moments: &[f64], share: f64) -> Self {
        match times::unit(moments) {
            Some(_) => Scheme::Time(share),
            None => Scheme::Random(share),
        }
    }

    /// How to hold out once more, a `share` of what this leaves: so that what is learned there holds here.
    pub fn inner(self, share: f64) -> Self {
        match self {
            Scheme::Time(_) | Scheme::LeaveLast(_) => Scheme::Time(share),
            Scheme::Books(_) => Scheme::Books(share),
            Scheme::Random(_) | Scheme::LeaveOne | Scheme::Readers(_) => Scheme::Random(share),
        }
    }

    /// The share that is held out; `None` for a scheme that holds out a number of ratings per reader.
    pub fn share(self) -> Option<f64> {
        match self {
            Scheme::Random(share) | Scheme::Time(share) | Scheme::Readers(share) | Scheme::Books(share) => {
                Some(share)
            }
            Scheme::LeaveOne | Scheme::LeaveLast(_) => None,
        }
    }
}
