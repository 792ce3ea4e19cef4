//! `nightshelf import`: files of ratings or books into the application's tables.
//!
//! All files are looked at before the database is touched, so a mistyped name or an unknown format costs
//! nothing. Then each file is read once, in batches short enough for the application to write in between.
//! Whatever happens, what was written stays, and the same command goes on from there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use serde::Serialize;

use crate::catalog::rejects::{Example, Part};
use crate::config::Config;
use crate::console::Console;
use crate::context::Context;
use crate::database::Database;
use crate::database::batch_size::BatchSize;
use crate::database::import::{Progress, Stamp, Target};
use crate::database::lock::Lock;
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::ingest::{Dialect, Field, FileKind, Hints, Record, Records, number};
use crate::text::{count, plain};

/// Records in the first batch; the size of later ones follows from how long a batch takes.
const FIRST_BATCH: usize = 2_000;
/// In smaller batches, most of the time would go into transactions.
const SMALLEST_BATCH: usize = 200;
/// Larger batches only cost memory, and a longer wait after a signal.
const LARGEST_BATCH: usize = 50_000;

#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub files: &'a [PathBuf],
    /// How to read the files, where they do not show it themselves.
    pub hints: &'a Hints,
    /// Read each file from its beginning, even if an earlier import of it was cut off.
    pub restart: bool,
}

#[derive(Debug)]
pub struct Loaded {
    pub files: Vec<FileSummary>,
    /// Set by the first file without a usable row.
    pub failure: Option<Error>,
}

#[derive(Debug, Serialize)]
pub struct FileSummary {
    pub file: String,
    pub kind: &'static str,
    pub records: u64,
    pub written: u64,
    /// Numbers of records by reason.
    pub rejected: BTreeMap<String, u64>,
    pub resumed_at: Option<u64>,
}

/// Loads files into the database. A file without a usable row sets [`Loaded::failure`] to
/// [`Kind::NoRatings`]; the others are loaded all the same.
///
/// # Errors
/// [`Kind::NoInput`] for a missing file and [`Kind::Config`] for an unknown format, before anything is
/// written.
pub fn load(context: Context<'_>, db: &Path, request: Request<'_>) -> Result<Loaded> {
    let Context { config, console, interrupt } = context;
    let files: Vec<File> =
        request.files.iter().map(|path| File::look(path, request.hints, config)).collect::<Result<_>>()?;
    let mut database = Database::open_or_create(db, config.output.patience(), interrupt.clone())?;
    let _lock = Lock::take(&database)?;
    let mut loaded = Loaded { files: Vec::new(), failure: None };
    for file in &files {
        console.say(format!("{}: {}", file.name, file.dialect));
        let load = file.load(&mut database, config, console, request.restart)?;
        file.tell(&load, console);
        if load.written() == 0 {
            loaded.failure = loaded.failure.or_else(|| Some(file.useless(&load)));
        }
        loaded.files.push(file.summary(&load));
    }
    Ok(loaded)
}

/// A file whose format and target table are known.
struct File {
    path: PathBuf,
    /// For messages: without its folder.
    name: String,
    stamp: Stamp,
    dialect: Dialect,
    target: Target,
}

struct Load {
    progress: Progress,
    resumed_at: Option<u64>,
}

impl Load {
    fn written(&self) -> u64 {
        self.progress.records.saturating_sub(self.progress.rejects.total())
    }
}

impl File {
    fn look(path: &Path, hints: &Hints, config: &Config) -> Result<Self> {
        let dialect = Dialect::sniff(path, hints)?;
        let stamp = path
            .canonicalize()
            .and_then(|full| Ok(Stamp::new(&full, &full.metadata()?)))
            .map_err(|error| Error::file(&error, "read", path))?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Ok(Self {
            path: path.to_owned(),
            name: plain(&name),
            stamp,
            target: Target::new(&config.source, dialect.kind, &dialect.columns)?,
            dialect,
        })
    }

