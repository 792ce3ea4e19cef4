//! Reads the ratings from the application's table into columns.
//!
//! One `SELECT`, or several where one would block writers. It ends before training starts, so the write-ahead
//! log can be checkpointed meanwhile. SQLite allows any value in any column, so every value is checked; rows
//! that cannot be used are counted, and some are kept as examples.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Statement};

use crate::catalog::encode::{RatingColumns, Time};
use crate::catalog::ids::UserRef;
use crate::catalog::rejects::{Example, Rejects};
use crate::catalog::selection;
use crate::config::{Config, Source};
use crate::database::table::Table;
use crate::database::{Database, pause, quote, selection as selected, values};
use crate::error::{Error, Kind, Result, nearest};
use crate::text::plain;

/// Rows between two checks for signals.
const STRIDE: u64 = 1 << 13;

/// How long one read of a rollback-journal database may take: SQLite lets nobody commit while anybody reads.
/// Larger tables are read in several goes, by rowid; a row that changes meanwhile is read in its old or new
/// state. In WAL mode one go blocks nobody.
const READ_HOLD: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Reading {
    /// The rows that can be used.
    pub columns: RatingColumns,
    /// The rows that cannot be used.
    pub rejects: Rejects,
    /// How many rows there are of both kinds.
    pub rows: u64,
    /// What the user's own queries name, as it was when the ratings were read.
    pub selected: selection::Rows,
}

pub fn read(database: &Database, config: &Config) -> Result<Reading> {
    read_with_progress(database, config, |_, _| Ok(()))
}

/// Reads all ratings. Now and then it calls `watch` with the number of rows so far and about how many there
/// are (0 if unknown).
///
/// # Errors
/// What `watch` returns; [`Kind::Config`] if the table or a column does not exist, naming the nearest that
/// does.
pub fn read_with_progress(
    database: &Database,
    config: &Config,
    watch: impl Fn(u64, u64) -> Result<()>,
) -> Result<Reading> {
    database.read_in_goes("reading the ratings", |connection| {
        // In WAL mode all is read from one state; with a rollback journal a long transaction would block writers.
        let _transaction = match database.journal_mode()? == "wal" && selected::any(config) {
            true => Some(connection.unchecked_transaction()?),
            false => None,
        };
        let selected = selected::read(connection, config)?;
        let select = Select::resolve(connection, &config.source)?;
        let mut statement = connection.prepare(&select.all()).map_err(|error| match select.from_user {
            true => Error::from(error).while_doing("the query in [source] does not work"),
            false => error.into(),
        })?;
        if select.from_user && !(statement.readonly() && (2..=5).contains(&statement.column_count())) {
            return Err(Error::new(
                Kind::Config,
                "the query in [source] is not a SELECT of two to five columns",
            )
            .hint("it should give user, isbn, rating and, if there are any, the time of the rating and its weight"));
        }
        // The rowid, where there is one, is the last column and no value of the row.
        let width = statement.column_count() - usize::from(select.by_rowid);
        let mut reading =
            Reading { columns: RatingColumns::default(), rejects: Rejects::default(), rows: 0, selected };
        let about = select.about(connection);
        scan(database, &mut statement, select.by_rowid, |row| {
            reading.rows += 1;
            if let Err(reason) = take(row, width, config.source.implicit_rating, &mut reading.columns) {
                reading.rejects.add(reason, || example(row, width));
            }
            if reading.rows.is_multiple_of(STRIDE) {
                watch(reading.rows, about)?;
            }
            Ok(())
        })?;
        watch(reading.rows, about)?;
        Ok(reading)
    })
}

