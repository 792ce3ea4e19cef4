//! Rows that could not be used: counted by reason, with a few examples of each.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::ids::UserRef;

/// Examples kept for each reason.
const EXAMPLES: usize = 5;

/// Bytes of the longest text that is kept. A text is kept whole or not at all: an id is never cut.
const LONGEST: usize = 10_000;

/// One SQLite value of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part {
    Integer(i64),
    Real(f64),
    Text(String),
    /// Only its length is kept.
    Blob {
        /// In bytes.
        blob: u64,
    },
    Null,
}

impl Part {
    /// Of a text longer than `LONGEST`, only the length is kept.
    pub fn text(text: &str) -> Self {
        match text.len() <= LONGEST {
            true => Part::Text(text.to_owned()),
            false => Part::Blob { blob: text.len() as u64 },
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Integer(number) => write!(f, "{number}"),
            Part::Real(number) => write!(f, "{number}"),
            Part::Text(text) => write!(f, "{text:?}"),
            Part::Blob { blob } => write!(f, "{blob} bytes"),
            Part::Null => f.write_str("NULL"),
        }
    }
}

/// A row that could not be used. Values are separate and uncut, so that one can tell whose row it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Example {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isbn: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<Part>,
    /// The record's number in its file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// Any other remark; never about a reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Example {
    pub fn note(text: impl Into<String>) -> Self {
        Self { note: Some(text.into()), ..Self::default() }
    }

    pub fn isbn(text: &str) -> Self {
        Self { isbn: Some(Part::text(text)), ..Self::default() }
    }

    /// Whether it is about this reader: the same id in the same type. (42.0 is the integer 42, as in SQL.)
    pub fn is_of(&self, user: UserRef<'_>) -> bool {
        match (&self.user, user) {
            (Some(Part::Integer(own)), UserRef::Integer(id)) => *own == id,
            (Some(Part::Real(own)), UserRef::Integer(id)) => *own == id as f64,
            (Some(Part::Text(own)), UserRef::Text(id)) => own == id,
            _ => false,
        }
    }
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.user, &self.isbn, &self.rating].into_iter().flatten().map(Part::to_string);
        let record = self.record.map(|record| format!("record {record}"));
        let all: Vec<String> = parts.chain(record).chain(self.note.clone()).collect();
        f.write_str(&all.join(", "))
    }
}

/// Counts and examples by reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rejects {
    by_reason: BTreeMap<String, (u64, Vec<Example>)>,
}

impl Rejects {
    pub const fn new() -> Self {
        Self { by_reason: BTreeMap::new() }
    }

    /// Rows with this reason.
    pub fn of(&self, reason: &str) -> u64 {
        self.by_reason.get(reason).map_or(0, |(count, _)| *count)
    }

    /// Counts one row; `example` is called only while more examples are wanted.
    pub fn add(&mut self, reason: &str, example: impl FnOnce() -> Example) {
        if !self.by_reason.contains_key(reason) {
            self.by_reason.insert(reason.to_owned(), Default::default());
        }
        if let Some((total, examples)) = self.by_reason.get_mut(reason) {
            *total += 1;
            if examples.len() < EXAMPLES {
                examples.push(example());
            }
        }
    }

    /// Counts several rows; takes as many of their examples as are still wanted.
    pub fn add_many(&mut self, reason: &str, count: u64, examples: impl IntoIterator<Item = Example>) {
        let (total, mine) = self.by_reason.entry(reason.to_owned()).or_default();
        *total += count;
        mine.extend(examples.into_iter().take(EXAMPLES.saturating_sub(mine.len())));
    }

    pub fn absorb(&mut self, other: Rejects) {
        for (reason, (count, examples)) in other.by_reason {
            self.add_many(&reason, count, examples);
        }
    }

    pub fn total(&self) -> u64 {
        self.by_reason.values().map(|(count, _)| count).sum()
    }

    /// Reason, count and examples, in the order of the reasons.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64, &[Example])> {
        self.by_reason
            .iter()
            .map(|(reason, (count, examples))| (reason.as_str(), *count, examples.as_slice()))
    }
}

/// As the table of rejects stores them.
pub fn to_json(examples: &[Example]) -> String {
    serde_json::to_string(examples).unwrap_or_else(|_| "[]".into())
}

/// From the table of rejects; empty where an earlier version wrote plain texts.
pub fn from_json(text: &str) -> Vec<Example> {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_of_readers_by_type_and_whole() {
        let of = |user| Example { user: Some(user), rating: Some(Part::Integer(5)), ..Example::default() };
        let long = "ab12".repeat(16);
        for (example, user, is_of) in [
            (of(Part::Integer(5)), UserRef::Integer(5), true),
            (of(Part::Real(5.0)), UserRef::Integer(5), true),
            (of(Part::Integer(15)), UserRef::Integer(5), false),
            (of(Part::text("5")), UserRef::Integer(5), false),
            (of(Part::text("5")), UserRef::Text("5"), true),
            (of(Part::text("o'\"br\\ien")), UserRef::Text("o'\"br\\ien"), true),
            (of(Part::text(&long)), UserRef::Text(&long), true),
            (of(Part::text(&long)), UserRef::Text(&long[..60]), false),
            (Example::isbn("5"), UserRef::Text("5"), false),
        ] {
            let kept = from_json(&to_json(&[example]));
            assert_eq!(kept[0].is_of(user), is_of, "{kept:?} {user}");
        }
        assert_eq!(from_json("[\"5, x\"]"), []);
    }
}
