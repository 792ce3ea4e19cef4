//! The figures, with their formulas.
//!
//! For a reader with the held-out books T (those that the list could not know of) and the list
//! l_1 … l_k of unseen books, with hit_j = 1 if l_j ∈ T:
//!
//! ```text
//! precision@k = Σ_j hit_j / k                      recall@k = Σ_j hit_j / |T|
//! hit rate@k  = 1 if any hit                       MRR@k    = 1 / (place of the first hit)
//! nDCG@k      = Σ_j hit_j / log₂(j+1)  /  Σ_{j ≤ min(k,|T|)} 1 / log₂(j+1)
//! MAP@k       = Σ_j hit_j · precision@j  /  min(k, |T|)
//! ```
//!
//! averaged over all readers with at least one held-out book (Manning, Raghavan, Schütze:
//! "Introduction to information retrieval", chapter 8; Järvelin, Kekäläinen 2002 for nDCG). Every
//! book of the catalogue is ranked; none is sampled (Krichene, Rendle 2020 say why).
//!
//! ```text
//! RMSE = √(Σ (r − r̂)² / n)                         MAE = Σ |r − r̂| / n
//! ```

use std::collections::HashSet;

/// Figures of a set of lists, at one length.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RankingFigures {
    /// Share of the list that was held out.
    pub precision: f64,
    /// Share of the held-out books that the list has.
    pub recall: f64,
    /// Discounted gain against that of the best list.
    pub ndcg: f64,
    /// Mean average precision.
    pub map: f64,
    /// Mean reciprocal rank of the first hit.
    pub mrr: f64,
    /// Share of readers with a hit.
    pub hit_rate: f64,
    /// Share of the catalogue that stands in any list.
    pub coverage: f64,
}

/// Measures lists against held-out items, both in codes, for users with any held-out item.
///
/// `lists` and `held_out` have an entry for each user; `items` is the size of the catalogue.
pub fn ranking(lists: &[Vec<u32>], held_out: &[Vec<u32>], k: usize, items: usize) -> RankingFigures {
    let mut sum = RankingFigures::default();
    let mut users = 0usize;
    let mut shown: HashSet<u32> = HashSet::new();
    for (list, held_out) in lists.iter().zip(held_out) {
        let list = &list[..k.min(list.len())];
        shown.extend(list);
        if held_out.is_empty() {
            continue;
        }
        users += 1;
        let held_out: HashSet<u32> = held_out.iter().copied().collect();
        let possible = k.min(held_out.len());
        let (mut hits, mut gain, mut precisions) = (0usize, 0.0, 0.0);
        for (place, item) in list.iter().enumerate() {
            if held_out.contains(item) {
                hits += 1;
                gain += discount(place);
                precisions += hits as f64 / (place + 1) as f64;
                if hits == 1 {
                    sum.mrr += 1.0 / (place + 1) as f64;
                }
            }
        }
        sum.precision += hits as f64 / k as f64;
        sum.recall += hits as f64 / held_out.len() as f64;
        sum.ndcg += gain / (0..possible).map(discount).sum::<f64>();
        sum.map += precisions / possible as f64;
        sum.hit_rate += f64::from(u8::from(hits > 0));
    }
    let users = users.max(1) as f64;
    RankingFigures {
        precision: sum.precision / users,
        recall: sum.recall / users,
        ndcg: sum.ndcg / users,
        map: sum.map / users,
        mrr: sum.mrr / users,
        hit_rate: sum.hit_rate / users,
        coverage: shown.len() as f64 / items.max(1) as f64,
    }
}

/// 1 / log₂(j + 1) of the place j − 1, counted from 0.
fn discount(place: usize) -> f64 {
    1.0 / (place as f64 + 2.0).log2()
}

/// RMSE and MAE of pairs of rating and prediction; `None` if there are none.
pub fn errors(pairs: impl Iterator<Item = (f32, f32)>) -> Option<(f64, f64)> {
    let (mut squares, mut absolute, mut count) = (0.0, 0.0, 0u64);
    for (rating, predicted) in pairs {
        let error = f64::from(rating) - f64::from(predicted);
        squares += error * error;
        absolute += error.abs();
        count += 1;
    }
    (count > 0).then(|| ((squares / count as f64).sqrt(), absolute / count as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        // Hits at places 1 and 3 of 4; three books held out. The second reader held nothing out.
        let lists = vec![vec![7, 1, 8, 2], vec![1, 2, 3, 4]];
        let held_out = vec![vec![8, 7, 9], vec![]];
        let figures = ranking(&lists, &held_out, 4, 10);
        assert_eq!(figures.precision, 0.5);
        assert!((figures.recall - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(figures.mrr, 1.0);
        assert_eq!(figures.hit_rate, 1.0);
        let best = 1.0 + 1.0 / 3f64.log2() + 0.5;
        assert!((figures.ndcg - 1.5 / best).abs() < 1e-12);
        assert!((figures.map - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert!((figures.coverage - 0.6).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_list_is_perfect_and_a_useless_one_nothing() {
        let perfect = ranking(&[vec![1, 2]], &[vec![2, 1]], 2, 2);
        for figure in [perfect.precision, perfect.recall, perfect.ndcg, perfect.map, perfect.mrr] {
            assert!((figure - 1.0).abs() < 1e-12);
        }
        let useless = ranking(&[vec![3, 4]], &[vec![1]], 2, 4);
        assert_eq!((useless.ndcg, useless.mrr, useless.hit_rate), (0.0, 0.0, 0.0));
    }

    #[test]
    fn errors_have_their_root() {
        let (rmse, mae) = errors([(5.0, 2.0), (1.0, 1.0)].into_iter()).unwrap_or_default();
        assert!((rmse - 4.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(mae, 1.5);
        assert_eq!(errors(std::iter::empty()), None);
    }
}
