//! Checks the promises about the published tables.

use rusqlite::Row;

use crate::catalog::encode::Encoded;
use crate::catalog::selection::Selection;
use crate::config;
use crate::database::fallen::{BookCodes, each};
use crate::database::publish::reader_lists;
use crate::database::publish::slots::{POPULAR, POPULAR_BY, SIMILAR};
use crate::database::table::Table;
use crate::database::{Database, lists, snapshot, values};
use crate::error::Result;
use crate::model::data::{Descriptions, Editions};
use crate::model::rules::Rules;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromiseCheck {
    pub promise: String,
    /// In how many places the promise is broken.
    pub broken: u64,
    /// One of these places.
    pub example: Option<String>,
}

impl PromiseCheck {
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.broken += 1;
        self.example.get_or_insert_with(example);
    }
}

/// Checks the promises that need only the tables, in plain SQL.
pub fn tables(database: &Database, top: usize) -> Result<Vec<PromiseCheck>> {
    snapshot::read(database, "checking the published tables", |connection| {
        let mut statement = connection.prepare(include_str!("../../sql/check.sql"))?;
        let finding = |row: &Row<'_>| {
            Ok(PromiseCheck {
                promise: row.get(0)?,
                broken: row.get::<_, i64>(1)?.unsigned_abs(),
                example: values::text(row.get_ref(2)?).map(|reader| format!("reader {reader}")),
            })
        };
        let mut findings: Vec<PromiseCheck> =
            statement.query_map([top as i64], finding)?.collect::<rusqlite::Result<_>>()?;
        // A set of an earlier version has no such tables.
        if Table::find(connection, SIMILAR.name)?.is_some() {
            let mut beside = connection.prepare(include_str!("../../sql/check_beside.sql"))?;
            let found = beside.query_map([], |row| {
                Ok(PromiseCheck { example: values::text(row.get_ref(2)?).map(Into::into), ..finding(row)? })
            })?;
            findings.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
        }
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

/// What the ratings, the table of books and the user's own queries say now.
#[derive(Clone, Copy)]
pub struct Present<'a> {
    pub ratings: &'a Encoded,
    pub selection: &'a Selection,
    /// Which books are one work, and what is known of them.
    pub editions: &'a Editions,
    pub descriptions: &'a Descriptions,
    /// Those of the run that is published.
    pub rules: &'a config::Rules,
    /// The number of books when the set was published.
    pub items: usize,
}

/// Checks the promises that need more than the tables: no list has a book that its reader has rated, in any spelling,
/// that is no candidate or hidden, or that the rules forbid; and every reader has a list.
pub fn against_ratings(database: &Database, present: Present<'_>) -> Result<Against> {
    let Present { ratings, selection, editions, descriptions, rules, items } = present;
    let (users, codes) = (ratings.users.codes(), BookCodes::new(&ratings.items));
    let rules = Rules::new(rules, editions, descriptions, &selection.candidates);
    let noted = reader_lists::noted(database, &ratings.users)?.unwrap_or_default();
    let digests = ratings.reader_digests();
    let fresh = |user: usize| noted.digests.get(user).copied().flatten() == Some(digests[user]);

    let finding = |promise: &str| PromiseCheck { promise: promise.into(), broken: 0, example: None };
    let empty = [
        finding("no list has a book that its reader has rated, in any spelling"),
        finding("every reader with a rating has a list"),
        finding("lists keep to the rules for authors, series and languages"),
    ];
    let mut fallen = [
        finding("no list has a book that may not be recommended"),
        finding("no list has a book that is hidden from its reader"),
    ];
    let mut list: Vec<u32> = Vec::new();
    let mut reader = None;
    let (mut firm, mut since) = (empty.clone(), empty.clone());
    let mut has_list = vec![false; ratings.users.len()];
    let keep_to_rules =
        |user: Option<u32>, list: &[u32], firm: &mut PromiseCheck, since: &mut PromiseCheck| {
            let Some(user) = user else { return };
            let own = ratings.interactions.of(user as usize).0;
            if rules.of_user(own, &[]).breaks(list) {
                let promise = if fresh(user as usize) { firm } else { since };
                promise.add(|| format!("reader {}", ratings.users.get(user as usize)));
            }
        };
    lists::scan(
        database,
        "isbn, isbn13",
        |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?)),
        |user, (spelling, isbn13)| {
            let Some((id, user)) = reader_lists::id(user.into()).and_then(|id| Some((id, *users.get(&id)?)))
            else {
                return;
            };
            if reader.is_some_and(|before| before != user) {
                keep_to_rules(reader, &list, &mut firm[2], &mut since[2]);
                list.clear();
            }
            reader = Some(user);
            has_list[user as usize] = true;
            let spelling = spelling.unwrap_or_default();
            let item = codes.of(&spelling, isbn13.as_deref());
            let example = || format!("reader {id} and {spelling}");
            let [no_candidate, hidden] = &mut fallen;
            if item.map_or(!selection.candidates.is_empty(), |item| !selection.is_candidate(item)) {
                no_candidate.add(example);
            }
            let Some(item) = item else { return };
            list.push(item);
            if selection.is_hidden(user, item) {
                hidden.add(example);
            }
            if ratings.interactions.of(user as usize).0.binary_search(&item).is_ok() {
                let [rated, ..] = if fresh(user as usize) { &mut firm } else { &mut since };
                rated.add(example);
            }
        },
    )?;
    keep_to_rules(reader, &list, &mut firm[2], &mut since[2]);
    for user in (0..has_list.len()).filter(|user| !has_list[*user]) {
        // A reader who has read every work has nothing left to be recommended.
        let own = ratings.interactions.of(user).0;
        let of_user = rules.of_user(own, selection.hidden.items_of(user));
        let is_left = |item: u32| ratings.items.is_rated(item as usize) && of_user.allows(item);
        if own.len() < items && (0..ratings.items.len() as u32).any(is_left) {
            let [_, left_out, _] = if fresh(user) { &mut firm } else { &mut since };
            left_out.add(|| format!("reader {}", ratings.users.get(user)));
        }
    }
    let mut beside = finding("no popular or similar book is one that may not be recommended");
    database.read("looking at what is popular and similar", |connection| {
        let mut add = |isbn: &str, isbn13: Option<&str>| {
            let item = codes.of(isbn, isbn13);
            if item.map_or(!selection.candidates.is_empty(), |item| !selection.is_candidate(item)) {
                beside.add(|| isbn.to_owned());
            }
        };
        for table in [POPULAR, POPULAR_BY] {
            each(connection, table, ["''", "isbn", "isbn13"], |_, isbn, isbn13| add(isbn, isbn13))?;
        }
        each(connection, SIMILAR, ["''", "similar_isbn", "similar_isbn13"], |_, isbn, isbn13| {
            add(isbn, isbn13)
        })
    })?;
    let stale = (0..has_list.len()).filter(|user| !fresh(*user)).count() + noted.others.len();
    let firm = firm.into_iter().chain(fallen).chain([beside]).collect();
    Ok(Against { firm, since: since.into(), stale })
}
