//! The quality figures, with their formulas.
//!
//! For a reader with the held-out books T (those that the list could not know of) and the list
//! l_1 … l_k of unseen books, with hit_j = 1 if l_j ∈ T:
//!
//! ```text
//! precision@k = Σ_j hit_j / k                      recall@k = Σ_j hit_j / |T|
//! hit rate@k  = 1 if any hit                       MRR@k    = 1 / (place of the first hit)
//! nDCG@k      = Σ_j hit_j / log₂(j+1)  /  Σ_{j ≤ min(k,|T|)} 1 / log₂(j+1)
//! liked@k     = Σ_j hit_j · liked_j / |T|
//! MAP@k       = Σ_j hit_j · precision@j  /  min(k, |T|)
//! ```
//!
//! averaged over all readers with at least one held-out book (Manning, Raghavan, Schütze:
//! "Introduction to information retrieval", chapter 8; Järvelin, Kekäläinen 2002 for nDCG). All
//! books of the catalogue are ranked, not a sample of them (Krichene, Rendle 2020 say why).
//!
//! ```text
//! RMSE = √(Σ (r − r̂)² / n)                         MAE = Σ |r − r̂| / n
//! ```

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use crate::run_summary::Lead;

/// Samples per bootstrap.
const DRAWS: u64 = 1000;

/// Figures of one reader's list, or their mean over readers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RankingFigures {
    /// Share of the list that was held out.
    pub precision: f64,
    /// Share of the held-out books that are in the list.
    pub recall: f64,
    /// Discounted cumulative gain, divided by that of the ideal list.
    pub ndcg: f64,
    /// Average precision.
    pub map: f64,
    /// Reciprocal rank of the first hit.
    pub mrr: f64,
    /// 1 if there is a hit, else 0.
    pub hit_rate: f64,
    /// Share of the held-out books that are in the list and that the reader liked: marked no lower than usual, or not
    /// marked.
    pub liked: f64,
}

/// What a reader picked up; both rising.
#[derive(Clone, Copy, Debug)]
pub struct Picks<'a> {
    pub all: &'a [u32],
    /// Those of them that were marked lower than the reader usually does.
    pub disliked: &'a [u32],
}

