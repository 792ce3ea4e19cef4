//! One job a database at a time.
//!
//! The lock is the kernel's, on a file in the folder beside the database: it is gone when the
//! process is, however that ended. SQLite's own locks are not used for this; they would keep the
//! application out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};

use crate::error::{Error, Kind, Result};
use crate::store::Database;

/// Held for as long as a job works on a database.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`Kind::Busy`] if another job holds it, naming the process; [`Kind::Io`] if the folder
    /// cannot be made.
    pub fn take(database: &Database) -> Result<Self> {
        let folder = database.folder();
        std::fs::create_dir_all(&folder).map_err(|error| {
            Error::file(&error, "make the folder", &folder)
                .hint("the job needs to write to the folder in which the database lies")
        })?;
        let path = folder.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Error::file(&error, "write", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let who = holder(&mut file);
                return Err(Error::new(
                    Kind::Busy,
                    format!("another nightshelf is at work on {}{who}", database.path().display()),
                )
                .hint("wait for it to end, or stop it; the lock goes with the process"));
            }
            Err(TryLockError::Error(error)) => return Err(Error::file(&error, "lock", &path)),
        }
        let noted = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        noted.map_err(|error| Error::file(&error, "write", &path))?;
        Ok(Self { _file: file })
    }

    /// Who holds the lock, if anybody does: ` (process 12)`.
    pub fn held(database: &Database) -> Option<String> {
        let mut file = File::open(database.folder().join("lock")).ok()?;
        // Shared, so that two who only look do not take each other for a job.
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| holder(&mut file))
    }
}

/// Only to be helpful: who holds the lock may not have written its number yet.
fn holder(file: &mut File) -> String {
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    match holder.trim() {
        "" => String::new(),
        number => format!(" (process {number})"),
    }
}
