//! What is kept of the books of a run, as a table.

use std::sync::Arc;

use polars::prelude::{Column, DataFrame};

use super::recency;
use crate::catalog::ids::Items;
use crate::catalog::popularity::Popularity;
use crate::error::Result;
use crate::model::data::{Descriptions, Editions, Interactions, ItemTraits};

/// What is kept of the books of a run; each field is by code.
#[derive(Clone, Debug)]
pub struct StoredItems {
    pub items: Items,
    pub popularity: Popularity,
    /// The confidence weight of each book's readings in the ranking model, before that of the reader.
    pub weights: Vec<f32>,
    /// A score is the product of the factors, multiplied by this.
    pub item_scales: Vec<f32>,
}

impl StoredItems {
    /// From the columns of [`StoredItems::frame`].
    pub(super) fn new(mut frame: DataFrame, titles: Interactions, subjects: Interactions) -> Result<Self> {
        let mut column = |name: &str| frame.drop_in_place(name);
        let (readers, stars) = (column("readers")?, column("stars")?);
        let (ties, low) = (column("ties")?, column("low")?);
        let (weights, item_scales, works) = (column("weight")?, column("lift")?, column("work")?);
        let (authors, publishers, languages) = (column("author")?, column("publisher")?, column("language")?);
        let years = column("year")?;
        let counts = |column: &Column| -> Result<Vec<u32>> {
            Ok(column.u32()?.iter().map(Option::unwrap_or_default).collect())
        };
        let numbers = |column: &Column| -> Result<Vec<f32>> {
            Ok(column.f32()?.iter().map(Option::unwrap_or_default).collect())
        };
        let flags = |column: &Column| -> Result<Vec<bool>> {
            Ok(column.bool()?.iter().map(Option::unwrap_or_default).collect())
        };
        let editions = Editions::of_works(counts(&works)?);
        let known = years.null_count() < years.len();
        let descriptions = Descriptions {
            years: years
                .f32()?
                .iter()
                .take(if known { years.len() } else { 0 })
                .map(|year| year.unwrap_or(f32::NAN))
                .collect(),
            titles,
            subjects,
            authors: counts(&authors)?,
            publishers: counts(&publishers)?,
            languages: counts(&languages)?,
        };
        let recency = recency::read(&mut frame)?;
        let traits = ItemTraits { readers: counts(&readers)?, descriptions: Arc::new(descriptions), recency };
        Ok(Self {
            popularity: Popularity::counted(traits, counts(&stars)?, (flags(&ties)?, flags(&low)?), editions),
            weights: numbers(&weights)?,
            item_scales: numbers(&item_scales)?,
            items: Items::new(frame)?,
        })
    }

    pub(super) fn frame(&self) -> Result<DataFrame> {
        let Self { items, popularity, weights, item_scales } = self;
        let mut frame = items.frame()?;
        let ItemTraits { readers, descriptions, recency } = &popularity.traits;
        frame.with_column(Column::new("readers".into(), readers))?;
        frame.with_column(Column::new("author".into(), &descriptions.authors))?;
        frame.with_column(Column::new("publisher".into(), &descriptions.publishers))?;
        frame.with_column(Column::new("language".into(), &descriptions.languages))?;
        let year = |item: usize| descriptions.years.get(item).copied().filter(|year| !year.is_nan());
        let years: Vec<Option<f32>> = (0..items.len()).map(year).collect();
        frame.with_column(Column::new("year".into(), years))?;
        if let Some(recency) = recency {
            recency::add(&mut frame, recency)?;
        }
        frame.with_column(Column::new("stars".into(), &popularity.stars))?;
        frame.with_column(Column::new("ties".into(), &popularity.ties))?;
        frame.with_column(Column::new("low".into(), &popularity.low))?;
        frame.with_column(Column::new("work".into(), popularity.editions.works(items.len())))?;
        frame.with_column(Column::new("weight".into(), weights))?;
        frame.with_column(Column::new("lift".into(), item_scales))?;
        Ok(frame)
    }
}
