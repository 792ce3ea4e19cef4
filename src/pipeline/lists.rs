//! The stage `recommend`: makes all lists, one tile of readers at a time.

use std::sync::mpsc::sync_channel;

use crate::catalog::recommendation::Recommendation;
use crate::error::Result;
use crate::pipeline::dataset::Job;
use crate::pipeline::memory_budget::MemoryBudget;
use crate::recommender::lists::{ListMaker, ListStatistics};
use crate::run_summary::Stage;
use crate::text::count;

/// Makes all lists and gives them to `write`: one tile is made while the one before is written.
pub fn make_lists(
    job: &mut Job<'_>,
    lists: &ListMaker<'_>,
    memory: MemoryBudget,
    mut write: impl FnMut(&[Recommendation]) -> Result<()>,
) -> Result<ListStatistics> {
    let (console, interrupt) = (job.context.console, job.context.interrupt);
    let (readers, tile) = (lists.readers(), memory.tile());
    let statistics = job.clock.time(Stage::Recommend, || {
        let bar = console.bar("recommend", readers as u64);
        let done = |users| bar.advance(users as u64);
        let mut statistics = ListStatistics::default();
        std::thread::scope(|scope| {
            let (to_write, made) = sync_channel(1);
            let making = scope.spawn(move || -> Result<()> {
                for first in (0..readers).step_by(tile) {
                    let rows = lists.of(first..readers.min(first + tile), interrupt, &done)?;
                    if to_write.send(rows).is_err() {
                        // `write` has failed; its error is returned below.
                        break;
                    }
                }
                Ok(())
            });
            for rows in made {
                statistics.add(&rows);
                write(&rows)?;
            }
            making.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map(|()| statistics)
    })?;
    console.say(format!(
        "recommend  {} for {} readers, {:.1} s",
        count(statistics.rows),
        count(readers),
        job.clock.of(Stage::Recommend)
    ));
    Ok(statistics)
}
