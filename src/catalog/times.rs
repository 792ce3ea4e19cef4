//! Times of ratings, in seconds, whatever unit their column counts in.

use crate::model::hyperparameters::HalfLife;

/// The times in seconds; `None` if the numbers are no times (but counters, say), or most are unknown.
///
/// A column of times is in seconds, or in thousandths, millionths or billionths of them, as databases and
/// languages write them; the newer ones tell, since they lie between 1973 and 5138.
pub fn in_seconds(moments: &[f64]) -> Option<Vec<f64>> {
    unit(moments).map(|unit| moments.iter().map(|moment| moment / unit).collect())
}

/// How many of the column's units make a second; `None` as in [`in_seconds`].
pub fn unit(moments: &[f64]) -> Option<f64> {
    let mut known: Vec<f64> = moments.iter().copied().filter(|moment| moment.is_finite()).collect();
    // Not the newest: a typing error may be years ahead.
    let newer = known.len().checked_sub(1)? * 9 / 10;
    let (_, newer, _) = known.select_nth_unstable_by(newer, f64::total_cmp);
    let unit = [1.0, 1e3, 1e6, 1e9].into_iter().find(|unit| (1e8..1e11).contains(&(*newer / unit)))?;
    (2 * known.len() > moments.len()).then_some(unit)
}

/// Makes unknown what lies more than a day after `now` in seconds, and returns how many these are: one rating of the
/// year 2099 would make all others old. Where they are more than one in a hundred, the clock is wrong, and nothing changes.
pub fn forget_future(moments: &mut [f64], now: f64) -> usize {
    let Some(unit) = unit(moments) else { return 0 };
    let is_future = |moment: &f64| *moment / unit > now + 86_400.0;
    let future = moments.iter().filter(|moment| is_future(moment)).count();
    if future * 100 > moments.len() {
        return 0;
    }
    moments.iter_mut().filter(|moment| is_future(moment)).for_each(|moment| *moment = f64::NEG_INFINITY);
    future
}

/// The weight of each rating, 2^(−age / half-life), its age being the time until `now` (the newest time if that is
/// `None`). Empty if nothing decays: without a half-life, or without times. A rating of unknown time is as old as the
/// oldest.
pub fn decays(moments: &[f64], now: Option<f64>, half_life: HalfLife) -> Vec<f32> {
    let (HalfLife::Days(half_life), Some(moments)) = (half_life, in_seconds(moments)) else {
        return Vec::new();
    };
    let known = moments.iter().copied().filter(|moment| moment.is_finite());
    let oldest = known.clone().fold(f64::INFINITY, f64::min);
    let now = now.unwrap_or_else(|| known.fold(f64::NEG_INFINITY, f64::max));
    let age = |moment: f64| (now - moment.max(oldest)).max(0.0) / (half_life * 86_400.0);
    // However long ago, it was read: a weight of 0 would be none.
    moments.iter().map(|moment| (-age(*moment)).exp2().max(1e-6) as f32).collect()
}

/// [`decays`] times `weights`, either of which may be empty.
pub fn weighed_decays(moments: &[f64], now: Option<f64>, half_life: HalfLife, weights: &[f32]) -> Vec<f32> {
    let mut decays = decays(moments, now, half_life);
    if decays.is_empty() {
        return weights.to_vec();
    }
    decays.iter_mut().zip(weights).for_each(|(decay, weight)| *decay *= weight);
    decays
}

/// The newest of these times in seconds; `None` as in [`in_seconds`].
pub fn newest(moments: &[f64]) -> Option<f64> {
    Some(in_seconds(moments)?.into_iter().fold(f64::NEG_INFINITY, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_seen_from_the_newest() {
        let now = 1.76e9;
        for unit in [1.0, 1e3, 1e6, 1e9] {
            let seconds = in_seconds(&[0.0, now * unit, 1e9 * unit, f64::NEG_INFINITY]).expect("times");
            assert_eq!((seconds[1], seconds[2]), (now, 1e9));
        }
        let mut some = vec![1e9; 300];
        (some[7], some[8]) = (4e9, 2.6e11);
        assert_eq!(unit(&some), Some(1.0), "a typing error tells nothing");
        assert_eq!((forget_future(&mut some, 1.5e9), newest(&some)), (2, Some(1e9)));
        assert_eq!(forget_future(&mut some, 5e8), 0, "a clock that is wrong");
        let weights = decays(&[now, now - 86_400.0, f64::NEG_INFINITY], None, HalfLife::Days(1.0));
        assert_eq!(weights, [1.0, 0.5, 0.5]);
        assert!(decays(&[now], None, HalfLife::Never).is_empty());
        for no_times in [&[][..], &[1.0, 2.0, 748_237.0], &[now, f64::NEG_INFINITY, f64::NEG_INFINITY]] {
            assert_eq!(in_seconds(no_times), None);
        }
    }
}
