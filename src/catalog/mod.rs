//! What the ratings are about: books, readers, and who read what. Knows no SQL and no tensors.
//!
//! [`frame`] holds the rows as polars columns and turns them into codes; [`isbn`] decides what one
//! book is, [`spellings`] which of many spellings are the same one; [`vocabulary`] goes back from
//! codes to ids; [`interactions`] is what is left for the arithmetic, [`shelf`] what else is known of
//! the books, [`groups`] which of them have an author or a publisher in common and [`editions`] which are
//! one work, and [`split`] what is held out to judge by. [`rejects`] counts what could not be used, and [`delimited`] reads text files.

pub mod delimited;
pub mod editions;
pub mod frame;
pub mod groups;
pub mod interactions;
pub mod isbn;
pub mod rejects;
pub mod shelf;
pub mod spellings;
pub mod split;
pub mod vocabulary;
