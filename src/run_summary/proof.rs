//! What readers picked up of what they were shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What readers with a list have picked up since it was published: rated, bought or borrowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Proof {
    /// Readers with a list.
    pub lists: u64,
    /// Those of them who have picked up anything.
    pub readers: u64,
    /// Books that they have picked up.
    pub picks: u64,
    /// Those that stood in the reader's list, in any edition.
    pub hits: u64,
    /// Those that stood in the popular list of the same length; `None` if that is not known.
    pub popular_hits: Option<u64>,
    /// Hits at each rank, from the first.
    pub by_rank: Vec<u64>,
    /// Hits by source: `model`, `fold-in`, `popular`.
    pub by_source: BTreeMap<String, u64>,
}

impl Proof {
    /// Of several nights together.
    pub fn sum<'a>(nights: impl IntoIterator<Item = &'a Proof>) -> Self {
        let mut all = Self { popular_hits: Some(0), ..Self::default() };
        for night in nights {
            all.lists = all.lists.max(night.lists);
            all.readers += night.readers;
            all.picks += night.picks;
            all.hits += night.hits;
            all.popular_hits = all.popular_hits.zip(night.popular_hits).map(|(all, own)| all + own);
            if all.by_rank.len() < night.by_rank.len() {
                all.by_rank.resize(night.by_rank.len(), 0);
            }
            all.by_rank.iter_mut().zip(&night.by_rank).for_each(|(all, own)| *all += own);
            for (source, hits) in &night.by_source {
                *all.by_source.entry(source.clone()).or_default() += hits;
            }
        }
        all
    }

    /// The share of picks that are `hits`, and its 95% interval (Wilson 1927).
    pub fn share(&self, hits: u64) -> Option<(f64, [f64; 2])> {
        const Z: f64 = 1.96;
        let n = self.picks as f64;
        (self.picks > 0).then(|| {
            let share = hits as f64 / n;
            let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
            let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / (1.0 + Z * Z / n);
            (share, [(middle - half).max(0.0), (middle + half).min(1.0)])
        })
    }

    /// In a line of a log.
    pub fn in_words(&self) -> String {
        let popular = self.popular_hits.map_or(String::new(), |hits| format!(", {hits} in the popular list"));
        format!(
            "of {} books picked up since by {} readers with a list, {} stood in it{popular}",
            self.picks, self.readers, self.hits
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_add_up_and_shares_have_intervals() {
        let night = |picks, hits, popular_hits| Proof {
            lists: 10,
            readers: 2,
            picks,
            hits,
            popular_hits,
            by_rank: vec![hits],
            by_source: [("model".to_owned(), hits)].into(),
        };
        let all = Proof::sum(&[night(60, 6, Some(3)), night(40, 4, Some(2))]);
        assert_eq!((all.picks, all.hits, all.popular_hits, all.readers), (100, 10, Some(5), 4));
        assert_eq!((all.by_rank, all.by_source["model"]), (vec![10], 10));
        let (share, [low, high]) = night(100, 10, None).share(10).expect("picks");
        assert!((share - 0.1).abs() < 1e-9 && (low - 0.0552).abs() < 1e-3 && (high - 0.1744).abs() < 1e-3);
        assert_eq!(Proof::default().share(0), None);
        assert_eq!(Proof::sum(&[night(1, 0, None)]).popular_hits, None);
    }
}
