//! Checks the promises about the published tables.

use std::collections::HashMap;

use crate::catalog::encode::Encoded;
use crate::database::publish::reader_lists;
use crate::database::{Database, lists, snapshot, values};
use crate::error::Result;
use crate::model::data::Editions;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromiseCheck {
    pub promise: String,
    /// In how many places the promise is broken.
    pub broken: u64,
    /// One of these places.
    pub example: Option<String>,
}

/// Checks the promises that need only the tables, in plain SQL.
pub fn tables(database: &Database, top: usize) -> Result<Vec<PromiseCheck>> {
    snapshot::read(database, "checking the published tables", |connection| {
        let mut statement = connection.prepare(include_str!("../../sql/check.sql"))?;
        let findings = statement.query_map([top as i64], |row| {
            Ok(PromiseCheck {
                promise: row.get(0)?,
                broken: row.get::<_, i64>(1)?.unsigned_abs(),
                example: values::text(row.get_ref(2)?).map(|reader| format!("reader {reader}")),
            })
        })?;
        let mut findings: Vec<PromiseCheck> = findings.collect::<rusqlite::Result<_>>()?;
        let faults = snapshot::faults_of_published(connection)?;
        findings.push(PromiseCheck {
            promise: "tables and their indexes agree".into(),
            broken: faults.len() as u64,
            example: faults.into_iter().next(),
        });
        Ok(findings)
    })
}

/// What a comparison of the lists with the ratings found.
#[derive(Clone, Debug)]
pub struct Against {
    /// The promises for readers whose ratings are those that their lists were made from.
    pub firm: Vec<PromiseCheck>,
    /// The promises for all other readers: a broken one is no fault of the lists.
    pub since: Vec<PromiseCheck>,
    /// How many readers are new, changed or gone since their lists were made.
    pub stale: usize,
}

/// Checks the promises that need the ratings: no list has a book that its reader has rated, in any spelling,
/// and every reader has a list. `items` is the number of books when the set was published; `editions` tells
/// which books are one work, of which a list has only one.
pub fn against_ratings(
    database: &Database,
    ratings: &Encoded,
    items: usize,
    editions: &Editions,
) -> Result<Against> {
    let (users, codes) = (ratings.users.codes(), ratings.items.codes());
    let by_spelling: HashMap<&str, u32> =
        (0..ratings.items.len()).map(|code| (ratings.items.spelling(code), code as u32)).collect();
    let noted = reader_lists::noted(database, &ratings.users)?.unwrap_or_default();
    let digests = ratings.reader_digests();
    let fresh = |user: usize| noted.digests.get(user).copied().flatten() == Some(digests[user]);

    let finding = |promise: &str| PromiseCheck { promise: promise.into(), broken: 0, example: None };
    let empty = [
        finding("no list has a book that its reader has rated, in any spelling"),
        finding("every reader with a rating has a list"),
    ];
    let (mut firm, mut since) = (empty.clone(), empty.clone());
    let mut present = vec![false; ratings.users.len()];
    lists::scan(
        database,
        "isbn, isbn13",
        |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?)),
        |user, (spelling, isbn13)| {
            let Some((id, user)) = reader_lists::id(user.into()).and_then(|id| Some((id, *users.get(&id)?)))
            else {
                return;
            };
            let user = user as usize;
            present[user] = true;
            let spelling = spelling.unwrap_or_default();
            let item = match &isbn13 {
                Some(isbn13) => codes.get(isbn13.as_str()),
                None => by_spelling.get(spelling.as_str()),
            };
            if item.is_some_and(|item| ratings.interactions.of(user).0.binary_search(item).is_ok()) {
                let [rated, _] = if fresh(user) { &mut firm } else { &mut since };
                rated.broken += 1;
                rated.example.get_or_insert_with(|| format!("reader {id} and {spelling}"));
            }
        },
    )?;
    for user in (0..present.len()).filter(|user| !present[*user]) {
        // A reader who has read every work has nothing left to be recommended.
        let own = ratings.interactions.of(user).0;
        let is_left = |item: u32| ratings.items.is_rated(item as usize) && !editions.has(own, item);
        if own.len() < items && (0..ratings.items.len() as u32).any(is_left) {
            let [_, left_out] = if fresh(user) { &mut firm } else { &mut since };
            left_out.broken += 1;
            left_out.example.get_or_insert_with(|| format!("reader {}", ratings.users.get(user)));
        }
    }
    let stale = (0..present.len()).filter(|user| !fresh(*user)).count() + noted.others.len();
    Ok(Against { firm: firm.into(), since: since.into(), stale })
}
