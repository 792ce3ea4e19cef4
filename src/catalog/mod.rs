//! Turns rows of ratings into codes of books and readers. Knows no SQL and no tensors.
//!
//! [`encode`] turns rows into codes, [`isbn`] parses one spelling, in whatever clothes, [`keys`] finds the spellings of one book,
//! and [`ids`] goes back from codes to ids. [`metadata`] reads the table of books, [`makers`] groups books by
//! author and publisher, and [`editions`] finds the editions of a work. [`popularity`] counts readers,
//! [`split`] holds out ratings, [`recommendation`] is a row of a list, and [`rejects`] counts unusable rows.

pub mod attributes;
mod clothes;
mod columns;
pub mod content;
pub mod dates;
pub mod editions;
pub mod encode;
pub mod ids;
pub mod isbn;
pub mod keys;
pub mod language;
pub mod makers;
pub mod metadata;
pub mod popularity;
pub mod recommendation;
pub mod rejects;
pub mod scheme;
pub mod selection;
pub mod series;
pub mod split;
pub mod times;
