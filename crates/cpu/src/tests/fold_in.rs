//! Rows that came later, beside a half-step over everybody.

use nightshelf_model::biases::{self, Residuals};
use nightshelf_model::confidence::ConfidenceMatrix;
use nightshelf_model::data::{Group, Interactions, Maker};
use nightshelf_model::fold_in::{self, Unsolved};
use nightshelf_model::hyperparameters::Hyperparameters;
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::kernels::cpu;
use nightshelf_model::{Stars, Watch, als, fit_ranking, fit_rating, rating};

use crate::engine;

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
        [before, after].map(|rows| ConfidenceMatrix::new(&rows, &groups, &parameters.model, &[]));
    let trained = fit_ranking(&*engine(), &before, &parameters, None, &watch).expect("fitted");
    let mut folded = trained.clone();
    fold_in::solve_ranking(&mut folded, &after, &unsolved, &parameters, &interrupt).expect("folded in");
    let penalties = als::penalties(after.rows(), &parameters.model);
    let ridge = als::ranking_ridge(after.rows(), &penalties, &parameters.model);
    let (everybody, _) = cpu::solve_exactly(&ridge, &folded.items, 12, &interrupt).expect("solved");
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
    let before = fit_rating(&*engine(), stars, &parameters, &watch).expect("fitted");
    let mut after = before.clone();
    fold_in::solve_rating(&mut after, &rated, &folded, &unsolved, &parameters, &interrupt)
        .expect("folded in");
    let own = Residuals::of(&rated, after.mean, &after.biases.items)
        .damped(parameters.rating.user_damping, after.biases.priors[0]);
    let left = biases::residuals(&rated, after.mean, &own, &after.biases.items);
    let penalties = rating::user_penalties(&left, &parameters.rating);
    let ridge = rating::ridge(&left, &left.ratings, &penalties);
    let (everybody, _) = cpu::solve_exactly(&ridge, &after.factors.items, 12, &interrupt).expect("solved");
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
