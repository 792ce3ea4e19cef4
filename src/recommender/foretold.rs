//! How well one book of a reader foretells another.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::Rules;
use crate::error::Result;
use crate::model::top_k::Scored;
use crate::recommender::evaluator::{Evaluator, HoldoutModel};
use crate::recommender::similar::{By, LENGTH};

impl Evaluator<'_> {
    /// How often one of a reader's books, drawn at random, foretells one of those held out: whether that is among the
    /// [`LENGTH`] books most like it. Both have enough readers. Returns the share, and of how many readers.
    pub fn foretold(&self, model: &HoldoutModel, by: Option<By>) -> Result<(f64, usize)> {
        let search = model.similar(by.unwrap_or(By::Both));
        let pick = |items: &[u32], reader: u32| {
            let known: Vec<u32> = items.iter().copied().filter(|item| search.is_known(*item)).collect();
            let place = xxh3_64(&reader.to_le_bytes()) as usize % known.len().max(1);
            known.get(place).copied()
        };
        let pairs: Vec<(u32, u32)> = self
            .cases()
            .readers
            .iter()
            .enumerate()
            .filter_map(|(place, reader)| {
                let own = pick(self.cases().known.of(place).0, *reader)?;
                Some((own, pick(&self.cases().held_out[place], *reader)?))
            })
            .collect();
        let mut books: Vec<u32> = pairs.iter().map(|(own, _)| *own).collect();
        books.sort_unstable();
        books.dedup();
        let lists: HashMap<u32, Vec<Scored>> = match by {
            Some(_) => search.of_all(&books, self.interrupt())?.into_iter().collect(),
            None => HashMap::new(),
        };
        let popular = search.popularity().best(LENGTH + 1, &search.popularity().rules(&Rules::none()));
        let is_hit = |(own, picked): &&(u32, u32)| match by {
            Some(_) => lists.get(own).is_some_and(|list| list.iter().any(|entry| entry.item == *picked)),
            None => {
                let others = popular.iter().filter(|entry| entry.item != *own).take(LENGTH);
                others.into_iter().any(|entry| entry.item == *picked)
            }
        };
        let hits = pairs.iter().filter(is_hit).count();
        Ok((hits as f64 / pairs.len().max(1) as f64, pairs.len()))
    }
}
