//! Records, one by one, cut in whichever way gives as many fields as there are columns.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::parquet::{MAGIC, ParquetText};
use super::{BYTE_ORDER_MARK, Dialect, Packing, Separator, decode};
use crate::error::{Error, Kind, Result};

/// The longest line; what goes beyond is cut off, so that a file without lines cannot fill memory.
const LONGEST: u64 = 1 << 20;

/// How many lines more a quoted field may take: enough for any title, little to go through again.
const FOLLOWING: usize = 16;

/// One record of a file.
#[derive(Debug)]
pub struct Record {
    /// Its number; the first after the header is 1.
    pub number: u64,
    /// Its fields, blanks around them taken off; often, but not always, one a column.
    pub fields: Vec<String>,
}

/// The records of a file, one by one.
///
/// A line is a record if it can be read as one with as many fields as there are columns, quotes
/// within quotes written `\"` or `""` as in Book-Crossing, else only `""` as in standard CSV. If
/// a quote stays open, a few more lines are tried, up to the first that is a record by itself: so
/// a title may span lines, but a quote that nobody closed costs one record and no more. A line
/// for which none of that works is cut at every separator, and its quotes are thrown away.
pub struct Records {
    lines: Lines,
    dialect: Dialect,
    number: u64,
}

impl Records {
    /// Opens a file from its first record.
    ///
    /// # Errors
    /// As [`Dialect::sniff`].
    pub fn open(path: &Path, dialect: &Dialect) -> Result<Self> {
        Self::over(Lines::open(path)?, dialect.clone())
    }

    pub(super) fn over(mut lines: Lines, dialect: Dialect) -> Result<Self> {
        lines.peek(0)?;
        if let Some(first) = lines.ahead.front_mut().filter(|line| line.starts_with(BYTE_ORDER_MARK)) {
            first.drain(..BYTE_ORDER_MARK.len());
        }
        let header = dialect.header;
        let mut records = Self { lines, dialect, number: 0 };
        if header {
            records.fields()?;
        }
        Ok(records)
    }

    /// The number of the record that was read last; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes of the file, as it lies on the disk, have been read.
    pub fn bytes_read(&self) -> u64 {
        self.lines.passed.get()
    }

    fn fields(&mut self) -> Result<Option<Vec<String>>> {
        let line = loop {
            match self.lines.pull()? {
                Some(line) if line.trim_ascii().is_empty() => {}
                Some(line) => break line,
                None => return Ok(None),
            }
        };
        let fields = match whole(&line, self.dialect.separator, self.dialect.columns.len()) {
            Some(fields) => fields,
            None => self.mend(&line)?,
        };
        let forced = self.dialect.forced.then_some(self.dialect.encoding);
        Ok(Some(fields.into_iter().map(|field| decode(field, forced)).collect()))
    }

    fn mend(&mut self, line: &[u8]) -> Result<Vec<Vec<u8>>> {
        let (separator, columns) = (self.dialect.separator, self.dialect.columns.len());
        if cut(line, separator, Quotes::Escaped).is_none() {
            let mut joined = line.to_vec();
            for ahead in 0..FOLLOWING {
                let Some(next) = self.lines.peek(ahead)? else { break };
                if whole(next, separator, columns).is_some() {
                    break;
                }
                joined.push(b'\n');
                joined.extend_from_slice(next);
                if let Some(fields) = whole(&joined, separator, columns) {
                    self.lines.ahead.drain(..=ahead);
                    return Ok(fields);
                }
            }
        }
        Ok(cut_somehow(line, separator, columns))
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let fields = self.fields().transpose()?;
        Some(fields.map(|fields| {
            self.number += 1;
            Record { number: self.number, fields }
        }))
    }
}

/// How quotes are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// A quote within quotes is written `\"` or `""`.
    Escaped,
    /// It is written `""`, and a backslash is only a backslash.
    Doubled,
    /// Quotes mean nothing; one at each end of a field is thrown away.
    Ignored,
}

/// Cuts a line into fields; `None` if a quoted one is still open at its end.
fn cut(line: &[u8], separator: Separator, quotes: Quotes) -> Option<Vec<Vec<u8>>> {
    let quotable = separator != Separator::Colons;
    let mark = separator.text().as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let start = at + blanks(&line[at..]);
        let opened = quotable && quotes != Quotes::Ignored && line.get(start) == Some(&b'"');
        let end = if opened {
            let (field, end) = quoted(line, start + 1, mark, quotes)?;
            fields.push(field);
            end
        } else {
            let found = line[at..].windows(mark.len()).position(|bytes| bytes == mark);
            let end = found.map_or(line.len(), |found| at + found);
            let mut field = line[at..end].trim_ascii();
            if quotable && quotes == Quotes::Ignored {
                field = field.strip_prefix(b"\"").unwrap_or(field);
                field = field.strip_suffix(b"\"").unwrap_or(field);
            }
            fields.push(field.to_vec());
            end
        };
        if end == line.len() {
            return Some(fields);
        }
        at = end + mark.len();
    }
}

