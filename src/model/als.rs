//! Alternating least squares: one side in closed form, then the other, a few times over.
//!
//! The losses stand in [`super`]; a half-step is [`AlsBackend::half_step`]. Each epoch ends with
//! the readers, so that their factors are the exact answer to the books' factors that are kept:
//! folding a reader in later gives the same numbers, and contributions add up to scores.

use burn::tensor::Tensor;

use super::evidence::Evidence;
use super::kernels::{AlsBackend, Ridge, numbers, table};
use super::{Factors, Watch, initial, not_finite};
use crate::catalog::interactions::Interactions;
use crate::config;
use crate::error::Result;

/// λ of each row: λ (n + α₀ #others)^ν.
pub fn penalties(rows: &Interactions, model: &config::Model) -> Vec<f32> {
    let others = model.unobserved_weight * rows.item_count as f64;
    rows.offsets
        .windows(2)
        .map(|pair| {
            let count = (pair[1] - pair[0]) as f64;
            // A row without ratings has no say; any penalty keeps it at zero.
            let weight = (count + others).max(1.0);
            (model.regularization * weight.powf(model.exponent)) as f32
        })
        .collect()
}

/// λ of each row of the rating loss: λ (n + β).
pub fn rating_penalties(rows: &Interactions, regularization: f64, damping: f64) -> Vec<f32> {
    let penalty = |count: usize| (regularization * (count as f64 + damping)) as f32;
    rows.offsets.windows(2).map(|pair| penalty(pair[1] - pair[0])).collect()
}

/// The readers' side of the ranking loss.
pub fn ranking_ridge<'a>(rows: &'a Interactions, penalties: &'a [f32], model: &config::Model) -> Ridge<'a> {
    Ridge {
        offsets: &rows.offsets,
        columns: &rows.items,
        targets: None,
        weights: Some(&rows.ratings),
        penalties,
        bias_penalty: None,
        unobserved_weight: model.unobserved_weight as f32,
    }
}

/// The other side's rows y, b as features of the rating loss, and what each rating then has to come
/// to: the rows become y, 1, because the own bias is one more unknown; and of the rating, the mean
/// and the other's bias are known.
///
/// `others` and the features are rows of `width`; there is a target for each of the ratings.
pub fn rating_features(rows: &Interactions, others: &[f32], width: usize, mean: f32) -> (Vec<f32>, Vec<f32>) {
    let mut features = others.to_vec();
    features.chunks_exact_mut(width).for_each(|row| row[width - 1] = 1.0);
    let bias = |other: u32| others[(other as usize + 1) * width - 1];
    let target = |(other, rating): (&u32, &f32)| rating - mean - bias(*other);
    (features, rows.items.iter().zip(&rows.ratings).map(target).collect())
}

/// One side of the rating loss, `damping` being the penalty of a bias.
pub fn rating_ridge<'a>(
    rows: &'a Interactions,
    targets: &'a [f32],
    penalties: &'a [f32],
    damping: f64,
) -> Ridge<'a> {
    Ridge {
        offsets: &rows.offsets,
        columns: &rows.items,
        targets: Some(targets),
        weights: None,
        penalties,
        bias_penalty: Some(damping as f32),
        unobserved_weight: 0.0,
    }
}

/// Fits the ranking loss.
///
/// # Errors
/// See [`super::fit_ranking`].
pub fn ranking<B: AlsBackend>(
    device: &B::Device,
    evidence: &Evidence,
    model: &config::Model,
    watch: &Watch<'_>,
) -> Result<Factors> {
    let d = model.factors;
    let by_user = evidence.rows();
    let by_item = by_user.transposed();
    let (user_penalties, item_penalties) = (penalties(by_user, model), penalties(&by_item, model));
    let users_side = ranking_ridge(by_user, &user_penalties, model);
    let items_side = ranking_ridge(&by_item, &item_penalties, model);

    let mut users: Tensor<B, 2> = table(initial(by_user.user_count(), d, model.seed), d, device);
    let mut items = Vec::new();
    for epoch in 1..=model.epochs {
        let (solved, _) = B::half_step(&items_side, &users, watch.interrupt)?;
        let (solved_users, least) = B::half_step(&users_side, &solved, watch.interrupt)?;
        users = solved_users;
        items = numbers(solved)?;
        report(epoch, least + weighted_norm(&items, &item_penalties, d), by_user.len(), watch)?;
    }
    Ok(Factors { width: d, users: numbers(users)?, items })
}

/// Fits the rating loss. Rows of the result are d factors and a bias.
///
/// # Errors
/// See [`super::fit_rating`].
pub fn rating<B: AlsBackend>(
    device: &B::Device,
    by_user: &Interactions,
    mean: f32,
    rating: &config::Rating,
    seed: u64,
    watch: &Watch<'_>,
) -> Result<Factors> {
    let width = rating.rating_factors + 1;
    let by_item = by_user.transposed();
    let damping = rating.bias_damping;
    let user_penalties = rating_penalties(by_user, rating.user_regularization, damping);
    let item_penalties = rating_penalties(&by_item, rating.item_regularization, damping);
    let solve = |rows: &Interactions, penalties: &[f32], others: &[f32]| -> Result<(Vec<f32>, f64)> {
        let (features, targets) = rating_features(rows, others, width, mean);
        let ridge = rating_ridge(rows, &targets, penalties, damping);
        let (solved, least) = B::half_step(&ridge, &table(features, width, device), watch.interrupt)?;
        Ok((numbers(solved)?, least))
    };

    let mut users = initial(by_user.user_count(), width, seed);
    users.chunks_exact_mut(width).for_each(|row| row[width - 1] = 0.0);
    let mut items = Vec::new();
    for epoch in 1..=rating.rating_epochs {
        (items, _) = solve(&by_item, &item_penalties, &users)?;
        let (solved, least) = solve(by_user, &user_penalties, &items)?;
        users = solved;
        let penalty: f64 = items
            .chunks_exact(width)
            .zip(&item_penalties)
            .map(|(row, penalty)| {
                let (factors, bias) = (&row[..width - 1], row[width - 1]);
                f64::from(super::dot(factors, factors) * penalty) + damping * f64::from(bias * bias)
            })
            .sum();
        report(epoch, least + penalty, by_user.len(), watch)?;
    }
    Ok(Factors { width, users, items })
}

/// Σ penalty |row|².
fn weighted_norm(rows: &[f32], penalties: &[f32], d: usize) -> f64 {
    rows.chunks_exact(d).zip(penalties).map(|(row, penalty)| f64::from(super::dot(row, row) * penalty)).sum()
}

fn report(epoch: usize, loss: f64, pairs: usize, watch: &Watch<'_>) -> Result<()> {
    let loss = loss / pairs.max(1) as f64;
    if !loss.is_finite() {
        return Err(not_finite(&format!("training, epoch {epoch}")));
    }
    (watch.epoch)(epoch, loss);
    Ok(())
}