/// Calls `each` with every row of a statement. With `by_rowid`, the rowid must be the last column and
/// parameter 1 the rowid to start from; then the rows are read in several goes where one long read would
/// block writers.
pub(super) fn scan(
    database: &Database,
    statement: &mut Statement<'_>,
    by_rowid: bool,
    mut each: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let width = statement.column_count() - usize::from(by_rowid);
    let pauses = by_rowid && database.journal_mode()? != "wal";
    let (mut next, mut count) = (Some(i64::MIN), 0u64);
    while let Some(from) = next.take() {
        let since = Instant::now();
        let mut rows = match by_rowid {
            true => statement.query([from])?,
            false => statement.query([])?,
        };
        while let Some(row) = rows.next()? {
            count += 1;
            each(row)?;
            if count.is_multiple_of(STRIDE) {
                database.interrupt().check()?;
                if pauses && since.elapsed() >= READ_HOLD {
                    next = row.get::<_, i64>(width)?.checked_add(1);
                    break;
                }
            }
        }
        drop(rows);
        if next.is_some() {
            pause(since.elapsed());
        }
    }
    Ok(())
}

/// The spellings of up to `most` books, of the first rows.
pub fn some_books(database: &Database, config: &Config, most: usize) -> Result<Vec<String>> {
    database.read("looking at the ratings", |connection| {
        let select = Select::resolve(connection, &config.source)?;
        let mut statement =
            connection.prepare(&format!("SELECT * FROM ({}\n) LIMIT {}", select.sql, most * 5))?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()?
            && found.len() < most
        {
            if let Some(isbn) =
                values::text(row.get_ref(1)?).filter(|isbn| !found.iter().any(|other| other == isbn))
            {
                found.push(isbn.into_owned());
            }
        }
        Ok(found)
    })
}

/// Some of the rows, a text for each column, and how many have a reader and a book.
pub fn try_out(database: &Database, config: &Config, most: usize) -> Result<(Vec<Vec<Option<String>>>, u64)> {
    database.read("trying the settings", |connection| {
        let select = Select::resolve(connection, &config.source)?;
        let mut statement = connection.prepare(&format!("SELECT * FROM ({}\n) LIMIT {most}", select.sql))?;
        let width = statement.column_count() - usize::from(select.by_rowid);
        let names: Vec<String> = statement.column_names().map(quote).collect();
        let rows = statement.query_map([], |row| {
            (0..width).map(|column| Ok(values::text(row.get_ref(column)?).map(Cow::into_owned))).collect()
        })?;
        let rows = rows.collect::<rusqlite::Result<_>>()?;
        let [user, isbn] = [0, 1].map(|column| names.get(column).cloned().unwrap_or_default());
        let usable: i64 = connection.query_row(
            &format!(
                "SELECT count(*) FROM ({}\n) WHERE {user} IS NOT NULL AND {isbn} IS NOT NULL",
                select.sql
            ),
            [],
            |row| row.get(0),
        )?;
        Ok((rows, usable.unsigned_abs()))
    })
}

pub fn read_reader(database: &Database, config: &Config, user: UserRef<'_>) -> Result<Reading> {
    database.read("looking for the reader's ratings", |connection| {
        let source = &config.source;
        let select = Select::resolve(connection, source)?;
        let column = match source.query.as_str() {
            "" => source.user.clone(),
            _ => connection.prepare(&select.sql)?.column_name(0)?.to_owned(),
        };
        let mut statement = connection.prepare(&select.of(&quote(&column)))?;
        let width = statement.column_count() - usize::from(select.by_rowid);
        let mut reading = Reading {
            columns: RatingColumns::default(),
            rejects: Rejects::default(),
            rows: 0,
            selected: selection::Rows::default(),
        };
        let mut rows = match user {
            UserRef::Integer(id) => statement.query([id])?,
            UserRef::Text(id) => statement.query([id])?,
        };
        while let Some(row) = rows.next()? {
            // In a column with TEXT or numeric affinity, 42 and '42' compare as equal.
            if values::reader(row.get_ref(0)?) != Ok(user) {
                continue;
            }
            reading.rows += 1;
            if let Err(reason) = take(row, width, source.implicit_rating, &mut reading.columns) {
                reading.rejects.add(reason, || example(row, width));
            }
        }
        Ok(reading)
    })
}

