//! Answers for a person at a prompt: what is a reader shown, what is expected of a book, and why?
//!
//! What is shown was published; what is worked out comes from the model of the published lists and from
//! the reader's ratings of this moment, read from the application's table. Nothing is written.

mod lookup;
mod reader;

pub use lookup::{Lookup, id_json, listed_json, names, nothing_published};
pub use reader::KnownReader;
