//! Solves users and items that came after training, against a model that stays as it is.
//!
//! A row that is new, or whose ratings have changed, is the solution of one half-step of [`crate::als`] for
//! that row alone, with everything else held still. New items come first, from the users who have read them;
//! then the users, from their whole history. A user's row is what a half-step over everybody would give for
//! the same items.
//!
//! Few rows are solved, so this runs on the CPU wherever the model was trained.

use crate::biases::{self, Left};
use crate::confidence::ConfidenceMatrix;
use crate::data::Interactions;
use crate::error::Result;
use crate::hyperparameters::Resolved;
use crate::interrupt::Interrupt;
use crate::kernels::cpu;
use crate::rating::{self, RatingModel};
use crate::{Factors, als};

/// The rows to solve; all others stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsolved {
    /// Codes of users who are new or whose ratings have changed.
    pub users: Vec<u32>,
    /// Codes of new items.
    pub items: Vec<u32>,
}

/// Solves rows of the ranking model in place. Rows of `factors` that were never solved are zero.
///
/// # Errors
/// [`crate::error::Error::Diverged`] if the factors are not finite.
pub fn ranking(
    factors: &mut Factors,
    confidence: &ConfidenceMatrix,
    unsolved: &Unsolved,
    parameters: &Resolved,
    interrupt: &Interrupt,
) -> Result<()> {
    let (rows, width) = (confidence.rows(), factors.width);
    let solve = |rows: Interactions, others: &[f32]| -> Result<Vec<f32>> {
        let penalties = als::penalties(&rows, &parameters.model);
        let ridge = als::ranking_ridge(&rows, &penalties, &parameters.model);
        Ok(cpu::half_step(&ridge, others, width, interrupt)?.0)
    };
    let mut users = unsolved.users.clone();
    // New items have authors, too.
    users.extend(confidence.groups_with(&unsolved.items));
    factors.users.resize(rows.user_count() * width, 0.0);
    if !unsolved.items.is_empty() {
        // Users first, to place the new items by; then the new items; then the users again, who have read
        // them.
        put(&mut factors.users, &users, &solve(rows.select(&users), &factors.items)?, width);
        let solved = solve(rows.transposed().select(&unsolved.items), &factors.users)?;
        put(&mut factors.items, &unsolved.items, &solved, width);
    }
    put(&mut factors.users, &users, &solve(rows.select(&users), &factors.items)?, width);
    factors.users.truncate(confidence.users() * width);
    Ok(())
}

/// Solves rows of the rating model in place, from the rated pairs. Rows that were never solved are zero;
/// `ranking` is the ranking model of the same items.
pub fn rating(
    model: &mut RatingModel,
    rated: &Interactions,
    ranking: &Factors,
    unsolved: &Unsolved,
    parameters: &Resolved,
    interrupt: &Interrupt,
) -> Result<()> {
    let (mean, width, settings) = (model.mean, model.factors.width, &parameters.rating);
    let of_users = rated.select(&unsolved.users);
    let solve_users = |model: &mut RatingModel| -> Result<()> {
        let own = Left::of(&of_users, mean, &model.biases.items)
            .damped(settings.user_damping, model.biases.priors[0]);
        let left = biases::residuals(&of_users, mean, &own, &model.biases.items);
        let penalties = rating::user_penalties(&left, settings);
        let ridge = rating::ridge(&left, &left.ratings, &penalties);
        let (solved, _) = cpu::half_step(&ridge, &model.factors.items, width, interrupt)?;
        put(&mut model.biases.users, &unsolved.users, &own, 1);
        put(&mut model.factors.users, &unsolved.users, &solved, width);
        Ok(())
    };
    if !unsolved.items.is_empty() {
        // Users first, to place the new items by; then the new items; then the users again, who have read
        // them.
        let row = |item: &u32| ranking.item(*item as usize);
        let rows: Vec<f32> = unsolved.items.iter().flat_map(row).copied().collect();
        put(&mut model.factors.items, &unsolved.items, &model.directions.of(&rows, width), width);
        solve_users(model)?;
        let of_items = rated.transposed().select(&unsolved.items);
        let own = Left::of(&of_items, mean, &model.biases.users)
            .damped(settings.item_damping, model.biases.priors[1]);
        let left = biases::residuals(&of_items, mean, &own, &model.biases.users);
        let targets = rating::item_targets(&left, &model.factors.users, &rows, &model.directions, width);
        let penalties = rating::item_penalties(&left, settings);
        let ridge = rating::ridge(&left, &targets, &penalties);
        let (mut solved, _) = cpu::half_step(&ridge, &model.factors.users, width, interrupt)?;
        model.directions.add(1.0, &rows, width, &mut solved);
        put(&mut model.biases.items, &unsolved.items, &own, 1);
        put(&mut model.factors.items, &unsolved.items, &solved, width);
    }
    solve_users(model)
}

