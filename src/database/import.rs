//! Writes rows from files into the application's own tables: the only place that writes to them.
//!
//! One transaction writes a batch, the progress in the file and the rejected rows. So the three agree after a
//! crash, and an import resumes after the last batch that was committed.

use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params, params_from_iter};

use crate::catalog::dates;
use crate::catalog::rejects::{self, Example, Rejects};
use crate::config::{DateOrder, Source};
use crate::database::{Database, own_tables, quote, values};
use crate::error::{Error, Kind, Result};
use crate::ingest::{Field, FileKind};

/// One state of one file: another size or modification time means other contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Full path.
    pub file: String,
    size: i64,
    modified: String,
}

impl Stamp {
    /// `path` is the full path.
    pub fn new(path: &Path, about: &Metadata) -> Self {
        let modified = about.modified().ok().map(|time| match time.duration_since(UNIX_EPOCH) {
            Ok(after) => format!("{}.{:09}", after.as_secs(), after.subsec_nanos()),
            Err(error) => format!("-{:?}", error.duration()),
        });
        Self {
            file: path.display().to_string(),
            size: i64::try_from(about.len()).unwrap_or(i64::MAX),
            modified: modified.unwrap_or_default(),
        }
    }
}

/// How far the import of a file has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Records read, rejected ones included.
    pub records: u64,
    pub rejects: Rejects,
}

/// A column of the target table.
#[derive(Clone, Debug)]
struct Column {
    field: Field,
    name: String,
    /// Its declaration in a table that we make.
    declared: &'static str,
    in_file: bool,
}

impl Column {
    fn is_key(&self) -> bool {
        matches!(self.field, Field::User | Field::Isbn)
    }

    /// Whether rows cannot be written without it. Every row has a rating, if only the implicit one.
    fn is_needed(&self) -> bool {
        self.is_key() || self.field == Field::Rating
    }
}

/// The table that rows are written to, as the settings name it.
#[derive(Clone, Debug)]
pub struct Target {
    table: String,
    /// What comes first in dates that the table has.
    dates: DateOrder,
    columns: Vec<Column>,
}

impl Target {
    /// The table for a kind of file that holds `fields`.
    ///
    /// # Errors
    /// [`Kind::Config`] if the settings name none, or if ratings come from a query.
    pub fn new(source: &Source, kind: FileKind, fields: &[Field]) -> Result<Self> {
        if kind == FileKind::Ratings && !source.query.is_empty() {
            return Err(Error::new(Kind::Config, "ratings come from a query, which cannot be written to")
                .hint("to import, leave query out of [source] and name table, user, isbn and rating"));
        }
        let column = |field, name: &str, declared| Column {
            field,
            name: name.to_owned(),
            declared,
            in_file: fields.contains(&field),
        };
        let (table, mut columns) = match kind {
            FileKind::Ratings => (
                &source.table,
                vec![
                    column(Field::User, &source.user, "NOT NULL"),
                    column(Field::Isbn, &source.isbn, "TEXT NOT NULL"),
                    column(Field::Rating, &source.rating, "REAL"),
                    column(Field::RatedAt, &source.rated_at, ""),
                ],
            ),
            FileKind::Books => (
                &source.books,
                vec![
                    column(Field::Isbn, &source.book_isbn, "TEXT NOT NULL"),
                    column(Field::Title, &source.title, "TEXT"),
                    column(Field::Author, &source.author, "TEXT"),
                    column(Field::Year, &source.year, ""),
                    column(Field::Publisher, &source.publisher, "TEXT"),
                    column(Field::Genre, &source.genre, "TEXT"),
                    column(Field::Description, &source.description, "TEXT"),
                    column(Field::Series, &source.series, "TEXT"),
                    column(Field::Volume, &source.volume, ""),
                ],
            ),
        };
        // An empty name means that there is no such table or column.
        if table.is_empty() || columns.iter().any(|column| column.is_key() && column.name.is_empty()) {
            return Err(Error::new(Kind::Config, "the settings do not say which table to import into")
                .hint("name it in [source]: table, user and isbn, or books and book_isbn"));
        }
        columns.retain(|column| !column.name.is_empty());
        Ok(Self { table: table.clone(), dates: source.dates, columns })
    }

    /// Makes the table if it is missing, and finds how far an earlier import of the file came. It starts from
    /// the beginning if that import was finished, if the file changed since, or if `anew`.
    ///
    /// # Errors
    /// [`Kind::Config`] if the table cannot take the rows.
    pub fn begin(&self, database: &mut Database, stamp: &Stamp, anew: bool) -> Result<(RowWriter, Progress)> {
        own_tables::prepare(database)?;
        let (begun, _) = database.write("preparing the import", |transaction| {
            understand_times(transaction, self.dates)?;
            let made = self.make(transaction)?;
            let writer = self.look(transaction)?;
            let progress = if made || anew { Progress::default() } else { earlier(transaction, stamp)? };
            Ok((writer, progress))
        })?;
        Ok(begun)
    }

