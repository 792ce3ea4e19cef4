//! Sparse rows as a table, with a row for each number.

use polars::prelude::{Column, DataFrame};

use crate::error::{Error, Kind, Result};
use crate::model::data::Interactions;

/// A row for each weight: the book, what it is a weight of, the weight.
pub(super) fn frame(rows: &Interactions) -> Result<DataFrame> {
    let books: Vec<u32> = (0..rows.user_count())
        .flat_map(|item| std::iter::repeat_n(item as u32, rows.of(item).0.len()))
        .collect();
    let columns = vec![
        Column::new("book".into(), books),
        Column::new("other".into(), &rows.items),
        Column::new("weight".into(), &rows.ratings),
    ];
    Ok(DataFrame::new_infer_height(columns)?)
}

/// Rows of `items` books; of as many columns, or as there are if that is `None`.
pub(super) fn read(frame: &DataFrame, items: usize, columns: Option<usize>) -> Result<Interactions> {
    let gap = || Error::new(Kind::Io, "it has gaps");
    let codes = |name: &str| -> Result<Vec<u32>> {
        frame.column(name)?.u32()?.to_vec_null_aware().left().ok_or_else(gap)
    };
    let weights = frame.column("weight")?.f32()?.to_vec_null_aware().left().ok_or_else(gap)?;
    let (books, others) = (codes("book")?, codes("other")?);
    let columns = columns.unwrap_or_else(|| others.iter().max().map_or(0, |most| *most as usize + 1));
    let are_inside = |codes: &[u32], count: usize| codes.iter().all(|code| (*code as usize) < count);
    if !are_inside(&books, items) || !are_inside(&others, columns) {
        return Err(Error::new(Kind::Io, "it has books that are not among the books"));
    }
    if books.iter().zip(&others).is_sorted_by(|one, next| one < next) {
        // As frame() wrote it.
        let mut offsets = vec![0; items + 1];
        books.iter().for_each(|book| offsets[*book as usize + 1] += 1);
        (0..items).for_each(|book| offsets[book + 1] += offsets[book]);
        return Ok(Interactions { offsets, items: others, ratings: weights, item_count: columns });
    }
    let triples: Vec<(u32, u32, f32)> = books
        .into_iter()
        .zip(others)
        .zip(weights)
        .map(|((book, other), weight)| (book, other, weight))
        .collect();
    Ok(Interactions::from_triples(items, columns, &triples).0)
}
