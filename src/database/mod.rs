//! SQLite: reads and writes the application's database without keeping the application waiting.
//!
//! Reads are short transactions ([`source`], [`books`], [`titles`], [`lists`]). Writes are many short
//! transactions, always through [`Database::write`], which limits how long others wait. [`publish`] makes new
//! recommendations visible, all at once. [`erase`] removes a reader from every table of ours, and [`scrub`]
//! clears the file's free pages. [`runs`] keeps the history. [`check`] tests the promises about the published
//! tables.

pub mod batch_size;
pub mod books;
pub mod check;
pub mod erase;
pub mod fallen;
pub mod import;
pub mod lists;
pub mod lock;
pub mod own_tables;
pub mod publish;
pub mod readers;
pub mod runs;
pub mod scrub;
pub mod selection;
pub mod snapshot;
pub mod source;
pub mod survey;
pub mod table;
pub mod titles;
pub mod trials;
pub mod values;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::interrupt::Interrupt;

/// How long one wait for a lock lasts before we check whether we were asked to stop.
const WAIT: Duration = Duration::from_millis(100);

/// How long a COMMIT may wait for open read transactions to end, at first and at most. While it waits in a
/// rollback-journal database, no new read can start. So it gives up early, and the whole transaction is tried
/// again later. Where reads are long and follow each other closely, it needs the longer wait.
const COMMIT_WAIT: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(50)];

/// How long one transaction should hold the write lock at most.
pub const HOLD: Duration = Duration::from_millis(40);

/// The pause after each of our transactions, long enough for a waiting connection to get the lock.
///
/// SQLite's own busy handler, which most applications use, looks again after 1, 3, 8, 18, 33, 53, 78 and 103
/// ms, then 25, 50, 50, 100 ms later and so on. A connection that began to wait with our transaction looks
/// every 25 ms if the transaction was short; after a longer one its gaps are longer, and so is the pause. So
/// a writer waits for [`HOLD`], the commit and one of these gaps: less than the promised 250 ms.
fn pause_after(held: Duration) -> Duration {
    Duration::from_millis(match held.as_millis() {
        0..75 => 26,
        75..125 => 52,
        _ => 104,
    })
}

/// An open database, in which no transaction of ours holds a lock for long.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
    /// Device and inode number of the file that was opened, whatever lies at its path later.
    file: (u64, u64),
    patience: Duration,
    interrupt: Interrupt,
}