fn put(table: &mut [f32], rows: &[u32], solved: &[f32], width: usize) {
    for (row, solved) in rows.iter().zip(solved.chunks_exact(width)) {
        table[*row as usize * width..][..width].copy_from_slice(solved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Group, Maker};
    use crate::device::Device;
    use crate::hyperparameters::Hyperparameters;
    use crate::{Stars, Watch, fit_ranking, fit_rating};

    /// 60 readers, 40 books; some readers and books only in `later`.
    fn ratings(later: bool) -> Interactions {
        let all = (0..900u32).map(|n| (n * n % 59, (n * 7 + n * n / 5) % 40, (n % 10 + 1) as f32));
        let kept = all.filter(|(user, item, _)| later || (*user < 50 && *item < 36 && (user + item) % 5 > 0));
        Interactions::from_triples(60, 40, &kept.collect::<Vec<_>>()).0
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} {b}");
        }
    }

    /// Readers whose rows differ, and books without a row, between the two sets of ratings.
    fn unsolved(before: &Interactions, after: &Interactions) -> Unsolved {
        let (old, new) = (before.users_per_item(), after.users_per_item());
        Unsolved {
            users: (0..60).filter(|user| before.of(*user as usize) != after.of(*user as usize)).collect(),
            items: (0..40).filter(|item| old[*item as usize] == 0 && new[*item as usize] > 0).collect(),
        }
    }

    #[test]
    fn readers_come_out_as_in_a_half_step_over_everybody() {
        let (before, after) = (ratings(false), ratings(true));
        let unsolved = unsolved(&before, &after);
        assert!(unsolved.users.len() > 9 && unsolved.items.len() == 4, "{unsolved:?}");
        let mut parameters = Hyperparameters::default();
        parameters.model.factors = 12;
        let parameters = parameters.resolve(&before);
        let interrupt = Interrupt::never();
        let watch = Watch { interrupt: &interrupt, epoch: &|_, _| () };

        let groups = [Group { maker: Maker::Author, items: vec![1, 2, 36, 38] }];
        let [before, after] =
            [before, after].map(|rows| ConfidenceMatrix::new(&rows, &groups, &parameters.model));
        let trained = fit_ranking(Device::Cpu, &before, &parameters, None, &watch).expect("fitted");
        let mut folded = trained.clone();
        ranking(&mut folded, &after, &unsolved, &parameters, &interrupt).expect("folded in");
        let penalties = als::penalties(after.rows(), &parameters.model);
        let ridge = als::ranking_ridge(after.rows(), &penalties, &parameters.model);
        let (everybody, _) = cpu::half_step(&ridge, &folded.items, 12, &interrupt).expect("solved");
        for user in 0..60 {
            let row = &everybody[user * 12..][..12];
            match unsolved.users.contains(&(user as u32)) {
                true => close(folded.user(user), row),
                false => assert_eq!(folded.user(user), trained.user(user), "untouched"),
            }
        }
        for item in 0..40 {
            let solved = unsolved.items.contains(&(item as u32));
            assert_eq!(folded.item(item) == trained.item(item), !solved, "book {item}");
        }

        let (rated_before, rated) = (ratings(false).rated(), ratings(true).rated());
        let scale = (1.0, 10.0);
        let stars = Stars { rated: &rated_before, ranking: &trained, scale, epochs: None };
        let before = fit_rating(Device::Cpu, stars, &parameters, &watch).expect("fitted");
        let mut after = before.clone();
        rating(&mut after, &rated, &folded, &unsolved, &parameters, &interrupt).expect("folded in");
        let own = Left::of(&rated, after.mean, &after.biases.items)
            .damped(parameters.rating.user_damping, after.biases.priors[0]);
        let left = biases::residuals(&rated, after.mean, &own, &after.biases.items);
        let penalties = rating::user_penalties(&left, &parameters.rating);
        let ridge = rating::ridge(&left, &left.ratings, &penalties);
        let (everybody, _) = cpu::half_step(&ridge, &after.factors.items, 12, &interrupt).expect("solved");
        for user in 0..60 {
            match unsolved.users.contains(&(user as u32)) {
                true => {
                    close(after.factors.user(user), &everybody[user * 12..][..12]);
                    close(&after.biases.users[user..=user], &own[user..=user]);
                }
                false => assert_eq!(after.factors.user(user), before.factors.user(user), "untouched"),
            }
        }
        for item in 0..40 {
            let solved = unsolved.items.contains(&(item as u32));
            assert_eq!(after.factors.item(item) == before.factors.item(item), !solved, "book {item}");
        }
    }
}
