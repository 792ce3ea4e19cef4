//! Which records of a file count: those on the right shelf, and those that the user asked for.

use super::fields::folded;
use super::states::{State, state_of_all};
use crate::error::{Error, Kind, Result, nearest};

#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// What the user asked for; all must hold.
    pub conditions: Vec<Condition>,
    /// The place and the name of the column that says whether a book was read.
    pub state: Option<(usize, String)>,
    /// Whether a record without a mark is no reading: a catalogue has books that nobody has read yet.
    pub needs_mark: bool,
}

/// A column, and the values that it may have.
#[derive(Clone, Debug)]
pub struct Condition {
    place: usize,
    values: Vec<String>,
}

impl Condition {
    /// From `COLUMN=VALUE[,VALUE]`.
    ///
    /// # Errors
    /// [`Kind::Config`] if it says something else, or if the file has no such column.
    pub(super) fn parse(text: &str, names: &[String]) -> Result<Self> {
        let Some((name, values)) = text.split_once('=') else {
            return Err(Error::new(Kind::Config, format!("--where {text} is not understood"))
                .hint("give --where COLUMN=VALUE, or several values between commas"));
        };
        let place = names.iter().position(|own| folded(own) == folded(name)).ok_or_else(|| {
            let near = nearest(name, names.iter().map(String::as_str));
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Error::new(Kind::Config, format!("--where: the file has no column {name}{near}"))
                .hint(format!("it has {}", names.join(", ")))
        })?;
        Ok(Self { place, values: values.split(',').map(|value| value.trim().to_lowercase()).collect() })
    }
}

impl Filter {
    /// Why a record does not count; `None` if it does. `is_marked`: whether it has stars, which only a reader gives.
    pub fn why_not(&self, fields: &[String], is_marked: bool) -> Option<&'static str> {
        let value = |place: usize| fields.get(place).map(String::as_str).unwrap_or_default();
        let holds =
            |condition: &Condition| condition.values.contains(&value(condition.place).trim().to_lowercase());
        if !self.conditions.iter().all(holds) {
            return Some(BY_WHERE);
        }
        if let Some((place, name)) = &self.state
            && !is_marked
        {
            match state_of_all(value(*place), name) {
                Some(State::Unread) => return Some(UNREAD),
                Some(State::GivenUp) => return Some(GIVEN_UP),
                Some(State::Read) | None => {}
            }
        }
        (self.needs_mark && !is_marked).then_some(UNMARKED)
    }
}

/// Reasons of records that are left out, not rejected.
pub const LEFT_OUT: [&str; 4] = [BY_WHERE, UNREAD, GIVEN_UP, UNMARKED];
const BY_WHERE: &str = "not_asked_for";
const UNREAD: &str = "not_read";
const GIVEN_UP: &str = "given_up";
const UNMARKED: &str = "not_rated";
