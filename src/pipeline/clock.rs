//! [`Clock`]: seconds and peak memory of each stage of a job.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::machine;
use crate::run_summary::{Stage, Timings};

/// Starts when it is made; the total of [`Clock::timings`] counts from there.
#[derive(Debug)]
pub struct Clock {
    since: Instant,
    timings: Timings,
    memory: BTreeMap<Stage, Option<u64>>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { since: Instant::now(), timings: Timings::default(), memory: BTreeMap::new() }
    }
}

impl Clock {
    /// Runs `work`, and notes its time and memory under `stage`.
    pub fn time<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let value = work();
        self.note(stage, since);
        value
    }

    /// Notes that a stage, begun at `since`, ends now.
    pub fn note(&mut self, stage: Stage, since: Instant) {
        self.timings.note(stage, since.elapsed().as_secs_f64());
        self.memory.insert(stage, machine::peak_memory());
    }

    /// As [`Clock::note`], of a stage that goes on.
    pub fn add(&mut self, stage: Stage, since: Instant) {
        self.timings.note(stage, self.of(stage) + since.elapsed().as_secs_f64());
        self.memory.insert(stage, machine::peak_memory());
    }

    /// The process's peak memory, in bytes, at the end of each stage; `None` where the system does not tell.
    pub fn memory(&self) -> BTreeMap<Stage, Option<u64>> {
        self.memory.clone()
    }

    /// Seconds that a stage took; 0 if it did not run.
    pub fn of(&self, stage: Stage) -> f64 {
        self.timings.of(stage).unwrap_or_default()
    }

    /// Seconds by stage, 0 for those of `stages` that did not run, and the total.
    pub fn timings(&self, stages: &[Stage]) -> Timings {
        let mut timings = self.timings.clone();
        for stage in stages.iter().filter(|stage| self.timings.of(**stage).is_none()) {
            timings.note(*stage, 0.0);
        }
        timings.note_total(self.since.elapsed().as_secs_f64());
        timings
    }
}
