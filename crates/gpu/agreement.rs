//! What every GPU must do as the CPU does, to the tolerance of 32-bit numbers. crates/cuda and crates/vulkan run it on theirs.

use std::sync::Mutex;

use burn::tensor::Tensor;
use nightshelf_cpu::{CpuKernels, engine as cpu};
use nightshelf_model::confidence::ConfidenceMatrix;
use nightshelf_model::data::{Editions, Interactions};
use nightshelf_model::device::{self, Device};
use nightshelf_model::engine::Engine;
use nightshelf_model::hyperparameters::{Hyperparameters, Minibatch, Model, Solver};
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::kernels::resident::PIECE;
use nightshelf_model::kernels::{DeviceOf, HalfStep, Kernels, Ridge, Side, Sums, tensor};
use nightshelf_model::neighbours::Neighbours;
use nightshelf_model::ranker::{Examples, Kind, Settings, features};
use nightshelf_model::tensors::{numbers, table};
use nightshelf_model::top_k::{Scored, TopK, Wanted};
use nightshelf_model::{Factors, Stars, Watch, dot, fit_ranking, fit_rating, initial};

const ITEMS: usize = 400;

/// Rows of 0, 1, 2, … ratings, some of which are longer than any tile, some than a piece, and none in order. The longest have
/// the same books again and again.
fn rows() -> Interactions {
    let several = [PIECE + 1, 2 * PIECE, 3000];
    let lengths = (0..48).map(|n| n * 29 % 48).chain([63, 64, 65, 33, 250, 400]).chain(several);
    let mut rows = Interactions { offsets: vec![0], item_count: ITEMS, ..Interactions::default() };
    for (row, length) in lengths.enumerate() {
        rows.items.extend((0..length).map(|n| ((n * 7 + row * 13) % ITEMS) as u32));
        rows.ratings.extend((0..length).map(|n| 1.0 + ((n + row) % 9) as f32));
        rows.offsets.push(rows.items.len());
    }
    rows
}

/// Features of which the eigenvectors are more or less hard to find.
#[derive(Clone, Copy, Debug)]
enum Features {
    /// All directions alike.
    Round,
    /// Each column a quarter of the one before.
    Graded,
    /// Five directions, which all columns share.
    Flat,
    Nothing,
}

impl Features {
    /// `[ITEMS, d]`.
    fn rows(self, d: usize) -> Vec<f32> {
        let of =
            |width: usize| initial(ITEMS, width, 5).into_iter().map(move |x| x * 20.0 / (d as f32).sqrt());
        match self {
            Self::Round => of(d).collect(),
            Self::Graded => of(d).enumerate().map(|(at, x)| x * 0.25f32.powi((at % d) as i32)).collect(),
            Self::Flat => {
                let five: Vec<f32> = of(5).collect();
                (0..ITEMS * d).map(|at| five[at / d * 5 + at % d % 5]).collect()
            }
            Self::Nothing => vec![0.0; ITEMS * d],
        }
    }
}

/// Solved rows, their loss and penalty, without the basis that they stand in: products with all features.
struct Solved {
    scores: Vec<f32>,
    sums: Sums,
}

fn solved<K: Kernels>(step: HalfStep<K::Backend>) -> Solved {
    let d = step.features.dims()[1];
    let [x, y] = [step.solutions, step.features].map(|of| numbers(of).expect("numbers"));
    let products = |x: &[f32]| y.chunks_exact(d).map(|y| dot(x, y)).collect::<Vec<f32>>();
    Solved { scores: x.chunks_exact(d).flat_map(products).collect(), sums: step.sums.read().expect("sums") }
}

fn assert_same(what: &str, ours: &Solved, theirs: &Solved, tolerance: f32) {
    let greatest = theirs.scores.iter().fold(0.0, |most: f32, score| most.max(score.abs()));
    for (at, (our, their)) in ours.scores.iter().zip(&theirs.scores).enumerate() {
        let (row, off) = (at / ITEMS, (our - their).abs());
        assert!(off <= tolerance * (1.0 + greatest), "{what}: row {row}: {our}, and {their} on the CPU");
    }
    for (our, their) in [(ours.sums.loss, theirs.sums.loss), (ours.sums.penalty, theirs.sums.penalty)] {
        assert!((our - their).abs() < 2e-3 * (1.0 + their.abs()), "{what}: {our}, and {their} on the CPU");
    }
}

