//! The recommender itself, without SQLite: trains, makes lists, and measures them.
//!
//! [`training`] trains both models and shows the progress, [`lists`] makes rows from them, [`evaluator`]
//! predicts and compares on held-out ratings, [`measure`] names the figure that decides; [`trial`] asks whether a device can be trusted. [`api`] offers the same to other programs.

mod api;
mod blend;
pub mod cases;
mod engine;
pub mod evaluator;
mod foretold;
pub mod lists;
pub mod measure;
pub mod order;
mod prices;
pub mod ranking;
mod search;
pub mod similar;
pub mod stranger;
pub mod training;
pub mod trial;

pub use api::{Entry, Figures, Recommender, evaluate};