    fn make(&self, connection: &Connection) -> Result<bool> {
        const WHAT: &str = "SELECT type FROM sqlite_schema
            WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')";
        let there: Option<String> = connection.query_row(WHAT, [&self.table], |row| row.get(0)).optional()?;
        match there.as_deref() {
            None => {}
            Some("table") => return Ok(false),
            Some(_) => {
                let message = format!("{} is a view; name the table behind it to import", self.table);
                return Err(Error::new(Kind::Config, message).hint("table or books in [source] names it"));
            }
        }
        let columns =
            self.columns.iter().map(|column| format!("{} {}, ", quote(&column.name), column.declared));
        let columns: String = columns.collect();
        connection.execute_batch(&format!(
            "CREATE TABLE {} ({columns} PRIMARY KEY ({}))",
            quote(&self.table),
            self.keys().join(", "),
        ))?;
        Ok(true)
    }

    fn keys(&self) -> Vec<String> {
        self.columns.iter().filter(|column| column.is_key()).map(|column| quote(&column.name)).collect()
    }

    /// Finds which columns the table has, and makes statements that fit them.
    fn look(&self, connection: &Connection) -> Result<RowWriter> {
        let there: Vec<String> = connection
            .prepare("SELECT name FROM pragma_table_info(?1)")?
            .query_map([&self.table], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let (used, left_out): (Vec<&Column>, Vec<&Column>) = self
            .columns
            .iter()
            .filter(|column| column.is_needed() || column.in_file)
            .partition(|column| there.iter().any(|name| name.eq_ignore_ascii_case(&column.name)));
        if let Some(column) = left_out.iter().find(|column| column.is_needed()) {
            let message = format!("the table {} has no column {}", self.table, column.name);
            return Err(Error::new(Kind::Config, message).hint(format!(
                "it has {}; say in [source] of the settings which is which",
                there.join(", ")
            )));
        }

        let table = quote(&self.table);
        let names: Vec<String> = used.iter().map(|column| quote(&column.name)).collect();
        let values: Vec<String> = (1..=used.len()).map(|place| format!("?{place}")).collect();
        // A value that the file does not give stays as it is.
        let sets: Vec<String> = used
            .iter()
            .zip(names.iter().zip(&values))
            .filter(|(column, _)| column.in_file && !column.is_key())
            .map(|(_, (name, value))| format!("{name} = coalesce({value}, {name})"))
            .collect();
        let keys = self.keys();
        let places = |is: fn(&Column) -> bool| {
            let both = used.iter().zip(names.iter().zip(&values));
            both.filter(|(column, _)| is(column)).map(|(_, (name, value))| (name, value)).collect::<Vec<_>>()
        };
        let found: Vec<String> =
            places(Column::is_key).iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let found = found.join(" AND ");
        let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
        let upsert = format!("{insert} ON CONFLICT ({}) DO NOTHING", keys.join(", "));
        // SQLite refuses the upsert if no unique index of the table fits it.
        let is_indexed = connection.prepare(&upsert).is_ok();
        let insert = match is_indexed {
            true => upsert,
            false => format!(
                "INSERT INTO {table} ({}) SELECT {} WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {found})",
                names.join(", "),
                values.join(", ")
            ),
        };
        let given = |column: &Column| column.in_file && !column.is_key();
        let differs: Vec<String> = places(given)
            .iter()
            .map(|(name, value)| format!("{name} IS NOT coalesce({value}, {name})"))
            .collect();
        let newer = places(|column| column.in_file && column.field == Field::RatedAt);
        let newer = newer.first().map_or(String::new(), |(name, value)| {
            format!(" AND nightshelf_time({value}) >= nightshelf_time({name})")
        });
        let update = (!sets.is_empty()).then(|| {
            format!(
                "UPDATE {table} SET {} WHERE {found}{newer} AND ({})",
                sets.join(", "),
                differs.join(" OR ")
            )
        });
        connection.prepare(&insert)?;
        Ok(RowWriter {
            insert,
            update,
            is_indexed,
            fields: used.iter().map(|column| column.field).collect(),
            left_out: left_out.iter().map(|column| column.name.clone()).collect(),
        })
    }
}

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub new: u64,
    pub updated: u64,
    /// They were there, as new or newer.
    pub same: u64,
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.updated += other.updated;
        self.same += other.same;
    }
}

/// Lets statements compare times, however they are written: as seconds, the least where there is none.
fn understand_times(connection: &Connection, order: DateOrder) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("nightshelf_time", 1, flags, move |context| {
        let seconds = match context.get_raw(0) {
            ValueRef::Integer(time) => Some(time as f64),
            ValueRef::Real(time) => Some(time),
            ValueRef::Text(text) => std::str::from_utf8(text)
                .ok()
                .and_then(dates::read)
                .and_then(|written| written.seconds(order)),
            _ => None,
        };
        Ok(seconds.unwrap_or(f64::MIN))
    })
}

