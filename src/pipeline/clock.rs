//! Seconds and memory by stage.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::machine;
use crate::run_summary::{Stage, Timings};

/// Goes while a job does.
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
    /// Does a stage, and notes how long it took.
    pub fn time<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let value = work();
        self.note(stage, since);
        value
    }

    /// Notes that a stage has gone on until now.
    pub fn note(&mut self, stage: Stage, since: Instant) {
        self.timings.note(stage, since.elapsed().as_secs_f64());
        self.memory.insert(stage, machine::peak_memory());
    }

    /// The most memory, in bytes, that had been taken when each stage ended.
    pub fn memory(&self) -> BTreeMap<Stage, Option<u64>> {
        self.memory.clone()
    }

    /// How long a stage took.
    pub fn of(&self, stage: Stage) -> f64 {
        self.timings.of(stage).unwrap_or_default()
    }

    /// Every stage, 0 for those in `stages` that there was no need of, and the total.
    pub fn timings(&self, stages: &[Stage]) -> Timings {
        let mut timings = self.timings.clone();
        for stage in stages.iter().filter(|stage| self.timings.of(**stage).is_none()) {
            timings.note(*stage, 0.0);
        }
        timings.note_total(self.since.elapsed().as_secs_f64());
        timings
    }
}
