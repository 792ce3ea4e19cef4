//! Arrow's streams, as Spark's `mapInArrow` and every library that speaks Arrow have them, to and from slices.

use std::io::{Cursor, Read, Write};

use polars::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::model::data::Interactions;
use crate::panics;

/// Rows to be solved, and which they are.
#[derive(Debug, PartialEq)]
pub struct Rows {
    pub codes: Vec<i32>,
    /// A row for each code: the rows of the other side it is about, and weights in the place of ratings.
    pub rows: Interactions,
}

/// Factors of some rows.
#[derive(Debug, PartialEq)]
pub struct Solved {
    pub codes: Vec<i32>,
    /// Rows of d numbers.
    pub factors: Vec<f32>,
}

fn unusable(what: impl Into<String>) -> Error {
    Error::new(Kind::NoRatings, format!("what came on stdin is of no use: {}", what.into()))
}

/// The table of an Arrow stream.
///
/// # Errors
/// [`Kind::NoRatings`] if it is none; [`Kind::Io`] if it cannot be read.
pub fn read(mut stream: impl Read) -> Result<DataFrame> {
    let mut bytes = Vec::new();
    let failed = |error| Error::new(Kind::Io, format!("cannot read from stdin: {error}"));
    stream.read_to_end(&mut bytes).map_err(failed)?;
    let reader = IpcStreamReader::new(Cursor::new(bytes));
    let read = panics::caught(|| reader.finish()).map_err(|_| unusable("no Arrow stream"))?;
    read.map_err(|error| unusable(format!("no Arrow stream: {error}")))
}

/// The integers of a column.
fn integers(frame: &DataFrame, name: &str) -> Result<Vec<i32>> {
    let column = frame.column(name).map_err(|_| unusable(format!("no column {name}")))?;
    let column =
        column.strict_cast(&DataType::Int32).map_err(|error| unusable(format!("{name}: {error}")))?;
    let values = column.i32().map_err(|error| unusable(format!("{name}: {error}")))?;
    match values.null_count() {
        0 => Ok(values.into_no_null_iter().collect()),
        nulls => Err(unusable(format!("{name} is null in {nulls} rows"))),
    }
}

/// Where each row's list begins, one past the last, and all lists' values.
fn lists(frame: &DataFrame, name: &str, of: &DataType) -> Result<(Vec<usize>, Series)> {
    let odd = |error: PolarsError| unusable(format!("{name}: {error}"));
    let column = frame.column(name).map_err(|_| unusable(format!("no column {name}")))?;
    let column = match column.dtype() {
        DataType::List(_) => column.clone(),
        other => return Err(unusable(format!("{name} holds {other}, and not lists"))),
    };
    let lists = column.strict_cast(&DataType::List(Box::new(of.clone()))).map_err(odd)?;
    let lists = lists.list().map_err(odd)?;
    if lists.null_count() > 0 {
        return Err(unusable(format!("{name} is null in {} rows", lists.null_count())));
    }
    let lists = lists.rechunk();
    let array = lists.downcast_as_array();
    let first = *array.offsets().first();
    let offsets: Vec<usize> = array.offsets().iter().map(|at| (at - first) as usize).collect();
    let values = lists.get_inner().slice(first, offsets.last().copied().unwrap_or(0));
    match values.null_count() {
        0 => Ok((offsets, values)),
        nulls => Err(unusable(format!("{name} has {nulls} nulls in its lists"))),
    }
}

/// The codes of `rows` rows: each in range, and none twice.
fn codes(frame: &DataFrame, rows: usize) -> Result<Vec<i32>> {
    let codes = integers(frame, "code")?;
    let mut seen = vec![false; rows];
    for code in &codes {
        match usize::try_from(*code).ok().and_then(|code| seen.get_mut(code)) {
            Some(seen) if !*seen => *seen = true,
            Some(_) => return Err(unusable(format!("code {code} comes twice"))),
            None => return Err(unusable(format!("code {code} is not one of {rows} rows"))),
        }
    }
    Ok(codes)
}

/// Rows `code`, `columns` and `weights`: of a side of `rows` rows, about one of `others`.
///
/// # Errors
/// [`Kind::NoRatings`] if something is missing, out of range or no number.
pub fn rows(frame: &DataFrame, rows: usize, others: usize) -> Result<Rows> {
    let codes = codes(frame, rows)?;
    let (offsets, columns) = lists(frame, "columns", &DataType::Int32)?;
    let (of_weights, weights) = lists(frame, "weights", &DataType::Float32)?;
    if offsets != of_weights {
        return Err(unusable("columns and weights are not of the same lengths"));
    }
    let odd = |error: PolarsError| unusable(error.to_string());
    let columns: Vec<i32> = columns.i32().map_err(odd)?.into_no_null_iter().collect();
    let weights: Vec<f32> = weights.f32().map_err(odd)?.into_no_null_iter().collect();
    if let Some(column) = columns.iter().find(|column| !(0..others as i32).contains(column)) {
        return Err(unusable(format!("{column} in columns is not one of {others} rows")));
    }
    if let Some(weight) = weights.iter().find(|weight| !weight.is_finite()) {
        return Err(unusable(format!("{weight} in weights is no number")));
    }
    let items = columns.into_iter().map(|column| column as u32).collect();
    Ok(Rows { codes, rows: Interactions { offsets, items, ratings: weights, item_count: others } })
}

/// Rows `code` and `factors` of a side of `rows` rows, of d numbers each.
///
/// # Errors
/// [`Kind::NoRatings`] if something is missing, out of range or no number.
pub fn solved(frame: &DataFrame, rows: usize, d: usize) -> Result<Solved> {
    let codes = codes(frame, rows)?;
    let (offsets, factors) = lists(frame, "factors", &DataType::Float32)?;
    if let Some(at) = offsets.windows(2).position(|pair| pair[1] - pair[0] != d) {
        return Err(unusable(format!("the row of code {} has not {d} factors", codes[at])));
    }
    let odd = |error: PolarsError| unusable(error.to_string());
    let factors: Vec<f32> = factors.f32().map_err(odd)?.into_no_null_iter().collect();
    match factors.iter().position(|value| !value.is_finite()) {
        None => Ok(Solved { codes, factors }),
        Some(at) => Err(unusable(format!("a factor of code {} is {}", codes[at / d], factors[at]))),
    }
}

/// Writes rows `code` and `factors`, and the `loss` of all of them, which stands in the first: a stream has nothing beside
/// its rows.
///
/// # Errors
/// [`Kind::Io`] if nobody listens.
pub fn write(to: impl Write, solved: &Solved, d: usize, loss: f64) -> Result<()> {
    let mut losses = vec![0.0; solved.codes.len()];
    losses.iter_mut().take(1).for_each(|first| *first = loss);
    let (count, all) = (solved.codes.len(), solved.factors.len());
    let mut lists =
        ListPrimitiveChunkedBuilder::<Float32Type>::new("factors".into(), count, all, DataType::Float32);
    solved.factors.chunks_exact(d).for_each(|row| lists.append_slice(row));
    let columns = vec![
        Column::new("code".into(), &solved.codes),
        lists.finish().into_column(),
        Column::new("loss".into(), losses),
    ];
    let mut frame = DataFrame::new_infer_height(columns)?;
    let failed = |error| Error::new(Kind::Io, format!("cannot write to stdout: {error}"));
    IpcStreamWriter::new(to).finish(&mut frame).map_err(failed)
}
