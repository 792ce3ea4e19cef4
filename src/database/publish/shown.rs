//! For how many nights a book has stood in a reader's list.

use rusqlite::{Connection, Transaction};

use crate::catalog::encode::Encoded;
use crate::catalog::ids::UserRef;
use crate::catalog::recommendation::Recommendation;
use crate::database::fallen::BookCodes;
use crate::database::publish::slots::SHOWN;
use crate::database::publish::{Labels, bind_user, reader_lists};
use crate::database::table::Table;
use crate::database::{Database, lists, quote};
use crate::error::Result;
use crate::model::data::Interactions;

/// The nights before this one for which readers have been shown books, in the place of ratings. `with_current` counts the
/// set that is published now, too, as a night does that is to replace it.
pub fn nights(database: &Database, ratings: &Encoded, with_current: bool) -> Result<Interactions> {
    let (users, codes) = (ratings.users.codes(), BookCodes::new(&ratings.items));
    let mut all: Vec<(u32, u32, f32)> = Vec::new();
    let is_there = database
        .read("looking what was shown", |connection| Ok(Table::find(connection, SHOWN.name)?.is_some()))?;
    if !is_there {
        return Ok(Interactions::default());
    }
    database.read("looking what was shown", |connection| {
        all.clear();
        let mut statement = connection.prepare("SELECT user_id, isbn, nights FROM nightshelf_shown")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let user = reader_lists::id(row.get_ref(0)?).and_then(|id| users.get(&id).copied());
            let item = row.get_ref(1)?.as_str().ok().and_then(|isbn| codes.of(isbn, None));
            if let (Some(user), Some(item)) = (user, item) {
                all.push((user, item, row.get::<_, f64>(2)? as f32));
            }
        }
        Ok(())
    })?;
    if !with_current {
        return Ok(rows(&all, ratings));
    }
    let before = rows(&all, ratings);
    let mut now: Vec<(u32, u32, f32)> = Vec::new();
    lists::each(database, |user, row| {
        if let (Some(user), Some(item)) = (users.get(&user), codes.of(&row.isbn, row.isbn13.as_deref())) {
            let place = before.items_of(*user as usize).binary_search(&item);
            let nights = place.map_or(0.0, |place| before.of(*user as usize).1[place]);
            now.push((*user, item, nights + 1.0));
        }
    })?;
    Ok(rows(&now, ratings))
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
