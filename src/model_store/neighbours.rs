//! The weights of neighbours as a table, a row for each.

use polars::prelude::{Column, DataFrame};

use crate::error::{Error, Kind, Result};
use crate::model::data::Interactions;
use crate::model::neighbours::Neighbours;

/// A row for each weight: the book, its neighbour, the weight.
pub(super) fn frame(rows: &Interactions) -> Result<DataFrame> {
    let books: Vec<u32> = (0..rows.user_count())
        .flat_map(|item| std::iter::repeat_n(item as u32, rows.of(item).0.len()))
        .collect();
    let columns = vec![
        Column::new("book".into(), books),
        Column::new("neighbour".into(), &rows.items),
        Column::new("weight".into(), &rows.ratings),
    ];
    Ok(DataFrame::new_infer_height(columns)?)
}

pub(super) fn read(frame: &DataFrame, items: usize) -> Result<Neighbours> {
    let codes = |name: &str| -> Result<Vec<u32>> {
        Ok(frame.column(name)?.u32()?.iter().map(Option::unwrap_or_default).collect())
    };
    let weights: Vec<f32> = frame.column("weight")?.f32()?.iter().map(Option::unwrap_or_default).collect();
    let (books, neighbours) = (codes("book")?, codes("neighbour")?);
    if books.iter().chain(&neighbours).any(|item| *item as usize >= items) {
        return Err(Error::new(Kind::Io, "it has books that are not among the books"));
    }
    let triples: Vec<(u32, u32, f32)> = books
        .into_iter()
        .zip(neighbours)
        .zip(weights)
        .map(|((book, near), weight)| (book, near, weight))
        .collect();
    Ok(Neighbours::of_rows(Interactions::from_triples(items, items, &triples).0))
}
