//! Seconds an epoch on a CUDA device, of made-up ratings: our fused kernels, and the same in plain tensors.
//!
//! ```sh
//! cargo run --release -p nightshelf-cuda --example epochs -- 138493 26744 20000000 64,128,256
//! ```
//!
//! The popularity of books falls with a power of their place, and how much people read is spread as widely as it is in real
//! life. The first epoch compiles kernels, and is told apart.

use std::error::Error;
use std::sync::Mutex;
use std::time::Instant;

use nightshelf_cuda::CudaKernels;
use nightshelf_model::Watch;
use nightshelf_model::confidence::ConfidenceMatrix;
use nightshelf_model::data::Interactions;
use nightshelf_model::engine::{BurnEngine, Engine};
use nightshelf_model::hyperparameters::{Hyperparameters, Resolved, Solver};
use nightshelf_model::interrupt::Interrupt;
use nightshelf_model::kernels::Kernels;
use rayon::prelude::*;

/// Kernels as any backend has them.
struct InTensors;

impl Kernels for InTensors {
    type Backend = <CudaKernels as Kernels>::Backend;
}

/// A number from 0 to 1 that looks like chance.
fn draw(seed: u64) -> f64 {
    let mixed = (seed ^ seed >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ mixed >> 32) >> 11) as f64 / (1u64 << 53) as f64
}

fn made_up(users: usize, items: usize, ratings: usize) -> Interactions {
    let mean = ratings as f64 / users as f64;
    let rows: Vec<Vec<u32>> = (0..users as u64)
        .into_par_iter()
        .map(|user| {
            // A power law with the mean that is asked for, between a seventh of it and a hundred times.
            let wanted = mean / 2.2 * draw(user * 2 + 1).max(1e-4).powf(-0.55);
            let mut own: Vec<u32> = (0..wanted as u64)
                .map(|n| (items as f64 * draw(user << 32 | n << 1).powf(3.0)) as u32)
                .collect();
            own.sort_unstable();
            own.dedup();
            own
        })
        .collect();
    let mut made = Interactions { offsets: vec![0], item_count: items, ..Interactions::default() };
    for row in rows {
        made.items.extend(row);
        made.offsets.push(made.items.len());
    }
    made.ratings = vec![1.0; made.items.len()];
    made
}

/// Seconds of each epoch.
fn seconds(engine: &dyn Engine, confidence: &ConfidenceMatrix, parameters: &Resolved) -> Vec<f64> {
    let times = Mutex::new(vec![Instant::now()]);
    let interrupt = Interrupt::never();
    let epoch = |_: usize, _: f64| {
        if let Ok(mut times) = times.lock() {
            times.push(Instant::now());
        }
    };
    let watch = Watch { interrupt: &interrupt, epoch: &epoch };
    let fitted = nightshelf_model::fit_ranking(engine, confidence, parameters, None, &watch);
    let times = times.into_inner().unwrap_or_default();
    if let Err(error) = fitted {
        show(&format!("  failed: {error}"));
    }
    times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn show(line: &str) {
    println!("{line}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [users, items, ratings, widths, rest @ ..] = arguments.as_slice() else {
        return Err(
            "usage: epochs READERS BOOKS RATINGS FACTORS,FACTORS… [als|adam] [EPOCHS] [fused|tensors]".into(),
        );
    };
    let solver = if rest.first().is_some_and(|word| word == "adam") { Solver::Adam } else { Solver::Als };
    let epochs: usize = rest.get(1).map_or(Ok(6), |word| word.parse())?;
    let only = rest.get(2).map(String::as_str);
    let began = Instant::now();
    let rows = made_up(users.parse()?, items.parse()?, ratings.parse()?);
    let most = rows.users_per_item().into_iter().max().unwrap_or(0);
    show(&format!(
        "{} ratings, the longest book has {most}, made in {:.1} s",
        rows.len(),
        began.elapsed().as_secs_f64()
    ));
    for width in widths.split(',') {
        for form in ["fused", "tensors"].into_iter().filter(|form| only.is_none_or(|only| only == *form)) {
            let mut parameters = Hyperparameters::default();
            parameters.model.solver = solver;
            (parameters.model.factors, parameters.model.epochs) = (width.parse()?, epochs);
            let parameters = parameters.resolve(&rows);
            let confidence = ConfidenceMatrix::new(&rows, &[], &parameters.model, &[]);
            let device = Default::default();
            let engine: Box<dyn Engine> = match form {
                "fused" => Box::new(BurnEngine::<CudaKernels>::new(device)),
                _ => Box::new(BurnEngine::<InTensors>::new(device)),
            };
            let mut seconds = seconds(&*engine, &confidence, &parameters);
            if seconds.len() < 3 {
                continue;
            }
            let last = seconds.pop().unwrap_or(0.0);
            let first = seconds.remove(0);
            seconds.sort_by(f64::total_cmp);
            let median = seconds[seconds.len() / 2];
            show(&format!(
                "{form:8} d = {width:4} first {first:.3} s, then {median:.4} s an epoch, the last {last:.3} s"
            ));
        }
    }
    Ok(())
}
