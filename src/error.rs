//! The crate's error type: what happened, to what, and what to do about it.
//!
//! Every failure that a person or a cron job can meet is one [`Error`]. Its [`Kind`] decides the
//! exit code, in [`Kind::exit_code`] and nowhere else; its message says what happened, and its
//! hint what to do next.

use std::fmt;
use std::io;
use std::path::Path;

use crate::{machine, model};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of failure, one for each documented exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything without a code of its own.
    Failed,
    /// The quality gate objected; what was published stays.
    Refused,
    /// The input holds no usable ratings.
    NoRatings,
    /// A file is not there or cannot be read.
    NoInput,
    /// The device that was asked for is not there.
    NoDevice,
    /// Reading or writing failed: disk full, read-only, corrupt.
    Io,
    /// Another run holds the lock, or the database stayed busy.
    Busy,
    /// The configuration is wrong.
    Config,
    /// Stopped by SIGINT.
    Interrupted,
    /// Stopped by SIGTERM.
    Terminated,
}

impl Kind {
    /// Numbered as in `sysexits.h` and, for signals, as in the shell.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Refused => 3,
            Kind::NoRatings => 65,
            Kind::NoInput => 66,
            Kind::NoDevice => 69,
            Kind::Io => 74,
            Kind::Busy => 75,
            Kind::Config => 78,
            Kind::Interrupted => 130,
            Kind::Terminated => 143,
        }
    }
}

#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Error {
    /// `message` says what happened to what.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was being attempted before the message.
    pub fn while_doing(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The hint, if there is one.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// A file-system error. A file that cannot be opened is [`Kind::NoInput`] if `doing` starts with `read`.
    pub fn file(error: &io::Error, doing: &str, path: &Path) -> Self {
        let message = format!("cannot {doing} {}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::NotFound if doing.starts_with("read") => Error::new(Kind::NoInput, message),
            io::ErrorKind::PermissionDenied if doing.starts_with("read") => {
                Error::new(Kind::NoInput, message)
            }
            io::ErrorKind::StorageFull => Error::new(Kind::Io, message).hint("free some space and run again"),
            _ => Error::new(Kind::Io, message),
        }
    }

    /// An error of polars: a defect or a lack of memory, never a fault of the data.
    pub(crate) fn frame(error: &polars::error::PolarsError) -> Self {
        Error::new(Kind::Failed, format!("working on the ratings' columns failed: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<polars::error::PolarsError> for Error {
    fn from(error: polars::error::PolarsError) -> Self {
        Error::frame(&error)
    }
}

impl From<model::error::Error> for Error {
    fn from(error: model::error::Error) -> Self {
        use model::error::Error as Of;
        let message = error.to_string();
        match error {
            Of::Diverged(_) => Error::new(Kind::Failed, message)
                .hint("raise regularization, or lower learning_rate if the solver is adam or sgd"),
            Of::DeviceFailed(_) => Error::new(Kind::NoDevice, message),
            Of::NoDevice(_) => Error::new(Kind::NoDevice, message)
                .hint("use --device cpu, or --device auto to take CUDA only where it is there"),
            Of::UnknownDevice(_) => Error::new(Kind::Config, message)
                .hint("--device takes auto, cpu, cuda, cuda:N, vulkan or vulkan:N"),
            Of::Interrupted => Error::new(Kind::Interrupted, message),
            Of::Terminated => Error::new(Kind::Terminated, message),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let message = match &error {
            rusqlite::Error::SqliteFailure(_, Some(text)) => format!("SQLite says: {text}"),
            other => format!("SQLite says: {other}"),
        };
        match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Error::new(Kind::Busy, message)
                .hint("another program kept the database locked; try again later"),
            Some(Code::DiskFull) => Error::new(Kind::Io, message).hint(match machine::full_temporary_folder() {
                Some(folder) => format!(
                    "the folder for temporary files, {}, is full: free some space there, or name another in \
                     SQLITE_TMPDIR, and run again",
                    folder.display()
                ),
                None => "free some space on the database's disk and run again".to_owned(),
            }),
            Some(Code::ReadOnly) => Error::new(Kind::Io, message)
                .hint("the job needs to write to the database file and to its folder"),
            Some(Code::CannotOpen | Code::PermissionDenied) => Error::new(Kind::NoInput, message)
                .hint("check the path, and that this user may read the file and write to its folder"),
            Some(Code::NotADatabase) => Error::new(Kind::NoInput, message)
                .hint("this file is not a SQLite database, or it is encrypted"),
            Some(Code::DatabaseCorrupt) => Error::new(Kind::Io, message)
                .hint("the database is damaged: restore a copy, or see `.recover` in the sqlite3 shell"),
            Some(Code::SystemIoFailure) => Error::new(Kind::Io, message),
            _ => Error::new(Kind::Failed, message),
        }
    }
}

/// The candidate nearest to a mistyped word, if one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
