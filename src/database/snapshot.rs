//! Long reads of a database that keep nobody waiting.
//!
//! In WAL mode a read may last for any time. With a rollback journal nobody can commit while anybody reads;
//! there a large database is first copied, a little at a time, and the copy is read.

use std::time::Instant;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use tempfile::NamedTempFile;

use crate::database::publish::slots::PUBLISHED;
use crate::database::table::Table;
use crate::database::{Database, pause, quote};
use crate::error::{Error, Kind, Result};

/// A database of so many bytes or fewer is not copied: checking all promises on it takes some 80 ms.
const SMALL: i64 = 1 << 20;

/// Bytes that are copied in one go.
const GO: i64 = 4 << 20;

/// How often the copy may restart because others have written.
const RESTARTS: u32 = 100;

/// Runs `work`, which reads for long, on the database or on a copy of it; it sees one state of the database.
///
/// # Errors
/// As [`Database::read`]; [`Kind::Io`] if the temporary folder has no space for the copy, [`Kind::Busy`] if
/// others write so often that the copy never completes.
pub fn read<T>(
    database: &Database,
    doing: &str,
    mut work: impl FnMut(&Connection) -> Result<T>,
) -> Result<T> {
    let (count, page) = database.read(doing, |connection| {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok((pragma("page_count")?, pragma("page_size")?))
    })?;
    let size = count.saturating_mul(page);
    if size <= SMALL || database.journal_mode()? == "wal" {
        return database.read(doing, work);
    }
    let file = NamedTempFile::new().map_err(|error| Error::file(&error, "write", &std::env::temp_dir()))?;
    let room = rustix::fs::statvfs(file.path()).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    if room.is_ok_and(|room| room < size.unsigned_abs()) {
        let message =
            format!("there is no room for a copy of the database in {}", std::env::temp_dir().display());
        return Err(Error::new(Kind::Io, message).hint(
            "without WAL a large database is looked at in a copy: free some space there, or name another folder in TMPDIR",
        ));
    }
    let mut copy = Connection::open(file.path())?;
    fill(database, &mut copy, page).map_err(|error| error.while_doing(doing))?;
    work(&copy).map_err(|error| error.while_doing(doing))
}

fn fill(database: &Database, copy: &mut Connection, page: i64) -> Result<()> {
    let backup = Backup::new(&database.connection, copy)?;
    let pages = i32::try_from(GO / page.max(1)).unwrap_or(1).max(1);
    let (mut left, mut restarts, mut last) = (i32::MAX, 0, Instant::now());
    loop {
        database.interrupt.check()?;
        let since = Instant::now();
        let step = backup.step(pages)?;
        let now = backup.progress().remaining;
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More if now < left => last = since,
            // A write by others restarts the copy.
            StepResult::More => restarts += 1,
            _ => {}
        }
        left = now;
        if restarts > RESTARTS || last.elapsed() > database.patience {
            return Err(Error::new(Kind::Busy, "the database is written to all the time")
                .hint("try again when less is going on, or turn WAL on: PRAGMA journal_mode = WAL"));
        }
        pause(since.elapsed());
    }
}

/// The faults that SQLite finds in the content of the published tables and their indexes, not in their pages
/// alone.
pub fn faults_of_published(connection: &Connection) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for table in &PUBLISHED {
        if Table::find(connection, table.name)?.is_some() {
            let mut statement =
                connection.prepare(&format!("PRAGMA integrity_check({})", quote(table.name)))?;
            let found = statement.query_map([], |row| row.get::<_, String>(0))?;
            faults
                .extend(found.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().filter(|word| word != "ok"));
        }
    }
    Ok(faults)
}
