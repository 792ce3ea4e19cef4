//! Reads the published lists, as an application does.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Params, Row};

use crate::catalog::ids::{UserId, UserRef};
use crate::database::publish::reader_lists::{self, IS_READER};
use crate::database::publish::slots::{LISTS, POPULAR, READERS, SIMILAR};
use crate::database::table::Table;
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
    /// `None` where the key is no valid ISBN.
    pub isbn13: Option<String>,
    /// What the list is ordered by; in the popular list, the number of readers.
    pub score: f64,
    /// The predicted rating.
    pub stars: Option<f64>,
    /// `model`, `fold-in` or `popular`.
    pub source: String,
    /// The reader's own book that contributed most to the score.
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

/// A reader's list, best first; empty if there is none.
pub fn of(database: &Database, user: UserRef<'_>) -> Result<Vec<Listed>> {
    let sql = format!("SELECT {} FROM recommendations WHERE {IS_READER} ORDER BY rank", Listed::COLUMNS);
    database.read("looking at the reader's list", |connection| match user {
        UserRef::Integer(id) => rows(connection, LISTS.name, &sql, [id]),
        UserRef::Text(id) => rows(connection, LISTS.name, &sql, [id]),
    })
}

/// The first `n` rows of the popular list.
pub fn popular(database: &Database, n: usize) -> Result<Vec<Listed>> {
    let sql = "SELECT rank, isbn, isbn13, score, NULL, 'popular', NULL, run_id FROM recommendations_popular \
               ORDER BY rank LIMIT ?1";
    database.read("looking at the popular books", |connection| {
        rows(connection, POPULAR.name, sql, [i64::try_from(n).unwrap_or(i64::MAX)])
    })
}

/// The first `n` books that are like one, as the catalogue spells it.
pub fn similar(database: &Database, isbn: &str, n: usize) -> Result<Vec<String>> {
    database.read("looking at similar books", |connection| {
        if Table::find(connection, SIMILAR.name)?.is_none() {
            return Ok(Vec::new());
        }
        let sql = "SELECT similar_isbn FROM recommendations_similar WHERE isbn = ?1 ORDER BY rank LIMIT ?2";
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement.query_map(rusqlite::params![isbn, n], |row| row.get(0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    })
}

fn rows(connection: &Connection, table: &str, sql: &str, of: impl Params) -> Result<Vec<Listed>> {
    if Table::find(connection, table)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(connection.prepare(sql)?.query_map(of, Listed::of)?.collect::<rusqlite::Result<_>>()?)
}

/// Calls `each` with every row of `recommendations`, by reader and rank.
pub fn each(database: &Database, mut each: impl FnMut(UserRef<'_>, Listed)) -> Result<()> {
    scan(database, Listed::COLUMNS, Listed::of, |user, row| {
        if let Some(user) = reader_lists::id(user.into()) {
            each(user, row);
        }
    })
}

/// Rows that one go reads without WAL, where nobody can commit meanwhile.
const GO: usize = 50_000;

/// Reads some columns of all rows of `recommendations`, by reader and rank. All rows are of one set, and each
/// list is complete.
///
/// Without WAL nobody can commit during a read, so there it reads in goes of some readers each, and fails if
/// a new set is published meanwhile.
pub(in crate::database) fn scan<T>(
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
            // Read in the same transaction as the rows, so it tells which set they are of.
            let newest = "SELECT max(run_id) FROM recommendations_popular";
            let published: Option<i64> = connection.query_row(newest, [], |row| row.get(0))?;
            let mut statement = connection.prepare_cached(&sql)?;
            let user = statement.column_count() - 1;
            let mut rows = statement.query(rusqlite::params_from_iter(&after))?;
            let mut go: Vec<(Value, T)> = Vec::new();
            while let Some(row) = rows.next()? {
                let reader: Value = row.get(user)?;
                // A list is read in one go, because a backfill may replace it between two goes.
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

/// All readers with a list, integer ids first.
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
