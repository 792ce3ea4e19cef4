//! Times of ratings, in seconds, whatever unit their column counts in.

/// The times in seconds; `None` if the numbers are no times (but counters, say), or most are unknown.
///
/// A column of times is in seconds, or in thousandths, millionths or billionths of them, as databases and
/// languages write them; the newest one tells, since it lies between 1973 and 5138.
pub fn in_seconds(moments: &[f64]) -> Option<Vec<f64>> {
    unit(moments).map(|unit| moments.iter().map(|moment| moment / unit).collect())
}

/// How many of the column's units make a second; `None` as in [`in_seconds`].
pub fn unit(moments: &[f64]) -> Option<f64> {
    let newest = moments.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let unit = [1.0, 1e3, 1e6, 1e9].into_iter().find(|unit| (1e8..1e11).contains(&(newest / unit)))?;
    let known = moments.iter().filter(|moment| moment.is_finite()).count();
    (2 * known > moments.len()).then_some(unit)
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
        for no_times in [&[][..], &[1.0, 2.0, 748_237.0], &[now, f64::NEG_INFINITY, f64::NEG_INFINITY]] {
            assert_eq!(in_seconds(no_times), None);
        }
    }
}
