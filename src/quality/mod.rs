//! Quality figures of lists and predicted ratings, and baselines to compare a model with.

pub mod baselines;
pub mod knn;
pub mod metrics;
