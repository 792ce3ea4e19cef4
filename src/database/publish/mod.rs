//! Publishes new recommendations: writes them into a free slot ([`Draft`]), then makes them the current set
//! at once. [`rollback`] makes the previous set the current one again.

pub mod batches;
pub mod exchange;
pub mod reader_lists;
pub mod rehearsal;
pub mod shape;
pub mod shown;
pub mod slots;
pub mod tables;

use rusqlite::{Connection, Statement, Transaction};

use crate::catalog::ids::{Items, UserRef, Users};
use crate::catalog::recommendation::Recommendation;
use crate::database::batch_size::BatchSize;
use crate::database::{Database, quote, scrub};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::model::data::Interactions;
use reader_lists::Note;
use shape::Shape;
use slots::{LISTS, POPULAR, READERS, SHOWN, Slot, previous_rows};
pub use tables::Beside;

/// Rows that one statement inserts: SQLite opens the table and looks for its end once for all of them.
const TOGETHER: usize = 32;

/// The meaning of the codes in rows, and the run that writes them.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    pub run_id: i64,
    /// Readers by code.
    pub users: &'a Users,
    /// Books by code.
    pub items: &'a Items,
}

impl Labels<'_> {
    /// Writes rows into a table of the shape of `recommendations`.
    pub(super) fn insert(&self, connection: &Connection, table: &str, rows: &[Recommendation]) -> Result<()> {
        let (many, few) = rows.split_at(rows.len() - rows.len() % TOGETHER);
        for (rows, together) in [(many, TOGETHER), (few, 1)].into_iter().filter(|(rows, _)| !rows.is_empty())
        {
            let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?)"; together].join(", ");
            let mut statement = connection.prepare_cached(&format!(
                "INSERT INTO {} \
                 (user_id, rank, isbn, isbn13, score, predicted_rating, source, because, run_id) \
                 VALUES {values}",
                quote(table)
            ))?;
            for rows in rows.chunks_exact(together) {
                for (place, row) in rows.iter().enumerate() {
                    self.bind(&mut statement, 9 * place, row)?;
                }
                statement.raw_execute()?;
            }
        }
        Ok(())
    }

    /// Binds the nine columns of a row to the parameters after number `before`.
    fn bind(&self, statement: &mut Statement<'_>, before: usize, row: &Recommendation) -> Result<()> {
        if !row.score.is_finite() {
            // Without the reader's id: the message is kept in the history.
            return Err(Error::new(Kind::Failed, "publishing: a score of a reader is not finite"));
        }
        let (isbn, isbn13) = self.book(row.item);
        bind_user(statement, before + 1, self.users.get(row.user as usize))?;
        statement.raw_bind_parameter(before + 2, row.rank)?;
        statement.raw_bind_parameter(before + 3, isbn)?;
        statement.raw_bind_parameter(before + 4, isbn13)?;
        statement.raw_bind_parameter(before + 5, f64::from(row.score))?;
        // SQLite has no NaN and would store NULL anyway; this makes it explicit.
        let stars = Some(row.stars).filter(|stars| stars.is_finite());
        statement
            .raw_bind_parameter(before + 6, stars.map(|stars| f64::from((stars * 1e4).round() / 1e4)))?;
        statement.raw_bind_parameter(before + 7, row.origin.word())?;
        statement
            .raw_bind_parameter(before + 8, row.because.map(|item| self.items.spelling(item as usize)))?;
        statement.raw_bind_parameter(before + 9, self.run_id)?;
        Ok(())
    }

    /// A book's spelling and its ISBN-13.
    fn book(&self, item: u32) -> (&str, Option<&str>) {
        (self.items.spelling(item as usize), self.items.isbn13(item as usize))
    }
}

/// Binds a reader's id in its own storage class.
pub(super) fn bind_user(
    statement: &mut Statement<'_>,
    place: usize,
    user: UserRef<'_>,
) -> rusqlite::Result<()> {
    match user {
        UserRef::Integer(id) => statement.raw_bind_parameter(place, id),
        UserRef::Text(id) => statement.raw_bind_parameter(place, id),
    }
}

/// A new set while it is written: nobody sees it before [`Draft::publish`].
#[derive(Debug)]
pub struct Draft<'a> {
    database: &'a mut Database,
    slot: Slot,
    /// The empty slot that the current set moves to.
    retired: Slot,
    labels: Labels<'a>,
    table: String,
    batch: BatchSize,
    written: u64,
}