    fn load(
        &self,
        database: &mut Database,
        config: &Config,
        console: &Console,
        restart: bool,
    ) -> Result<Load> {
        let (table, mut progress) = self.target.begin(database, &self.stamp, restart)?;
        for column in table.left_out() {
            console.warn(format!("the table has no column {column}; the file's is left out"));
        }
        if !table.is_indexed() {
            console.warn(
                "the table has no unique index that tells one row from another, so this will be \
                 slow; one on the reader's id and the ISBN (for books: the ISBN) helps",
            );
        }
        // Without an index, each row may need a scan of the whole table.
        let (first, least) = if table.is_indexed() { (FIRST_BATCH, SMALLEST_BATCH) } else { (1, 1) };
        let mut batch = BatchSize::new(first).within(least, LARGEST_BATCH).growing(2.0);
        let resumed_at = Some(progress.records).filter(|records| *records > 0);

        let mut records = Records::open(&self.path, &self.dialect)?;
        if let Some(done) = resumed_at {
            console.say(format!("{}: goes on after record {}", self.name, count(done)));
            while records.number() < done && records.next().transpose()?.is_some() {
                if records.number().is_multiple_of(10_000) {
                    database.interrupt().check().map_err(|error| self.resumable(error.into(), done))?;
                }
            }
        }

        let size = self.path.metadata().map_or(0, |about| about.len());
        let bar = console.bar(&self.name, size);
        let mut shown = 0;
        loop {
            let before = progress.records;
            let mut rows = Vec::with_capacity(batch.rows);
            let mut read = 0;
            while read < batch.rows
                && let Some(record) = records.next().transpose()?
            {
                read += 1;
                progress.records = record.number;
                match row(&record, &self.dialect, table.fields(), config.source.implicit_rating) {
                    Ok(row) => rows.push(row),
                    Err(reason) => progress.rejects.add(reason, || example(&record, &self.dialect)),
                }
            }
            let finished = read < batch.rows;
            let (written, held) = table
                .write(database, &rows, &self.stamp, &progress, finished)
                .map_err(|error| self.resumable(error, before))?;
            progress = written;
            failpoint::reach("import.batch");
            bar.advance(records.bytes_read().saturating_sub(shown));
            shown = records.bytes_read();
            if finished {
                return Ok(Load { progress, resumed_at });
            }
            batch.adapt(held);
        }
    }

    /// A signal's own message is about publishing; this one says what is kept.
    fn resumable(&self, error: Error, records: u64) -> Error {
        if !matches!(error.kind(), Kind::Interrupted | Kind::Terminated) {
            return error;
        }
        let message = format!("stopped; {} records of {} are in the database", count(records), self.name);
        Error::new(error.kind(), message).hint("the same command again goes on from there")
    }

    fn tell(&self, load: &Load, console: &Console) {
        let (records, written) = (count(load.progress.records), count(load.written()));
        let mut line = format!("{}: {records} records, {written} written", self.name);
        let rejects = &load.progress.rejects;
        if rejects.total() > 0 {
            let reasons = rejects.iter().map(|(reason, number, _)| format!("{} {reason}", count(number)));
            let reasons = reasons.collect::<Vec<_>>().join(", ");
            line += &format!("; rejected, with examples in nightshelf_rejects: {reasons}");
        }
        console.say(line);
        for (reason, _, examples) in rejects.iter() {
            for example in examples {
                console.detail(format!("  {reason}: {}", plain(&example.to_string())));
            }
        }
    }

    fn useless(&self, load: &Load) -> Error {
        let error = Error::new(Kind::NoRatings, format!("{} holds no usable row", self.name));
        match load.progress.rejects.iter().max_by_key(|(_, number, _)| *number) {
            Some((reason, _, examples)) => error.hint(format!(
                "--columns, --separator and --header say how to read it; most rows were rejected as \
                 {reason}: {}",
                plain(&examples.iter().map(Example::to_string).collect::<Vec<_>>().join(" | "))
            )),
            None => error.hint("it has names of columns, but nothing below them"),
        }
    }

    fn summary(&self, load: &Load) -> FileSummary {
        let rejects = load.progress.rejects.iter();
        FileSummary {
            file: self.path.display().to_string(),
            kind: if self.dialect.kind == FileKind::Ratings { "ratings" } else { "books" },
            records: load.progress.records,
            written: load.written(),
            rejected: rejects.map(|(reason, number, _)| (reason.to_owned(), number)).collect(),
            resumed_at: load.resumed_at,
        }
    }
}