/// The quoted field whose content begins at `at`, and where the separator after it begins. Only a
/// quote with a separator or the line's end behind it closes: any other is a part of the text.
fn quoted(line: &[u8], mut at: usize, mark: &[u8], quotes: Quotes) -> Option<(Vec<u8>, usize)> {
    let mut field = Vec::new();
    while let Some(&byte) = line.get(at) {
        let next = line.get(at + 1).copied();
        at += 1;
        match (byte, next) {
            (b'\\', Some(escaped @ (b'"' | b'\\'))) if quotes == Quotes::Escaped => {
                field.push(escaped);
                at += 1;
            }
            (b'"', Some(b'"')) => {
                field.push(b'"');
                at += 1;
            }
            (b'"', _) => {
                let end = at + blanks(&line[at..]);
                if end == line.len() || line[end..].starts_with(mark) {
                    return Some((field, end));
                }
                field.push(b'"');
            }
            _ => field.push(byte),
        }
    }
    None
}

/// The fields of a line that is a record by itself: every quote closed, and one field a column.
pub(super) fn whole(line: &[u8], separator: Separator, columns: usize) -> Option<Vec<Vec<u8>>> {
    [Quotes::Escaped, Quotes::Doubled]
        .into_iter()
        .filter_map(|quotes| cut(line, separator, quotes))
        .find(|fields| fields.len() == columns)
}

/// Fields of any line: without quotes if that gives one a column, else as well as they close.
pub(super) fn cut_somehow(line: &[u8], separator: Separator, columns: usize) -> Vec<Vec<u8>> {
    let ignored = cut(line, separator, Quotes::Ignored).unwrap_or_default();
    if ignored.len() == columns {
        return ignored;
    }
    let closed = cut(line, separator, Quotes::Escaped).or_else(|| cut(line, separator, Quotes::Doubled));
    closed.unwrap_or(ignored)
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == b' ').count()
}

/// A file's lines, unpacked; those that were looked at too early wait in `ahead`.
pub(super) struct Lines {
    pub(super) text: Box<dyn BufRead>,
    pub(super) packing: Packing,
    pub(super) left_out: Vec<String>,
    pub(super) ahead: VecDeque<Vec<u8>>,
    pub(super) passed: Rc<Cell<u64>>,
    pub(super) path: PathBuf,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self> {
        // Asked first, because opening a pipe would wait for somebody to write into it.
        let about = std::fs::metadata(path).map_err(|error| unreadable(&error, path))?;
        if !about.is_file() {
            return Err(Error::new(Kind::NoInput, format!("{} is not a file", path.display()))
                .hint("an import can be resumed, so it needs a file that can be read again"));
        }
        let file = File::open(path).map_err(|error| unreadable(&error, path))?;
        let passed = Rc::new(Cell::new(0));
        let mut bytes = BufReader::with_capacity(1 << 16, Counted { file, passed: Rc::clone(&passed) });
        let start = bytes.fill_buf().map_err(|error| unreadable(&error, path))?;
        let packing = match start {
            gzip if gzip.starts_with(b"\x1f\x8b") => Packing::Gzip,
            parquet if parquet.starts_with(MAGIC) => Packing::Parquet,
            _ => Packing::Plain,
        };
        let mut left_out = Vec::new();
        let text: Box<dyn BufRead> = match packing {
            Packing::Plain => Box::new(bytes),
            Packing::Gzip => Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(bytes))),
            Packing::Parquet => {
                let mut rows = ParquetText::open(path, Rc::clone(&passed))?;
                left_out = std::mem::take(&mut rows.left_out);
                Box::new(BufReader::with_capacity(1 << 16, rows))
            }
        };
        Ok(Self { text, packing, left_out, ahead: VecDeque::new(), passed, path: path.to_owned() })
    }

    fn pull(&mut self) -> Result<Option<Vec<u8>>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.read(),
        }
    }

    /// A line that is yet to come; the next one is 0.
    fn peek(&mut self, place: usize) -> Result<Option<&[u8]>> {
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

/// A file that counts what was read of it, for the progress bar: the only honest measure of how
/// much of a packed file is left.
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
