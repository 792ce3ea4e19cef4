//! `nightshelf import`: files of ratings or books into the application's tables.
//!
//! All files are looked at before the database is touched, so a mistyped name or an unknown format costs
//! nothing. Then each file is read once, in batches short enough for the application to write in between.
//! Whatever happens, what was written stays, and the same command goes on from there.

#[cfg(test)]
mod anything;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::catalog::rejects::Example;
use crate::config::Config;
use crate::console::Console;
use crate::context::Context;
use crate::database::Database;
use crate::database::batch_size::BatchSize;
use crate::database::import::{Progress, Stamp, Target, Written};
use crate::database::lock::Lock;
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::ingest::{Dialect, Field, FileKind, Hints, LEFT_OUT, Origin, Records, is_isbn_name};
use crate::pipeline::joining;
use crate::text::{count, plain};
use values::{example, row};

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
    /// New rows.
    pub written: u64,
    pub updated: u64,
    /// Rows that were there, as new or newer.
    pub left_alone: u64,
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
    let files = look(request.files, request.hints, config, console)?;
    let mut database = Database::open_or_create(db, config.output.patience(), interrupt.clone())?;
    let _lock = Lock::take(&database)?;
    let mut loaded = Loaded { files: Vec::new(), failure: None };
    for file in &files {
        file.announce(console);
        let load = file.load(&mut database, config, console, request.restart)?;
        file.tell(&load, console);
        if load.used() == 0 {
            loaded.failure = loaded.failure.or_else(|| Some(file.useless(&load)));
        }
        loaded.files.push(file.summary(&load));
    }
    // What an application's own tables say is its affair here.
    if let Ok(Some(doubt)) = joining::ask(&database, config) {
        console.warn(doubt);
    }
    Ok(loaded)
}

/// A file whose format and target table are known.
struct File {
    origin: Origin,
    /// For messages: without its folder.
    name: String,
    stamp: Stamp,
    dialect: Dialect,
    /// What it is imported as now.
    kind: FileKind,
    target: Target,
}

/// Looks at all files, and at each table in a zip. Ratings and books that come together go by the same column.
fn look(paths: &[PathBuf], hints: &Hints, config: &Config, console: &Console) -> Result<Vec<File>> {
    let mut found: Vec<(Origin, Dialect)> = Vec::new();
    let mut passed_over: Vec<(Origin, Error)> = Vec::new();
    for path in paths {
        for origin in Origin::all(path)? {
            let dialect = Dialect::sniff(&origin, hints);
            match dialect {
                Ok(dialect) => found.push((origin, dialect)),
                // A zip may hold other tables, too: readers, tags.
                Err(error) if origin.entry.is_some() && error.kind() == Kind::Config => {
                    passed_over.push((origin, error))
                }
                Err(error) => return Err(error),
            }
        }
    }
    let is_used = |(_, dialect): &(Origin, Dialect)| !dialect.kinds.is_empty();
    if let Some((origin, dialect)) = found.first().filter(|_| !found.iter().any(is_used)) {
        let what = format!("{} has readers, and no books: {}", origin.name(), dialect.names.join(", "));
        return Err(Error::new(Kind::Config, plain(&what))
            .hint("--columns says which column is the book, such as isbn=COLUMN"));
    }
    for (origin, _) in found.iter().filter(|file| !is_used(file)) {
        console.say(format!("{}: left out, as it has readers, and no books", plain(&origin.name())));
    }
    for (origin, error) in passed_over {
        if found.is_empty() {
            return Err(error);
        }
        console.warn(format!("{} is left out: {error}", plain(&origin.name())));
    }
    let of_ratings = |dialect: &Dialect| dialect.kinds.contains(&FileKind::Ratings);
    let keys: Vec<String> = found
        .iter()
        .filter(|(_, dialect)| of_ratings(dialect))
        .filter(|(_, dialect)| !dialect.has_isbns)
        .filter_map(|(_, dialect)| dialect.key().filter(|name| !is_isbn_name(name)).map(str::to_owned))
        .collect();
    for (_, dialect) in found.iter_mut().filter(|(_, dialect)| !of_ratings(dialect)) {
        keys.iter().any(|key| dialect.keyed_by(key));
    }
    let files = found.into_iter().flat_map(|(origin, dialect)| {
        let kinds = dialect.kinds.clone();
        kinds.into_iter().map(move |kind| File::new(origin.clone(), dialect.clone(), kind, config))
    });
    files.collect()
}

struct Load {
    progress: Progress,
    written: Written,
    resumed_at: Option<u64>,
}

impl Load {
    /// Records that are neither rejected nor left out.
    fn used(&self) -> u64 {
        self.progress.records.saturating_sub(self.progress.rejects.total())
    }
}

