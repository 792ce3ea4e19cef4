//! Where burn derives.

use std::sync::Mutex;

use nightshelf_model::Watch;
use nightshelf_model::confidence::ConfidenceMatrix;
use nightshelf_model::data::Interactions;
use nightshelf_model::hyperparameters::{Hyperparameters, Solver};
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::minibatch::fit_ranking;
use nightshelf_model::ranker::{Kind, Settings};

use super::Cpu;
use super::ranker::examples;
use crate::engine;

/// burn holds locks while it derives, and waits for threads of rayon's pool: those must never come to such a lock.
#[test]
fn no_thread_of_a_pool_derives() {
    let (interrupt, of_a_pool) = (Interrupt::never(), Mutex::new(Vec::new()));
    let epoch = |_, _| of_a_pool.lock().expect("a lock").push(rayon::current_thread_index().is_some());
    let watch = Watch { interrupt: &interrupt, epoch: &epoch };

    let (rows, _) = Interactions::from_triples(2, 2, &[(0, 0, 1.0), (1, 1, 1.0)]);
    let mut parameters = Hyperparameters::default();
    (parameters.model.solver, parameters.model.epochs) = (Solver::Adam, 1);
    let parameters = parameters.resolve(&rows);
    let confidence = ConfidenceMatrix::new(&rows, &[], &parameters.model, &[]);
    let settings = Settings { kind: Kind::Linear, ranker_epochs: 1, ..Settings::default() };

    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    pool.install(|| {
        let device = burn_ndarray::NdArrayDevice::Cpu;
        fit_ranking::<Cpu>(&device, &confidence, &parameters, &watch).expect("factors");
        engine().fit_ranker(&examples(), &settings, 3, &watch).expect("a ranker");
    });
    assert_eq!(of_a_pool.into_inner().expect("a lock"), [false, false]);
}
