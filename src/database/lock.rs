//! One job a database at a time.
//!
//! The lock is the kernel's, on a file in the folder beside the database: it is gone when the
//! process is, however that ended. SQLite's own locks are not used for this; they would keep the
//! application out. A second one, on a byte of the database file that SQLite never looks at, keeps those out who come
//! through a hard link, and so to another folder.

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
    /// Takes the lock.
    ///
    /// # Errors
    /// [`Kind::Busy`] if another job holds it, naming the process; [`Kind::Io`] if the folder
    /// cannot be made.
    pub fn take(database: &Database) -> Result<Self> {
        let folder = database.folder();
        // Nearly always it is there already.
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
            // The folder may be another user's: what is written as root follows no link of theirs.
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
        // All that is there, also what an earlier version or another user has left.
        sidecar::adopt(&folder, database.path()).map_err(|error| Error::file(&error, "write", &folder))?;
        let inode = match InodeLock::take(database.path()) {
            Ok(inode) => Some(inode),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(busy(", through another name of the file (a hard link)"));
            }
            // Not every file system has such locks; the first one holds all the same.
            Err(_) => None,
        };
        Ok(Self { _file: file, _inode: inode })
    }

    /// Who holds the lock, if anybody does: ` (process 12)`.
    pub fn held(database: &Database) -> Option<String> {
        let mut file = File::open(database.folder().join("lock")).ok()?;
        // Shared, so that two who only look do not take each other for a job.
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| holder(&mut file))
    }
}

/// A lock on the database file itself, whatever it is called.
///
/// It is of the kind that belongs to an open file (`F_OFD_SETLK`), so that those of SQLite, which belong to the process,
/// and this one know nothing of each other.
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
        // The handle stays open, so the lock would, too. If this fails it goes with the process.
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

/// Only to be helpful: who holds the lock may not have written its number yet.
fn holder(file: &mut File) -> String {
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    match holder.trim() {
        "" => String::new(),
        number => format!(" (process {number})"),
    }
}