/// Half-steps of all kinds: rows of any length, solved and moved nearer, for rankings and ratings, of any width.
pub fn half_steps<K: Kernels>(device: &DeviceOf<K>) {
    let (rows, never) = (rows(), Interrupt::never());
    let count = rows.user_count();
    let weights: Vec<f32> = (0..rows.len()).map(|at| [0.2, 1.0, -0.5, 3.0][at % 4]).collect();
    let penalties: Vec<f32> = (0..count).map(|row| 0.5 + row as f32 / 7.0).collect();
    let round = [1, 16, 65, 128, 300].map(|d| (d, Features::Round));
    let others = [(16, Features::Graded), (23, Features::Flat), (8, Features::Nothing)];
    for (d, form) in round.into_iter().chain(others) {
        let features = form.rows(d);
        let last: Vec<f32> = initial(count, d, 6).iter().map(|x| x * 5.0).collect();
        for (kind, targets, weights, unobserved_weight) in
            [("ranking", None, Some(&weights[..]), 0.05), ("rating", Some(&rows.ratings[..]), None, 0.0)]
        {
            let (offsets, columns, penalties) = (&rows.offsets[..], &rows.items[..], &penalties[..]);
            let ridge = Ridge { offsets, columns, targets, weights, penalties, unobserved_weight };
            for near in [false, true] {
                let what = format!("{kind}, {d} factors, {form:?}, near: {near}");
                let start = |device: &_| table(features.clone(), d, device);
                let before = near.then(|| table(last.clone(), d, device));
                let step = K::half_step(&Side::new(ridge), start(device), before, &never);
                let ours = solved::<K>(step.expect("solved"));
                let host = Default::default();
                let features = table(features.clone(), d, &host);
                let before = near.then(|| table(last.clone(), d, &host));
                let step = CpuKernels::half_step(&Side::new(ridge), features, before, &never);
                assert_same(&what, &ours, &solved::<CpuKernels>(step.expect("solved")), 2e-4);
                // Whole solutions of wide rows in tensors take minutes where the GPU is made of CPU.
                if !near && d < 100 {
                    let step = tensor::half_step(&Side::new(ridge), start(device), None, &never);
                    assert_same(
                        &format!("{what}, in tensors"),
                        &ours,
                        &solved::<K>(step.expect("solved")),
                        2e-3,
                    );
                }
            }
        }
    }
}

/// Solutions for whom the memory is shared with others are not written over.
pub fn half_steps_leave_what_others_hold<K: Kernels>(device: &DeviceOf<K>) {
    // CUDA leaves a gap behind rows of so many numbers.
    let (rows, never, d) = (rows(), Interrupt::never(), 24);
    let penalties = vec![1.0; rows.user_count()];
    let ridge = Ridge {
        offsets: &rows.offsets,
        columns: &rows.items,
        targets: Some(&rows.ratings),
        weights: None,
        penalties: &penalties,
        unobserved_weight: 0.0,
    };
    let features = || table(initial(ITEMS, d, 5), d, device);
    let step = |last: Tensor<K::Backend, 2>| {
        K::half_step(&Side::new(ridge), features(), Some(last), &never).expect("solved").solutions
    };
    let first: Tensor<K::Backend, 2> = table(initial(rows.user_count(), d, 6), d, device);
    let before = numbers(first.clone()).expect("numbers");
    let last = step(first.clone());
    assert_eq!(numbers(first).expect("numbers"), before);
    // What a half-step gave is held as well, and lies in memory as it left it.
    let before = numbers(last.clone()).expect("numbers");
    let shared = numbers(step(last.clone())).expect("numbers");
    assert_eq!(numbers(last.clone()).expect("numbers"), before);
    assert_eq!(numbers(step(last)).expect("numbers"), shared);
}

/// Readers of three kinds, with some noise.
fn club() -> Interactions {
    let pairs = (0..9000u32).map(|n| (n % 300, n.wrapping_mul(2_654_435_761) >> 8));
    let triples: Vec<_> = pairs
        .map(|(user, draw)| {
            let item = if draw % 5 == 0 { draw / 5 % 180 } else { draw / 5 % 60 * 3 + user % 3 };
            (user, item, if item % 3 == user % 3 { 9.0 } else { 4.0 } + (draw % 2) as f32)
        })
        .collect();
    Interactions::from_triples(300, 180, &triples).0
}

