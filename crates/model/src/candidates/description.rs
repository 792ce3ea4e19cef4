//! The features of a user's candidates.

use super::room::Room;
use super::{CandidateSearch, Candidates, FirstStage};
use crate::data::{ItemTraits, UNKNOWN};
use crate::dot;
use crate::ranker::features::{self, Feature};
use crate::rules::OfUser;

impl CandidateSearch<'_> {
    /// The codes that a user's items have, and how many items have each; most first.
    pub(super) fn counted(&self, codes: &[u32], own: &[u32]) -> Vec<(u32, u32)> {
        let mut all: Vec<u32> = own.iter().filter_map(|item| codes.get(*item as usize)).copied().collect();
        all.retain(|code| *code != UNKNOWN);
        all.sort_unstable();
        let mut counted: Vec<(u32, u32)> =
            all.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)).collect();
        counted.sort_unstable_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        counted
    }

    /// Writes the features of all candidates.
    pub(super) fn describe(
        &self,
        user: usize,
        own_authors: &[(u32, u32)],
        of_user: &OfUser<'_>,
        room: &Room,
        found: &mut Candidates,
    ) {
        let support = &room.support;
        let FirstStage { factors, item_scales, traits, known, .. } = self.stage;
        let ItemTraits { descriptions, recency, affinity, .. } = traits;
        let own = known.of(user).0;
        let size = own.len().max(1) as f32;
        let x = factors.user(user);
        let products: Vec<f32> = found
            .items
            .iter()
            .map(|item| {
                dot(x, factors.item(*item as usize)) * item_scales.get(*item as usize).unwrap_or(&1.0)
            })
            .collect();
        let sums: Vec<f32> = found.items.iter().map(|item| support.of[*item as usize][0]).collect();
        let (product_mean, product_deviation) = self.moments.of_scores(x);
        let (sum_mean, sum_deviation) = support.moments();
        let (product_ranks, sum_ranks) = (ranks(&products), ranks(&sums));
        // Most are 0.
        let log = |number: f32| if number == 0.0 { 0.0 } else { (1.0 + number).ln() };
        let own_publishers = self.counted(&descriptions.publishers, own);
        let own_series = self.counted(&descriptions.series, own);
        let own_languages = self.counted(&descriptions.languages, own);
        let of = |counted: &[(u32, u32)], codes: &[u32], item: usize| -> Option<f32> {
            let code = *codes.get(item).filter(|code| **code != UNKNOWN)?;
            Some(counted.iter().find(|(other, _)| *other == code).map_or(0.0, |(_, count)| *count as f32))
        };
        let year = |item: usize| descriptions.years.get(item).copied().filter(|year| !year.is_nan());
        let (years, dated) = own
            .iter()
            .filter_map(|item| year(*item as usize))
            .fold((0.0, 0.0), |(sum, count), year| (sum + year, count + 1.0));
        let usual = own.iter().map(|item| self.log_readers[*item as usize]).sum::<f32>() / size;
        let idle = self.stage.idle.get(user).copied().unwrap_or_default();
        found.features.clear();
        found.features.resize(found.items.len() * features::COUNT, 0.0);
        let rows = found.features.chunks_exact_mut(features::COUNT);
        for (at, (row, item)) in rows.zip(&found.items).enumerate() {
            let item = *item as usize;
            let mut set = |feature: Feature, value: f32| row[feature as usize] = value;
            let [_, nearest, supporters] = support.of[item];
            let by_author = of(own_authors, &descriptions.authors, item);
            let popularity = self.log_readers[item];
            set(Feature::Factors, (products[at] - product_mean) / product_deviation);
            set(Feature::Neighbours, (sums[at] - sum_mean) / sum_deviation);
            set(Feature::FactorsRank, product_ranks[at]);
            set(Feature::NeighboursRank, sum_ranks[at]);
            set(Feature::Product, products[at]);
            set(Feature::Sum, sums[at]);
            set(Feature::Readers, popularity);
            set(Feature::Activity, log(size));
            set(Feature::OwnOfAuthor, log(by_author.unwrap_or_default()));
            set(Feature::AuthorShare, by_author.unwrap_or_default() / size);
            set(Feature::HasAuthor, f32::from(u8::from(by_author.is_some())));
            set(
                Feature::OwnOfPublisher,
                log(of(&own_publishers, &descriptions.publishers, item).unwrap_or_default()),
            );
            set(Feature::Nearest, nearest);
            set(Feature::Supporters, log(supporters));
            set(Feature::UsualReaders, usual);
            set(Feature::Unusual, popularity - usual);
            if let Some(recency) = recency {
                let first = Feature::Recent15 as usize;
                for (place, sum) in recency.readers[item].iter().enumerate() {
                    row[first + place] = (sum + 0.02).ln();
                }
                row[Feature::Age as usize] = log(recency.ages[item]);
                row[Feature::Idle as usize] = log(idle);
            }
            let mut set = |feature: Feature, value: f32| row[feature as usize] = value;
            set(Feature::TitleWords, log(room.titles.likeness(&descriptions.titles, item)));
            set(Feature::Subjects, room.subjects.likeness(&descriptions.subjects, item) / size);
            if let (Some(year), true) = (year(item), dated > 0.0) {
                let newer = year - years / dated;
                set(Feature::Newer, newer);
                set(Feature::YearDistance, log(newer.abs()));
            }
            let author = descriptions.authors.get(item).copied().unwrap_or(UNKNOWN) as usize;
            set(Feature::AuthorReaders, self.log_author_readers.get(author).copied().unwrap_or_default());
            if let Some(own) = of(&own_series, &descriptions.series, item) {
                set(Feature::OwnOfSeries, log(own));
                set(Feature::NextInSeries, f32::from(u8::from(of_user.is_next(item as u32))));
            }
            let categories = self.stage.attributes.iter().map(|codes| codes[user]);
            set(Feature::Attributes, affinity.of(item, categories));
            set(
                Feature::LanguageShare,
                of(&own_languages, &descriptions.languages, item).unwrap_or_default() / size,
            );
        }
    }
}

/// The logarithm of each value's rank, 1 being the greatest; equal values in the order that they stand in.
fn ranks(values: &[f32]) -> Vec<f32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|a, b| values[*b as usize].total_cmp(&values[*a as usize]));
    let mut ranks = vec![0.0; values.len()];
    for (rank, place) in order.into_iter().enumerate() {
        ranks[place as usize] = ((rank + 1) as f32).ln();
    }
    ranks
}