/// The values of a record for the columns `wanted`, or the reason to reject it. ISBNs are not checked here:
/// the nightly job sees every row anyway, and repairs what can be repaired.
fn row(
    record: &Record,
    dialect: &Dialect,
    wanted: &[Field],
    implicit_rating: f64,
) -> Result<Vec<Value>, &'static str> {
    let columns = &dialect.columns;
    let text = |place: usize| {
        let text = record.fields.get(place).map(String::as_str);
        text.filter(|text| !matches!(*text, "" | "NULL" | r"\N"))
    };
    // All fields up to the last required one must exist, and those after the last column must be empty:
    // otherwise a separator inside a text has shifted the fields.
    let matters = [Field::User, Field::Isbn, Field::Rating, Field::Title];
    if columns.iter().rposition(|field| matters.contains(field)) >= Some(record.fields.len()) {
        return Err("too_few_fields");
    }
    if (columns.len()..record.fields.len()).any(|place| text(place).is_some()) {
        return Err("too_many_fields");
    }
    let value = |field: &Field| {
        let text = columns.iter().position(|column| column == field).and_then(text);
        match (field, text) {
            (Field::User, None) => Err("missing_user"),
            (Field::Isbn, None) => Err("missing_isbn"),
            (Field::Rating, None) => Ok(shortest(implicit_rating)),
            (Field::Rating, Some(text)) => number(text).map(shortest).ok_or("rating_not_a_number"),
            (Field::User | Field::RatedAt | Field::Year, Some(text)) => Ok(integer_or_text(text)),
            (_, Some(text)) => Ok(Value::Text(text.to_owned())),
            (_, None) => Ok(Value::Null),
        }
    };
    wanted.iter().map(value).collect()
}

/// A rejected record, in parts as the table would take them. With a wrong number of fields, the parts are
/// unknown; then the record's number leads to it in the file.
fn example(record: &Record, dialect: &Dialect) -> Example {
    let columns = dialect.columns.len();
    let number = Example { record: Some(record.number), ..Example::default() };
    if record.fields.len() != columns {
        return Example { note: Some(format!("{} fields of {columns}", record.fields.len())), ..number };
    }
    let part = |field: Field| {
        let place = dialect.columns.iter().position(|column| *column == field)?;
        Some(match integer_or_text(record.fields.get(place)?) {
            Value::Integer(value) => Part::Integer(value),
            _ => Part::text(&record.fields[place]),
        })
    };
    let [user, isbn, rating] = [Field::User, Field::Isbn, Field::Rating].map(part);
    Example { user, isbn, rating, ..number }
}

/// An integer only if it is spelled as usual: "007" stays text.
fn integer_or_text(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(integer) if integer.to_string() == text => Value::Integer(integer),
        _ => Value::Text(text.to_owned()),
    }
}

