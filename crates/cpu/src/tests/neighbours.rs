use nightshelf_model::confidence::ConfidenceMatrix;
use nightshelf_model::data::Interactions;
use nightshelf_model::hyperparameters::Model;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::neighbours::Neighbours;
use nightshelf_model::neighbours::batched::{Batched, OnDevice};

use super::Cpu;

/// Systems of all sizes, from items that one other reader shares to items that have as many neighbours as there may be.
#[test]
fn systems_are_solved_together_as_they_are_one_by_one() {
    let triples: Vec<(u32, u32, f32)> =
        (0..4000u32).map(|n| (n * 7 % 300, (n * n + n / 9) % (5 + n % 80), 1.0)).collect();
    let (interactions, _) = Interactions::from_triples(300, 90, &triples);
    for (neighbours, neighbour_regularization) in [(50, 40.0), (7, 0.5)] {
        let model = Model { neighbours, neighbour_regularization, ..Model::default() };
        let confidence = ConfidenceMatrix::new(&interactions, &[], &model, &[]);
        let fit = |device: Option<&dyn Batched>| {
            Neighbours::fit(&confidence, &model, device, &Interrupt::never()).expect("fitted")
        };
        let device = OnDevice::<Cpu>::new(burn_ndarray::NdArrayDevice::Cpu);
        let (alone, together) = (fit(None), fit(Some(&device)));
        let (alone, together) = (alone.rows(), together.rows());
        assert_eq!((&alone.offsets, &alone.items), (&together.offsets, &together.items));
        assert!(alone.len() > 400);
        for (one, other) in alone.ratings.iter().zip(&together.ratings) {
            assert!((one - other).abs() < 1e-4, "{one} {other}");
        }
    }
}
