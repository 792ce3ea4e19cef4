//! Reads the records of a file one by one, however the file is packed.

use super::cutting::{cut_somehow, decode, may_go_on, whole};
use super::dialect::{BYTE_ORDER_MARK, Dialect};
use super::json::JsonRows;
use super::lines::{Format, Lines};
use super::origin::Origin;
use super::parquet::ParquetRows;
use super::sheet;
use crate::error::Result;

/// How many more lines a quoted field may span: enough for any title, and few to read again.
const FOLLOWING: usize = 16;

#[derive(Debug)]
pub struct Record {
    /// From 1, without the header.
    pub number: u64,
    /// Trimmed; often, but not always, one per column.
    pub fields: Vec<String>,
}

/// The records of a file, one by one.
///
/// A line is a record if it can be cut into as many fields as there are columns, with quotes within
/// quotes written `""` as in standard CSV, else also `\"` as in Book-Crossing. If a quote stays
/// open, a few more lines are tried, up to the first that is a record by itself: so a title may span
/// lines, but an unclosed quote costs one record and no more. A line for which none of that works is cut
/// at every separator if that gives one field per column, and its quotes are dropped.
pub struct Records {
    source: Source,
    dialect: Dialect,
    number: u64,
}

enum Source {
    Lines(Lines),
    Rows(ParquetRows),
    Json(JsonRows),
    Sheet(std::vec::IntoIter<Vec<String>>),
}

impl Records {
    /// Opens a file from its first record.
    ///
    /// # Errors
    /// As [`Dialect::sniff`].
    pub fn open(origin: &Origin, dialect: &Dialect) -> Result<Self> {
        let dialect = dialect.clone();
        let source = match dialect.format {
            Format::Lines => return Self::of_lines(Lines::open(origin)?, dialect),
            Format::Parquet => Source::Rows(ParquetRows::open(&origin.path)?),
            Format::Json => {
                let Lines { text, passed, path, .. } = Lines::open(origin)?;
                Source::Json(JsonRows::new(text, path, passed, &dialect.sample))
            }
            Format::Sheet => {
                let (_, mut rows) = sheet::rows(&origin.path, dialect.sheet.as_deref())?;
                rows.drain(..rows.len().min(dialect.skip + usize::from(dialect.header)));
                Source::Sheet(rows.into_iter())
            }
        };
        Ok(Self { source, dialect, number: 0 })
    }

    pub(super) fn of_lines(mut lines: Lines, dialect: Dialect) -> Result<Self> {
        lines.peek(0)?;
        if let Some(first) = lines.ahead.front_mut().filter(|line| line.starts_with(BYTE_ORDER_MARK)) {
            first.drain(..BYTE_ORDER_MARK.len());
        }
        let mut skipped = 0;
        while skipped < dialect.skip
            && let Some(line) = lines.pull()?
        {
            skipped += usize::from(!line.trim_ascii().is_empty());
        }
        if dialect.header {
            fields_of_lines(&mut lines, &dialect)?;
        }
        Ok(Self { source: Source::Lines(lines), dialect, number: 0 })
    }

    /// The number of the record that was read last; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of the file read so far, as packed on disk.
    pub fn bytes_read(&self) -> u64 {
        match &self.source {
            Source::Lines(lines) => lines.passed.get(),
            Source::Rows(rows) => rows.bytes_read(),
            Source::Json(rows) => rows.bytes_read(),
            Source::Sheet(_) => 0,
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let fields = match &mut self.source {
            Source::Lines(lines) => fields_of_lines(lines, &self.dialect),
            Source::Rows(rows) => rows.next(),
            Source::Json(rows) => rows.next(),
            // Empty cells at the end of a row are not written.
            Source::Sheet(rows) => Ok(rows.next().map(|mut row| {
                row.resize(row.len().max(self.dialect.columns.len()), String::new());
                row
            })),
        };
        let fields = fields.transpose()?;
        Some(fields.map(|fields| {
            self.number += 1;
            Record { number: self.number, fields }
        }))
    }
}

/// The fields of the next record; `None` at the end of the file.
fn fields_of_lines(lines: &mut Lines, dialect: &Dialect) -> Result<Option<Vec<String>>> {
    let line = loop {
        match lines.pull()? {
            Some(line) if line.trim_ascii().is_empty() => {}
            Some(line) => break line,
            None => return Ok(None),
        }
    };
    let fields = match whole(&line, dialect.separator, dialect.columns.len()) {
        Some(fields) => fields,
        None => mend(&line, lines, dialect)?,
    };
    let forced = dialect.forced.then_some(dialect.encoding);
    Ok(Some(fields.into_iter().map(|field| decode(field, forced)).collect()))
}

/// Fields of a line that is no record by itself, joined with following lines if that makes it one.
fn mend(line: &[u8], lines: &mut Lines, dialect: &Dialect) -> Result<Vec<Vec<u8>>> {
    let (separator, columns) = (dialect.separator, dialect.columns.len());
    if may_go_on(line, separator) {
        let mut joined = line.to_vec();
        for ahead in 0..FOLLOWING {
            let Some(next) = lines.peek(ahead)? else { break };
            if whole(next, separator, columns).is_some() {
                break;
            }
            joined.push(b'\n');
            joined.extend_from_slice(next);
            if let Some(fields) = whole(&joined, separator, columns) {
                lines.ahead.drain(..=ahead);
                return Ok(fields);
            }
        }
    }
    Ok(cut_somehow(line, separator, columns))
}
