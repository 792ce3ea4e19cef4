//! The kernels alone, on made-up ratings of the shape of Book-Crossing and of a dense table.
//!
//! ```sh
//! cargo bench --bench kernels
//! ```

use std::sync::LazyLock;

use divan::{Bencher, black_box};
use nightshelf::interrupt::Interrupt;
use nightshelf::model::confidence::ConfidenceMatrix;
use nightshelf::model::data::{Editions, Interactions};
use nightshelf::model::device::Device;
use nightshelf::model::hyperparameters::{Hyperparameters, Model, Resolved};
use nightshelf::model::kernels::cpu;
use nightshelf::model::top_k::{TopK, Wanted};
use nightshelf::model::{self, Factors, Watch, als};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

fn main() {
    divan::main();
}

/// Few readers with very many, few books that everybody knows.
fn ratings(users: usize, items: usize, ratings: usize) -> Interactions {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut skewed = |all: usize, power: i32| -> u32 {
        let place: f64 = random.random_range(0.0..1.0);
        (place.powi(power) * all as f64) as u32
    };
    let triples: Vec<_> = (0..ratings).map(|_| (skewed(users, 3), skewed(items, 3), 1.0)).collect();
    Interactions::from_triples(users, items, &triples).0
}

static SPARSE: LazyLock<Interactions> = LazyLock::new(|| ratings(80_000, 220_000, 750_000));
static DENSE: LazyLock<Interactions> = LazyLock::new(|| ratings(6_000, 3_700, 1_200_000));

fn table(rows: usize, width: usize) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    (0..rows * width).map(|_| random.random_range(-0.1..0.1)).collect()
}

fn settings(factors: usize, epochs: usize, rows: &Interactions) -> Resolved {
    let model = Model { factors, epochs, ..Model::default() };
    Hyperparameters { model, ..Hyperparameters::default() }.resolve(rows)
}

/// One side of an epoch: with `near`, from where rows are.
fn half_step(bencher: Bencher<'_, '_>, rows: &Interactions, d: usize, near: bool) {
    let config = settings(d, 1, rows);
    let penalties = als::penalties(rows, &config.model);
    let ridge =
        model::kernels::Ridge { weights: None, ..als::ranking_ridge(rows, &penalties, &config.model) };
    let start = || (table(rows.item_count, d), vec![0.0; rows.user_count() * d]);
    bencher.with_inputs(start).bench_local_refs(|(features, solutions)| {
        cpu::half_step_in_place(&ridge, features, solutions, d, near, &Interrupt::never()).is_ok()
    });
}

#[divan::bench(args = [64, 128], sample_count = 5, sample_size = 1)]
fn sparse_exact(bencher: Bencher<'_, '_>, d: usize) {
    half_step(bencher, &SPARSE, d, false);
}

#[divan::bench(args = [64, 128], sample_count = 5, sample_size = 1)]
fn sparse_near(bencher: Bencher<'_, '_>, d: usize) {
    half_step(bencher, &SPARSE, d, true);
}

#[divan::bench(args = [64, 128], sample_count = 5, sample_size = 1)]
fn dense_exact(bencher: Bencher<'_, '_>, d: usize) {
    half_step(bencher, &DENSE, d, false);
}

#[divan::bench(args = [64, 128], sample_count = 5, sample_size = 1)]
fn dense_near(bencher: Bencher<'_, '_>, d: usize) {
    half_step(bencher, &DENSE, d, true);
}

/// A trained model of the sparse ratings: made-up factors would have lengths that nothing prunes.
static TRAINED: LazyLock<Factors> = LazyLock::new(|| {
    let config = settings(64, 4, &SPARSE);
    let confidence = ConfidenceMatrix::new(&SPARSE, &[], &config.model, &[]);
    let interrupt = Interrupt::never();
    let watch = Watch { interrupt: &interrupt, epoch: &|_, _| () };
    model::fit_ranking(&*nightshelf_cpu::engine(), &confidence, &config, None, &watch).unwrap_or_default()
});

#[divan::bench(args = [10, 100], sample_count = 3, sample_size = 1)]
fn top_n_of_8192_readers(bencher: Bencher<'_, '_>, n: usize) {
    let (factors, is_new) = (&*TRAINED, |_| Some(false));
    let readers = Vec::from_iter(0..8192);
    bencher.bench_local(|| {
        let (wanted, editions) =
            (Wanted { n, new: 0, is_new: &is_new, users: usize::MAX }, Editions::default());
        let best = TopK::new(factors, &[], &editions, Device::Cpu, &wanted);
        let lists = best.and_then(|best| best.of(factors, &SPARSE, &readers, &Interrupt::never(), &|_| ()));
        black_box(lists.is_ok())
    });
}
