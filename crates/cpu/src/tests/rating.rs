//! The model of stars.

use nightshelf_model::data::Interactions;
use nightshelf_model::hyperparameters::Hyperparameters;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::rating::{Directions, EPOCHS_UNSEEN, RatingModel, best_epochs};
use nightshelf_model::{Factors, Stars, Watch, dot, fit_rating, initial};

use crate::{CpuKernels, engine};

/// Readers of even codes love the even half of the books and hate the other one, and the reverse;
/// which half a book belongs to is known from the ranking model only.
fn tastes() -> (Interactions, Factors) {
    let (users, items, width) = (80, 60, 4);
    let triples = (0..1200u32).map(|n| {
        let (user, item) = (n % 79, (n * 7 + n / 79 * 14) % 60);
        let liked = user % 2 == item % 2;
        (user, item, if liked { 8.0 } else { 4.0 } + (user % 3) as f32)
    });
    let (rated, _) = Interactions::from_triples(users, items, &triples.collect::<Vec<_>>());
    let mut rows = initial(items, width, 7);
    for (item, row) in rows.chunks_exact_mut(width).enumerate() {
        row[0] += if item % 2 == 0 { 1.0 } else { -1.0 };
    }
    rows[5 * width..6 * width].fill(0.0);
    (rated, Factors { width, users: vec![0.0; users * width], items: rows })
}

fn fitted(rated: &Interactions, ranking: &Factors) -> RatingModel {
    let parameters = Hyperparameters::default().resolve(rated);
    let interrupt = Interrupt::never();
    let watch = Watch { interrupt: &interrupt, epoch: &|_, _| () };
    let stars = Stars { rated, ranking, scale: (1.0, 10.0), epochs: None };
    fit_rating(&*engine(), stars, &parameters, &watch).expect("fitted")
}

#[test]
fn what_the_ranking_model_knows_tells_what_will_be_liked() {
    let (rated, ranking) = tastes();
    // The two books that everything is asked about are rated by nobody.
    let known = rated.filter_places(|at| rated.items[at] > 3);
    let model = fitted(&known, &ranking);
    for user in 0..79 {
        let (own, other) = if user % 2 == 0 { (2, 3) } else { (3, 2) };
        assert!(model.raw(user, own) > model.raw(user, other) + 1.0, "reader {user}");
    }
    // A book of which nothing is known has no direction, and leaves the reader's own mean.
    assert!(model.stars_if_known(Some(0), None) > model.stars_if_known(None, None) - 1.0);
    let products = model.as_products();
    let scale = |item: usize| products.score(1, item) - (model.raw(1, item) - model.raw(1, 0));
    assert!((scale(9) - scale(0)).abs() < 1e-4);
}

#[test]
fn directions_have_length_one_or_none() {
    let (rated, ranking) = tastes();
    let directions = Directions::new(&ranking.items, 4, &rated);
    for (item, row) in directions.of(&ranking.items, 4).chunks_exact(4).enumerate() {
        let expected = if item == 5 { 0.0 } else { 1.0 };
        assert!((dot(row, row) - expected).abs() < 1e-4, "book {item}");
    }
}

#[test]
fn it_stops_before_it_learns_by_heart() {
    let (rated, ranking) = tastes();
    let parameters = Hyperparameters::default().resolve(&rated);
    let directions = Directions::new(&ranking.items, 4, &rated);
    let never = Interrupt::never();
    let device = burn_ndarray::NdArrayDevice::Cpu;
    let epochs = |rated: &Interactions| {
        best_epochs::<CpuKernels>(&device, rated, &ranking, &directions, &parameters, &never).expect("epochs")
    };
    assert!((1..=parameters.rating.rating_epochs).contains(&epochs(&rated)));
    assert_eq!(epochs(&rated.filter_places(|at| at < rated.offsets[9])), EPOCHS_UNSEEN, "too few to tell");
    // Marks given by the toss of a coin: whatever is learned from them is wrong.
    let mut noise = rated.clone();
    for (at, rating) in noise.ratings.iter_mut().enumerate() {
        *rating = if (at as u32 + 3).wrapping_mul(2_654_435_761) >> 31 == 0 { 1.0 } else { 10.0 };
    }
    assert!(epochs(&noise) < 4);
}
