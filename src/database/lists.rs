//! The published lists, as an application reads them.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Params, Row};

use crate::catalog::ids::{UserId, UserRef};
use crate::database::publish::reader_lists::{self, IS_READER};
use crate::database::publish::slots::{LISTS, POPULAR, READERS};
use crate::database::source::Table;
use crate::database::{Database, quote};
use crate::error::{Error, Kind, Result};
use crate::failpoint;

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
    let sql = format!("SELECT {} FROM recommendations WHERE {IS_READER} ORDER BY rank", Listed::COLUMNS);
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
        if let Some(user) = reader_lists::id(user.into()) {
            each(user, row);
        }
    })
}

/// Rows that are read in one go where nobody can commit meanwhile.
const GO: usize = 50_000;

/// Reads some columns of all rows of `recommendations`, by reader and rank; all are of one set, and each list is
/// whole.
///
/// Without WAL in goes of some readers, as nobody could commit for as long as one look at all of them takes; there
/// it fails if a new set is published meanwhile.
pub(super) fn scan<T>(
    database: &Database,
    columns: &str,
    of: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    mut each: impl FnMut(&Value, T),
) -> Result<()> {
    let most = if database.journal_mode()? == "wal" { usize::MAX } else { GO };
    let mut after: Option<Value> = None;
    let mut of_run = None;
    loop {
        let sql = format!(
            "SELECT {columns}, user_id FROM recommendations {} ORDER BY user_id COLLATE BINARY, rank",
            if after.is_some() { "WHERE user_id COLLATE BINARY > ?1" } else { "" }
        );
        let (go, published, is_last) = database.read("reading the published rows", |connection| {
            // In the same moment as the rows, which tells of which set they are.
            let newest = "SELECT max(run_id) FROM recommendations_popular";
            let published: Option<i64> = connection.query_row(newest, [], |row| row.get(0))?;
            let mut statement = connection.prepare_cached(&sql)?;
            let user = statement.column_count() - 1;
            let mut rows = statement.query(rusqlite::params_from_iter(&after))?;
            let mut go: Vec<(Value, T)> = Vec::new();
            while let Some(row) = rows.next()? {
                let reader: Value = row.get(user)?;
                // A list is read in one go: a backfill may put another in its place between two.
                if go.len() >= most && go.last().is_some_and(|(last, _)| *last != reader) {
                    return Ok((go, published, false));
                }
                go.push((reader, of(row)?));
            }
            Ok((go, published, true))
        })?;
        if *of_run.get_or_insert(published) != published {
            let error = Error::new(Kind::Busy, "new lists were published while those of before were read");
            return Err(error.hint("give the same command again"));
        }
        after = go.last().map(|(user, _)| user.clone());
        go.into_iter().for_each(|(user, row)| each(&user, row));
        if is_last {
            return Ok(());
        }
        failpoint::reach("lists.go");
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
            ids.extend(reader_lists::id(value).map(UserRef::to_owned));
        }
        Ok(ids)
    })
}
