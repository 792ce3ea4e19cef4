//! The recommender itself, without SQLite: trains, makes lists, and says how good they are.
//!
//! [`training`] fits both models with somebody looking on, [`lists`] makes rows of them, filled up with what is
//! popular; [`evaluator`] measures all of that on ratings that were held out. [`api`] is the same for programs.

mod api;
pub mod evaluator;
pub mod lists;
pub mod training;

pub use api::{Entry, Figures, Recommender, evaluate};
