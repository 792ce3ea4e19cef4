//! Whether the lists worked: what readers have picked up since theirs were published, and how much of that stood in them.
//!
//! No list has a book that its reader had when it was made, so whatever stands in one and is among the reader's
//! ratings now was picked up since. Where ratings have times, only those count that are newer than the list.

use std::collections::HashMap;

use crate::catalog::times;
use crate::database::fallen::BookCodes;
use crate::database::publish::reader_lists;
use crate::database::publish::shown::Entry;
use crate::database::{Database, lists, runs};
use crate::error::Result;
use crate::model::data::Editions;
use crate::pipeline::dataset::Dataset;
use crate::run_summary::{Proof, RunKind, RunRecord, RunStatus};

/// Runs of the history that are looked through for when lists were published.
const HISTORY: u32 = 1_000;

/// Counts what was picked up since the set that is published now; `None` if there is none, or nothing can be said: after a
/// rollback, or for the first night of this version, where ratings have no times.
///
/// `entries` are of the lists that are about to be replaced.
pub fn count(database: &Database, dataset: &Dataset, entries: &[Entry]) -> Result<Option<Proof>> {
    if entries.is_empty() {
        return Ok(None);
    }
    let ratings = &dataset.ratings;
    let editions = dataset.related.all_editions();
    let history = runs::last(database, HISTORY)?;
    let published = |run: &&RunRecord| run.status == RunStatus::Published;
    let ended: HashMap<i64, f64> = history
        .iter()
        .filter(published)
        .filter_map(|run| Some((run.run_id, run.finished?.timestamp_millis() as f64 / 1e3)))
        .collect();
    // What was picked up before the last exchange of sets was counted then.
    let exchange = history.iter().filter(published).find(|run| run.kind != RunKind::Backfill);
    let since = exchange.and_then(|run| ended.get(&run.run_id)).copied().unwrap_or(f64::NEG_INFINITY);
    let moments = times::in_seconds(&ratings.moments);
    if moments.is_none() && exchange.is_none_or(|run| run.kind == RunKind::Rollback) {
        return Ok(None);
    }

    let codes = BookCodes::new(&ratings.items);
    let lists_of = || entries.chunk_by(|a, b| a.user == b.user);
    let longest = lists_of().map(<[Entry]>::len).max().unwrap_or_default();
    let popular: Vec<Option<u32>> = lists::popular(database, longest)?
        .iter()
        .map(|row| codes.of(&row.isbn, row.isbn13.as_deref()))
        .collect();
    let then = reader_lists::ratings_then(database, &ratings.users)?;
    if moments.is_none() && then.is_none() {
        return Ok(None);
    }

    let mut proof = Proof { popular_hits: Some(0), by_rank: vec![0; longest], ..Proof::default() };
    for list in lists_of() {
        let (user, run_id) = (list[0].user as usize, list[0].run_id);
        proof.lists += 1;
        let own = ratings.interactions.of(user).0;
        let first = ratings.interactions.offsets[user];
        let is_new = |place: usize| match &moments {
            Some(moments) => {
                let published = ended.get(&run_id).copied().unwrap_or(f64::INFINITY).max(since);
                moments[first + place] > published
            }
            None => true,
        };
        let new: Vec<u32> = (0..own.len()).filter(|place| is_new(*place)).map(|place| own[place]).collect();
        let has = |book: &Option<u32>| book.is_some_and(|book| has(&new, book, editions));
        let hits: Vec<usize> = (0..list.len()).filter(|rank| has(&list[*rank].item)).collect();
        let (picks, popular_hits) = match (&moments, &then) {
            (Some(_), _) => {
                let stood = popular.iter().take(list.len()).filter(|book| has(book)).count();
                (new.len(), Some(stood))
            }
            (None, Some(then)) => {
                let Some(then) = then[user] else { continue };
                let had = popular_among(&popular, own);
                let picks = own.len().saturating_sub(then.ratings as usize).max(hits.len());
                (picks, then.popular.map(|before| had.saturating_sub(before as usize).min(picks)))
            }
            (None, None) => continue,
        };
        proof.readers += u64::from(picks > 0);
        proof.picks += picks as u64;
        proof.hits += hits.len() as u64;
        proof.popular_hits = proof.popular_hits.zip(popular_hits).map(|(all, own)| all + own as u64);
        for rank in hits {
            proof.by_rank[rank] += 1;
            *proof.by_source.entry(list[rank].origin.word().to_owned()).or_default() += 1;
        }
    }
    Ok(Some(proof))
}

/// How many of the first popular books are among a reader's.
pub fn popular_among(popular: &[Option<u32>], own: &[u32]) -> usize {
    popular.iter().flatten().filter(|item| own.binary_search(item).is_ok()).count()
}

/// Whether a book, in any edition, is among `books`, which rise.
fn has(books: &[u32], book: u32, editions: &Editions) -> bool {
    !books.is_empty() && editions.has(books, book)
}
