//! Whether what we promise about the published tables is true.

use std::collections::HashMap;

use rusqlite::types::ValueRef;

use crate::catalog::frame::Encoded;
use crate::catalog::vocabulary::UserRef;
use crate::error::Result;
use crate::store::Database;

/// One promise, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What ought to be true.
    pub promise: String,
    /// In how many places it is not.
    pub broken: u64,
    /// A reader for whom it is not.
    pub example: Option<String>,
}

/// The promises about the tables alone, in plain SQL.
///
/// # Errors
/// Whatever SQLite says.
pub fn tables(database: &Database, top: usize) -> Result<Vec<Finding>> {
    database.read("checking the published tables", |connection| {
        let mut statement = connection.prepare(include_str!("../../sql/check.sql"))?;
        let findings = statement.query_map([top as i64], |row| {
            Ok(Finding {
                promise: row.get(0)?,
                broken: row.get::<_, i64>(1)?.unsigned_abs(),
                example: text(row.get_ref(2)?),
            })
        })?;
        Ok(findings.collect::<rusqlite::Result<_>>()?)
    })
}

/// The promises that need the ratings: nothing that a reader has rated, in any spelling, and
/// nobody left out.
///
/// # Errors
/// Whatever SQLite says.
pub fn against_ratings(database: &Database, ratings: &Encoded) -> Result<Vec<Finding>> {
    let (users, codes) = (ratings.users.codes(), ratings.items.codes());
    let by_spelling: HashMap<&str, u32> =
        (0..ratings.items.len()).map(|code| (ratings.items.spelling(code), code as u32)).collect();
    let mut rated = Finding {
        promise: "no list has a book that its reader has rated, in any spelling".into(),
        broken: 0,
        example: None,
    };
    let mut present = vec![false; ratings.users.len()];
    database.read("checking against the ratings", |connection| {
        (rated.broken, rated.example) = (0, None);
        let mut statement = connection.prepare("SELECT user_id, isbn, isbn13 FROM recommendations")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = match row.get_ref(0)? {
                ValueRef::Integer(id) => UserRef::Integer(id),
                ValueRef::Text(id) => UserRef::Text(std::str::from_utf8(id).unwrap_or_default()),
                _ => continue,
            };
            let Some(user) = users.get(&id) else {
                continue;
            };
            let user = *user as usize;
            present[user] = true;
            let spelling = row.get_ref(1)?.as_str().unwrap_or_default();
            let item = match row.get_ref(2)? {
                ValueRef::Text(isbn13) => codes.get(std::str::from_utf8(isbn13).unwrap_or_default()),
                _ => by_spelling.get(spelling),
            };
            if item.is_some_and(|item| ratings.interactions.of(user).0.binary_search(item).is_ok()) {
                rated.broken += 1;
                rated.example.get_or_insert_with(|| format!("{} and {spelling}", show(id)));
            }
        }
        Ok(())
    })?;
    let missing: Vec<usize> = (0..present.len()).filter(|user| !present[*user]).collect();
    // A reader who has read every book there is has nothing left to be recommended.
    let missing: Vec<usize> = missing
        .into_iter()
        .filter(|user| ratings.interactions.of(*user).0.len() < ratings.items.len())
        .collect();
    let left_out = Finding {
        promise: "every reader with a rating has a list".into(),
        broken: missing.len() as u64,
        example: missing.first().map(|user| show(ratings.users.get(*user))),
    };
    Ok(vec![rated, left_out])
}

fn show(id: UserRef<'_>) -> String {
    match id {
        UserRef::Integer(id) => id.to_string(),
        UserRef::Text(id) => format!("{id:?}"),
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Integer(value) => Some(value.to_string()),
        ValueRef::Real(value) => Some(value.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}