/// How many rows the ratings table has, after a check that it can be read.
pub fn count(database: &Database, config: &Config) -> Result<u64> {
    /// Rows that are counted in one go: without WAL nobody can commit meanwhile.
    const GO: i64 = 1_000_000;
    let looking = "looking at the ratings";
    let select = database.read(looking, |connection| {
        let select = Select::resolve(connection, &config.source)?;
        connection.prepare(&select.all())?;
        Ok(select)
    })?;
    if !select.by_rowid {
        let sql = format!("SELECT count(*) FROM ({}\n)", select.sql);
        let rows = database
            .read(looking, |connection| Ok(connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?))?;
        return Ok(rows.unsigned_abs());
    }
    // NOT INDEXED: an index may use a collation that only the application has.
    let table = quote(&config.source.table);
    let sql = format!(
        "SELECT count(*), max(id) FROM (SELECT rowid AS id FROM {table} NOT INDEXED WHERE rowid >= ?1 ORDER BY rowid LIMIT {GO})"
    );
    let (mut rows, mut from) = (0, Some(i64::MIN));
    while let Some(first) = from.take() {
        let since = Instant::now();
        let (counted, last) = database.read(looking, |connection| {
            let counted =
                connection.query_row(&sql, [first], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)));
            Ok(counted?)
        })?;
        let counted: i64 = counted;
        rows += counted.unsigned_abs();
        if counted == GO {
            from = last.and_then(|last| last.checked_add(1));
            pause(since.elapsed());
        }
    }
    Ok(rows)
}

#[derive(Debug)]
struct Select {
    /// Selects all rows, in any order.
    sql: String,
    from_user: bool,
    /// Whether the rowid is the last column.
    by_rowid: bool,
}

impl Select {
    /// Selects all rows; where there are rowids, in their order and from parameter 1 on.
    fn all(&self) -> String {
        // An index that covers the columns would otherwise give its own order, and "the last of several
        // ratings" would change when somebody adds such an index.
        let order = if self.by_rowid { " WHERE rowid >= ?1 ORDER BY rowid" } else { "" };
        format!("{}{order}", self.sql)
    }

    /// About how many rows there are, if that costs nothing to find out; else 0.
    fn about(&self, connection: &Connection) -> u64 {
        let Some((_, table)) = self.sql.rsplit_once(" FROM ").filter(|_| self.by_rowid) else { return 0 };
        let sql = format!("SELECT (SELECT max(rowid) FROM {table}) - (SELECT min(rowid) FROM {table}) + 1");
        connection
            .query_row(&sql, [], |row| row.get::<_, Option<i64>>(0))
            .ok()
            .flatten()
            .map_or(0, i64::unsigned_abs)
    }

    /// Selects the rows in which a column equals parameter 1.
    fn of(&self, column: &str) -> String {
        match self.by_rowid {
            // BINARY, because the column may have any collation, also one that only the application has.
            true => format!("{} WHERE {column} COLLATE BINARY = ?1 ORDER BY rowid", self.sql),
            false => format!("SELECT * FROM ({}\n) WHERE {column} COLLATE BINARY = ?1", self.sql),
        }
    }

    fn resolve(connection: &Connection, source: &Source) -> Result<Self> {
        if !source.query.is_empty() {
            let end = |c: char| c == ';' || c.is_whitespace();
            let sql = source.query.trim_end_matches(end).to_owned();
            return Ok(Self { sql, from_user: true, by_rowid: false });
        }
        let table =
            Table::find(connection, &source.table)?.ok_or_else(|| no_table(connection, &source.table))?;
        let mut columns = vec![table.column("user", &source.user)?, table.column("isbn", &source.isbn)?];
        columns.push(match source.rating.as_str() {
            "" => "NULL".into(),
            name => table.column("rating", name)?,
        });
        let has_time = !source.rated_at.is_empty();
        match table.column("rated_at", &source.rated_at) {
            Ok(column) if has_time => columns.push(column),
            // A time column that the settings name must exist; the default one may be missing.
            Err(error) if has_time && source.rated_at != Source::default().rated_at => return Err(error),
            _ => {}
        }
        if !source.weight.trim().is_empty() {
            columns.resize(4, "NULL".into());
            // What is no column is an expression of the user's own.
            columns.push(
                table.column("weight", &source.weight).unwrap_or_else(|_| format!("({})", source.weight)),
            );
        }
        if source.rating.is_empty() {
            columns[2] = format!("{:?}", source.implicit_rating);
        }
        if table.has_rowid {
            columns.push("rowid".into());
        }
        let sql = format!("SELECT {} FROM {}", columns.join(", "), quote(&table.name));
        Ok(Self { sql, from_user: false, by_rowid: table.has_rowid })
    }
}