impl Database {
    /// Opens a database that must exist.
    ///
    /// `patience` is how long one read or write may wait, in all, for locks that others hold.
    ///
    /// # Errors
    /// [`Kind::NoInput`] if there is no such file or it is not a database.
    pub fn open(path: &Path, patience: Duration, interrupt: Interrupt) -> Result<Self> {
        Self::with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE, patience, interrupt)
    }

    /// Opens a database, or makes an empty one.
    ///
    /// # Errors
    /// As [`Database::open`], and [`Kind::Io`] if the file cannot be made.
    pub fn open_or_create(path: &Path, patience: Duration, interrupt: Interrupt) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Self::with_flags(path, flags, patience, interrupt)
    }

    fn with_flags(path: &Path, flags: OpenFlags, patience: Duration, interrupt: Interrupt) -> Result<Self> {
        let may_create = flags.contains(OpenFlags::SQLITE_OPEN_CREATE);
        if path.is_dir() || (!may_create && !path.is_file()) {
            return Err(Error::new(Kind::NoInput, format!("there is no database file {}", path.display()))
                .hint("check --db; `nightshelf import` makes a new database from files"));
        }
        let doing = format!("cannot open {}", path.display());
        let prepare = |connection: Connection| {
            connection.busy_timeout(WAIT)?;
            // The application may not enforce foreign keys; we do not decide that for it.
            connection.pragma_update(None, "foreign_keys", false)?;
            // Views, triggers and foreign keys go on naming the published table when tables are renamed.
            connection.pragma_update(None, "legacy_alter_table", true)?;
            // We checkpoint ourselves, when we do not hold the lock.
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            // A spilled cache would block reads by others before the commit.
            connection.pragma_update(None, "cache_spill", false)?;
            // Content that we delete within a page is overwritten with zeros: it may be about people.
            connection.execute_batch("PRAGMA secure_delete = FAST")?;
            Ok(connection)
        };
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .and_then(prepare)
            .map_err(|error| Error::from(error).while_doing(&doing))?;
        let path = std::fs::canonicalize(path).map_err(|error| Error::file(&error, "read", path))?;
        let file = identity(&path).map_err(|error| Error::file(&error, "read", &path))?;
        let database = Self { connection, path, file, patience, interrupt };
        // SQLite reads the file only now: this finds a file that is no database, and waits for a busy one.
        let sql = "SELECT count(*) FROM sqlite_schema";
        database.read(&doing, |connection| Ok(connection.query_row(sql, [], |_| Ok(()))?))?;
        Ok(database)
    }

    /// Opens the same database once more, for work in parallel.
    ///
    /// # Errors
    /// As [`Database::open`], and [`Kind::Io`] if the file was removed or replaced.
    pub fn again(&self) -> Result<Self> {
        // Opened by the path, at which another file may lie by now.
        self.check_is_there()?;
        let again = Self::open(&self.path, self.patience, self.interrupt.clone())?;
        match again.file == self.file {
            true => Ok(again),
            false => Err(self.replaced("replaced by another file")),
        }
    }

    /// Opens the same database once more, for nothing but an exchange of table names. To rename a table,
    /// SQLite reads the whole schema, also what needs collations that only the application has. This
    /// connection gives those collations an order of its own, so nothing may be written through it to the
    /// application's tables.
    pub fn for_exchange(&self) -> Result<Self> {
        let again = self.again()?;
        again.connection.collation_needed(|connection, name| {
            connection.create_collation(name, |one: &str, other: &str| one.cmp(other))
        })?;
        Ok(again)
    }

    /// `wal`, `delete` and so on.
    pub fn journal_mode(&self) -> Result<String> {
        self.read("looking at the database", |connection| {
            Ok(connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?)
        })
    }

    /// The path of the database, with links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// The folder beside the database that holds the lock and the models: `shop.db.nightshelf/`.
    pub fn folder(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".nightshelf");
        name.into()
    }

    /// Runs `work`, which only reads, in one transaction: it sees one state of the database. Runs it again
    /// from the start for as long as others block reads (they do while committing to a rollback-journal
    /// database).
    ///
    /// Without WAL nobody can commit while `work` runs: for long reads there is [`Database::read_in_goes`].
    ///
    /// # Errors
    /// [`Kind::Busy`] when patience runs out, [`Kind::Interrupted`] on a signal.
    pub fn read<T>(&self, doing: &str, mut work: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
        self.read_in_goes(doing, |connection| {
            let transaction = connection.unchecked_transaction()?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
    }

    /// Runs `work`, which only reads, without a transaction: each of its statements sees a state of its own.
    /// Rows may be added, changed and deleted between two statements. So a table that is read in several
    /// goes, by key, gives each unchanged row once, a changed row in its old or new state, and a row whose
    /// key changes perhaps not at all or twice.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub fn read_in_goes<T>(&self, doing: &str, mut work: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + self.patience;
        loop {
            self.interrupt.check()?;
            match work(&self.connection) {
                Err(error) if error.kind() == Kind::Busy && Instant::now() < deadline => {
                    failpoint::reach("read.busy");
                    std::thread::sleep(pause_after(Duration::ZERO));
                }
                Err(error) if error.kind() == Kind::Interrupted || error.kind() == Kind::Terminated => {
                    return Err(error);
                }
                other => return other.map_err(|error| error.while_doing(doing)),
            }
        }
    }

    /// Runs `work` in one write transaction, and again from the start for as long as others keep the database
    /// locked. Returns what `work` returned and how long the lock was held.
    ///
    /// `work` must be short (see [`HOLD`]), and it must be correct to run it twice.
    ///
    /// # Errors
    /// [`Kind::Busy`] when patience runs out, [`Kind::Interrupted`] on a signal. On any error nothing is
    /// written.
    pub fn write<T>(
        &mut self,
        doing: &str,
        work: impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> Result<(T, Duration)> {
        self.transact(doing, true, work)
    }

    /// As [`Database::write`], but no trigger fires.
    pub fn without_triggers<T>(
        &mut self,
        doing: &str,
        work: impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        const TRIGGERS: DbConfig = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        self.connection.set_db_config(TRIGGERS, false)?;
        let done = self.transact(doing, true, work);
        self.connection.set_db_config(TRIGGERS, true)?;
        done.map(|(value, _)| value)
    }

    /// Runs `work` as [`Database::write`] does, and rolls it back.
    pub fn rehearse<T>(&mut self, doing: &str, work: impl FnMut(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.transact(doing, false, work).map(|(value, _)| value)
    }

    /// As [`Database::write`], for the last write of a job that was asked to stop: it ignores that request,
    /// and waits for a lock for one second at most.
    pub fn write_last<T>(
        &mut self,
        doing: &str,
        work: impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let interrupt = std::mem::replace(&mut self.interrupt, Interrupt::never());
        let patience = std::mem::replace(&mut self.patience, Duration::from_secs(1));
        let done = self.transact(doing, true, work);
        (self.interrupt, self.patience) = (interrupt, patience);
        done.map(|(value, _)| value)
    }

    fn transact<T>(
        &mut self,
        doing: &str,
        keep: bool,
        mut work: impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> Result<(T, Duration)> {
        let deadline = Instant::now() + self.patience;
        let [mut commit_wait, longest] = COMMIT_WAIT;
        loop {
            self.interrupt.check()?;
            self.check_is_there()?;
            let (done, held) = self.attempt(keep, commit_wait, &mut work);
            match done {
                Ok(value) => {
                    // After the commit, so nobody waits for it. It keeps the log from growing beyond one
                    // transaction.
                    let since = Instant::now();
                    self.checkpoint();
                    std::thread::sleep(pause_after(held).saturating_sub(since.elapsed()));
                    return Ok((value, held));
                }
                Err(error) if error.kind() == Kind::Busy && Instant::now() < deadline => {
                    failpoint::reach("write.busy");
                    std::thread::sleep(pause_after(held));
                    commit_wait = (commit_wait * 2).min(longest);
                }
                Err(error) => return Err(error.while_doing(doing)),
            }
        }
    }

    /// Fails if the file at the path is no longer the one that was opened: nobody would see what is written
    /// to it.
    fn check_is_there(&self) -> Result<()> {
        match identity(&self.path) {
            Ok(file) if file == self.file => Ok(()),
            Ok(_) => Err(self.replaced("replaced by another file")),
            Err(_) => Err(self.replaced("removed")),
        }
    }

    fn replaced(&self, what: &str) -> Error {
        let message = format!("the database {} was {what} while the job ran", self.path.display());
        Error::new(Kind::Io, message)
            .hint("what is there now was not touched: run again; to restore a copy, wait for the job to end")
    }

    /// Tries the transaction once. Returns the result and how long the write lock was held.
    fn attempt<T>(
        &mut self,
        keep: bool,
        commit_wait: Duration,
        work: &mut impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> (Result<T>, Duration) {
        // IMMEDIATE, because a transaction that has read and then wants to write is refused at once, whatever
        // the timeout, if another connection wrote in between.
        let transaction = match self.connection.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => transaction,
            Err(error) => return (Err(error.into()), Duration::ZERO),
        };
        let since = Instant::now();
        let done = work(&transaction).and_then(|value| {
            transaction.busy_timeout(commit_wait)?;
            if keep {
                transaction.commit()?
            } else {
                transaction.rollback()?
            }
            Ok(value)
        });
        let held = since.elapsed();
        let reset = self.connection.busy_timeout(WAIT);
        (done.and_then(|value| Ok(reset.map(|()| value)?)), held)
    }

    /// Copies the whole write-ahead log into the database and empties its file, so that nothing stays
    /// readable there. While others read, it tries again for a while, in short tries: new writers wait for as
    /// long as one try lasts.
    ///
    /// Returns whether the log is empty; `None` without WAL.
    pub fn truncate_log(&self) -> Result<Option<bool>> {
        const TRIES: u32 = 100;
        if self.journal_mode()? != "wal" {
            return Ok(None);
        }
        for _ in 0..TRIES {
            self.checkpoint();
            self.connection.busy_timeout(COMMIT_WAIT[0])?;
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy = self.connection.query_row(sql, [], |row| row.get::<_, bool>(0));
            self.connection.busy_timeout(WAIT)?;
            if !busy? {
                return Ok(Some(true));
            }
            self.interrupt.check()?;
            pause(Duration::ZERO);
        }
        Ok(Some(false))
    }

    /// Copies finished pages of the write-ahead log into the database, without making anybody wait. Pages
    /// that open reads still need stay in the log.
    fn checkpoint(&self) {
        // Nothing depends on its success. No `PRAGMA optimize`: it would analyse the application's tables,
        // and so change how its own queries are planned.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}

/// Device and inode number: they identify a file whatever it is called.
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(path)?;
    Ok((about.dev(), about.ino()))
}

/// Waits between two goes of a long read, so that a waiting connection gets the lock.
pub(crate) fn pause(held: Duration) {
    std::thread::sleep(pause_after(held));
}

/// Quotes an identifier for SQL.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
