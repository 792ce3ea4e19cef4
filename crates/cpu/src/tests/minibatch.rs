//! Gradient descent.

use nightshelf_model::confidence::ConfidenceMatrix;
use nightshelf_model::data::Interactions;
use nightshelf_model::hyperparameters::{Hyperparameters, Minibatch, Model, Solver};
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::minibatch::{fit_ranking, fit_rating};
use nightshelf_model::{Factors, Watch};

use super::Cpu;

use std::sync::Mutex;

/// The whole loss at some factors, straight from its definition, divided by the number of pairs.
fn loss(rows: &Interactions, factors: &Factors, model: &Model) -> f64 {
    let (users, items) = (rows.user_count(), rows.item_count);
    let square = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let penalty = |counts: Vec<u32>, others: usize, row: &dyn Fn(usize) -> f64| -> f64 {
        let weight = |count: u32| f64::from(count) + model.unobserved_weight * others as f64;
        let rated = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        rated.map(|(at, count)| weight(*count).powf(model.exponent) * row(at)).sum()
    };
    let mut sum = 0.0;
    for user in 0..users {
        let (own, weights) = rows.of(user);
        for (item, weight) in own.iter().zip(weights) {
            let error = 1.0 - f64::from(factors.score(user, *item as usize));
            sum += f64::from(*weight) * error * error;
        }
        let all = (0..items).map(|item| f64::from(factors.score(user, item)).powi(2));
        sum += model.unobserved_weight * all.sum::<f64>();
    }
    sum += model.regularization
        * (penalty(rows.items_per_user(), items, &|at| square(factors.user(at)))
            + penalty(rows.users_per_item(), users, &|at| square(factors.item(at))));
    sum / rows.len() as f64
}

#[test]
fn steps_go_down_the_loss_that_is_written_down() {
    let triples: Vec<_> = (0..500u32).map(|n| (n * n % 31, (n * 7 + n * n / 5) % 23, 1.0)).collect();
    let (rows, _) = Interactions::from_triples(31, 23, &triples);
    let device = burn_ndarray::NdArrayDevice::Cpu;
    for (solver, learning_rate) in [(Solver::Adam, 0.02), (Solver::Sgd, 0.5)] {
        let mut parameters = Hyperparameters::default();
        (parameters.model.solver, parameters.model.factors) = (solver, 7);
        (parameters.model.epochs, parameters.model.exponent) = (30, 0.9);
        parameters.minibatch = Minibatch { batch_size: 64, learning_rate, weight_decay: 0.0 };
        let parameters = parameters.resolve(&rows);
        let confidence = ConfidenceMatrix::new(&rows, &[], &parameters.model, &[]);
        let (interrupt, told) = (Interrupt::never(), Mutex::new(Vec::new()));
        let epoch = |_: usize, loss: f64| told.lock().expect("a lock").push(loss);
        let watch = Watch { interrupt: &interrupt, epoch: &epoch };
        let fitted = fit_ranking::<Cpu>(&device, &confidence, &parameters, &watch).expect("fitted");
        let told = told.into_inner().expect("losses");
        let reached = loss(confidence.rows(), &fitted, &parameters.model);
        // Estimates from samples of all pairs, on the way down.
        assert!((told[29] / reached - 1.0).abs() < 0.1, "{solver:?}: {} told, {reached} is", told[29]);
        assert!(reached < 0.8 * told[0], "{solver:?}: {told:?}");
    }
}

#[test]
fn stars_are_learned_with_their_biases() {
    let stars = |user: u32, item: u32| 3.0 + (user % 3) as f32 * 0.5 - (item % 2) as f32;
    let triples: Vec<_> = (0..600u32)
        .map(|n| (n * n % 31, (n * 7 + n * n / 5) % 23))
        .map(|(user, item)| (user, item, stars(user, item)))
        .collect();
    let (rated, _) = Interactions::from_triples(31, 23, &triples);
    let mut parameters = Hyperparameters::default();
    (parameters.model.solver, parameters.model.factors) = (Solver::Adam, 4);
    parameters.rating.rating_epochs = 60;
    parameters.rating.user_damping = 0.1;
    parameters.rating.item_damping = 0.1;
    parameters.minibatch = Minibatch { batch_size: 64, learning_rate: 0.02, weight_decay: 0.0 };
    let parameters = parameters.resolve(&rated);
    let (interrupt, mean) = (Interrupt::never(), nightshelf_model::rating::mean(&rated));
    let watch = Watch { interrupt: &interrupt, epoch: &|_, _| () };
    let device = burn_ndarray::NdArrayDevice::Cpu;
    let rows = fit_rating::<Cpu>(&device, &rated, mean, &parameters, &watch).expect("fitted");
    let model = nightshelf_model::rating::RatingModel::from_rows(mean, rows, &rated, (1.0, 5.0));
    let error = triples
        .iter()
        .map(|(user, item, given)| (model.raw(*user as usize, *item as usize) - given).abs())
        .fold(0.0, f32::max);
    assert!(error < 0.3, "{error}");
}
