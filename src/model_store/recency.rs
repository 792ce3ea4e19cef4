//! How books were read lately, as columns of the table of books.

use polars::prelude::{Column, DataFrame};

use crate::error::Result;
use crate::model::data::{HALF_LIVES, Recency};

/// The column of readers, each counted half after so many days.
fn recent_column(half_life: f32) -> String {
    format!("recent_{half_life}")
}

pub(super) fn add(frame: &mut DataFrame, recency: &Recency) -> Result<()> {
    frame.with_column(Column::new("age".into(), &recency.ages))?;
    for (place, half_life) in HALF_LIVES.iter().enumerate() {
        let sums: Vec<f32> = recency.readers.iter().map(|sums| sums[place]).collect();
        frame.with_column(Column::new(recent_column(*half_life).into(), sums))?;
    }
    Ok(())
}

/// Takes the columns out of the table; `None` if ratings had no times.
pub(super) fn read(frame: &mut DataFrame) -> Result<Option<Recency>> {
    if frame.column("age").is_err() {
        return Ok(None);
    }
    let mut column = |name: &str| -> Result<Vec<f32>> {
        Ok(frame.drop_in_place(name)?.f32()?.iter().map(Option::unwrap_or_default).collect())
    };
    let ages = column("age")?;
    let mut readers = vec![[0.0; HALF_LIVES.len()]; ages.len()];
    for (place, half_life) in HALF_LIVES.iter().enumerate() {
        let sums = column(&recent_column(*half_life))?;
        readers.iter_mut().zip(sums).for_each(|(recent, sum)| recent[place] = sum);
    }
    Ok(Some(Recency { readers, ages }))
}
