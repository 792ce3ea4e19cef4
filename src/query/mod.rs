//! Answers questions about one reader or one book: what is shown, what is predicted, and why.
//!
//! Lists are the published ones. Predictions come from the model of the published lists and from the reader's
//! present ratings, read from the application's table. Nothing is written.

mod lookup;
mod reader;

pub use lookup::{Lookup, id_json, listed_json, names, nothing_published};
pub use reader::KnownReader;
