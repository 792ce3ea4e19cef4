//! Which blend of factors, neighbours and popularity serves a shop.

use crate::model::ranker::{Feature, Ranker};
use crate::quality::metrics;

/// The shares of neighbours that are tried; the rest is the factors'.
const NEIGHBOURS: [f32; 5] = [0.3, 0.1, 0.5, 0.7, 0.9];

/// How much the logarithm of a book's readers counts beside these: of its readers of late where there are times.
const POPULARITY: [f32; 5] = [0.0, 0.25, 0.5, 1.0, 2.0];

/// The blends that are tried; the first one is [`Ranker::blend`].
pub fn all(has_times: bool) -> Vec<Ranker> {
    let popularity = if has_times { Feature::Recent30 } else { Feature::Readers };
    let blend = |neighbours: f32, popular: f32| {
        let mut parts = vec![
            (Feature::Factors as usize, 1.0 - neighbours),
            (Feature::Neighbours as usize, neighbours),
            (popularity as usize, popular),
        ];
        parts.retain(|(_, weight)| *weight > 0.0);
        Ranker::Blend(parts)
    };
    POPULARITY.iter().flat_map(|popular| NEIGHBOURS.map(|neighbours| blend(neighbours, *popular))).collect()
}

/// The place of the blend with the best mean figure; the first one unless another is better beyond doubt. `figures`
/// has, for each reader, a figure of each blend; higher is better.
pub fn best(figures: &[Vec<f64>], seed: u64) -> usize {
    let of = |blend: usize| -> Vec<f64> { figures.iter().map(|figures| figures[blend]).collect() };
    let blends = figures.first().map_or(0, Vec::len);
    let better = |best: (usize, f64), blend: usize| {
        let mean = metrics::mean(&of(blend));
        if mean > best.1 { (blend, mean) } else { best }
    };
    let (best, _) = (0..blends).fold((0, f64::NEG_INFINITY), better);
    let lead = metrics::lead(&of(best), &of(0), seed);
    if lead.interval[0] > 0.0 { best } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_blend_stands_first_and_yields_only_to_a_better_one() {
        for has_times in [false, true] {
            let all = all(has_times);
            assert_eq!(all[0], Ranker::blend());
            assert!(all.iter().all(Ranker::is_sound));
        }
        let readers = |second: f64| -> Vec<Vec<f64>> {
            (0..500).map(|n| vec![f64::from(n % 7) / 7.0, f64::from(n * 5 % 7) / 7.0 + second, 0.0]).collect()
        };
        assert_eq!(best(&readers(0.001), 1), 0);
        assert_eq!(best(&readers(0.3), 1), 1);
        assert_eq!(best(&[], 1), 0);
    }
}