/// 5 rather than 5.0, for columns that are not declared REAL.
fn shortest(rating: f64) -> Value {
    if rating.fract() == 0.0 && rating.abs() < 1e15 {
        Value::Integer(rating as i64)
    } else {
        Value::Real(rating)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::interrupt::Interrupt;

    const SOME: &str = "user_id,isbn,rating\n8,0002005018,5\n007,0002005018,\nann,x,7\n8,0002005018,6\n";

    struct Shop(tempfile::TempDir);

    impl Shop {
        fn new(sql: &str) -> Self {
            let shop = Self(tempfile::tempdir().unwrap());
            shop.connection().execute_batch(sql).unwrap();
            shop
        }

        fn connection(&self) -> Connection {
            Connection::open(self.0.path().join("shop.db")).unwrap()
        }

        fn list(&self, sql: &str) -> Vec<String> {
            let connection = self.connection();
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.collect::<rusqlite::Result<_>>().unwrap()
        }

        fn import(&self, text: &str, config: &Config) -> Result<Loaded> {
            let file = self.0.path().join("some.csv");
            if !file.exists() {
                std::fs::write(&file, text).unwrap();
            }
            let db = self.0.path().join("shop.db");
            let (console, interrupt) = (Console::silent(), Interrupt::never());
            let context = Context { config, console: &console, interrupt: &interrupt };
            let (files, hints) = ([file], Hints::default());
            load(context, &db, Request { files: &files, hints: &hints, restart: false })
        }
    }

    #[test]
    fn rows_arrive_once_and_ids_keep_their_spelling() {
        let shop = Shop::new("");
        for _ in 0..2 {
            let told = shop.import(SOME, &Config::default()).unwrap();
            assert_eq!(told.files[0].written, 4);
            let rows =
                shop.list("SELECT typeof(user_id) || user_id || isbn || rating FROM ratings ORDER BY rowid");
            assert_eq!(rows, ["integer800020050186.0", "text00700020050180.0", "textannx7.0"]);
        }
    }

    #[test]
    fn what_is_rejected_is_counted_and_kept() {
        let shop = Shop::new("");
        let text = "user_id,isbn,rating\n8,1,5\n,1,5\n8,NULL,5\n8,2,bad\n8,3\n8,4,5,6\n8,5,5,\n";
        let told = shop.import(text, &Config::default()).unwrap();
        let reasons =
            ["missing_isbn", "missing_user", "rating_not_a_number", "too_few_fields", "too_many_fields"];
        assert_eq!(shop.list("SELECT reason FROM nightshelf_rejects ORDER BY reason"), reasons);
        assert!(reasons.iter().all(|reason| told.files[0].rejected[*reason] == 1));
        assert_eq!(told.files[0].written, 2);
        let only_bad = Shop::new("").import("user_id,isbn,rating\n8,1,bad\n", &Config::default());
        assert_eq!(only_bad.unwrap().failure.unwrap().kind(), Kind::NoRatings);
    }

    #[test]
    fn a_cut_off_import_goes_on_and_a_finished_one_starts_anew() {
        let shop = Shop::new("");
        shop.import(SOME, &Config::default()).unwrap();
        let cut_off = "UPDATE nightshelf_imports SET records = 2, finished = 0; DELETE FROM ratings";
        shop.connection().execute_batch(cut_off).unwrap();
        let told = shop.import(SOME, &Config::default()).unwrap();
        assert_eq!(told.files[0].resumed_at, Some(2));
        assert_eq!(told.files[0].records, 4);
        assert_eq!(shop.list("SELECT isbn FROM ratings ORDER BY rowid"), ["x", "0002005018"]);
        let told = shop.import(SOME, &Config::default()).unwrap();
        assert!(told.files[0].resumed_at.is_none());
        assert_eq!(shop.list("SELECT isbn FROM ratings").len(), 3);
    }

    #[test]
    fn a_table_of_other_names_and_without_an_index_is_served() {
        let shop = Shop::new("CREATE TABLE marks (reader TEXT, isbn TEXT, stars INTEGER)");
        let mut config = Config::default();
        config.source.table = "marks".into();
        config.source.user = "reader".into();
        config.source.rating = "stars".into();
        let text = "user,isbn,rating,timestamp\n8,1,5,77\n8,1,4,78\n9,1,3,79\n";
        for _ in 0..2 {
            shop.import(text, &config).unwrap();
            let rows = shop.list("SELECT typeof(reader) || reader || isbn || stars FROM marks");
            assert_eq!(rows, ["text814", "text913"]);
        }
    }

    #[test]
    fn a_row_that_the_table_refuses_stops_nothing() {
        let shop = Shop::new(
            "CREATE TABLE ratings (user_id, isbn, rating CHECK (rating > 0), UNIQUE (isbn, user_id))",
        );
        let told = shop.import(SOME, &Config::default()).unwrap();
        assert_eq!(told.files[0].rejected, BTreeMap::from([("refused_by_table".to_owned(), 1)]));
        assert_eq!(told.files[0].written, 3);
    }

    #[test]
    fn a_query_and_a_view_are_refused() {
        let mut config = Config::default();
        config.source.query = "SELECT 1, 2, 3".into();
        assert_eq!(Shop::new("").import(SOME, &config).unwrap_err().kind(), Kind::Config);
        let view = Shop::new("CREATE VIEW ratings AS SELECT 1 AS user_id, 2 AS isbn, 3 AS rating");
        assert_eq!(view.import(SOME, &Config::default()).unwrap_err().kind(), Kind::Config);
    }
}