impl RankingFigures {
    /// Names and values, in the order in which tables show them.
    pub fn named(&self) -> [(&'static str, f64); 7] {
        [
            ("precision", self.precision),
            ("recall", self.recall),
            ("ndcg", self.ndcg),
            ("map", self.map),
            ("mrr", self.mrr),
            ("hit_rate", self.hit_rate),
            ("liked", self.liked),
        ]
    }

    /// The mean of readers' figures, each weighted by `times` of its place.
    fn mean(figures: &[Self], times: impl Fn(usize) -> f64) -> Self {
        let (mut sum, mut count) = (Self::default(), 0.0);
        for (place, figures) in figures.iter().enumerate() {
            let times = times(place);
            count += times;
            sum.precision += times * figures.precision;
            sum.recall += times * figures.recall;
            sum.ndcg += times * figures.ndcg;
            sum.map += times * figures.map;
            sum.mrr += times * figures.mrr;
            sum.hit_rate += times * figures.hit_rate;
            sum.liked += times * figures.liked;
        }
        let count = if count > 0.0 { count } else { 1.0 };
        Self {
            precision: sum.precision / count,
            recall: sum.recall / count,
            ndcg: sum.ndcg / count,
            map: sum.map / count,
            mrr: sum.mrr / count,
            hit_rate: sum.hit_rate / count,
            liked: sum.liked / count,
        }
    }

    pub fn average(figures: &[Self]) -> Self {
        Self::mean(figures, |_| 1.0)
    }
}

/// The figures of each reader's list.
///
/// `lists` and `picks` have one entry per reader, in codes; nobody's picks are empty.
pub fn by_reader(lists: &[Vec<u32>], picks: &[Picks<'_>], k: usize) -> Vec<RankingFigures> {
    let figures = |(list, picks): (&Vec<u32>, &Picks<'_>)| {
        let list = &list[..k.min(list.len())];
        let held_out = picks.all;
        let possible = k.min(held_out.len());
        let (mut liked, mut hits, mut gain, mut precisions, mut mrr) = (0usize, 0usize, 0.0, 0.0, 0.0);
        for (place, item) in list.iter().enumerate() {
            if held_out.binary_search(item).is_ok() {
                hits += 1;
                liked += usize::from(picks.disliked.binary_search(item).is_err());
                gain += discount(place);
                precisions += hits as f64 / (place + 1) as f64;
                if hits == 1 {
                    mrr = 1.0 / (place + 1) as f64;
                }
            }
        }
        RankingFigures {
            precision: hits as f64 / k as f64,
            recall: hits as f64 / held_out.len() as f64,
            ndcg: gain / (0..possible).map(discount).sum::<f64>(),
            map: precisions / possible as f64,
            mrr,
            hit_rate: f64::from(u8::from(hits > 0)),
            liked: liked as f64 / held_out.len() as f64,
        }
    };
    lists.par_iter().zip(picks).map(figures).collect()
}

/// Share of the catalogue of `items` books that is in the first k of any list.
pub fn coverage(lists: &[Vec<u32>], k: usize, items: usize) -> f64 {
    let mut shown: Vec<u32> = lists.iter().flat_map(|list| &list[..k.min(list.len())]).copied().collect();
    shown.par_sort_unstable();
    shown.dedup();
    shown.len() as f64 / items.max(1) as f64
}

/// How little known the first k books of the lists are: the mean of −log₂ of a book's share of readers,
/// in bits. `readers` counts readers per book. (Zhou et al. 2010; Vargas, Castells 2011.)
pub fn novelty(lists: &[Vec<u32>], k: usize, readers: &[u32], users: usize) -> f64 {
    // A book without readers counts as if it had half a reader.
    let bits = |readers: &u32| (users as f64 / f64::from(*readers).max(0.5)).log2();
    let bits: Vec<f64> = readers.par_iter().map(bits).collect();
    let entries = lists.iter().flat_map(|list| &list[..k.min(list.len())]);
    let add = |(sum, count), item: &u32| (sum + bits[*item as usize], count + 1);
    let (sum, count) = entries.fold((0.0, 0usize), add);
    sum / count.max(1) as f64
}

/// The 95% interval of each figure, by name: the middle of means over readers drawn with replacement. It
/// shows how far off a figure may be by the choice of readers. Percentile bootstrap (Efron 1979).
pub fn intervals(figures: &[RankingFigures], seed: u64) -> Vec<(&'static str, [f64; 2])> {
    let means: Vec<_> = (0..DRAWS)
        .into_par_iter()
        .map(|draw| {
            let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(DRAWS).wrapping_add(draw));
            let mut times = vec![0u32; figures.len()];
            (0..figures.len()).for_each(|_| times[random.random_range(0..figures.len())] += 1);
            RankingFigures::mean(figures, |place| f64::from(times[place])).named()
        })
        .collect();
    let interval = |figure: usize| {
        let mut values: Vec<f64> = means.iter().map(|mean| mean[figure].1).collect();
        values.sort_by(f64::total_cmp);
        (means[0][figure].0, middle(&values))
    };
    (0..means[0].len()).map(interval).collect()
}

/// How far `ours` is ahead of `theirs`: figures of the same readers in the same order. A reader who is hard
/// to predict is hard for both, so differences are far more certain than either mean.
pub fn lead(ours: &[f64], theirs: &[f64], seed: u64) -> Lead {
    let differences: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect();
    Lead { mean: mean(&differences), interval: interval(&differences, seed) }
}

/// The 95% interval of the mean over readers: a percentile bootstrap, or, for many readers, the normal
/// distribution, which then gives the same (central limit theorem).
pub fn interval(figures: &[f64], seed: u64) -> [f64; 2] {
    const MANY: usize = 1000;
    let (count, middle_of_all) = (figures.len(), mean(figures));
    if count == 0 {
        return [0.0; 2];
    }
    if count >= MANY {
        let squares: f64 = figures.iter().map(|figure| (figure - middle_of_all).powi(2)).sum();
        let width = 1.96 * (squares / (count - 1) as f64 / count as f64).sqrt();
        return [middle_of_all - width, middle_of_all + width];
    }
    let mut means: Vec<f64> = (0..DRAWS)
        .into_par_iter()
        .map(|draw| {
            let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(DRAWS).wrapping_add(draw));
            (0..count).map(|_| figures[random.random_range(0..count)]).sum::<f64>() / count as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    middle(&means)
}

/// 0 if there are none.
pub fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len().max(1) as f64
}

/// The middle 95% of sorted values, of which there is at least one.
fn middle(sorted: &[f64]) -> [f64; 2] {
    let end = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    [end(0.025), end(0.975)]
}

/// 1 / log₂(j + 1) for `place` = j − 1, which counts from 0.
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

