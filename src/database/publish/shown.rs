//! For how many nights a book has stood in a reader's list.

use rusqlite::{Connection, Transaction};

use crate::catalog::encode::Encoded;
use crate::catalog::ids::UserRef;
use crate::catalog::recommendation::{Origin, Recommendation};
use crate::database::fallen::BookCodes;
use crate::database::publish::slots::SHOWN;
use crate::database::publish::{Labels, bind_user, reader_lists};
use crate::database::table::Table;
use crate::database::{Database, lists, quote};
use crate::error::Result;
use crate::model::data::Interactions;

/// What stands in a published list.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub user: u32,
    /// `None` for a book that nobody has rated any more.
    pub item: Option<u32>,
    pub origin: Origin,
    /// The run that wrote the row.
    pub run_id: i64,
}

/// All published lists, by reader and rank; those of readers without ratings are left out.
pub fn current(database: &Database, ratings: &Encoded) -> Result<Vec<Entry>> {
    let (users, codes) = (ratings.users.codes(), BookCodes::new(&ratings.items));
    let mut all = Vec::new();
    lists::scan(
        database,
        "isbn, isbn13, source, run_id",
        |row| {
            let text = |column: usize| row.get_ref(column).ok().and_then(|value| value.as_str().ok());
            let item = text(0).and_then(|isbn| codes.of(isbn, text(1)));
            Ok((item, Origin::of_word(text(2).unwrap_or_default()), row.get::<_, i64>(3)?))
        },
        |user, (item, origin, run_id)| {
            if let Some(user) = reader_lists::id(user.into()).and_then(|id| users.get(&id)) {
                all.push(Entry { user: *user, item, origin, run_id });
            }
        },
    )?;
    all.sort_by_key(|entry| entry.user);
    Ok(all)
}

/// The nights before the published set for which readers have been shown its books, in the place of ratings.
pub fn nights(database: &Database, ratings: &Encoded) -> Result<Interactions> {
    let (users, codes) = (ratings.users.codes(), BookCodes::new(&ratings.items));
    let all = database.read("looking what was shown", |connection| {
        let mut all: Vec<(u32, u32, f32)> = Vec::new();
        if Table::find(connection, SHOWN.name)?.is_none() {
            return Ok(all);
        }
        let mut statement = connection.prepare("SELECT user_id, isbn, nights FROM nightshelf_shown")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let user = reader_lists::id(row.get_ref(0)?).and_then(|id| users.get(&id).copied());
            let item = row.get_ref(1)?.as_str().ok().and_then(|isbn| codes.of(isbn, None));
            if let (Some(user), Some(item)) = (user, item) {
                all.push((user, item, row.get::<_, f64>(2)? as f32));
            }
        }
        Ok(all)
    })?;
    Ok(rows(&all, ratings))
}

/// The same before the set that is to replace this one: a night more for each of its `entries`.
pub fn nights_with(entries: &[Entry], before: &Interactions, ratings: &Encoded) -> Interactions {
    let night = |entry: &Entry| {
        let (user, item) = (entry.user as usize, entry.item?);
        let place = before.items_of(user).binary_search(&item);
        Some((entry.user, item, 1.0 + place.map_or(0.0, |place| before.of(user).1[place])))
    };
    rows(&entries.iter().filter_map(night).collect::<Vec<_>>(), ratings)
}

fn rows(all: &[(u32, u32, f32)], ratings: &Encoded) -> Interactions {
    Interactions::from_triples(ratings.users.len(), ratings.items.len(), all).0
}

/// Notes for how many nights these entries have been shown before, into a table of the shape of `nightshelf_shown`.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    table: &str,
    labels: Labels<'_>,
    rows: &[Recommendation],
    shown: &Interactions,
) -> Result<()> {
    if shown.is_empty() {
        return Ok(());
    }
    let sql = format!("INSERT INTO {} (user_id, isbn, nights) VALUES (?1, ?2, ?3)", quote(table));
    let mut statement = transaction.prepare_cached(&sql)?;
    for row in rows {
        let user = row.user as usize;
        if let Ok(place) = shown.items_of(user).binary_search(&row.item) {
            bind_user(&mut statement, 1, labels.users.get(user))?;
            statement.raw_bind_parameter(2, labels.book(row.item).0)?;
            statement.raw_bind_parameter(3, f64::from(shown.of(user).1[place]))?;
            statement.raw_execute()?;
        }
    }
    Ok(())
}

/// Forgets what a reader without ratings was shown.
pub(super) fn forget(connection: &Connection, user: UserRef<'_>) -> Result<()> {
    if Table::find(connection, SHOWN.name)?.is_some() {
        reader_lists::delete(connection, SHOWN.name, user)?;
    }
    Ok(())
}
