//! The new recommendations, into the free slot and then, all at once, in front of the readers.

use rusqlite::{Transaction, params};

use crate::catalog::vocabulary::{Items, UserRef, Users};
use crate::console::Bar;
use crate::error::{Error, Kind, Result};
use crate::store::slots::{self, Batch, Slot};
use crate::store::{Database, quote};

/// Where an entry of a list comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The model of this run.
    Model,
    /// What is popular, where the model knows too little of the reader.
    Popular,
}

impl Origin {
    /// The word in the column `source`.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Model => "model",
            Origin::Popular => "popular",
        }
    }
}

/// One row of `recommendations`, in codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recommendation {
    /// Code of the reader.
    pub user: u32,
    /// From 1.
    pub rank: u32,
    /// Code of the book.
    pub item: u32,
    /// Code of the reader's own book that contributed most.
    pub because: Option<u32>,
    /// What the ranking is by.
    pub score: f32,
    /// Expected stars; NaN where nothing is known.
    pub stars: f32,
    /// Model or popular.
    pub origin: Origin,
}

/// A whole set, ready to be published.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The run that made it.
    pub run_id: i64,
    /// Readers by code.
    pub users: &'a Users,
    /// Books by code.
    pub items: &'a Items,
    /// Rows in the order of reader and rank, which is that of the primary key.
    pub rows: &'a [Recommendation],
    /// Book and number of readers, most first.
    pub popular: &'a [(u32, u32)],
}

impl Publication<'_> {
    /// Writes the set and makes it the current one. `finish` runs in the transaction that does.
    ///
    /// # Errors
    /// Whatever SQLite says; [`Kind::Interrupted`] on a signal. The old set stands then.
    pub fn publish(
        &self,
        database: &mut Database,
        bar: &Bar,
        mut finish: impl FnMut(&Transaction<'_>) -> Result<()>,
    ) -> Result<()> {
        if let Some(row) = self.rows.iter().find(|row| !row.score.is_finite()) {
            let user = row.user;
            return Err(Error::new(
                Kind::Failed,
                format!("publishing: a score of reader {user} is not finite"),
            ));
        }
        let slot = database.read("looking for a free slot", Slot::free)?;
        slots::clear(database, slot)?;
        database.write("preparing the new set", |transaction| slots::prepare(transaction, slot))?;
        self.fill(database, slot, bar)?;
        database.write("publishing", |transaction| {
            slots::flip(transaction, slot)?;
            finish(transaction)
        })?;
        tidy(database);
        Ok(())
    }

    fn fill(&self, database: &mut Database, slot: Slot, bar: &Bar) -> Result<()> {
        let table = quote(&slot.name(slots::PUBLISHED[1].0));
        let insert =
            format!("INSERT INTO {table} (rank, isbn, isbn13, score, run_id) VALUES (?, ?, ?, ?, ?)");
        database.write("writing the popular list", |transaction| {
            let mut statement = transaction.prepare(&insert)?;
            for (place, (item, readers)) in self.popular.iter().enumerate() {
                let (isbn, isbn13) = self.names(*item);
                statement.execute(params![
                    place as i64 + 1,
                    isbn,
                    isbn13,
                    f64::from(*readers),
                    self.run_id
                ])?;
            }
            Ok(())
        })?;

        let table = quote(&slot.name(slots::PUBLISHED[0].0));
        let insert = format!(
            "INSERT INTO {table} \
             (user_id, rank, isbn, isbn13, score, predicted_rating, source, because, run_id) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let mut batch = Batch::default();
        let mut rest = self.rows;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch.rows.min(rest.len()));
            let ((), held) = database.write("writing the new set", |transaction| {
                let mut statement = transaction.prepare_cached(&insert)?;
                for row in now {
                    self.bind(&mut statement, row)?;
                    statement.raw_execute()?;
                }
                Ok(())
            })?;
            bar.advance(now.len() as u64);
            batch.adapt(held);
            rest = later;
        }
        Ok(())
    }

    fn bind(&self, statement: &mut rusqlite::Statement<'_>, row: &Recommendation) -> rusqlite::Result<()> {
        match self.users.get(row.user as usize) {
            UserRef::Integer(id) => statement.raw_bind_parameter(1, id)?,
            UserRef::Text(id) => statement.raw_bind_parameter(1, id)?,
        }
        let (isbn, isbn13) = self.names(row.item);
        statement.raw_bind_parameter(2, row.rank)?;
        statement.raw_bind_parameter(3, isbn)?;
        statement.raw_bind_parameter(4, isbn13)?;
        statement.raw_bind_parameter(5, f64::from(row.score))?;
        // SQLite has no NaN: it would become NULL anyway, but shall not by accident.
        let stars = Some(row.stars).filter(|stars| stars.is_finite());
        statement.raw_bind_parameter(6, stars.map(|stars| f64::from((stars * 1e4).round() / 1e4)))?;
        statement.raw_bind_parameter(7, row.origin.word())?;
        statement.raw_bind_parameter(8, row.because.map(|item| self.items.spelling(item as usize)))?;
        statement.raw_bind_parameter(9, self.run_id)
    }

    fn names(&self, item: u32) -> (&str, Option<&str>) {
        (self.items.spelling(item as usize), self.items.isbn13(item as usize))
    }
}

/// Puts the set before the current one back, whatever its size, in one short transaction.
///
/// # Errors
/// [`Kind::Failed`] if there is none.
pub fn rollback(
    database: &mut Database,
    mut finish: impl FnMut(&Transaction<'_>) -> Result<()>,
) -> Result<()> {
    let nothing = || {
        Error::new(Kind::Failed, "there is no set before the current one to go back to")
            .hint("the set before the current one is kept from the second `nightshelf run` on")
    };
    let looking = "looking for the set before";
    let mut slot = database.read(looking, Slot::previous)?.ok_or_else(nothing)?;
    if !database.read(looking, |connection| slots::fits(connection, slot))? {
        // An index was added or dropped since: the old set is written anew, in the new shape.
        let free = database.read(looking, Slot::free)?;
        slots::clear(database, free)?;
        database.write("preparing the set from before", |transaction| slots::prepare(transaction, free))?;
        slots::copy(database, slot, free)?;
        slot = free;
    }
    database.write("rolling back", |transaction| {
        slots::flip(transaction, slot)?;
        finish(transaction)
    })?;
    tidy(database);
    Ok(())
}

/// Clears what is older than the set before the current one.
///
/// The new set is published by now, so a failure here is none of the run's: the next one clears
/// its slot before it writes.
fn tidy(database: &mut Database) {
    let cleared =
        database.read("looking for a free slot", Slot::free).and_then(|slot| slots::clear(database, slot));
    if cleared.is_ok() {
        database.checkpoint();
    }
}
