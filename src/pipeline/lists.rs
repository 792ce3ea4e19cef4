//! The stage `recommend`: makes all lists, one tile of readers at a time, and those that stand beside them.

use std::sync::mpsc::sync_channel;
use std::time::Instant;

use crate::catalog::popularity::Popularity;
use crate::catalog::recommendation::Recommendation;
use crate::catalog::selection::Selection;
use crate::config::ResolvedConfig;
use crate::database::publish::Beside;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model_store::StoredModel;
use crate::pipeline::dataset::Job;
use crate::pipeline::memory_budget::MemoryBudget;
use crate::recommender::lists::{ListMaker, ListStatistics};
use crate::recommender::similar::{By, SimilarSearch};
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

/// Makes the lists that are published beside those of the readers.
pub fn make_beside(job: &mut Job<'_>, model: &StoredModel, selection: &Selection) -> Result<Beside> {
    let since = Instant::now();
    let popularity = &model.books.popularity;
    let books: Vec<u32> = (0..popularity.traits.readers.len() as u32).collect();
    let search = SimilarSearch::of_model(model, By::Both);
    let beside = beside(&search, popularity, &model.config, selection, job.context.interrupt, &books)?;
    job.clock.add(Stage::Recommend, since);
    job.context.console.say(format!(
        "           others like {} books, what is popular in {} categories, {:.1} s",
        count(beside.similar.len()),
        count(beside.popular_by.len()),
        since.elapsed().as_secs_f64()
    ));
    Ok(beside)
}

/// What is popular, of all and of each category, and what is like each of some books, if enough readers share it.
pub fn beside(
    search: &SimilarSearch<'_>,
    popularity: &Popularity,
    config: &ResolvedConfig,
    selection: &Selection,
    interrupt: &Interrupt,
    books: &[u32],
) -> Result<Beside> {
    let (rules, most) = (popularity.rules(&config.rules), config.output.popular);
    let similar = match config.output.similar_readers {
        0 => Vec::new(),
        _ => search.of_all(books, interrupt)?,
    };
    Ok(Beside {
        popular: popularity.best(most, &rules),
        popular_by: popularity.best_by(&selection.categories, most, &rules),
        similar,
    })
}