/// Statements that write rows into a table.
#[derive(Clone, Debug)]
pub struct RowWriter {
    /// Writes a row that is not there.
    insert: String,
    /// Changes one that is, if the file's is newer; `None` if the file gives nothing but keys.
    update: Option<String>,
    is_indexed: bool,
    fields: Vec<Field>,
    left_out: Vec<String>,
}

impl RowWriter {
    /// The fields of a row's values, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Columns that the file has and the table lacks.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Whether each row is found through a unique index.
    pub fn is_indexed(&self) -> bool {
        self.is_indexed
    }

    /// Writes a batch of rows and the progress in the file, in one transaction. Returns the progress,
    /// including the rows that the table's constraints refused, what became of the others, and how long the lock was held.
    pub fn write(
        &self,
        database: &mut Database,
        rows: &[Vec<Value>],
        stamp: &Stamp,
        progress: &Progress,
        finished: bool,
    ) -> Result<((Progress, Written), Duration)> {
        database.write("writing the rows of a file", |transaction| {
            // The transaction may be tried again, so each try starts from the same progress.
            let (mut progress, mut written) = (progress.clone(), Written::default());
            for row in rows {
                match self.put(transaction, row, &mut written) {
                    Err(rusqlite::Error::SqliteFailure(failure, said))
                        // A trigger may have rolled everything back: that is no refusal of one row.
                        if is_refusal(failure.code) && !transaction.is_autocommit() =>
                    {
                        progress.rejects.add("refused_by_table", || self.example(row, said));
                    }
                    other => other?,
                }
            }
            save(transaction, stamp, &progress, finished)?;
            Ok((progress, written))
        })
    }

    /// A row that a constraint refused, with SQLite's message.
    fn example(&self, row: &[Value], note: Option<String>) -> Example {
        let part = |field| {
            let place = self.fields.iter().position(|own| *own == field)?;
            row.get(place).map(|value| values::part(value.into()))
        };
        let [user, isbn, rating] = [Field::User, Field::Isbn, Field::Rating].map(part);
        // SQLite's own messages name columns only; those of a trigger may name a reader.
        let note = note.filter(|note| note.contains("constraint failed"));
        Example { user, isbn, rating, note, ..Example::default() }
    }

    fn put(&self, connection: &Connection, row: &[Value], written: &mut Written) -> rusqlite::Result<()> {
        if connection.prepare_cached(&self.insert)?.execute(params_from_iter(row))? > 0 {
            written.new += 1;
            return Ok(());
        }
        let mut changed = 0;
        if let Some(update) = &self.update {
            let mut update = connection.prepare_cached(update)?;
            let known = update.parameter_count();
            changed = update.execute(params_from_iter(row.iter().take(known)))?;
        }
        if changed > 0 {
            written.updated += 1
        } else {
            written.same += 1
        }
        Ok(())
    }
}

fn is_refusal(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch)
}

fn save(connection: &Connection, stamp: &Stamp, progress: &Progress, finished: bool) -> Result<()> {
    let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let Stamp { file, size, modified } = stamp;
    connection
        .prepare_cached(
            "INSERT INTO nightshelf_imports (file, size, modified, records, finished)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (file) DO UPDATE
             SET size = ?2, modified = ?3, records = ?4, finished = ?5",
        )?
        .execute(params![file, size, modified, integer(progress.records), finished])?;
    connection.execute("DELETE FROM nightshelf_rejects WHERE run_id IS NULL AND origin = ?1", [file])?;
    for (reason, count, examples) in progress.rejects.iter() {
        let examples = rejects::to_json(examples);
        connection.execute(
            "INSERT INTO nightshelf_rejects (origin, reason, count, examples) VALUES (?1, ?2, ?3, ?4)",
            params![file, reason, integer(count), examples],
        )?;
    }
    Ok(())
}

fn earlier(connection: &Connection, stamp: &Stamp) -> Result<Progress> {
    let Stamp { file, size, modified } = stamp;
    let records: Option<i64> = connection
        .query_row(
            "SELECT records FROM nightshelf_imports
             WHERE file = ?1 AND size = ?2 AND modified = ?3 AND finished = 0",
            params![file, size, modified],
            |row| row.get(0),
        )
        .optional()?;
    let Some(records) = records else { return Ok(Progress::default()) };
    let mut statement = connection.prepare(
        "SELECT reason, count, examples FROM nightshelf_rejects
         WHERE run_id IS NULL AND origin = ?1",
    )?;
    let mut rows = statement.query([file])?;
    let mut rejects = Rejects::default();
    while let Some(row) = rows.next()? {
        let (reason, count): (String, i64) = (row.get(0)?, row.get(1)?);
        let examples: String = row.get(2)?;
        rejects.add_many(&reason, count.unsigned_abs(), rejects::from_json(&examples));
    }
    Ok(Progress { records: records.unsigned_abs(), rejects })
}
