//! Biases, the first stage of the rating model: how generous a reader is, and how good a book is.
//!
//! ```text
//! Σ_R (r_ui − μ − b_u − b_i)² + β_U Σ_u (b_u − p_U(n_u))² + β_I Σ_i (b_i − p_I(n_i))²
//! p(n) = a + c ln n
//! ```
//!
//! The prior p is a line fitted to the mean residuals of rows with n ratings: readers with few ratings are
//! more generous, and books with few readers are liked less. Biases damped towards a mean: Koren 2008,
//! section 2.1; priors that depend on what is known of a row: Agarwal, Chen 2009, "Regression-based latent
//! factor models".

use rayon::prelude::*;

use crate::data::Interactions;
use crate::hyperparameters::Rating;

/// Sweeps over the biases: far more than are needed.
const SWEEPS: usize = 12;

/// Rows that one task handles. Fixed, so that sums do not depend on the number of threads.
const BLOCK: usize = 8192;

/// b_u and b_i, and the priors for rows that are yet to come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Biases {
    pub users: Vec<f32>,
    pub items: Vec<f32>,
    /// p_U and p_I.
    pub priors: [Prior; 2],
}

impl Biases {
    pub fn are_finite(&self) -> bool {
        let lines = self.priors.iter().flat_map(|prior| [prior.start, prior.slope]);
        self.users.iter().chain(&self.items).copied().chain(lines).all(f32::is_finite)
    }
}

/// The bias to expect of a row with n ratings: p(n) = a + c ln n.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prior {
    /// a.
    pub start: f32,
    /// c.
    pub slope: f32,
}

impl Prior {
    /// p(n).
    pub fn at(&self, count: usize) -> f32 {
        self.start + self.slope * log(count)
    }

    /// Weighted least squares through the rows' mean residuals. A row weighs n β / (n + β): the share of its
    /// own bias, n / (n + β), that its n ratings decide, times β. A ridge penalty of 10 damps both a and c.
    fn fit(residuals: &Residuals, damping: f64) -> Self {
        const DAMPING: f64 = 10.0;
        let part = |(sums, (counts, logs)): (&[f64], (&[u32], &[f32]))| {
            let mut moments = Moments::default();
            for ((sum, count), log) in sums.iter().zip(counts).zip(logs) {
                let (count, log) = (f64::from(*count), f64::from(*log));
                // The weight, and the weight times the mean residual; both are 0 for a row without ratings.
                let share = damping / (count + damping);
                let (weight, along) = (share * count, share * sum);
                moments.xx += weight * log * log;
                moments.x += weight * log;
                moments.one += weight;
                moments.xy += along * log;
                moments.y += along;
            }
            moments
        };
        let rows = residuals.counts.par_chunks(BLOCK).zip(residuals.logs.par_chunks(BLOCK));
        let parts: Vec<Moments> = residuals.sums.par_chunks(BLOCK).zip(rows).map(part).collect();
        let mut all = Moments { xx: DAMPING, one: DAMPING, ..Moments::default() };
        // In order, so that the sum does not depend on the number of threads.
        for part in parts {
            all.xx += part.xx;
            all.x += part.x;
            all.one += part.one;
            all.xy += part.xy;
            all.y += part.y;
        }
        let determinant = all.xx * all.one - all.x * all.x;
        Self {
            start: ((all.xx * all.y - all.x * all.xy) / determinant) as f32,
            slope: ((all.one * all.xy - all.x * all.y) / determinant) as f32,
        }
    }
}

/// ln n; a row without ratings counts as one with a single rating.
fn log(count: usize) -> f32 {
    (count.max(1) as f32).ln()
}

/// Weighted sums for a line through points (x, y).
#[derive(Default)]
struct Moments {
    xx: f64,
    x: f64,
    one: f64,
    xy: f64,
    y: f64,
}

/// The residuals of each row's ratings after the mean and the other side's biases.
#[derive(Debug)]
pub struct Residuals {
    /// The sum of each row's residuals.
    sums: Vec<f64>,
    counts: Vec<u32>,
    /// ln of each count.
    logs: Vec<f32>,
}

impl Residuals {
    /// `others` are the biases of the other side.
    pub fn of(rows: &Interactions, mean: f32, others: &[f32]) -> Self {
        let counts = rows.items_per_user();
        let logs = counts.par_iter().map(|count| log(*count as usize)).collect();
        let mut residuals = Self { sums: vec![0.0; counts.len()], counts, logs };
        residuals.update(rows, mean, others);
        residuals
    }

