//! Parquet, read as delimited text: so everything that holds for text files holds for it, too.
//!
//! Rows are taken out some at a time and written as lines of CSV, with a line of names. Only what a rating or a
//! book is made of is needed, so columns that are no texts, whole numbers or floating numbers are left out.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use polars::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::panics;

/// What a Parquet file begins and ends with.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// Rows that are taken out at a time.
const ROWS: usize = 1 << 16;

/// The lines of a Parquet file.
#[derive(Debug)]
pub(super) struct ParquetText {
    path: PathBuf,
    columns: Vec<String>,
    rows: usize,
    next: usize,
    text: Vec<u8>,
    at: usize,
    /// Columns that are left out, and what they are.
    pub(super) left_out: Vec<String>,
    /// Bytes of the file that the rows so far come to.
    passed: Rc<Cell<u64>>,
}

impl ParquetText {
    /// Looks at the columns.
    ///
    /// # Errors
    /// [`Kind::Io`] if it is damaged; [`Kind::Config`] if no column can be read.
    pub(super) fn open(path: &Path, passed: Rc<Cell<u64>>) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file(&error, "read", path))?;
        let mut reader = ParquetReader::new(file);
        let (rows, schema) = guarded(path, || Ok((reader.num_rows()?, reader.schema()?)))?;
        let (mut columns, mut left_out) = (Vec::new(), Vec::new());
        for field in schema.iter_values() {
            match is_readable(&field.dtype) {
                true => columns.push(field.name.to_string()),
                false => left_out.push(format!("{} ({:?})", field.name, field.dtype)),
            }
        }
        if columns.is_empty() {
            let all = left_out.join(", ");
            return Err(Error::new(
                Kind::Config,
                format!("{} has no column that can be read: {all}", path.display()),
            )
            .hint("write texts and numbers of 32 or 64 bits"));
        }
        let mut text = Vec::new();
        line(&mut text, columns.iter().cloned())?;
        Ok(Self { path: path.to_owned(), columns, rows, next: 0, text, at: 0, left_out, passed })
    }

    /// The next rows as lines.
    fn fill(&mut self) -> Result<()> {
        (self.at, self.next) = (0, self.next + ROWS);
        self.text.clear();
        let file = File::open(&self.path).map_err(|error| Error::file(&error, "read", &self.path))?;
        let size = file.metadata().map_or(0, |about| about.len());
        self.passed.set((size as f64 * self.next.min(self.rows) as f64 / self.rows.max(1) as f64) as u64);
        let frame = guarded(&self.path, || {
            ParquetReader::new(file)
                .with_columns(Some(self.columns.clone()))
                .with_slice(Some((self.next - ROWS, ROWS)))
                .finish()
        })?;
        if frame.height() == 0 {
            // Else a file that promises more rows than it has would be read without end.
            return Err(damaged(&self.path, "it ends before its last row"));
        }
        // In the order of the file, whatever the reader makes of it.
        let columns: Vec<&Column> =
            self.columns.iter().map(|name| frame.column(name)).collect::<PolarsResult<_>>()?;
        for row in 0..frame.height() {
            let fields: Vec<String> =
                columns.iter().map(|column| Ok(text(&column.get(row)?))).collect::<Result<_>>()?;
            line(&mut self.text, fields)?;
        }
        Ok(())
    }
}

impl Read for ParquetText {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() && self.next < self.rows {
            self.fill().map_err(io::Error::other)?;
        }
        let read = (&self.text[self.at..]).read(into)?;
        self.at += read;
        Ok(read)
    }
}

/// Lets the library work on a file. Of some damaged ones it panics, and says so where nobody should have to
/// read it: both become an error about the file.
fn guarded<T>(path: &Path, work: impl FnOnce() -> PolarsResult<T>) -> Result<T> {
    match panics::caught(work) {
        Ok(done) => done.map_err(|error| damaged(path, &error.to_string())),
        Err(_) => Err(damaged(path, "its parts contradict each other")),
    }
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::new(Kind::Io, format!("cannot read {}: {what}", path.display()))
        .hint("the file is cut off or damaged: fetch it, or write it, again")
}

fn is_readable(dtype: &ArrowDataType) -> bool {
    use ArrowDataType as Arrow;
    matches!(
        dtype,
        Arrow::Utf8
            | Arrow::LargeUtf8
            | Arrow::Utf8View
            | Arrow::Int32
            | Arrow::Int64
            | Arrow::UInt32
            | Arrow::UInt64
            | Arrow::Float32
            | Arrow::Float64
    )
}

fn text(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::String(text) => text.replace(['\n', '\r'], " "),
        AnyValue::StringOwned(text) => text.replace(['\n', '\r'], " "),
        AnyValue::Int32(number) => number.to_string(),
        AnyValue::Int64(number) => number.to_string(),
        AnyValue::UInt32(number) => number.to_string(),
        AnyValue::UInt64(number) => number.to_string(),
        // As few digits as it takes, and none behind the point of a whole number.
        AnyValue::Float32(number) if number.is_finite() => number.to_string(),
        AnyValue::Float64(number) if number.is_finite() => number.to_string(),
        _ => String::new(),
    }
}

fn line(into: &mut Vec<u8>, fields: impl IntoIterator<Item = String>) -> Result<()> {
    csv::Writer::from_writer(into)
        .write_record(fields)
        .map_err(|error| Error::new(Kind::Failed, format!("reading Parquet as text failed: {error}")))
}
