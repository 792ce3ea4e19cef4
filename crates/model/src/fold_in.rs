//! Solves users and items that came after training, against a model that stays as it is.
//!
//! A row that is new, or whose ratings have changed, is the solution of one half-step of [`crate::als`] for
//! that row alone, with everything else held still. New items come first, from the users who have read them;
//! then the users, from their whole history. A user's row is what a half-step over everybody would give for
//! the same items.
//!
//! Few rows are solved, so this runs on the CPU wherever the model was trained.

use crate::biases::{self, Residuals};
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
pub fn solve_ranking(
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
        Ok(cpu::solve_exactly(&ridge, others, width, interrupt)?.0)
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
pub fn solve_rating(
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
        let own = Residuals::of(&of_users, mean, &model.biases.items)
            .damped(settings.user_damping, model.biases.priors[0]);
        let left = biases::residuals(&of_users, mean, &own, &model.biases.items);
        let penalties = rating::user_penalties(&left, settings);
        let ridge = rating::ridge(&left, &left.ratings, &penalties);
        let (solved, _) = cpu::solve_exactly(&ridge, &model.factors.items, width, interrupt)?;
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
        let own = Residuals::of(&of_items, mean, &model.biases.users)
            .damped(settings.item_damping, model.biases.priors[1]);
        let left = biases::residuals(&of_items, mean, &own, &model.biases.users);
        let targets = rating::item_targets(&left, &model.factors.users, &rows, &model.directions, width);
        let penalties = rating::item_penalties(&left, settings);
        let ridge = rating::ridge(&left, &targets, &penalties);
        let (mut solved, _) = cpu::solve_exactly(&ridge, &model.factors.users, width, interrupt)?;
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