impl<'a> Draft<'a> {
    /// Makes an empty set in a free slot.
    pub fn begin(database: &'a mut Database, labels: Labels<'a>) -> Result<Self> {
        let [slot, retired] = free_slots(database)?;
        database.write("preparing the new set", |transaction| {
            exchange::free_users_names(transaction)?;
            exchange::prepare(transaction, slot)
        })?;
        failpoint::reach("draft.prepared");
        Ok(Self {
            database,
            slot,
            retired,
            labels,
            table: slot.name(LISTS.name),
            batch: BatchSize::new(batches::FIRST_BATCH),
            written: 0,
        })
    }

    /// Adds rows. All rows together must come in the order of reader and rank, which is that of the primary
    /// key.
    /// `nights` is for how many they have been shown before.
    pub fn add(&mut self, rows: &[Recommendation], nights: &Interactions) -> Result<()> {
        let (table, labels, shown) = (&self.table, self.labels, self.slot.name(SHOWN.name));
        self.written += rows.len() as u64;
        in_batches(self.database, &mut self.batch, rows, |transaction, rows| {
            labels.insert(transaction, table, rows)?;
            shown::insert(transaction, &shown, labels, rows, nights)
        })
    }

    /// Makes the set the current one. `notes` say for each reader what their list was made from. `finish` runs in
    /// the transaction that publishes.
    pub fn publish(
        mut self,
        notes: &[Note],
        beside: &Beside,
        mut finish: impl FnMut(&Transaction<'_>) -> Result<()>,
    ) -> Result<()> {
        self.add_beside(beside)?;
        self.add_notes(notes)?;
        failpoint::reach("draft.written");
        let Self { database, slot, retired, written, .. } = self;
        check_all_are_there(database, slot, written)?;
        let rows = batches::rows_of_set(database, str::to_owned)?;
        // A separate connection, because nobody may use it further if the exchange fails.
        database.for_exchange()?.write("publishing", |transaction| {
            exchange::exchange(transaction, slot, retired, &rows)?;
            finish(transaction)
        })?;
        failpoint::reach("exchange.committed");
        Ok(())
    }

    fn add_beside(&mut self, beside: &Beside) -> Result<()> {
        let (labels, slot) = (self.labels, self.slot);
        let name = |table: &str| slot.name(table);
        for rows in beside.tables(labels.items) {
            in_batches(self.database, &mut self.batch, &rows.rows, |transaction, some| {
                rows.insert(transaction, &name(rows.table), labels, some)
            })?;
        }
        Ok(())
    }

    fn add_notes(&mut self, notes: &[Note]) -> Result<()> {
        let table = self.slot.name(READERS.name);
        let (users, readers) = (self.labels.users, (0..notes.len()).collect::<Vec<_>>());
        in_batches(self.database, &mut self.batch, &readers, |transaction, readers| {
            readers
                .iter()
                .try_for_each(|user| notes[*user].insert(transaction, &table, true, users.get(*user)))
        })
    }
}

/// Writes all of `rows`, in transactions so short that others do not wait long.
fn in_batches<T>(
    database: &mut Database,
    batch: &mut BatchSize,
    rows: &[T],
    write: impl Fn(&Transaction<'_>, &[T]) -> Result<()>,
) -> Result<()> {
    let mut rest = rows;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(batch.rows.min(rest.len()));
        let ((), held) = database.write("writing the new set", |transaction| write(transaction, now))?;
        failpoint::reach("draft.rows");
        if now.len() == batch.rows {
            batch.adapt(held);
        }
        rest = later;
    }
    Ok(())
}

/// Fails unless all rows that were written are there: in a table that nightshelf did not shape, a constraint
/// may silently replace or ignore some.
fn check_all_are_there(database: &Database, slot: Slot, written: u64) -> Result<()> {
    let looking = "looking at the new set";
    let shape = database.read(looking, |connection| Shape::find(connection, &slot.name(LISTS.name)))?;
    if shape.is_some_and(|shape| shape.body == LISTS.own_shape().body) {
        return Ok(());
    }
    let there = batches::rows_of_set(database, |name| slot.name(name))?;
    match there.get(LISTS.name) {
        Some(there) if *there == written => Ok(()),
        there => {
            let there = there.copied().unwrap_or_default();
            let message = format!("of {written} rows {there} are in the new set; it was not published");
            Err(Error::new(Kind::Failed, message)
                .hint("a constraint of recommendations replaces or ignores rows: see its CREATE statement"))
        }
    }
}

/// Empties the slots that are not in use; one of them may hold the set before the previous one. This runs
/// during other work, so that nobody waits for it. [`Draft::begin`] does what is left.
pub fn empty_unused_slots(database: &mut Database) -> Result<()> {
    free_slots(database)?;
    scrub::clear(database)
}

/// Empties the slots that are not in use, and returns two of them.
fn free_slots(database: &mut Database) -> Result<[Slot; 2]> {
    for slot in database.read("looking for free slots", Slot::unused)? {
        batches::clear(database, slot)?;
    }
    database.read("looking for free slots", Slot::free)
}

/// Makes the previous set the current one, whatever its size, in one short transaction, in which `finish`
/// runs too.
///
/// # Errors
/// [`Kind::Failed`] if there is no previous set, or it is not complete any more.
pub fn rollback(
    database: &mut Database,
    mut finish: impl FnMut(&Transaction<'_>) -> Result<()>,
) -> Result<()> {
    let looking = "looking for the set before";
    database.read(looking, slots::refuse_foreign_tables)?;
    let mut slot = database.read(looking, Slot::previous)?.ok_or_else(|| {
        Error::new(Kind::Failed, "there is no set before the current one to go back to")
            .hint("the set before the current one is kept from the second `nightshelf run` on")
    })?;
    check_is_whole(database, slot)?;
    let [mut free, retired] = free_slots(database)?;
    if !database.read(looking, |connection| exchange::fits(connection, slot))? {
        // An index was added or dropped since: the previous set is written anew, in the new shape.
        reshape(database, slot, free)?;
        std::mem::swap(&mut slot, &mut free);
    }
    failpoint::reach("rollback.prepared");
    let rows = batches::rows_of_set(database, str::to_owned)?;
    database.for_exchange()?.write("rolling back", |transaction| {
        exchange::exchange(transaction, slot, retired, &rows)?;
        finish(transaction)
    })?;
    failpoint::reach("exchange.committed");
    // The rollback is done: what cannot be cleared now is cleared by the next night.
    let _ = leave_strict(database).and_then(|()| free_slots(database));
    Ok(())
}

/// Fails unless the previous set is complete: its tables, and the numbers of rows that they had as the
/// current set.
fn check_is_whole(database: &Database, slot: Slot) -> Result<()> {
    let broken = |what: String| {
        Error::new(Kind::Failed, format!("the set before the current one is not whole: {what}"))
            .hint("the current set stands; `nightshelf run --force` makes a new one")
    };
    let there = batches::rows_of_set(database, |name| slot.name(name))?;
    for name in [LISTS.name, POPULAR.name] {
        if !there.contains_key(name) {
            return Err(broken(format!("there is no table {}", slot.name(name))));
        }
    }
    let noted = database.read("looking for the set before", previous_rows)?;
    for (name, then) in noted.into_iter().flatten() {
        let now = there.get(&name).copied().unwrap_or_default();
        if now != then {
            return Err(broken(format!("{} has {now} rows, and had {then}", slot.name(&name))));
        }
    }
    Ok(())
}

/// Writes the set in the slot `from` anew into the slot `to`, in the shape that the published tables have
/// now.
///
/// # Errors
/// [`Kind::Failed`] if rows would be lost or ids changed.
fn reshape(database: &mut Database, from: Slot, to: Slot) -> Result<()> {
    database.write("preparing the set from before", |transaction| {
        exchange::free_users_names(transaction)?;
        exchange::prepare(transaction, to)
    })?;
    batches::check_keeps_types(database, from, to)?;
    let before = batches::rows_of_set(database, |name| from.name(name))?;
    batches::copy(database, from, to)?;
    let after = batches::rows_of_set(database, |name| to.name(name))?;
    match before.iter().find(|(name, rows)| after.get(*name) != Some(*rows)) {
        None => Ok(()),
        Some((name, rows)) => {
            let there = after.get(name).copied().unwrap_or_default();
            let message = format!(
                "in the shape that {name} has now, {there} of {rows} rows of the set before are left"
            );
            Err(Error::new(Kind::Failed, message)
                .hint("the current set stands; `nightshelf run --force` makes a new one"))
        }
    }
}

/// Writes the previous set anew where its tables are `STRICT`, as an earlier nightshelf made them: while one
/// such table exists, a program with a SQLite before 3.37 cannot read anything in the database. If this
/// fails, the previous set stays as it was.
pub fn leave_strict(database: &mut Database) -> Result<()> {
    let outdated = database.read("looking at the set from before", |connection| {
        let slot = Slot::previous(connection)?;
        Ok(match slot {
            Some(slot) if slot.is_outdated(connection)? => Some(slot),
            _ => None,
        })
    })?;
    let Some(slot) = outdated else {
        return Ok(());
    };
    let [to, _] = free_slots(database)?;
    reshape(database, slot, to)?;
    let rows = batches::rows_of_set(database, |name| to.name(name))?;
    database
        .write("changing the set from before over", |transaction| to.note_as_previous(transaction, &rows))?;
    batches::clear(database, slot)
}
