//! Scores as sums over a reader's own books.

use nightshelf_model::attribution::Attribution;
use nightshelf_model::confidence::ConfidenceMatrix;
use nightshelf_model::data::{Group, Interactions, Maker};
use nightshelf_model::hyperparameters::Hyperparameters;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::{Watch, fit_ranking};

use crate::engine;

#[test]
fn contributions_add_up_to_the_score() {
    let triples: Vec<_> = (0..400u32).map(|n| (n * n % 31, (n * 7 + n * n / 5) % 23, 1.0)).collect();
    let (interactions, _) = Interactions::from_triples(31, 23, &triples);
    for factors in [4, 16] {
        let mut parameters = Hyperparameters::default();
        parameters.model.factors = factors;
        parameters.model.popularity_exponent = 0.3;
        let interrupt = Interrupt::never();
        let watch = Watch { interrupt: &interrupt, epoch: &|_, _| () };
        let parameters = parameters.resolve(&interactions);
        let groups = [Group { maker: Maker::Author, items: vec![2, 3, 5, 7] }];
        let confidence = ConfidenceMatrix::new(&interactions, &groups, &parameters.model, &[]);
        let fitted = fit_ranking(&*engine(), &confidence, &parameters, None, &watch).expect("fitted");
        let reasons = Attribution::ranking(&fitted, confidence.rows(), &parameters).expect("finite");
        for user in 0..31 {
            for item in 0..23 {
                let sum: f32 = reasons.contributions(user, item).iter().sum();
                let score = fitted.score(user, item as usize);
                assert!((sum - score).abs() < 1e-4, "{sum} {score}");
            }
        }
    }
}