    /// Replaces the sums, for new biases of the other side.
    fn update(&mut self, rows: &Interactions, mean: f32, others: &[f32]) {
        self.sums.par_iter_mut().enumerate().with_min_len(BLOCK).for_each(|(row, sum)| {
            let (columns, ratings) = rows.of(row);
            let residual =
                |(column, rating): (&u32, &f32)| f64::from(rating - mean - others[*column as usize]);
            *sum = columns.iter().zip(ratings).map(residual).sum();
        });
    }

    /// The rows' own biases: they minimise the first stage for this side.
    pub fn damped(&self, damping: f64, prior: Prior) -> Vec<f32> {
        let rows = self.counts.par_iter().zip(&self.logs).with_min_len(BLOCK);
        let bias = |(sum, (count, log)): (&f64, (&u32, &f32))| {
            let expected = f64::from(prior.start + prior.slope * log);
            ((sum + damping * expected) / (f64::from(*count) + damping)) as f32
        };
        self.sums.par_iter().zip(rows).map(bias).collect()
    }
}

impl Biases {
    /// Fits the first stage. Ends with the users, so that their biases are exact for the item biases.
    pub fn fit(by_user: &Interactions, by_item: &Interactions, mean: f32, parameters: &Rating) -> Self {
        let mut biases = Self { users: vec![0.0; by_user.user_count()], ..Self::default() };
        let (of_users, of_items) = (parameters.user_damping, parameters.item_damping);
        let mut item_residuals = Residuals::of(by_item, mean, &biases.users);
        let mut user_residuals = Residuals::of(by_user, mean, &vec![0.0; by_item.user_count()]);
        for _ in 0..SWEEPS {
            item_residuals.update(by_item, mean, &biases.users);
            biases.priors[1] = Prior::fit(&item_residuals, of_items);
            biases.items = item_residuals.damped(of_items, biases.priors[1]);
            user_residuals.update(by_user, mean, &biases.items);
            biases.priors[0] = Prior::fit(&user_residuals, of_users);
            biases.users = user_residuals.damped(of_users, biases.priors[0]);
        }
        biases
    }

    /// The residuals of ratings by user.
    pub fn residuals_of(&self, rated: &Interactions, mean: f32) -> Interactions {
        residuals(rated, mean, &self.users, &self.items)
    }
}

/// The residuals after mean and biases, in the place of ratings. `own` are the biases of the rows, `others`
/// those of the columns.
pub fn residuals(rows: &Interactions, mean: f32, own: &[f32], others: &[f32]) -> Interactions {
    let of_row = |(row, bias): (usize, &f32)| {
        let (columns, ratings) = rows.of(row);
        let expected = mean + bias;
        columns
            .iter()
            .zip(ratings)
            .map(move |(column, rating)| rating - (expected + others[*column as usize]))
    };
    let ratings = own.par_iter().enumerate().with_min_len(BLOCK).flat_map_iter(of_row).collect();
    Interactions { offsets: rows.offsets.clone(), items: rows.items.clone(), ratings, ..*rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_that_is_no_number_is_seen() {
        let biases = Biases { users: vec![0.5, -1.0], items: vec![0.0], priors: [Prior::default(); 2] };
        assert!(biases.are_finite());
        let endless = Prior { start: 0.0, slope: f32::INFINITY };
        for broken in [
            Biases { users: vec![f32::NAN], ..biases.clone() },
            Biases { items: vec![f32::INFINITY], ..biases.clone() },
            Biases { priors: [Prior::default(), endless], ..biases.clone() },
        ] {
            assert!(!broken.are_finite(), "{broken:?}");
        }
    }

    #[test]
    fn a_prior_is_the_line_through_what_was_found() {
        // Thousands of rows whose mean residual is 1 - 0.25 ln n: the damping hardly shows.
        let line = |count: usize| 1.0 - 0.25 * (count as f64).ln();
        let residuals = |rows: &[(f64, usize)]| Residuals {
            sums: rows.iter().map(|(sum, _)| *sum).collect(),
            counts: rows.iter().map(|(_, count)| *count as u32).collect(),
            logs: rows.iter().map(|(_, count)| log(*count)).collect(),
        };
        let rows: Vec<_> = (0..19_000).map(|n| 1 + n % 50).map(|n| (line(n) * n as f64, n)).collect();
        let prior = Prior::fit(&residuals(&rows), 5.0);
        for count in [1, 7, 50] {
            assert!((f64::from(prior.at(count)) - line(count)).abs() < 0.01, "{prior:?}");
        }
        assert_eq!(prior.at(0), prior.at(1));
        let biases = residuals(&[(0.0, 0), (30.0, 30)]).damped(10.0, Prior { start: 2.0, slope: 0.0 });
        assert_eq!(biases, [2.0, 50.0 / 40.0]);
        assert_eq!(Prior::fit(&residuals(&[]), 5.0), Prior::default());
    }
}
