//! Reads the rows of a Parquet file, some at a time.
//!
//! Ratings and books need only texts, integers and floats, so columns of other types are left out.

use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::panics;

/// What a Parquet file begins and ends with.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// Rows read at a time.
const ROWS: usize = 1 << 16;

pub(super) struct ParquetRows {
    path: PathBuf,
    columns: Vec<String>,
    rows: usize,
    /// Rows read so far, including all of `frame`.
    taken: usize,
    /// The rows read last; `at` is the next of them.
    frame: DataFrame,
    at: usize,
    bytes: u64,
    /// Columns that are left out: name and type.
    pub(super) left_out: Vec<String>,
}

impl ParquetRows {
    /// Reads the schema.
    ///
    /// # Errors
    /// [`Kind::Io`] if the file is damaged; [`Kind::Config`] if no column can be read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file(&error, "read", path))?;
        let bytes = file.metadata().map_or(0, |about| about.len());
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
        let frame = DataFrame::empty();
        Ok(Self { path: path.to_owned(), columns, rows, taken: 0, frame, at: 0, bytes, left_out })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Bytes of the file read so far, estimated from the share of rows.
    pub(super) fn bytes_read(&self) -> u64 {
        (self.bytes as f64 * self.taken as f64 / self.rows.max(1) as f64) as u64
    }

    /// # Errors
    /// [`Kind::Io`] if the file is damaged.
    pub(super) fn next(&mut self) -> Result<Option<Vec<String>>> {
        if self.at == self.frame.height() {
            if self.taken >= self.rows {
                return Ok(None);
            }
            self.take()?;
        }
        let row = self.frame.columns().iter().map(|column| Ok(text(&column.get(self.at)?)));
        let row = row.collect::<Result<_>>()?;
        self.at += 1;
        Ok(Some(row))
    }

    /// Reads the next rows into `frame`.
    fn take(&mut self) -> Result<()> {
        let file = File::open(&self.path).map_err(|error| Error::file(&error, "read", &self.path))?;
        let frame = guarded(&self.path, || {
            ParquetReader::new(file)
                .with_columns(Some(self.columns.clone()))
                .with_slice(Some((self.taken, ROWS)))
                .finish()?
                // In the order of the file, whatever order the reader gives.
                .select(&self.columns)
        })?;
        if frame.height() == 0 {
            // Else a file that promises more rows than it has would be read without end.
            return Err(damaged(&self.path, "it ends before its last row"));
        }
        self.taken = (self.taken + ROWS).min(self.rows);
        (self.frame, self.at) = (frame, 0);
        Ok(())
    }
}

/// Runs polars on a file. On some damaged files it panics: that, too, becomes an error about the file, and
/// the panic's message is not shown.
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

/// A value as a text field would have it: trimmed, and on one line.
fn text(value: &AnyValue<'_>) -> String {
    let line = |text: &str| text.replace(['\n', '\r'], " ").trim().to_owned();
    match value {
        AnyValue::String(text) => line(text),
        AnyValue::StringOwned(text) => line(text),
        AnyValue::Int32(number) => number.to_string(),
        AnyValue::Int64(number) => number.to_string(),
        AnyValue::UInt32(number) => number.to_string(),
        AnyValue::UInt64(number) => number.to_string(),
        // As few digits as needed, and none after the point of a whole number.
        AnyValue::Float32(number) if number.is_finite() => number.to_string(),
        AnyValue::Float64(number) if number.is_finite() => number.to_string(),
        _ => String::new(),
    }
}
