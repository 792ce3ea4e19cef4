//! Reads the lines of a plain or gzip file, and tells how a file is packed.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::parquet::MAGIC;
use crate::error::{Error, Kind, Result};

/// Bytes of the longest line; the rest is cut off, so that a file without line ends cannot fill memory.
const LONGEST: u64 = 1 << 20;

/// How a file's records are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Plain,
    Gzip,
    /// Has rows and no lines.
    Parquet,
}

/// A file's unpacked lines. `ahead` holds lines that were peeked at; `passed` counts the file's bytes read.
pub(super) struct Lines {
    pub(super) text: Box<dyn BufRead>,
    pub(super) container: Container,
    pub(super) ahead: VecDeque<Vec<u8>>,
    pub(super) passed: Rc<Cell<u64>>,
    pub(super) path: PathBuf,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self> {
        // Checked first, because opening a pipe would wait for a writer.
        let about = std::fs::metadata(path).map_err(|error| unreadable(&error, path))?;
        if !about.is_file() {
            return Err(Error::new(Kind::NoInput, format!("{} is not a file", path.display()))
                .hint("an import can be resumed, so it needs a file that can be read again"));
        }
        let file = File::open(path).map_err(|error| unreadable(&error, path))?;
        let passed = Rc::new(Cell::new(0));
        let mut bytes = BufReader::with_capacity(1 << 16, Counted { file, passed: Rc::clone(&passed) });
        let start = bytes.fill_buf().map_err(|error| unreadable(&error, path))?;
        let container = match start {
            gzip if gzip.starts_with(b"\x1f\x8b") => Container::Gzip,
            parquet if parquet.starts_with(MAGIC) => Container::Parquet,
            _ => Container::Plain,
        };
        let text: Box<dyn BufRead> = match container {
            Container::Gzip => Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(bytes))),
            Container::Plain | Container::Parquet => Box::new(bytes),
        };
        Ok(Self { text, container, ahead: VecDeque::new(), passed, path: path.to_owned() })
    }

    pub(super) fn pull(&mut self) -> Result<Option<Vec<u8>>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.read(),
        }
    }

    /// A later line, without taking it; the next line is at place 0.
    pub(super) fn peek(&mut self, place: usize) -> Result<Option<&[u8]>> {
        while self.ahead.len() <= place {
            match self.read()? {
                Some(line) => self.ahead.push_back(line),
                None => return Ok(None),
            }
        }
        Ok(self.ahead.get(place).map(Vec::as_slice))
    }

    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut piece = self.text.by_ref().take(LONGEST);
        piece.read_until(b'\n', &mut line).map_err(|error| unreadable(&error, &self.path))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.pop_if(|byte| *byte == b'\n').is_some() {
            line.pop_if(|byte| *byte == b'\r');
        } else if line.len() as u64 == LONGEST {
            self.text.skip_until(b'\n').map_err(|error| unreadable(&error, &self.path))?;
        }
        Ok(Some(line))
    }
}

/// A file that counts the bytes read from it, for the progress bar: only they show how much of a packed
/// file is left.
struct Counted {
    file: File,
    passed: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.passed.set(self.passed.get() + read as u64);
        Ok(read)
    }
}

pub(super) fn unreadable(error: &io::Error, path: &Path) -> Error {
    let said = Error::file(error, "read", path);
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            said.hint("the file is cut off or damaged: fetch it, or pack it, again")
        }
        _ => said,
    }
}
