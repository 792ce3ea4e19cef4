//! The new recommendations, into the free slot and then, all at once, in front of the readers.

use rusqlite::{Statement, Transaction, params};

use crate::catalog::vocabulary::{Items, UserRef, Users};
use crate::console::Bar;
use crate::error::{Error, Kind, Result};
use crate::store::slots::{self, Batch, LISTS, POPULAR, READERS, Slot};
use crate::store::{Database, quote, scrub};

/// Where an entry of a list comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The model of this run.
    Model,
    /// An earlier run's model, asked about ratings that came after it.
    FoldIn,
    /// What is popular, where the model knows too little of the reader.
    Popular,
}

impl Origin {
    /// The word in the column `source`.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Model => "model",
            Origin::FoldIn => "fold-in",
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
    /// Where it comes from.
    pub origin: Origin,
}

/// What the codes in rows mean, and which run writes them.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The run that made the rows.
    pub run_id: i64,
    /// Readers by code.
    pub users: &'a Users,
    /// Books by code.
    pub items: &'a Items,
}

impl Names<'_> {
    /// The statement that takes what [`Names::insert`] binds.
    pub(super) fn insertion(table: &str) -> String {
        format!(
            "INSERT INTO {} \
             (user_id, rank, isbn, isbn13, score, predicted_rating, source, because, run_id) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            quote(table)
        )
    }

    /// Writes a row.
    pub(super) fn insert(&self, statement: &mut Statement<'_>, row: &Recommendation) -> Result<()> {
        if !row.score.is_finite() {
            let user = self.users.get(row.user as usize);
            return Err(Error::new(
                Kind::Failed,
                format!("publishing: a score of reader {user} is not finite"),
            ));
        }
        let (isbn, isbn13) = self.book(row.item);
        bind_user(statement, 1, self.users.get(row.user as usize))?;
        statement.raw_bind_parameter(2, row.rank)?;
        statement.raw_bind_parameter(3, isbn)?;
        statement.raw_bind_parameter(4, isbn13)?;
        statement.raw_bind_parameter(5, f64::from(row.score))?;
        // SQLite has no NaN: it would become NULL anyway, but shall not by accident.
        let stars = Some(row.stars).filter(|stars| stars.is_finite());
        statement.raw_bind_parameter(6, stars.map(|stars| f64::from((stars * 1e4).round() / 1e4)))?;
        statement.raw_bind_parameter(7, row.origin.word())?;
        statement.raw_bind_parameter(8, row.because.map(|item| self.items.spelling(item as usize)))?;
        statement.raw_bind_parameter(9, self.run_id)?;
        statement.raw_execute()?;
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

/// A whole set, ready to be published.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// What the codes mean.
    pub names: Names<'a>,
    /// For each reader, what their list was made from.
    pub digests: &'a [i64],
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
        let table = quote(&slot.name(POPULAR.name));
        let insert =
            format!("INSERT INTO {table} (rank, isbn, isbn13, score, run_id) VALUES (?, ?, ?, ?, ?)");
        database.write("writing the popular list", |transaction| {
            let mut statement = transaction.prepare(&insert)?;
            for (place, (item, readers)) in self.popular.iter().enumerate() {
                let (isbn, isbn13) = self.names.book(*item);
                let rank = place as i64 + 1;
                statement.execute(params![rank, isbn, isbn13, f64::from(*readers), self.names.run_id])?;
            }
            Ok(())
        })?;

        let insert = Names::insertion(&slot.name(LISTS.name));
        self.in_batches(database, self.rows, |transaction, rows| {
            let mut statement = transaction.prepare_cached(&insert)?;
            rows.iter().try_for_each(|row| self.names.insert(&mut statement, row))?;
            bar.advance(rows.len() as u64);
            Ok(())
        })?;

        let insert = format!("INSERT INTO {} VALUES (?, ?)", quote(&slot.name(READERS.name)));
        let readers: Vec<usize> = (0..self.digests.len()).collect();
        self.in_batches(database, &readers, |transaction, readers| {
            let mut statement = transaction.prepare_cached(&insert)?;
            for user in readers {
                bind_user(&mut statement, 1, self.names.users.get(*user))?;
                statement.raw_bind_parameter(2, self.digests[*user])?;
                statement.raw_execute()?;
            }
            Ok(())
        })
    }

    /// Writes all of `rows`, in as many transactions as manners ask for.
    fn in_batches<T>(
        &self,
        database: &mut Database,
        rows: &[T],
        write: impl Fn(&Transaction<'_>, &[T]) -> Result<()>,
    ) -> Result<()> {
        let mut batch = Batch::default();
        let mut rest = rows;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch.rows.min(rest.len()));
            let ((), held) = database.write("writing the new set", |transaction| write(transaction, now))?;
            batch.adapt(held);
            rest = later;
        }
        Ok(())
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
    let cleared = database
        .read("looking for a free slot", Slot::free)
        .and_then(|slot| slots::clear(database, slot))
        .and_then(|()| scrub::clear(database));
    if cleared.is_ok() {
        database.checkpoint();
    }
}
