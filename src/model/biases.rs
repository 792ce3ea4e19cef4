//! How generous a reader is, and how good a book: the first stage of the model of stars.
//!
//! ```text
//! Σ_R (r_ui − μ − b_u − b_i)² + β_U Σ_u (b_u − p_U(n_u))² + β_I Σ_i (b_i − p_I(n_i))²
//! p(n) = a + c ln n
//! ```
//!
//! where p is a line through what rows with n ratings have been found to have: whoever rates once is
//! more generous than whoever rates daily, and what few read is liked less. Biases damped towards a mean:
//! Koren 2008, section 2.1; priors that depend on what is known of a row: Agarwal, Chen 2009,
//! "Regression-based latent factor models".

use rayon::prelude::*;

use crate::catalog::interactions::Interactions;
use crate::config;

/// Sweeps over the biases: far more than it takes.
const SWEEPS: usize = 12;

/// b_u and b_i, and what to expect of rows that are yet to come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Biases {
    /// b_u.
    pub users: Vec<f32>,
    /// b_i.
    pub items: Vec<f32>,
    /// p_U and p_I.
    pub priors: [Prior; 2],
}

/// The bias to expect of a row by its number of ratings: p(n) = a + c ln n.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prior {
    /// a.
    pub start: f32,
    /// c.
    pub slope: f32,
}

impl Prior {
    /// p(n); a row without ratings is like one with a single one.
    pub fn at(&self, count: usize) -> f32 {
        self.start + self.slope * (count.max(1) as f32).ln()
    }

    /// Least squares through the rows' mean residuals. A row counts by how much it would have to say
    /// about its own bias, n β / (n + β); the line begins with ten such rows at zero.
    fn fit(sums: &[(f64, usize)], damping: f64) -> Self {
        const DAMPING: f64 = 10.0;
        let (mut xx, mut x, mut one, mut xy, mut y) = (DAMPING, 0.0, DAMPING, 0.0, 0.0);
        for (sum, count) in sums.iter().filter(|(_, count)| *count > 0) {
            let count = *count as f64;
            let weight = count * damping / (count + damping);
            let (log, mean) = (count.ln(), sum / count);
            xx += weight * log * log;
            x += weight * log;
            one += weight;
            xy += weight * log * mean;
            y += weight * mean;
        }
        let determinant = xx * one - x * x;
        Self {
            start: ((xx * y - x * xy) / determinant) as f32,
            slope: ((one * xy - x * y) / determinant) as f32,
        }
    }
}

impl Biases {
    /// The first stage. Ends with the users, so that theirs are the exact answer to the items'.
    pub fn fit(by_user: &Interactions, by_item: &Interactions, mean: f32, config: &config::Rating) -> Self {
        let (users, items) = (vec![0.0; by_user.user_count()], vec![0.0; by_item.user_count()]);
        let mut biases = Self { users, items, ..Self::default() };
        let (of_users, of_items) = (config.user_damping, config.item_damping);
        for _ in 0..SWEEPS {
            let sums = residual_sums(by_item, mean, &biases.users);
            biases.priors[1] = Prior::fit(&sums, of_items);
            biases.items = damped(&sums, of_items, biases.priors[1]);
            let sums = residual_sums(by_user, mean, &biases.items);
            biases.priors[0] = Prior::fit(&sums, of_users);
            biases.users = damped(&sums, of_users, biases.priors[0]);
        }
        biases
    }

    /// What they leave of ratings by user.
    pub fn left_of(&self, rated: &Interactions, mean: f32) -> Interactions {
        residuals(rated, mean, &self.users, &self.items)
    }
}

/// What mean and biases leave of the ratings, in their place: `own` are the biases of the rows, `others`
/// those of the columns.
pub fn residuals(rows: &Interactions, mean: f32, own: &[f32], others: &[f32]) -> Interactions {
    let mut left = rows.clone();
    for (row, bias) in own.iter().enumerate() {
        for at in rows.offsets[row]..rows.offsets[row + 1] {
            left.ratings[at] -= mean + bias + others[rows.items[at] as usize];
        }
    }
    left
}

/// For each row the sum of what the mean and the others' biases leave, and the number of ratings.
pub fn residual_sums(rows: &Interactions, mean: f32, others: &[f32]) -> Vec<(f64, usize)> {
    let sum = |row: usize| {
        let (columns, ratings) = rows.of(row);
        let left = |(column, rating): (&u32, &f32)| f64::from(rating - mean - others[*column as usize]);
        (columns.iter().zip(ratings).map(left).sum(), columns.len())
    };
    (0..rows.user_count()).into_par_iter().map(sum).collect()
}

/// Biases that minimise the first stage for one side.
pub fn damped(sums: &[(f64, usize)], damping: f64, prior: Prior) -> Vec<f32> {
    let bias = |(sum, count): &(f64, usize)| {
        ((sum + damping * f64::from(prior.at(*count))) / (*count as f64 + damping)) as f32
    };
    sums.iter().map(bias).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prior_is_the_line_through_what_was_found() {
        // Thousands of rows whose mean residual is 1 - 0.25 ln n: the damping hardly shows.
        let line = |count: usize| 1.0 - 0.25 * (count as f64).ln();
        let sums: Vec<_> = (0..9000).map(|n| 1 + n % 50).map(|n| (line(n) * n as f64, n)).collect();
        let prior = Prior::fit(&sums, 5.0);
        for count in [1, 7, 50] {
            assert!((f64::from(prior.at(count)) - line(count)).abs() < 0.01, "{prior:?}");
        }
        assert_eq!(prior.at(0), prior.at(1));
        let biases = damped(&[(0.0, 0), (30.0, 30)], 10.0, Prior { start: 2.0, slope: 0.0 });
        assert_eq!(biases, [2.0, 50.0 / 40.0]);
        assert_eq!(Prior::fit(&[], 5.0), Prior::default());
    }
}
