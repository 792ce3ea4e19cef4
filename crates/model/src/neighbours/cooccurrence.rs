//! Rows of G = XᵀX, made when they are wanted.

use crate::data::Interactions;

pub(super) struct Cooccurrence<'a> {
    /// X.
    rows: &'a Interactions,
    /// Xᵀ.
    by_item: &'a Interactions,
    /// The diagonal of G.
    lengths: Vec<f32>,
}

/// A row of G: a number for every item, most of them 0.
pub(super) struct Row {
    values: Vec<f32>,
    touched: Vec<u32>,
}

impl Row {
    pub(super) fn clear(&mut self) {
        for item in self.touched.drain(..) {
            self.values[item as usize] = 0.0;
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, f32)> {
        self.touched.iter().map(|item| (*item, self.values[*item as usize]))
    }

    #[inline(always)]
    pub(super) fn value(&self, item: u32) -> f32 {
        self.values[item as usize]
    }
}

impl<'a> Cooccurrence<'a> {
    pub(super) fn new(rows: &'a Interactions, by_item: &'a Interactions) -> Self {
        let length = |item: usize| by_item.of(item).1.iter().map(|value| value * value).sum();
        Self { rows, by_item, lengths: (0..rows.item_count).map(length).collect() }
    }

    pub(super) fn items(&self) -> usize {
        self.lengths.len()
    }

    /// Readers of an item, real or made-up.
    pub(super) fn readers(&self, item: u32) -> usize {
        self.by_item.of(item as usize).0.len()
    }

    /// G_ii.
    pub(super) fn length(&self, item: u32) -> f32 {
        self.lengths[item as usize]
    }

    /// An empty row, to be filled.
    pub(super) fn row(&self) -> Row {
        Row { values: vec![0.0; self.items()], touched: Vec::new() }
    }

    /// Fills an empty row with G_ij for the items j from `from` on. Readers are added up in the order of their
    /// codes, whoever asks.
    pub(super) fn fill(&self, row: &mut Row, item: u32, from: u32) {
        let Row { values, touched } = row;
        let (readers, weights) = self.by_item.of(item as usize);
        for (reader, weight) in readers.iter().zip(weights) {
            let (items, others) = self.rows.of(*reader as usize);
            let first = if from == 0 { 0 } else { items.partition_point(|other| *other < from) };
            for (other, value) in items[first..].iter().zip(&others[first..]) {
                let to = &mut values[*other as usize];
                if *to == 0.0 {
                    touched.push(*other);
                }
                *to += weight * value;
            }
        }
    }
}
