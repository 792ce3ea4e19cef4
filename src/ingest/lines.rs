//! Reads the lines of a plain or gzip file, and tells how a file is packed.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::json::is_json;
use super::origin::{Origin, is_workbook, unreadable};
use super::parquet::MAGIC;
use super::text::readable;
use crate::error::{Error, Kind, Result};

/// Bytes of the longest line; the rest is cut off, so that a file without line ends cannot fill memory.
const LONGEST: u64 = 1 << 20;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Plain,
    Gzip,
    Zip,
}

/// What records are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Lines,
    Json,
    Parquet,
    Sheet,
}

/// A file's unpacked lines. `ahead` holds lines that were peeked at; `passed` counts the file's bytes read.
pub(super) struct Lines {
    pub(super) text: Box<dyn BufRead>,
    pub(super) container: Container,
    pub(super) format: Format,
    pub(super) ahead: VecDeque<Vec<u8>>,
    pub(super) passed: Rc<Cell<u64>>,
    pub(super) path: PathBuf,
}

/// What files of other programs begin with, what they are, and what helps.
const OTHERS: [(&[u8], &str, &str); 12] = [
    (
        b"SQLite format 3\0",
        "a SQLite database",
        "it needs no import: `nightshelf init --db FILE` looks for the ratings in it",
    ),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet (XLS)", "save it as XLSX or CSV"),
    (b"%PDF", "a PDF", "export the ratings as CSV"),
    (b"<!DOCTYPE", "a web page", "the download went wrong, or needs a login: fetch the file itself"),
    (b"<!doctype", "a web page", "the download went wrong, or needs a login: fetch the file itself"),
    (b"<html", "a web page", "the download went wrong, or needs a login: fetch the file itself"),
    (b"<?xml", "XML", "export the ratings as CSV or JSON"),
    (b"BZh", "packed with bzip2", "`bunzip2 FILE` unpacks it"),
    (b"\xfd7zXZ", "packed with xz", "`unxz FILE` unpacks it"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "`unzstd FILE` unpacks it"),
    (b"7z\xbc\xaf\x27\x1c", "packed with 7-Zip", "`7z x FILE` unpacks it"),
    (b"Rar!", "packed with RAR", "`unrar x FILE` unpacks it"),
];

impl Lines {
    pub(super) fn open(origin: &Origin) -> Result<Self> {
        let path = &origin.path;
        let passed = Rc::new(Cell::new(0));
        let mut bytes = origin.open(|file| Counted { file, passed: Rc::clone(&passed) })?;
        let start = bytes.fill_buf().map_err(|error| unreadable(&error, path))?;
        let container = match start {
            _ if origin.entry.is_some() => Container::Zip,
            gzip if gzip.starts_with(b"\x1f\x8b") => Container::Gzip,
            _ => Container::Plain,
        };
        let begins = |magic: &[u8]| start.starts_with(magic);
        let (text, format): (Box<dyn BufRead>, Format) = match container {
            Container::Gzip => {
                (Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(bytes))), Format::Lines)
            }
            Container::Plain if begins(MAGIC) => (bytes, Format::Parquet),
            Container::Plain if begins(b"PK") && is_workbook(path)? => (bytes, Format::Sheet),
            _ => (bytes, Format::Lines),
        };
        let mut lines = Self { text, container, format, ahead: VecDeque::new(), passed, path: path.clone() };
        if lines.format == Format::Lines {
            lines.be_text()?;
        }
        Ok(lines)
    }

    /// Makes text of the bytes, and finds out whether it is JSON.
    fn be_text(&mut self) -> Result<()> {
        let failed = |error: &io::Error| unreadable(error, &self.path);
        let start = self.text.fill_buf().map_err(|error| failed(&error))?;
        let foreign = OTHERS.iter().find(|(magic, ..)| start.trim_ascii_start().starts_with(magic));
        if let Some((_, what, hint)) = foreign {
            let hint = hint.replace("FILE", &self.path.display().to_string());
            return Err(Error::new(Kind::Config, format!("this is {what}")).hint(hint));
        }
        let text = std::mem::replace(&mut self.text, Box::new(io::empty()));
        self.text = readable(text).map_err(|error| failed(&error))?;
        let start = self.text.fill_buf().map_err(|error| failed(&error))?;
        if is_json(start) {
            self.format = Format::Json;
        }
        Ok(())
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
