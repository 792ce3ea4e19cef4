//! Alternating least squares, epoch by epoch.

use nightshelf_model::als::final_epochs;
use nightshelf_model::confidence::ConfidenceMatrix;
use nightshelf_model::data::Interactions;
use nightshelf_model::hyperparameters::Hyperparameters;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::{Watch, fit_ranking};

use crate::engine;

use std::sync::Mutex;

#[test]
fn from_a_model_of_most_ratings_a_quarter_of_the_epochs_gets_as_far() {
    let pairs = (0..6000u64).map(|n| (n % 300, (n * n / 7 + n % 300 % 4 * 31) % 190));
    let triples: Vec<_> = pairs.map(|(user, item)| (user as u32, item as u32, 1.0)).collect();
    let (all, _) = Interactions::from_triples(300, 190, &triples);
    let most = all.filter_places(|at| at % 10 > 0);
    let fit = |rows: &Interactions, epochs: usize, start: Option<Vec<f32>>| {
        let mut parameters = Hyperparameters::default();
        (parameters.model.factors, parameters.model.epochs) = (16, epochs);
        let parameters = parameters.resolve(&all);
        let confidence = ConfidenceMatrix::new(rows, &[], &parameters.model, &[]);
        let (interrupt, losses) = (Interrupt::never(), Mutex::new(Vec::new()));
        let epoch = |_, loss| losses.lock().expect("one at a time").push(loss);
        let watch = Watch { interrupt: &interrupt, epoch: &epoch };
        let factors = fit_ranking(&*engine(), &confidence, &parameters, start, &watch).expect("fitted");
        (factors, losses.into_inner().expect("one at a time"))
    };
    let (_, whole) = fit(&all, 16, None);
    let (judged, _) = fit(&most, 16 - final_epochs(16), None);
    let (_, last) = fit(&all, 16, Some(judged.items));
    assert_eq!((whole.len(), last.len()), (16, 4));
    assert!(last[3] < whole[15] * 1.01, "{} {}", last[3], whole[15]);
    // It is the start that does it.
    assert!(whole[0] > last[0] * 1.05, "{} {}", whole[0], last[0]);
}
