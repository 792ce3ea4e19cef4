//! CPU and GPU: found, named, and in agreement.

use nightshelf::interrupt::Interrupt;
use nightshelf::model::data::{Editions, Interactions};
use nightshelf::model::device::{self, Device};
use nightshelf::model::top_k::{Scored, TopK, Wanted};
use nightshelf::model::{Factors, initial};

use crate::common::{Shop, skipped};

fn gpu() -> Option<Device> {
    #[cfg(feature = "cuda")]
    nightshelf_cuda::install();
    device::choose("auto").ok().map(|(device, _)| device).filter(|device| *device != Device::Cpu)
}

#[test]
fn auto_says_what_it_took_and_why() {
    let shop = Shop::with_tastes(40, 40, 8);
    let ran = shop.call(&["run", "--device", "auto"]).ok();
    let line = ran.stderr.lines().find(|line| line.starts_with("device")).unwrap_or_default();
    assert!(line.contains(": ") && line.len() > 20, "{line:?}");
}

#[test]
fn doctor_trains_a_little_on_the_device() {
    let shop = Shop::with_tastes(40, 40, 8);
    shop.call(&["run"]).ok();
    let ran = shop.call(&["doctor"]).ok();
    let line = ran.stdout.lines().find(|line| line.contains(" device ")).unwrap_or_default();
    assert!(line.starts_with("ok") && line.contains("a small training there took"), "{line:?}");
}

#[test]
fn cuda_without_a_gpu_is_an_error_and_not_a_fall_back() {
    if gpu().is_some() {
        return skipped("there is a GPU on this machine, so none is missing");
    }
    let shop = Shop::with_tastes(40, 40, 8);
    shop.call(&["run", "--device", "cuda"]).failed(69, "--device cuda cannot be used");
    shop.call(&["run", "--device", "cuda:3"]).failed(69, "--device cuda:3 cannot be used");
    shop.call(&["run", "--device", "gpu"]).failed(78, "no device");
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'nightshelf%'"), 0);
}

#[test]
fn cpu_and_gpu_give_the_same_numbers() {
    if gpu().is_none() {
        return skipped("there is no GPU on this machine");
    }
    let shop = Shop::with_tastes(400, 200, 12);
    let scores = |device: &str| {
        // Forced: nothing has changed since the other device's night, and it would be left as it is.
        let report = shop.call(&["run", "--force", "--json", "--device", device]).ok().json();
        assert_eq!(report["status"], "published");
        assert!(report["device"].as_str().unwrap().starts_with(device), "{report}");
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
        assert!(
            (cpu - cuda).abs() < 2e-3 * (1.0 + cpu.abs()) || (cpu.is_nan() && cuda.is_nan()),
            "{cpu} {cuda}"
        );
    }
}

#[test]
fn lists_from_the_same_factors_are_the_same_on_a_gpu() {
    let Some(gpu) = gpu() else {
        return skipped("there is no GPU on this machine");
    };
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
            let best = TopK::new(&factors, &[], &editions, device, &wanted).unwrap();
            let all: Vec<u32> = (0..users).collect();
            best.of(&factors, &seen, &all, &Interrupt::never(), &|_| ()).unwrap()
        };
        assert_eq!(lists(gpu), lists(Device::Cpu), "{width}");
    }
}