/// Calls `fit` with a watch, and returns what it does with the losses of its epochs.
fn watched<T>(fit: impl FnOnce(&Watch<'_>) -> T) -> (T, Vec<f64>) {
    let (interrupt, losses) = (Interrupt::never(), Mutex::new(Vec::new()));
    let epoch = |_: usize, loss: f64| losses.lock().expect("losses").push(loss);
    let done = fit(&Watch { interrupt: &interrupt, epoch: &epoch });
    (done, losses.into_inner().expect("losses"))
}

fn assert_losses(what: &str, ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (epoch, (our, their)) in ours.iter().zip(theirs).enumerate() {
        assert!((our / their - 1.0).abs() < tolerance, "{what}, epoch {}: {our} and {their}", epoch + 1);
    }
}

/// Trains on both with a solver. Returns the factors and the losses of each epoch, first the GPU's.
fn trained(gpu: &dyn Engine, solver: Solver, epochs: usize) -> [(Factors, Vec<f64>); 2] {
    let rows = club();
    let mut parameters = Hyperparameters::default();
    (parameters.model.solver, parameters.model.factors, parameters.model.epochs) = (solver, 24, epochs);
    parameters.minibatch = Minibatch { batch_size: 512, learning_rate: 0.02, weight_decay: 0.0 };
    let parameters = parameters.resolve(&rows);
    let confidence = ConfidenceMatrix::new(&rows, &[], &parameters.model, &[]);
    let fit = |engine: &dyn Engine| {
        watched(|watch| fit_ranking(engine, &confidence, &parameters, None, watch).expect("fitted"))
    };
    [fit(gpu), fit(&*cpu())]
}

/// Factors for rankings, epoch by epoch.
pub fn rankings(gpu: &dyn Engine) {
    let [(ours, our_losses), (theirs, their_losses)] = trained(gpu, Solver::Als, 8);
    assert_losses("als", &our_losses, &their_losses, 1e-4);
    for (user, item) in (0..300).flat_map(|user| (0..180).map(move |item| (user, item))) {
        let (our, their) = (ours.score(user, item), theirs.score(user, item));
        assert!((our - their).abs() < 2e-3, "reader {user}, book {item}: {our} and {their}");
    }
}

/// The same by gradient descent, whose steps are so large that what is rounded grows.
pub fn descents(gpu: &dyn Engine) {
    let [(_, ours), (_, theirs)] = trained(gpu, Solver::Adam, 2);
    assert_losses("adam", &ours, &theirs, 2e-2);
}

/// Stars.
pub fn ratings(gpu: &dyn Engine) {
    let rated = club();
    let parameters = Hyperparameters::default().resolve(&rated);
    let width = 8;
    let ranking = Factors { width, users: vec![0.0; 300 * width], items: initial(180, width, 3) };
    let fit = |engine: &dyn Engine| {
        let stars = Stars { rated: &rated, ranking: &ranking, scale: (1.0, 10.0), epochs: None };
        watched(|watch| fit_rating(engine, stars, &parameters, watch).expect("fitted")).0
    };
    let (ours, theirs) = (fit(gpu), fit(&*cpu()));
    for (user, item) in (0..300).flat_map(|user| (0..180).map(move |item| (user, item))) {
        let (our, their) = (ours.raw(user, item), theirs.raw(user, item));
        assert!((our - their).abs() < 5e-3, "reader {user}, book {item}: {our} and {their}");
    }
}

/// Neighbours' systems, of all sizes.
pub fn neighbours(gpu: &dyn Engine) {
    let rows = club();
    for (neighbours, neighbour_regularization) in [(50, 40.0), (7, 0.5)] {
        let model = Model { neighbours, neighbour_regularization, ..Model::default() };
        let confidence = ConfidenceMatrix::new(&rows, &[], &model, &[]);
        let systems = gpu.systems().expect("a GPU solves systems");
        let fit = |device| Neighbours::fit(&confidence, &model, device, &Interrupt::never()).expect("fitted");
        let (ours, theirs) = (fit(Some(&*systems)), fit(None));
        let (ours, theirs) = (ours.rows(), theirs.rows());
        assert_eq!((&ours.offsets, &ours.items), (&theirs.offsets, &theirs.items));
        for (our, their) in ours.ratings.iter().zip(&theirs.ratings) {
            assert!((our - their).abs() < 1e-4, "{our} {their}");
        }
    }
}

/// The ranker: its losses, and what it says of candidates.
pub fn rankers(gpu: &dyn Engine) {
    let mut examples = Examples::new();
    for user in 0..300 {
        let rows: Vec<f32> = initial(20, features::COUNT, user).iter().map(|value| value * 50.0).collect();
        let best =
            rows.chunks_exact(features::COUNT).map(|row| row[0] + row[1].abs()).fold(f32::MIN, f32::max);
        let picked: Vec<f32> = rows
            .chunks_exact(features::COUNT)
            .map(|row| if row[0] + row[1].abs() == best { 1.0 } else { 0.0 })
            .collect();
        examples.add(&rows, &picked, user);
    }
    for kind in [Kind::Linear, Kind::Mlp] {
        let settings = Settings { kind, ranker_epochs: 3, ..Settings::default() };
        let fit = |engine: &dyn Engine| {
            watched(|watch| engine.fit_ranker(&examples, &settings, 3, watch).expect("fitted"))
        };
        let ((ours, our_losses), (theirs, their_losses)) = (fit(gpu), fit(&*cpu()));
        assert_losses(&format!("{kind:?}"), &our_losses, &their_losses, 2e-3);
        let (mut our_scores, mut their_scores) = (Vec::new(), Vec::new());
        ours.score(&examples.features, &mut our_scores);
        theirs.score(&examples.features, &mut their_scores);
        let off: f32 = our_scores.iter().zip(&their_scores).map(|(our, their)| (our - their).abs()).sum();
        let all: f32 = their_scores.iter().map(|score| score.abs()).sum();
        assert!(off < 0.1 * all, "{kind:?}: {off} of {all}");
    }
}

/// Proposals: the best rows of each user, without what the user has.
pub fn proposals(gpu: &dyn Engine) {
    let (users, rows, width, wanted) = (90, 1500, 8, 18);
    let (of_users, of_rows) = (initial(users, width, 1), initial(rows, width, 2));
    let write = |row: usize, values: &mut [f32]| values.copy_from_slice(&of_rows[row * width..][..width]);
    let source = gpu.candidates(width, rows, &write).expect("a GPU proposes");
    let taken: Vec<Vec<u32>> =
        (0..users as u32).map(|user| (0..user % 7).map(|n| n * 31 + user).collect()).collect();
    let found = source.propose(&of_users, &taken, wanted).expect("proposed");
    for (user, (found, taken)) in found.iter().zip(&taken).enumerate() {
        let score =
            |row: u32| dot(&of_users[user * width..][..width], &of_rows[row as usize * width..][..width]);
        let mut best: Vec<f32> = (0..rows as u32).filter(|row| !taken.contains(row)).map(score).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        let mut proposed: Vec<f32> = found.iter().map(|(row, _)| score(*row)).collect();
        proposed.sort_by(|a, b| b.total_cmp(a));
        assert!(found.iter().all(|(row, _)| !taken.contains(row)), "user {user} gets what is taken");
        // Coarser numbers may change the last of them.
        for (our, their) in proposed.iter().zip(&best) {
            assert!((our - their).abs() < 1e-4, "user {user}: {our} and {their}");
        }
    }
}

/// Lists: the same to the last bit, since a GPU only proposes.
pub fn lists(gpu: Device) {
    let (users, items) = (700, 9000);
    let triples: Vec<_> =
        (0..20_000u32).map(|n| (n % users, n.wrapping_mul(2_654_435_761) % items, 1.0)).collect();
    let (seen, _) = Interactions::from_triples(users as usize, items as usize, &triples);
    for width in [16, 64, 128] {
        let mut factors = Factors {
            width,
            users: initial(users as usize, width, 1),
            items: initial(items as usize, width, 2),
        };
        // Ties, and books of very different lengths.
        factors.items.copy_within(..40 * width, 40 * width);
        factors
            .items
            .iter_mut()
            .enumerate()
            .for_each(|(at, value)| *value *= 0.5f32.powi((at / width % 9) as i32));
        let lists = |device: Device| -> Vec<Vec<Scored>> {
            let (editions, is_new) = (Editions::default(), |_: u32| Some(false));
            let wanted = Wanted { n: 10, new: 0, is_new: &is_new, users: usize::MAX };
            let best = TopK::new(&factors, &[], &editions, device, &wanted).expect("laid out");
            let all: Vec<u32> = (0..users).collect();
            best.of(&factors, &seen, &all, &Interrupt::never(), &|_| ()).expect("lists")
        };
        assert!(lists(gpu) == lists(Device::Cpu), "{width} factors: other lists than on the CPU");
    }
}

/// The device of a word, or why there is none.
pub fn found(word: &str) -> Result<Device, String> {
    device::choose(word).map(|(device, _)| device).map_err(|error| error.to_string())
}
