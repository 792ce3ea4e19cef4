use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::ranker::{Examples, Feature, Kind, Ranker, Settings, features};
use nightshelf_model::{Watch, initial};

use crate::engine;

/// Users who pick the candidate with the greatest |own of author|: no weighted sum can say that.
pub fn examples() -> Examples {
    let mut examples = Examples::new();
    for user in 0..400 {
        let rows: Vec<f32> =
            initial(20, features::COUNT, user).into_iter().map(|value| value * 50.0).collect();
        let strength = |row: &[f32]| row[Feature::OwnOfAuthor as usize].abs();
        let rows_of = || rows.chunks_exact(features::COUNT);
        let most = rows_of().map(strength).fold(0.0, f32::max);
        let picked: Vec<f32> = rows_of().map(|row| if strength(row) == most { 1.0 } else { 0.0 }).collect();
        examples.add(&rows, &picked, user);
    }
    // Nothing can be learned from who picked nothing.
    examples.add(&[0.0; features::COUNT], &[0.0], 7);
    examples
}

fn fitted(settings: &Settings) -> (Ranker, Vec<f64>) {
    let losses = std::sync::Mutex::new(Vec::new());
    let epoch = |_, loss| losses.lock().expect("losses").push(loss);
    let watch = Watch { interrupt: &Interrupt::never(), epoch: &epoch };
    let ranker = engine().fit_ranker(&examples(), settings, 3, &watch).expect("fitted");
    (ranker, losses.into_inner().expect("losses"))
}

#[test]
fn a_network_learns_what_a_weighted_sum_cannot() {
    assert_eq!(examples().users(), 400);
    let settings =
        Settings { kind: Kind::Mlp, ranker_epochs: 30, ranker_learning_rate: 0.01, ..Settings::default() };
    let (network, losses) = fitted(&settings);
    assert!(losses[losses.len() - 1] < 0.7 * losses[0], "{losses:?}");
    let (sum, _) = fitted(&Settings { kind: Kind::Linear, ..settings });
    let found = |ranker: &Ranker| {
        let examples = examples();
        let best = |user: &usize| {
            let places = examples.offsets[*user]..examples.offsets[*user + 1];
            let mut scores = Vec::new();
            ranker.score(
                &examples.features[places.start * features::COUNT..places.end * features::COUNT],
                &mut scores,
            );
            let best =
                (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).expect("a candidate");
            examples.picked[places.start + best] > 0.0
        };
        (0..400).filter(best).count()
    };
    assert!(found(&network) > 250 && found(&sum) < 150, "{} {}", found(&network), found(&sum));
}

#[test]
fn what_weighs_more_is_learned_first() {
    // Each user bought one candidate and looked at another: one stands out by the first feature, one by the second.
    let learned = |weights: [f32; 2]| {
        let mut examples = Examples::new();
        for user in 0..200 {
            let mut rows = initial(12, features::COUNT, user);
            let mut picked = vec![0.0; 12];
            for (place, weight) in weights.into_iter().enumerate() {
                rows[place * features::COUNT + place] += 1.0;
                picked[place] = weight;
            }
            examples.add(&rows, &picked, user);
        }
        let settings = Settings { kind: Kind::Linear, ranker_epochs: 20, ..Settings::default() };
        let watch = Watch { interrupt: &Interrupt::never(), epoch: &|_, _| () };
        let ranker = engine().fit_ranker(&examples, &settings, 3, &watch).expect("fitted");
        let mut rows = vec![0.0; 2 * features::COUNT];
        (rows[0], rows[features::COUNT + 1]) = (1.0, 1.0);
        let mut scores = Vec::new();
        ranker.score(&rows, &mut scores);
        scores[0] - scores[1]
    };
    let (bought_first, bought_second) = (learned([3.0, 0.2]), learned([0.2, 3.0]));
    assert!(bought_first > 0.5 && bought_second < -0.5, "{bought_first} {bought_second}");
}

#[test]
fn a_ranker_is_the_same_whenever_and_with_however_many_threads_it_is_fitted() {
    for kind in [Kind::Mlp, Kind::Linear] {
        let settings = Settings { kind, ranker_epochs: 3, ..Settings::default() };
        let (first, losses) = fitted(&settings);
        let mut elsewhere = Vec::new();
        for round in 0..6 {
            // What lies in memory between two fits is not where it was.
            elsewhere.push(vec![0_u8; 1000 * round + 4]);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1 + round % 3).build().expect("a pool");
            let (again, losses_again) = pool.install(|| fitted(&settings));
            assert_eq!(again, first, "fit {round}");
            assert_eq!(losses_again, losses);
        }
    }
}
