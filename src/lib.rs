//! stub
pub mod catalog;
pub mod cli;
pub mod config;
pub mod console;
pub mod error;
pub mod interrupt;
pub mod jobs;
pub mod model;
pub mod quality;
pub mod store;
