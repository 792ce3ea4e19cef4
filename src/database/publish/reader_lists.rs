//! One reader's list at a time: looks up what it was made from, replaces it, or deletes it.
//!
//! `nightshelf_readers` has for each reader the digest of the ratings that the published list was made from.
//! It is published together with the lists, so the two always agree, and a rollback puts both back.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Transaction};

use crate::catalog::ids::{UserId, UserRef, Users};
use crate::catalog::recommendation::Recommendation;
use crate::database::batch_size::BatchSize;
use crate::database::publish::slots::{LISTS, READERS};
use crate::database::publish::{Labels, bind_user, shown};
use crate::database::table::Table;
use crate::database::{Database, quote};
use crate::error::Result;
use crate::failpoint;

/// Whether a row is of the reader `?1`, whatever collation the column has: 'Ann' is not 'ann'.
///
/// The first comparison finds the rows through an index of that collation.
pub(in crate::database) const IS_READER: &str = "user_id = ?1 AND user_id COLLATE BINARY = ?1";

/// What the published lists were made from.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// The digest for each reader; `None` where no list is published.
    pub digests: Vec<Option<i64>>,
    /// Readers with a list who are not among the users that were asked about.
    pub others: Vec<UserId>,
}

/// Looks up what the lists of `users` were made from, and who else has a list.
///
/// `None` if the set is of a version that did not store this.
pub fn noted(database: &Database, users: &Users) -> Result<Option<Noted>> {
    let codes = users.codes();
    database.read("looking up what the lists were made from", |connection| {
        if Table::find(connection, READERS.name)?.is_none() {
            return Ok(None);
        }
        let mut noted = Noted { digests: vec![None; users.len()], others: Vec::new() };
        let mut statement = connection.prepare("SELECT user_id, digest FROM nightshelf_readers")?;
        let mut rows = statement.query([])?;
        let mut any = false;
        while let Some(row) = rows.next()? {
            any = true;
            let Some(id) = id(row.get_ref(0)?) else {
                continue;
            };
            match codes.get(&id) {
                Some(code) => noted.digests[*code as usize] = Some(row.get(1)?),
                None => noted.others.push(id.to_owned()),
            }
        }
        Ok(any.then_some(noted))
    })
}

/// The reader's id in a column of ours; `None` if the value is no id.
pub(in crate::database) fn id(value: ValueRef<'_>) -> Option<UserRef<'_>> {
    match value {
        ValueRef::Integer(id) => Some(UserRef::Integer(id)),
        ValueRef::Text(id) => std::str::from_utf8(id).ok().map(UserRef::Text),
        _ => None,
    }
}

/// A reader's new list, which replaces the published one.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'a> {
    pub user: UserRef<'a>,
    /// What it was made from; `None` if the reader has no ratings any more.
    pub note: Option<Note>,
    /// By rank; may be empty.
    pub rows: &'a [Recommendation],
}

/// Replaces some readers' lists, each at once, in short transactions. On an error each list is the old or the
/// new one.
///
/// After each transaction, `done` is called with the number of readers who have their new list.
pub fn replace(
    database: &mut Database,
    labels: Labels<'_>,
    replacements: &[Replacement<'_>],
    mut done: impl FnMut(usize),
) -> Result<()> {
    // The cost of one reader depends on the table's indexes, so the first batch has one reader.
    let has_all = database.read("looking up what the lists were made from", |connection| {
        Ok(Table::find(connection, READERS.name)?.is_some_and(|table| table.has("popular")))
    })?;
    let (mut finished, mut batch) = (0, BatchSize::new(1).within(1, 4096).growing(8.0));
    while finished < replacements.len() {
        let now = &replacements[finished..(finished + batch.rows).min(replacements.len())];
        let ((), held) = database.write("replacing lists", |transaction| {
            now.iter().try_for_each(|replacement| replace_one(transaction, labels, has_all, replacement))
        })?;
        failpoint::reach("backfill.batch");
        batch.adapt(held);
        finished += now.len();
        done(finished);
    }
    Ok(())
}

fn replace_one(
    transaction: &Transaction<'_>,
    labels: Labels<'_>,
    has_all: bool,
    replacement: &Replacement<'_>,
) -> Result<()> {
    delete(transaction, LISTS.name, replacement.user)?;
    labels.insert(transaction, LISTS.name, replacement.rows)?;
    delete(transaction, READERS.name, replacement.user)?;
    match replacement.note {
        Some(note) => note.insert(transaction, READERS.name, has_all, replacement.user),
        None => shown::forget(transaction, replacement.user),
    }
}

/// What a reader's list was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    pub digest: i64,
    /// How many ratings.
    pub ratings: u32,
    /// How many of them stood in the popular list, as far as lists are long.
    pub popular: u32,
}

impl Note {
    /// Writes a row of the shape of `nightshelf_readers`.
    /// A set of an earlier version has not all columns, but the digest alone.
    pub(super) fn insert(
        self,
        connection: &Connection,
        table: &str,
        has_all: bool,
        user: UserRef<'_>,
    ) -> Result<()> {
        let (columns, marks) = if has_all { (", ratings, popular", ", ?3, ?4") } else { ("", "") };
        let sql = format!("INSERT INTO {} (user_id, digest{columns}) VALUES (?1, ?2{marks})", quote(table));
        let mut statement = connection.prepare_cached(&sql)?;
        bind_user(&mut statement, 1, user)?;
        statement.raw_bind_parameter(2, self.digest)?;
        if has_all {
            statement.raw_bind_parameter(3, self.ratings)?;
            statement.raw_bind_parameter(4, self.popular)?;
        }
        statement.raw_execute()?;
        Ok(())
    }
}

/// What [`ratings_then`] finds of a reader.
#[derive(Clone, Copy, Debug)]
pub struct Then {
    pub ratings: u32,
    /// `None` if the popular list was replaced since.
    pub popular: Option<u32>,
}

/// How many ratings `users` had when their lists were made; `None` if the set is of a version that did not store this.
pub fn ratings_then(database: &Database, users: &Users) -> Result<Option<Vec<Option<Then>>>> {
    let codes = users.codes();
    database.read("looking up what the lists were made from", |connection| {
        if !Table::find(connection, READERS.name)?.is_some_and(|table| table.has("popular")) {
            return Ok(None);
        }
        let is_replaced = super::tables::was_replaced(connection)?;
        let mut then = vec![None; users.len()];
        let mut statement = connection.prepare("SELECT user_id, ratings, popular FROM nightshelf_readers")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let user = id(row.get_ref(0)?).and_then(|id| codes.get(&id).copied());
            if let (Some(user), Some(ratings)) = (user, row.get::<_, Option<u32>>(1)?) {
                let popular = row.get::<_, Option<u32>>(2)?.filter(|_| !is_replaced);
                then[user as usize] = Some(Then { ratings, popular });
            }
        }
        Ok(Some(then))
    })
}

/// Deletes a reader's rows, and returns how many there were.
pub(in crate::database) fn delete(connection: &Connection, table: &str, user: UserRef<'_>) -> Result<usize> {
    let mut statement =
        connection.prepare_cached(&format!("DELETE FROM {} WHERE {IS_READER}", quote(table)))?;
    bind_user(&mut statement, 1, user)?;
    Ok(statement.raw_execute()?)
}