impl File {
    fn new(origin: Origin, dialect: Dialect, kind: FileKind, config: &Config) -> Result<Self> {
        let path = &origin.path;
        let full = path.canonicalize().map_err(|error| Error::file(&error, "read", path))?;
        let about = full.metadata().map_err(|error| Error::file(&error, "read", path))?;
        let mut known_as = full.into_os_string();
        if let Some(entry) = &origin.entry {
            known_as.push(format!("/{entry}"));
        }
        let is_second = dialect.kinds.first() != Some(&kind);
        if is_second {
            known_as.push(" (books)");
        }
        let name = plain(&origin.name());
        let mut columns = dialect.columns.clone();
        if dialect.user.is_some() {
            columns.push(Field::User);
        }
        Ok(Self {
            name: if is_second { format!("{name}, books") } else { name },
            stamp: Stamp::new(Path::new(&known_as), &about),
            target: Target::new(&config.source, kind, &columns)?,
            kind,
            dialect,
            origin,
        })
    }

    /// Says how the file is read, and what of it is not.
    fn announce(&self, console: &Console) {
        if self.dialect.kinds.first() != Some(&self.kind) {
            return;
        }
        console.say(format!("{}: {}", self.name, self.dialect));
        let left_out = self.dialect.left_out();
        if !left_out.is_empty() {
            console.say(format!("{}: without {}", self.name, plain(&left_out.join(", "))));
        }
        if self.dialect.skip > 0 {
            let (lines, are) = if self.dialect.skip == 1 { ("line", "is") } else { ("lines", "are") };
            console
                .say(format!("{}: {} {lines} above the names {are} skipped", self.name, self.dialect.skip));
        }
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

        let mut records = Records::open(&self.origin, &self.dialect)?;
        if let Some(done) = resumed_at {
            console.say(format!("{}: goes on after record {}", self.name, count(done)));
            while records.number() < done && records.next().transpose()?.is_some() {
                if records.number().is_multiple_of(10_000) {
                    database.interrupt().check().map_err(|error| self.resumable(error.into(), done))?;
                }
            }
        }

        let size = self.origin.path.metadata().map_or(0, |about| about.len());
        let bar = console.bar(&self.name, size);
        let mut shown = 0;
        let mut written = Written::default();
        loop {
            let before = progress.records;
            let mut rows = Vec::with_capacity(batch.rows);
            let mut read = 0;
            while read < batch.rows
                && let Some(record) = records.next().transpose()?
            {
                read += 1;
                progress.records = record.number;
                match row(&record, &self.dialect, self.kind, table.fields(), config.source.implicit_rating) {
                    Ok(row) => rows.push(row),
                    Err(reason) => progress.rejects.add(reason, || example(&record, &self.dialect)),
                }
            }
            let finished = read < batch.rows;
            let ((now, some), held) = table
                .write(database, &rows, &self.stamp, &progress, finished)
                .map_err(|error| self.resumable(error, before))?;
            progress = now;
            written += some;
            failpoint::reach("import.batch");
            bar.advance(records.bytes_read().saturating_sub(shown));
            shown = records.bytes_read();
            if finished {
                return Ok(Load { progress, written, resumed_at });
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
        let Written { new, updated, same } = load.written;
        let mut line =
            format!("{}: {} records, {} written", self.name, count(load.progress.records), count(new));
        for (rows, what) in [(updated, "updated"), (same, "left alone, as no newer ones")] {
            if rows > 0 {
                line += &format!(", {} {what}", count(rows));
            }
        }
        let rejects = &load.progress.rejects;
        let listed = |is_left_out: bool| {
            let of_kind = rejects.iter().filter(|(reason, ..)| LEFT_OUT.contains(reason) == is_left_out);
            of_kind
                .map(|(reason, number, _)| format!("{} {reason}", count(number)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (left_out, rejected) = (listed(true), listed(false));
        if !left_out.is_empty() {
            line += &format!("; left out: {left_out}");
            if let Some((_, name)) = &self.dialect.filter.state {
                line += &format!(" (by {}; --where takes what you say)", plain(name));
            }
        }
        if !rejected.is_empty() {
            line += &format!("; rejected, with examples in nightshelf_rejects: {rejected}");
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
            file: self.origin.path.display().to_string(),
            kind: if self.kind == FileKind::Ratings { "ratings" } else { "books" },
            records: load.progress.records,
            written: load.written.new,
            updated: load.written.updated,
            left_alone: load.written.same,
            rejected: rejects.map(|(reason, number, _)| (reason.to_owned(), number)).collect(),
            resumed_at: load.resumed_at,
        }
    }
}
