//! How good is it? Figures that the field agrees on, and something simple to compare with.

pub mod baselines;
pub mod knn;
pub mod metrics;
