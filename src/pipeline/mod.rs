//! The jobs. Each file is a job or a part of one; the commands only call them.
//!
//! [`night`] is the nightly job, made of [`dataset`] (within its [`memory_budget`]), [`gate`], [`train`],
//! [`lists`] and publishing. [`backfill`] solves only what has changed, [`import`] loads files,
//! [`joining`] asks whether ratings and books belong together, [`evaluation`] and [`tuning`] measure, [`diagnosis`] looks
//! for problems, [`page_facts`] gathers the facts for the report, and [`fleet`] looks at many databases.

pub mod backfill;
pub mod clock;
pub mod dataset;
pub mod diagnosis;
pub mod evaluation;
pub mod export_training;
pub mod fleet;
pub mod gate;
pub mod import;
mod joining;
pub mod lists;
pub mod memory_budget;
pub mod night;
pub mod page_facts;
pub mod proof;
pub mod search_space;
pub mod split_files;
pub mod train;
pub mod tuning;
