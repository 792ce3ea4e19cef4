//! The new recommendations, into the free slot and then, all at once, in front of the readers.

use rusqlite::{Connection, Statement, Transaction, params};

use crate::catalog::vocabulary::{Items, UserRef, Users};
use crate::error::{Error, Kind, Result};
use crate::store::batches::{self, Batch};
use crate::store::slots::{self, LISTS, POPULAR, READERS, Slot};
use crate::store::{Database, quote, scrub};

/// Rows that one statement inserts: the table is opened, and its end looked for, once for all of them.
const TOGETHER: usize = 32;

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

    /// Binds the nine columns of a row to the parameters that come after the first `before`.
    fn bind(&self, statement: &mut Statement<'_>, before: usize, row: &Recommendation) -> Result<()> {
        if !row.score.is_finite() {
            let user = self.users.get(row.user as usize);
            return Err(Error::new(
                Kind::Failed,
                format!("publishing: a score of reader {user} is not finite"),
            ));
        }
        let (isbn, isbn13) = self.book(row.item);
        bind_user(statement, before + 1, self.users.get(row.user as usize))?;
        statement.raw_bind_parameter(before + 2, row.rank)?;
        statement.raw_bind_parameter(before + 3, isbn)?;
        statement.raw_bind_parameter(before + 4, isbn13)?;
        statement.raw_bind_parameter(before + 5, f64::from(row.score))?;
        // SQLite has no NaN: it would become NULL anyway, but shall not by accident.
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
    names: Names<'a>,
    table: String,
    batch: Batch,
}

impl<'a> Draft<'a> {
    /// Makes an empty set in the free slot.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn begin(database: &'a mut Database, names: Names<'a>) -> Result<Self> {
        let slot = database.read("looking for a free slot", Slot::free)?;
        batches::clear(database, slot)?;
        database.write("preparing the new set", |transaction| slots::prepare(transaction, slot))?;
        Ok(Self { database, slot, names, table: slot.name(LISTS.name), batch: Batch::default() })
    }

    /// Adds rows: all rows together come in the order of reader and rank, which is that of the primary key.
    ///
    /// # Errors
    /// Whatever SQLite says; [`Kind::Interrupted`] on a signal. The old set stands then.
    pub fn add(&mut self, rows: &[Recommendation]) -> Result<()> {
        let (table, names) = (&self.table, self.names);
        in_batches(self.database, &mut self.batch, rows, |transaction, rows| {
            names.insert(transaction, table, rows)
        })
    }

    /// Makes the set the current one. `digests` say for each reader what their list was made from, `popular`
    /// has books and their numbers of readers, most first. `finish` runs in the transaction that publishes.
    ///
    /// # Errors
    /// As [`Draft::add`].
    pub fn publish(
        mut self,
        digests: &[i64],
        popular: &[(u32, u32)],
        mut finish: impl FnMut(&Transaction<'_>) -> Result<()>,
    ) -> Result<()> {
        self.add_popular(popular)?;
        self.add_digests(digests)?;
        let slot = self.slot;
        self.database.write("publishing", |transaction| {
            slots::flip(transaction, slot)?;
            finish(transaction)
        })?;
        Ok(())
    }

    fn add_popular(&mut self, popular: &[(u32, u32)]) -> Result<()> {
        let (table, names) = (quote(&self.slot.name(POPULAR.name)), self.names);
        let insert =
            format!("INSERT INTO {table} (rank, isbn, isbn13, score, run_id) VALUES (?, ?, ?, ?, ?)");
        self.database.write("writing the popular list", |transaction| {
            let mut statement = transaction.prepare(&insert)?;
            for (place, (item, readers)) in popular.iter().enumerate() {
                let (isbn, isbn13) = names.book(*item);
                let rank = place as i64 + 1;
                statement.execute(params![rank, isbn, isbn13, f64::from(*readers), names.run_id])?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn add_digests(&mut self, digests: &[i64]) -> Result<()> {
        let insert = format!("INSERT INTO {} VALUES (?, ?)", quote(&self.slot.name(READERS.name)));
        let (users, readers) = (self.names.users, (0..digests.len()).collect::<Vec<_>>());
        in_batches(self.database, &mut self.batch, &readers, |transaction, readers| {
            let mut statement = transaction.prepare_cached(&insert)?;
            for user in readers {
                bind_user(&mut statement, 1, users.get(*user))?;
                statement.raw_bind_parameter(2, digests[*user])?;
                statement.raw_execute()?;
            }
            Ok(())
        })
    }
}

/// Writes all of `rows`, in as many transactions as manners ask for.
fn in_batches<T>(
    database: &mut Database,
    batch: &mut Batch,
    rows: &[T],
    write: impl Fn(&Transaction<'_>, &[T]) -> Result<()>,
) -> Result<()> {
    let mut rest = rows;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(batch.rows.min(rest.len()));
        let ((), held) = database.write("writing the new set", |transaction| write(transaction, now))?;
        if now.len() == batch.rows {
            batch.adapt(held);
        }
        rest = later;
    }
    Ok(())
}

/// Empties the free slot, which holds the set before the previous one: while there is other work to do, so
/// that nobody waits for it. [`Draft::begin`] does what is left.
///
/// # Errors
/// Whatever SQLite says.
pub fn make_room(database: &mut Database) -> Result<()> {
    let slot = database.read("looking for a free slot", Slot::free)?;
    batches::clear(database, slot)?;
    scrub::clear(database)
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
        batches::clear(database, free)?;
        database.write("preparing the set from before", |transaction| slots::prepare(transaction, free))?;
        batches::copy(database, slot, free)?;
        slot = free;
    }
    database.write("rolling back", |transaction| {
        slots::flip(transaction, slot)?;
        finish(transaction)
    })?;
    Ok(())
}
