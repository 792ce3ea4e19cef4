//! What is kept of the books of a run, as a table.

use std::sync::Arc;

use polars::prelude::{Column, DataFrame};

use super::recency;
use crate::catalog::ids::Items;
use crate::catalog::popularity::Popularity;
use crate::error::Result;
use crate::model::data::{Affinity, Descriptions, Editions, Interactions, ItemTraits, UNKNOWN};

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

/// What has files of its own.
pub(super) struct Sparse {
    pub(super) titles: Interactions,
    pub(super) subjects: Interactions,
    pub(super) lifts: Interactions,
}

impl StoredItems {
    /// From the columns of [`StoredItems::frame`].
    /// `late` as [`ItemTraits::late`].
    pub(super) fn new(mut frame: DataFrame, about: Sparse, late: Option<usize>) -> Result<Self> {
        let Sparse { titles, subjects, lifts } = about;
        let mut column = |name: &str| frame.drop_in_place(name);
        let (readers, stars) = (column("readers")?, column("stars")?);
        let (ties, low) = (column("ties")?, column("low")?);
        let (weights, item_scales, works) = (column("weight")?, column("lift")?, column("work")?);
        let (authors, publishers, languages) = (column("author")?, column("publisher")?, column("language")?);
        let (years, other_lifts) = (column("year")?, column("other_lift")?);
        let writers = column("writer")?;
        let (series, first, last) = (column("series")?, column("first_volume")?, column("last_volume")?);
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
            writers: counts(&writers)?,
            series: counts(&series)?,
            volumes: numbers(&first)?.into_iter().zip(numbers(&last)?).map(|(a, b)| [a, b]).collect(),
            publishers: counts(&publishers)?,
            languages: counts(&languages)?,
        };
        let affinity = Arc::new(match lifts.is_empty() {
            true => Affinity::default(),
            false => Affinity { lifts, others: numbers(&other_lifts)? },
        });
        let recency = recency::read(&mut frame)?;
        let traits = ItemTraits {
            readers: counts(&readers)?,
            descriptions: Arc::new(descriptions),
            affinity,
            recency,
            late,
        };
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
        let traits = &popularity.traits;
        let ItemTraits { readers, descriptions, recency, .. } = traits;
        frame.with_column(Column::new("readers".into(), readers))?;
        frame.with_column(Column::new("author".into(), &descriptions.authors))?;
        frame.with_column(Column::new("publisher".into(), &descriptions.publishers))?;
        frame.with_column(Column::new("language".into(), &descriptions.languages))?;
        let year = |item: usize| descriptions.years.get(item).copied().filter(|year| !year.is_nan());
        let years: Vec<Option<f32>> = (0..items.len()).map(year).collect();
        frame.with_column(Column::new("year".into(), years))?;
        let writer = |item: usize| descriptions.writers.get(item).copied().unwrap_or(UNKNOWN);
        frame
            .with_column(Column::new("writer".into(), (0..items.len()).map(writer).collect::<Vec<u32>>()))?;
        let series = |item: usize| descriptions.series.get(item).copied().unwrap_or(UNKNOWN);
        let volume =
            |item: usize, end: usize| descriptions.volumes.get(item).map_or(0.0, |volume| volume[end]);
        let of_all = |end: usize| (0..items.len()).map(|item| volume(item, end)).collect::<Vec<f32>>();
        frame
            .with_column(Column::new("series".into(), (0..items.len()).map(series).collect::<Vec<u32>>()))?;
        frame.with_column(Column::new("first_volume".into(), of_all(0)))?;
        frame.with_column(Column::new("last_volume".into(), of_all(1)))?;
        let lifts = |item: usize| traits.affinity.others.get(item).copied().unwrap_or_default();
        frame.with_column(Column::new(
            "other_lift".into(),
            (0..items.len()).map(lifts).collect::<Vec<f32>>(),
        ))?;
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
