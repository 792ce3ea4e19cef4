//! Books and readers: from rows to codes. Knows no SQL and no tensors.
//!
//! [`encode`] holds the rows as polars columns and turns them into codes; [`isbn`] decides what one
//! book is, [`keys`] which of many spellings are the same one; [`ids`] goes back from codes to ids.
//! [`metadata`] reads what else is known of the books, [`makers`] which of them have an author or a publisher in
//! common and [`editions`] which are one work. [`recommendation`] is what comes of it
//! all, [`split`] holds out what is judged by, and [`rejects`] counts what could
//! not be used.

pub mod editions;
pub mod encode;
pub mod ids;
pub mod isbn;
pub mod keys;
pub mod makers;
pub mod metadata;
pub mod popularity;
pub mod recommendation;
pub mod rejects;
pub mod split;
