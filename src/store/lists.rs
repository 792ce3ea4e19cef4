//! The published lists, as an application reads them.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Params, Row, params};

use crate::catalog::vocabulary::{UserId, UserRef};
use crate::error::{Error, Kind, Result};
use crate::store::slots::{LISTS, POPULAR, READERS};
use crate::store::source::Table;
use crate::store::{Database, quote, readers};

/// A row of `recommendations`, or of `recommendations_popular`.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// 1 is best.
    pub rank: i64,
    /// As the catalogue spells it.
    pub isbn: String,
    /// The ISBN-13, where the key is one.
    pub isbn13: Option<String>,
    /// What the list is ordered by; of popular books, how many readers there are.
    pub score: f64,
    /// Expected stars.
    pub stars: Option<f64>,
    /// `model`, `fold-in` or `popular`.
    pub source: String,
    /// The reader's own book that contributed most.
    pub because: Option<String>,
    /// The run that wrote the row.
    pub run_id: i64,
}

impl Listed {
    const COLUMNS: &str = "rank, isbn, isbn13, score, predicted_rating, source, because, run_id";

    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            rank: row.get(0)?,
            isbn: row.get(1)?,
            isbn13: row.get(2)?,
            score: row.get(3)?,
            stars: row.get(4)?,
            source: row.get(5)?,
            because: row.get(6)?,
            run_id: row.get(7)?,
        })
    }
}

/// The list of a reader, best first; empty for whom there is none.
///
/// # Errors
/// Whatever SQLite says.
pub fn of(database: &Database, user: UserRef<'_>) -> Result<Vec<Listed>> {
    let sql = format!("SELECT {} FROM recommendations WHERE user_id = ?1 ORDER BY rank", Listed::COLUMNS);
    database.read("looking at the reader's list", |connection| match user {
        UserRef::Integer(id) => rows(connection, LISTS.name, &sql, [id]),
        UserRef::Text(id) => rows(connection, LISTS.name, &sql, [id]),
    })
}

/// The `n` most popular books.
///
/// # Errors
/// Whatever SQLite says.
pub fn popular(database: &Database, n: usize) -> Result<Vec<Listed>> {
    let sql = "SELECT rank, isbn, isbn13, score, NULL, 'popular', NULL, run_id FROM recommendations_popular \
               ORDER BY rank LIMIT ?1";
    database.read("looking at the popular books", |connection| {
        rows(connection, POPULAR.name, sql, [i64::try_from(n).unwrap_or(i64::MAX)])
    })
}

fn rows(connection: &Connection, table: &str, sql: &str, of: impl Params) -> Result<Vec<Listed>> {
    if Table::find(connection, table)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(connection.prepare(sql)?.query_map(of, Listed::of)?.collect::<rusqlite::Result<_>>()?)
}

/// Shows every row of `recommendations` to `each`, by reader and rank.
///
/// # Errors
/// Whatever SQLite says.
pub fn each(database: &Database, mut each: impl FnMut(UserRef<'_>, Listed)) -> Result<()> {
    scan(database, Listed::COLUMNS, Listed::of, |user, row| {
        if let Some(user) = readers::id(user.into()) {
            each(user, row);
        }
    })
}

/// Reads some columns of all rows of `recommendations`, by reader and rank; all are of one set.
///
/// Without WAL in goes, as nobody could write for as long as one look at all of them takes; there it fails
/// if a new set is published meanwhile.
pub(super) fn scan<T>(
    database: &Database,
    columns: &str,
    of: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    mut each: impl FnMut(&Value, T),
) -> Result<()> {
    let pragma = |name| database.connection().pragma_query_value(None, name, |row| row.get::<_, String>(0));
    let step = if pragma("journal_mode")? == "wal" { i64::MAX } else { 50_000 };
    let mut after: Option<(Value, i64)> = None;
    let mut of_run = None;
    loop {
        let sql = format!(
            "SELECT {columns}, user_id, rank FROM recommendations {} ORDER BY user_id, rank LIMIT {step}",
            if after.is_some() { "WHERE (user_id, rank) > (?1, ?2)" } else { "" }
        );
        let go = database.read("reading the published rows", |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let (user, rank) = (statement.column_count() - 2, statement.column_count() - 1);
            let mut rows = match &after {
                Some((user, rank)) => statement.query(params![user, rank])?,
                None => statement.query([])?,
            };
            let mut go: Vec<(Value, i64, T)> = Vec::new();
            // In the same breath as the rows: while these are read, no other set can be published.
            let newest = "SELECT max(run_id) FROM recommendations_popular";
            let published: Option<i64> = connection.query_row(newest, [], |row| row.get(0))?;
            while let Some(row) = rows.next()? {
                go.push((row.get(user)?, row.get(rank)?, of(row)?));
            }
            Ok((go, published))
        })?;
        let (go, published) = go;
        if *of_run.get_or_insert(published) != published {
            let error = Error::new(Kind::Busy, "new lists were published while those of before were read");
            return Err(error.hint("give the same command again"));
        }
        let is_last = (go.len() as i64) < step;
        after = go.last().map(|(user, rank, _)| (user.clone(), *rank));
        go.into_iter().for_each(|(user, _, row)| each(&user, row));
        if is_last {
            return Ok(());
        }
    }
}

/// Everybody with a list, integers first.
///
/// # Errors
/// Whatever SQLite says.
pub fn readers(database: &Database) -> Result<Vec<UserId>> {
    database.read("looking who has a list", |connection| {
        if Table::find(connection, READERS.name)?.is_none() {
            return Ok(Vec::new());
        }
        let mut statement = connection.prepare(&format!("SELECT user_id FROM {}", quote(READERS.name)))?;
        let mut rows = statement.query([])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            let value: ValueRef<'_> = row.get_ref(0)?;
            ids.extend(readers::id(value).map(UserRef::to_owned));
        }
        Ok(ids)
    })
}
