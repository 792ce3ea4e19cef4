//! The tables that go out, as Parquet.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;

use crate::catalog::ids::{Items, Users};
use crate::error::{Error, Kind, Result};
use crate::model::data::Interactions;

/// The pairs of a part: `reader`, `book`, `weight`.
///
/// # Errors
/// [`Kind::Io`] if the file cannot be written.
pub fn write_pairs(folder: &Path, rows: &Interactions) -> Result<()> {
    let mut readers = Vec::with_capacity(rows.len());
    for reader in 0..rows.user_count() {
        readers.resize(rows.offsets[reader + 1], reader as i32);
    }
    let books: Vec<i32> = rows.items.iter().map(|book| *book as i32).collect();
    let columns = vec![
        Column::new("reader".into(), readers),
        Column::new("book".into(), books),
        Column::new("weight".into(), &rows.ratings),
    ];
    write(&folder.join("pairs.parquet"), columns)
}

/// The ids and keys behind the codes: for people, and for engines that want to look; a night needs them not.
///
/// # Errors
/// [`Kind::Io`] if a file cannot be written.
pub fn write_vocabularies(folder: &Path, users: &Users, items: &Items) -> Result<()> {
    let codes = |rows: usize| Column::new("code".into(), (0..rows as i32).collect::<Vec<_>>());
    let ids: Vec<String> = (0..users.len()).map(|code| users.get(code).to_string()).collect();
    let keys: Vec<&str> = (0..items.len()).map(|code| items.spelling(code)).collect();
    write(&folder.join("readers.parquet"), vec![codes(users.len()), Column::new("user_id".into(), ids)])?;
    write(&folder.join("books.parquet"), vec![codes(items.len()), Column::new("isbn".into(), keys)])
}

fn write(path: &Path, columns: Vec<Column>) -> Result<()> {
    let mut frame = DataFrame::new_infer_height(columns)?;
    let file = File::create(path).map_err(|error| Error::file(&error, "write", path))?;
    match ParquetWriter::new(file).finish(&mut frame) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::new(Kind::Io, format!("cannot write {}: {error}", path.display()))),
    }
}
