//! Checks before training whether the published tables accept tonight's rows, and whether they can be
//! exchanged.
//!
//! The application or an ORM may have given `recommendations` any shape. Most shapes work. The others are
//! found here in milliseconds, with a clear message, instead of by a night that fails at its end.

use std::collections::HashSet;

use rusqlite::Connection;

use crate::catalog::recommendation::{Origin, Recommendation};
use crate::database::publish::reader_lists::{self, IS_READER};
use crate::database::publish::slots::{LISTS, RowCounts, Slot};
use crate::database::publish::{Labels, bind_user, exchange};
use crate::database::{Database, quote};
use crate::error::{Error, Kind, Result};

/// Exchanges the published tables with empty ones, and rolls that back.
///
/// # Errors
/// [`Kind::Config`] if SQLite refuses, with its message.
pub fn exchange(database: &Database) -> Result<()> {
    let [new, retired] = Slot::TRIAL;
    let tried =
        database.for_exchange()?.rehearse("trying the exchange of the published tables", |transaction| {
            exchange::prepare(transaction, new)?;
            exchange::exchange(transaction, new, retired, &RowCounts::new())
        });
    tried.map_err(|error| match error.kind() {
        Kind::Failed => Error::new(Kind::Config, error.to_string()).hint(
            "nightshelf gives recommendations other names for a moment each night: drop or mend what stands in the way",
        ),
        _ => error,
    })
}

/// Checks whether the present shape of `recommendations` accepts rows of tonight's readers and books, and
/// returns them unchanged. It tries that in a temporary table, and only if the shape is not nightshelf's own.
///
/// # Errors
/// [`Kind::Config`] if not, with SQLite's message or what became of an id.
pub fn rows(database: &Database, labels: Labels<'_>, top: usize) -> Result<()> {
    let looking = "looking at the table recommendations";
    let shape = database.read(looking, |connection| LISTS.shape(connection))?;
    if shape.is_like(&LISTS.own_shape()) || labels.users.is_empty() || labels.items.is_empty() {
        return Ok(());
    }
    // The temporary table has the same name, so that SQLite's messages are about the table that people know.
    let aside = database.again()?;
    aside.read_in_goes(looking, |connection| {
        let refused = |error: Error| {
            if !matches!(error.kind(), Kind::Failed | Kind::Config) {
                // A full disk, or a signal: no fault of the shape.
                return error;
            }
            Error::new(Kind::Config, format!("the table recommendations cannot take tonight's rows: {error}"))
                .hint(
                    "change its shape so that it can, or drop it: nightshelf makes its own, see sql/recommendations.sql",
                )
        };
        let temporary = |sql: &str| connection.execute_batch(sql).map_err(|error| refused(error.into()));
        connection.execute_batch("DROP TABLE IF EXISTS temp.recommendations")?;
        temporary(&shape.create("temp", LISTS.name))?;
        for index in &shape.indexes {
            temporary(&index.create("temp", &index.name, LISTS.name))?;
        }
        let transaction = connection.unchecked_transaction()?;
        let sample = sample(labels, top);
        labels.insert(&transaction, LISTS.name, &sample).map_err(refused)?;
        gives_back(&transaction, labels, sample.len()).map_err(refused)?;
        transaction.rollback()?;
        Ok(())
    })
}

/// A row for every reader, and a whole list for the first; rows with all optional values, and rows without
/// them.
fn sample(labels: Labels<'_>, top: usize) -> Vec<Recommendation> {
    let items = labels.items.len() as u32;
    let row = |user: u32, rank: u32| {
        let is_bare = rank.is_multiple_of(2);
        Recommendation {
            user,
            rank,
            item: (rank - 1) % items,
            because: (!is_bare).then_some(rank % items),
            score: 1.0 / rank as f32,
            stars: if is_bare { f32::NAN } else { 1.0 },
            origin: if is_bare { Origin::Popular } else { Origin::Model },
        }
    };
    let longest = (top as u32).min(items).max(1);
    let first = (1..=longest).map(|rank| row(0, rank));
    first.chain((1..labels.users.len() as u32).map(|user| row(user, 1))).collect()
}

/// Fails unless all `written` rows come back, with the same ids and spellings: a column of numbers would turn
/// `'007'` into 7.
fn gives_back(connection: &Connection, labels: Labels<'_>, written: usize) -> Result<()> {
    let codes = labels.users.codes();
    let spellings: HashSet<&str> = (0..labels.items.len()).map(|item| labels.items.spelling(item)).collect();
    // Looked up by a reader's id, as backfills do.
    let mut of_reader =
        connection.prepare(&format!("SELECT 1 FROM temp.{} WHERE {IS_READER}", quote(LISTS.name)))?;
    bind_user(&mut of_reader, 1, labels.users.get(0))?;
    if of_reader.raw_query().next()?.is_none() {
        return Err(Error::new(
            Kind::Config,
            "its rows are not found by the ids that they were written with",
        ));
    }
    let types = "typeof(rank) = 'integer' AND typeof(run_id) = 'integer' AND typeof(isbn) = 'text' \
                 AND typeof(source) = 'text' AND typeof(isbn13) IN ('text', 'null') \
                 AND typeof(because) IN ('text', 'null') AND typeof(score) IN ('real', 'integer') \
                 AND typeof(predicted_rating) IN ('real', 'integer', 'null')";
    let sql = format!("SELECT user_id, CAST(isbn AS TEXT), {types} FROM temp.{}", quote(LISTS.name));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    // The message has no id, because it is kept in the history.
    let changed = |column: &str| {
        Error::new(
            Kind::Config,
            format!("the type of its column {column} turns some into others, as '007' into 7"),
        )
    };
    let (mut found, mut readers) = (0, HashSet::new());
    while let Some(row) = rows.next()? {
        found += 1;
        let id = reader_lists::id(row.get_ref(0)?);
        readers.insert(*id.and_then(|id| codes.get(&id)).ok_or_else(|| changed("user_id"))?);
        if !spellings.contains(row.get::<_, String>(1)?.as_str()) {
            return Err(changed("isbn"));
        }
        if !row.get::<_, bool>(2)? {
            let message = "a column of it has a type that makes numbers of texts, or texts of numbers";
            return Err(Error::new(Kind::Config, message));
        }
    }
    if found != written {
        // ON CONFLICT REPLACE or IGNORE reports no error.
        let message = format!("a constraint of it leaves {found} of {written} rows");
        return Err(Error::new(Kind::Config, message));
    }
    if readers.len() < labels.users.len() {
        return Err(changed("user_id"));
    }
    Ok(())
}
