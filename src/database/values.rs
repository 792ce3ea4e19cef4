//! Converts SQLite values. Any column may hold a value of any type.

use std::borrow::Cow;

use rusqlite::types::ValueRef;

use crate::catalog::ids::UserRef;
use crate::catalog::rejects::Part;

/// A value as text; `None` for NULL and blobs. A whole number has no decimal point, however it is stored.
/// Invalid UTF-8 is replaced.
pub fn text(value: ValueRef<'_>) -> Option<Cow<'_, str>> {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(number) => Some(number.to_string().into()),
        ValueRef::Real(number) if is_whole(number) => Some((number as i64).to_string().into()),
        ValueRef::Real(number) => Some(number.to_string().into()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text)),
    }
}

/// A value as a reader's id, or the reason why it is none.
pub fn reader(value: ValueRef<'_>) -> std::result::Result<UserRef<'_>, &'static str> {
    match value {
        ValueRef::Null => Err("missing_user"),
        ValueRef::Integer(id) => Ok(UserRef::Integer(id)),
        // pandas writes a column of integers with a gap like this; in SQL it equals the integer.
        ValueRef::Real(id) if is_whole(id) => Ok(UserRef::Integer(id as i64)),
        ValueRef::Real(_) => Err("user_not_an_id"),
        ValueRef::Text(id) => match std::str::from_utf8(id) {
            // What pandas and others make of a gap.
            Ok("" | "nan" | "NaN" | "None" | "NULL" | "null" | "<NA>") => Err("missing_user"),
            Ok(id) => Ok(UserRef::Text(id)),
            Err(_) => Err("user_not_utf8"),
        },
        ValueRef::Blob(_) => Err("user_is_blob"),
    }
}

/// A value, as an example of a rejected row keeps it.
pub fn part(value: ValueRef<'_>) -> Part {
    match value {
        ValueRef::Null => Part::Null,
        ValueRef::Integer(value) => Part::Integer(value),
        ValueRef::Real(value) => Part::Real(value),
        ValueRef::Text(text) => Part::text(&String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => Part::Blob { blob: bytes.len() as u64 },
    }
}

/// Whether a float is a whole number, and small enough to be exact.
pub fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0
}
