//! The published run, which the gate compares tonight with.

use super::FEWEST_READERS;
use crate::catalog::encode::Encoded;
use crate::config::Config;
use crate::database::Database;
use crate::database::runs::{self, Current};
use crate::error::Result;
use crate::model_store::StoredUsers;
use crate::pipeline::dataset::Dataset;
use crate::run_summary::Counts;
use crate::text::count;

#[derive(Debug)]
pub struct Past {
    pub(super) current: Current,
    /// Its readers and settings, or why they cannot be read.
    readers: Result<(StoredUsers, Config)>,
}

impl Past {
    /// `None` before the first published run.
    pub fn find(database: &Database) -> Result<Option<Self>> {
        let past = runs::current(database)?.map(|current| {
            let digest = current.input_digest.as_deref();
            let readers = StoredUsers::read(&database.folder(), current.run_id, digest);
            Self { current, readers }
        });
        Ok(past)
    }

    /// What has shrunk since then by more than the share `most`.
    pub fn shrunk(&self, dataset: &Dataset, most: f64) -> Shrinkage {
        let (now, before) = (dataset.counts(0), &self.current.counts);
        let run = self.current.run_id;
        // Among so few readers, one who leaves is a large share.
        if before.users.is_some_and(|users| users < FEWEST_READERS as u64) {
            return Shrinkage::default();
        }
        let figures = |counts: &Counts| {
            let whole = |count: Option<u64>| count.map(|count| count as f64);
            let Counts { ratings, users, spread, .. } = counts;
            [whole(ratings.kept), whole(*users), whole(ratings.rated), *spread]
        };
        let names = ["ratings", "readers", "ratings with stars", "the spread of stars (standard deviation)"];
        let mut shrinkage = Shrinkage::default();
        for (what, (now, before)) in names.into_iter().zip(figures(&now).into_iter().zip(figures(before))) {
            let (Some(now), Some(before)) = (now, before) else {
                shrinkage.missing.push(what);
                continue;
            };
            if now < before * (1.0 - most) {
                let less = (1.0 - now / before) * 100.0;
                let line =
                    format!("{what}: {} now, {} in run {run}, {less:.0}% less", amount(now), amount(before));
                shrinkage.objections.push(line);
            }
        }
        shrinkage.objections.extend(self.lost(&dataset.ratings, most));
        shrinkage
    }

    /// The objection if that run's readers have lost more than the share `most` of their ratings. It finds
    /// rows deleted while others came, and ids given to other people.
    fn lost(&self, ratings: &Encoded, most: f64) -> Option<String> {
        let (readers, _) = self.readers.as_ref().ok()?;
        let codes = readers.users.codes_in(&ratings.users);
        let (mut all, mut lost) = (0u64, 0u64);
        for (then, code) in readers.ratings.iter().zip(codes) {
            let now = code.map_or(0, |code| ratings.interactions.of(code as usize).0.len() as u64);
            all += u64::from(*then);
            lost += u64::from(*then).saturating_sub(now);
        }
        let share = lost as f64 / all.max(1) as f64;
        (share > most).then(|| {
            format!(
                "the readers of run {} have {} of their {} ratings no more, {:.0}%",
                self.current.run_id,
                count(lost),
                count(all),
                share * 100.0
            )
        })
    }

    /// For each of `readers` who was judged in that run, the place in `readers` and the figure of then; or
    /// why nothing can be compared.
    pub(super) fn quality_of(
        &self,
        readers: &[u32],
        ratings: &Encoded,
        tonight: &Config,
    ) -> std::result::Result<Vec<(usize, f64)>, String> {
        let run = self.current.run_id;
        let (then, config) = match &self.readers {
            Ok((then, config)) => (then, config),
            Err(error) => return Err(error.to_string()),
        };
        if config.model.objective != tonight.model.objective || config.gate.holdout != tonight.gate.holdout {
            return Err(format!(
                "run {run} was judged by something else (objective or holdout were changed)"
            ));
        }
        let codes = ratings.users.codes_in(&then.users);
        let found = readers.iter().enumerate().filter_map(|(place, reader)| {
            let quality = then.quality[codes[*reader as usize]? as usize];
            (!quality.is_nan()).then_some((place, quality))
        });
        let found: Vec<_> = found.collect();
        match found.len() {
            0..FEWEST_READERS => Err(format!("too few readers were judged in run {run}, too")),
            _ => Ok(found),
        }
    }
}

/// How tonight's input compares with that of the published run.
#[derive(Debug, Default)]
pub struct Shrinkage {
    /// What has shrunk too much.
    pub objections: Vec<String>,
    /// What cannot be compared, because that run did not note it.
    pub missing: Vec<&'static str>,
}

/// For people: a whole number without decimals, any other with two.
fn amount(number: f64) -> String {
    if number.fract() == 0.0 { count(number as u64) } else { format!("{number:.2}") }
}
