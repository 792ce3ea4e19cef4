//! A small training on a device, beside the same on the CPU: whether its kernels can be compiled there, and are right.

use std::time::Instant;

use crate::config::{Config, RankerKind};
use crate::error::{Error, Kind, Result};
use crate::model::device::Device;
use crate::panics;
use crate::recommender::api::Recommender;

const READERS: u32 = 60;
const BOOKS: u32 = 40;

/// Books in each reader's list: as many as there are of its kind that the reader has not read.
const TOP: usize = 4;

/// The share of all entries that must be the same: a device adds up in an order of its own, and near ties may fall either way.
const LEAST: f64 = 0.95;

/// Trains on a device. Returns the seconds, in which its kernels are compiled if they have never been.
///
/// # Errors
/// [`Kind::Failed`] if the device cannot do it, or does it otherwise than the CPU.
pub fn trial(device: Device) -> Result<f64> {
    let began = Instant::now();
    let failed = |what: String| {
        Error::new(Kind::Failed, format!("a small training on {device} {what}"))
            .hint("--device cpu works everywhere; a newer driver and CUDA toolkit may help")
    };
    let lists = panics::caught(|| lists(device)).map_err(|_| failed("stopped in a library".into()))?;
    let lists = lists.map_err(|error| failed(format!("did not work: {error}")))?;
    let seconds = began.elapsed().as_secs_f64();
    if device != Device::Cpu {
        let same = agreement(&lists, &self::lists(Device::Cpu)?);
        if same < LEAST {
            let percent = same * 100.0;
            return Err(failed(format!(
                "gives other lists than the CPU: {percent:.0}% of the entries are the same"
            )));
        }
    }
    Ok(seconds)
}

/// The list of each reader of a made-up club, in which a reader likes every fourth book.
fn lists(device: Device) -> Result<Vec<Vec<u32>>> {
    let mut config = Config::default();
    config.compute.device = device.to_string();
    (config.model.factors, config.model.epochs) = (16, 8);
    config.ranker.kind = RankerKind::None;
    let read = |reader: u32| {
        (0..6).map(move |nth| (reader, (reader % 4 + 4 * (reader / 4 + nth * nth)) % BOOKS, None))
    };
    let ratings: Vec<(u32, u32, Option<f32>)> = (0..READERS).flat_map(read).collect();
    let model = Recommender::fit(&ratings, &config)?;
    let readers: Vec<u32> = (0..READERS).collect();
    let entries = model.top_of(&readers, TOP)?;
    Ok(entries.into_iter().map(|list| list.into_iter().map(|entry| entry.item).collect()).collect())
}

/// The share of the entries of the first lists that stand in the second, too.
fn agreement(ours: &[Vec<u32>], theirs: &[Vec<u32>]) -> f64 {
    let all: usize = ours.iter().map(Vec::len).sum();
    let same =
        |(ours, theirs): (&Vec<u32>, &Vec<u32>)| ours.iter().filter(|book| theirs.contains(book)).count();
    let same: usize = ours.iter().zip(theirs).map(same).sum();
    same as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_stands_its_own_trial_and_other_lists_do_not() {
        assert!(trial(Device::Cpu).unwrap() > 0.0);
        let lists = lists(Device::Cpu).unwrap();
        assert!(lists.iter().all(|list| list.len() == TOP), "{lists:?}");
        // Whoever reads every fourth book is shown others of these.
        let fitting =
            lists.iter().enumerate().flat_map(|(reader, list)| list.iter().map(move |book| (reader, book)));
        let right = fitting.filter(|(reader, book)| **book as usize % 4 == reader % 4).count();
        assert!(right * 10 > 9 * TOP * lists.len(), "{right}");
        assert_eq!(agreement(&lists, &lists), 1.0);
        let mut turned = lists.clone();
        turned.rotate_left(1);
        assert!(agreement(&turned, &lists) < LEAST);
    }
}