    fn average(lists: &[Vec<u32>], held_out: &[&[u32]], k: usize) -> RankingFigures {
        let picks: Vec<Picks<'_>> = held_out.iter().map(|all| Picks { all, disliked: &all[..1] }).collect();
        RankingFigures::average(&by_reader(lists, &picks, k))
    }

    #[test]
    fn figures_by_hand() {
        // Hits at places 1 and 3 of 4; three books held out.
        let lists = vec![vec![7, 1, 8, 2], vec![1, 2, 3, 4]];
        let figures = average(&lists[..1], &[&[7, 8, 9]], 4);
        assert_eq!(figures.precision, 0.5);
        assert!((figures.recall - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(figures.mrr, 1.0);
        assert_eq!(figures.hit_rate, 1.0);
        assert!((figures.liked - 1.0 / 3.0).abs() < 1e-12, "book 7 was not liked");
        let best = 1.0 + 1.0 / 3f64.log2() + 0.5;
        assert!((figures.ndcg - 1.5 / best).abs() < 1e-12);
        assert!((figures.map - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert!((coverage(&lists, 4, 10) - 0.6).abs() < 1e-12);
        assert!((coverage(&lists, 1, 10) - 0.2).abs() < 1e-12);
        // Book 7 has one reader of eight, book 1 four: three bits and one.
        assert!((novelty(&[vec![7, 1]], 2, &[0, 4, 0, 0, 0, 0, 0, 1], 8) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_list_is_perfect_and_a_useless_one_nothing() {
        let perfect = average(&[vec![1, 2]], &[&[1, 2]], 2);
        for (name, figure) in perfect.named().into_iter().filter(|(name, _)| *name != "liked") {
            assert!((figure - 1.0).abs() < 1e-12, "{name}");
        }
        let useless = average(&[vec![3, 4]], &[&[1]], 2);
        assert_eq!((useless.ndcg, useless.mrr, useless.hit_rate), (0.0, 0.0, 0.0));
        assert_eq!(average(&[], &[], 5), RankingFigures::default());
    }

    #[test]
    fn intervals_hold_the_mean_and_narrow_with_more_readers() {
        let readers = |count: usize| -> Vec<RankingFigures> {
            let hit = |place: usize| f64::from(u8::from(place.is_multiple_of(4)));
            (0..count).map(|place| RankingFigures { hit_rate: hit(place), ..Default::default() }).collect()
        };
        let hit_rate = |count: usize| {
            let found = intervals(&readers(count), 1);
            found.into_iter().find(|(name, _)| *name == "hit_rate").map(|(_, ends)| ends).unwrap_or_default()
        };
        let [low, high] = hit_rate(400);
        // The normal approximation: 0.25 ± 1.96 √(0.25 · 0.75 / 400).
        assert!((low - 0.2076).abs() < 0.01 && (high - 0.2924).abs() < 0.01, "{low} {high}");
        let [lower, higher] = hit_rate(6400);
        assert!(higher - lower < 0.5 * (high - low));
        assert_eq!(hit_rate(400), [low, high], "the same seed, the same interval");
    }

    #[test]
    fn a_lead_is_surer_than_either_mean() {
        // Readers differ a lot, the two models by little, and always in the same direction.
        let theirs: Vec<f64> = (0..300).map(|n| f64::from(n % 10) / 10.0).collect();
        let ours: Vec<f64> =
            theirs.iter().enumerate().map(|(n, x)| x + 0.01 + (n % 2) as f64 * 0.01).collect();
        let found = lead(&ours, &theirs, 1);
        assert!((found.mean - 0.015).abs() < 1e-9);
        // The normal approximation: ± 1.96 · 0.005 / √300.
        assert!((found.interval[0] - 0.01443).abs() < 2e-4 && (found.interval[1] - 0.01557).abs() < 2e-4);
        let backward = lead(&theirs, &ours, 1);
        assert!(backward.interval[1] < 0.0);
        assert_eq!(lead(&[], &[], 1), Lead::default());
    }

    #[test]
    fn errors_have_their_root() {
        let (rmse, mae) = errors([(5.0, 2.0), (1.0, 1.0)].into_iter()).unwrap_or_default();
        assert!((rmse - 4.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(mae, 1.5);
        assert_eq!(errors(std::iter::empty()), None);
    }
}
