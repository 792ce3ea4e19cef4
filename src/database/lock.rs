//! A lock, so that only one job at a time works on a database.
//!
//! It is a kernel lock on a file in the folder beside the database, so it ends with the process, however that
//! ends. SQLite's own locks are not used, because they would block the application. A second lock, on a byte
//! of the database file that SQLite never uses, stops jobs that open the database through a hard link, and so
//! have another folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::database::Database;
use crate::error::{Error, Kind, Result};
use crate::sidecar;

/// Held for as long as a job works on a database.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    _inode: Option<InodeLock>,
}

impl Lock {
    /// # Errors
    /// [`Kind::Busy`] if another job holds it, naming the process; [`Kind::Io`] if the folder cannot be made.
    pub fn take(database: &Database) -> Result<Self> {
        let folder = database.folder();
        // Nearly always the folder exists already.
        if let Err(error) = sidecar::make_folder(&folder)
            && !folder.is_dir()
        {
            return Err(Error::file(&error, "make the folder", &folder)
                .hint("the job needs to write to the folder in which the database lies"));
        }
        let path = folder.join("lock");
        let busy = |who: &str| {
            let message = format!("another nightshelf is at work on {}{who}", database.path().display());
            Error::new(Kind::Busy, message)
                .hint("wait for it to end, or stop it; the lock goes with the process")
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // The folder may belong to another account: what root writes must not follow links of theirs.
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(|error| Error::file(&error, "write", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy(&holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(Error::file(&error, "lock", &path)),
        }
        let noted = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        noted.map_err(|error| Error::file(&error, "write", &path))?;
        // Everything in the folder, also what an earlier version or another account has left.
        sidecar::adopt(&folder, database.path()).map_err(|error| Error::file(&error, "write", &folder))?;
        let inode = match InodeLock::take(database.path()) {
            Ok(inode) => Some(inode),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(busy(", through another name of the file (a hard link)"));
            }
            // Not every file system has such locks; the first lock holds all the same.
            Err(_) => None,
        };
        Ok(Self { _file: file, _inode: inode })
    }

    /// The process that holds the lock, as ` (process 12)`; `None` if the lock is free.
    pub fn held(database: &Database) -> Option<String> {
        let mut file = File::open(database.folder().join("lock")).ok()?;
        // Shared, so that two processes that only look do not take each other for a job.
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| holder(&mut file))
    }
}

/// A lock on the database file itself, whatever it is called.
///
/// It belongs to an open file (`F_OFD_SETLK`), and SQLite's locks belong to the process, so the two do not
/// affect each other.
#[derive(Debug)]
struct InodeLock {
    /// Never closed: closing any handle of a file ends all locks that SQLite holds on it in this process.
    file: ManuallyDrop<File>,
}

impl InodeLock {
    /// Far behind the bytes around 2³⁰ that SQLite locks.
    const BYTE: libc::off_t = 1 << 46;

    fn take(path: &Path) -> io::Result<Self> {
        let file = ManuallyDrop::new(OpenOptions::new().read(true).write(true).open(path)?);
        set(&file, libc::F_WRLCK)?;
        Ok(Self { file })
    }
}

impl Drop for InodeLock {
    fn drop(&mut self) {
        // The handle stays open, and so would the lock. If this fails, the lock ends with the process.
        let _ = set(&self.file, libc::F_UNLCK);
    }
}

fn set(file: &File, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: `flock` is a plain structure of numbers, for which zeros are valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = InodeLock::BYTE;
    lock.l_len = 1;
    // SAFETY: the handle is open, and the structure lives until the call returns.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The holder of the lock, for a message; empty if it has not written its number yet.
fn holder(file: &mut File) -> String {
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    match holder.trim() {
        "" => String::new(),
        number => format!(" (process {number})"),
    }
}
