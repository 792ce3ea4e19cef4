//! Answers for a person at a prompt: what is a reader shown, what is expected of a book, and why?
//!
//! What is shown was published; what is worked out comes from the model of the published lists and from
//! the reader's ratings of this moment, read from the application's table. Nothing is written.

mod desk;
mod explain;
mod predict;
mod reader;
mod recommend;
mod similar;

pub use desk::{Desk, nothing_published};
pub use explain::explain;
pub use predict::predict;
pub use reader::Reader;
pub use recommend::recommend;
pub use similar::similar;