fn no_table(connection: &Connection, name: &str) -> Error {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view') \
               AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'nightshelf_%' ORDER BY name";
    let tables: Vec<String> = connection
        .prepare(sql)
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .unwrap_or_default();
    let error = if tables.is_empty() {
        Error::new(Kind::Config, format!("there is no table {name}: this database is empty"))
    } else {
        Error::new(Kind::Config, plain(&format!("there is no table {name}; there are {}", tables.join(", "))))
    };
    match nearest(name, tables.iter().map(String::as_str)) {
        Some(near) => error.hint(format!(
            "set table = {near:?} under [source] in the configuration file, or let `nightshelf init` look for it"
        )),
        None => {
            error.hint("let `nightshelf init` look for the ratings and write a configuration file, or `nightshelf import` files")
        }
    }
}

/// Adds one row to the columns, or returns the reason why not.
fn take(
    row: &Row<'_>,
    width: usize,
    implicit_rating: f64,
    columns: &mut RatingColumns,
) -> std::result::Result<(), &'static str> {
    let value = |index: usize| match row.get_ref(index) {
        Ok(value) if index < width => value,
        _ => ValueRef::Null,
    };
    let user = values::reader(value(0))?;
    let isbn = match value(1) {
        ValueRef::Text(isbn) => Cow::Borrowed(std::str::from_utf8(isbn).map_err(|_| "isbn_not_utf8")?),
        ValueRef::Blob(_) => return Err("isbn_is_blob"),
        other => values::text(other).ok_or("missing_isbn")?,
    };
    if isbn.trim().is_empty() {
        return Err("missing_isbn");
    }
    let rating = match value(2) {
        ValueRef::Null if width < 3 => implicit_rating,
        ValueRef::Null => return Err("missing_rating"),
        ValueRef::Integer(rating) => rating as f64,
        ValueRef::Real(rating) => rating,
        ValueRef::Text(text) => number_in(text).ok_or("rating_not_a_number")?,
        ValueRef::Blob(_) => return Err("rating_is_blob"),
    };
    let given = rating as f32;
    if !given.is_finite() {
        return Err("rating_not_finite");
    }
    let rating = if rating == implicit_rating { f32::NAN } else { given };
    let weight = match value(4) {
        ValueRef::Null => 1.0,
        ValueRef::Integer(weight) => weight as f64,
        ValueRef::Real(weight) => weight,
        ValueRef::Text(text) => number_in(text).ok_or("weight_not_a_number")?,
        ValueRef::Blob(_) => return Err("weight_not_a_number"),
    };
    if !(weight.is_finite() && weight > 0.0) {
        return Err("weight_not_positive");
    }
    columns.push_at(user, &isbn, rating, time(value(3)));
    columns.weigh_last(weight as f32);
    Ok(())
}

fn number_in(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

fn time(value: ValueRef<'_>) -> Time<'_> {
    match value {
        ValueRef::Integer(time) => Time::At(time as f64),
        ValueRef::Real(time) if time.is_finite() => Time::At(time),
        ValueRef::Text(text) => std::str::from_utf8(text).map_or(Time::Unknown, Time::Text),
        _ => Time::Unknown,
    }
}

fn example(row: &Row<'_>, width: usize) -> Example {
    let part = |index: usize| {
        let value = row.get_ref(index).ok().filter(|_| index < width);
        value.map(values::part)
    };
    Example { user: part(0), isbn: part(1), rating: part(2), ..Example::default() }
}
