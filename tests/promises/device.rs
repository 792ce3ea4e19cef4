//! CPU and GPU: found, named, and in agreement.

use nightshelf::model::device::{self, Device};

use crate::common::Shop;

fn gpu() -> bool {
    matches!(device::choose("auto"), Ok((Device::Cuda(_), _)))
}

#[test]
fn auto_says_what_it_took_and_why() {
    let shop = Shop::with_tastes(40, 40, 8);
    let ran = shop.call(&["run", "--device", "auto"]).ok();
    let line = ran.stderr.lines().find(|line| line.starts_with("device")).unwrap_or_default();
    assert!(line.contains(": ") && line.len() > 20, "{line:?}");
}

#[test]
fn cuda_without_a_gpu_is_an_error_and_not_a_fall_back() {
    if gpu() {
        eprintln!("skipped: there is a GPU on this machine");
        return;
    }
    let shop = Shop::with_tastes(40, 40, 8);
    shop.call(&["run", "--device", "cuda"]).failed(69, "--device cuda cannot be used");
    shop.call(&["run", "--device", "cuda:3"]).failed(69, "--device cuda:3 cannot be used");
    shop.call(&["run", "--device", "gpu"]).failed(78, "no device");
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'nightshelf%'"), 0);
}

#[test]
fn cpu_and_gpu_give_the_same_numbers() {
    if !gpu() {
        eprintln!("skipped: there is no GPU on this machine");
        return;
    }
    let shop = Shop::with_tastes(400, 200, 12);
    let scores = |device: &str| {
        shop.call(&["run", "--device", device]).ok();
        let rows = shop.rows("SELECT score, predicted_rating FROM recommendations ORDER BY user_id, rank");
        rows.iter()
            .flat_map(|row| {
                row.split('|').map(|value| value.parse().unwrap_or(f64::NAN)).collect::<Vec<f64>>()
            })
            .collect::<Vec<f64>>()
    };
    let (cpu, cuda) = (scores("cpu"), scores("cuda"));
    assert_eq!(cpu.len(), cuda.len());
    for (cpu, cuda) in cpu.iter().zip(&cuda) {
        assert!((cpu - cuda).abs() < 2e-3 * (1.0 + cpu.abs()), "{cpu} {cuda}");
    }
}
