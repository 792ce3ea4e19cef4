//! The plan of a backfill: whose lists are replaced, and what must be solved for them.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use super::{Base, Options, STAGES};
use crate::catalog::encode::Encoded;
use crate::catalog::ids::{UserId, UserRef};
use crate::catalog::popularity::{self, Popularity};
use crate::catalog::recommendation::{Origin, Recommendation};
use crate::config::Config;
use crate::console::Console;
use crate::database::Database;
use crate::database::fallen::{self, BookCodes, Fallen};
use crate::database::lists;
use crate::database::publish::reader_lists::{self, Note, Noted, Replacement};
use crate::database::publish::shown::{self, Entry};
use crate::database::publish::{Beside, Labels, tables};
use crate::database::runs::{self, Current, Ending};
use crate::error::{Error, Kind, Result};
use crate::machine;
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::Interactions;
use crate::model::device::Device;
use crate::model::fold_in::{self, Unsolved};
use crate::model_store::{self, StoredModel, StoredUsers};
use crate::pipeline::dataset::{Dataset, Job};
use crate::pipeline::lists::beside;
use crate::pipeline::proof::{self, popular_among};
use crate::recommender::cases::of_readers;
use crate::recommender::lists::{Fitted, ListMaker};
use crate::recommender::similar::{By, SimilarSearch};
use crate::run_summary::{Changes, Counts, Metrics, Proof, RunStatus, RunSummary, Stage};
use crate::text::count;

pub(super) struct Plan {
    current: Current,
    model: StoredModel,
    /// For each reader of today the code in the model, if it has the reader.
    users: Vec<Option<u32>>,
    /// For each book of today the code in the model, if it has the book.
    items: Vec<Option<u32>>,
    digests: Vec<i64>,
    /// Codes of the readers who get a new list, rising.
    chosen: Vec<u32>,
    /// Readers without ratings, whose lists are removed.
    gone: Vec<UserId>,
    /// How many of the chosen have no list yet.
    new_users: usize,
    /// Readers and books that the model lacks, or has from other ratings.
    unsolved: Unsolved,
    /// What may be shown no more.
    fallen: Fallen,
    /// What the readers with a new list picked up while they had the old one.
    proof: Option<Proof>,
    /// Why a full night is due; empty if it is not.
    pub(super) due: Vec<String>,
}

impl Plan {
    pub(super) fn make(
        options: &Options<'_>,
        names: Option<&[String]>,
        base: Base,
        database: &Database,
        dataset: &Dataset,
        job: &Job<'_>,
    ) -> Result<Self> {
        let Base { current, model, noted } = base;
        let ratings = &dataset.ratings;
        let users = ratings.users.codes_in(&model.readers.users);
        let items = ratings.items.codes_in(&model.books.items);
        let digests = ratings.reader_digests();
        let trained = model.readers.digests_of(&users);
        let (chosen, gone) = match (names, options.since_run) {
            (Some(names), _) => named(names, ratings, &noted, job.context.console)?,
            (None, None) => (differing(&noted.digests, &digests), noted.others.clone()),
            (None, Some(run)) if run == current.run_id => {
                (differing(&trained, &digests), noted.others.clone())
            }
            (None, Some(run)) => {
                let then = readers_of(&database.folder(), run)?;
                let then = then.digests_of(&ratings.users.codes_in(&then.users));
                (differing(&then, &digests), noted.others.clone())
            }
        };
        let fallen = fallen::find(database, ratings, &dataset.selection)?;
        let (mut chosen, gone) = if options.refresh { (Vec::new(), Vec::new()) } else { (chosen, gone) };
        chosen.extend(&fallen.readers);
        chosen.sort_unstable();
        chosen.dedup();
        let new_users = chosen.iter().filter(|user| noted.digests[**user as usize].is_none()).count();
        let changed = differing(&trained, &digests);
        // A rated book is new, too, if the model knows it only by its author.
        let was_rated =
            |item: usize| items[item].is_some_and(|item| model.books.items.is_rated(item as usize));
        let is_new = |item: &u32| match ratings.items.is_rated(*item as usize) {
            true => !was_rated(*item as usize),
            false => items[*item as usize].is_none(),
        };
        let unseen: Vec<u32> = (0..ratings.items.len() as u32).filter(is_new).collect();
        let new_rated = unseen.iter().filter(|item| ratings.items.is_rated(**item as usize)).count();
        let still_there = users.iter().flatten().count();
        let due = due(&Due {
            config: job.context.config,
            current: &current,
            readers: (changed.len() + model.readers.users.len() - still_there, ratings.users.len()),
            books: (new_rated, ratings.items.rated_count()),
        });
        let mut unsolved = Unsolved { users: changed, items: unseen };
        // Named readers get a new list even if their ratings have not changed.
        unsolved.users.extend(&chosen);
        unsolved.users.sort_unstable();
        unsolved.users.dedup();
        Ok(Self {
            current,
            model,
            users,
            items,
            digests,
            chosen,
            gone,
            new_users,
            unsolved,
            fallen,
            proof: None,
            due,
        })
    }

    pub(super) fn tell(&self, console: &Console) {
        console.say(format!(
            "changes    {} new, {} changed, {} gone readers, {} new books since run {}",
            count(self.new_users),
            count(self.chosen.len() - self.new_users),
            count(self.gone.len()),
            count(self.unsolved.items.len()),
            self.current.run_id,
        ));
        let Fallen { readers, similar, .. } = &self.fallen;
        if !readers.is_empty() || !similar.is_empty() {
            console.say(format!(
                "fallen     {} lists of readers and {} of books have a book that may be shown no more",
                count(readers.len()),
                count(similar.len())
            ));
        }
        for reason in &self.due {
            console.warn(format!("a full night is due: {reason}"));
        }
    }

    pub(super) fn carry_out(
        mut self,
        job: &mut Job<'_>,
        database: &mut Database,
        run_id: i64,
        dataset: &Dataset,
    ) -> Result<RunSummary> {
        let nothing = self.chosen.is_empty()
            && self.gone.is_empty()
            && !self.fallen.popular
            && self.fallen.similar.is_empty();
        let mut rows = Vec::new();
        let mut since = Instant::now();
        if !nothing {
            let (lists, beside) = self.fill(job, database, dataset)?;
            // What is replaced now is counted now.
            let is_chosen = |entry: &Entry| self.chosen.binary_search(&entry.user).is_ok();
            let replaced: Vec<Entry> =
                shown::current(database, &dataset.ratings)?.into_iter().filter(is_chosen).collect();
            self.proof = proof::count(database, dataset, &replaced)?;
            since = Instant::now();
            rows = lists;
            self.replace(job.context.console, database, run_id, &dataset.ratings, &rows)?;
            let Encoded { users, items, .. } = &dataset.ratings;
            // These tables tell which model is published.
            let labels = Labels { run_id: self.current.run_id, users, items };
            if self.fallen.popular || !beside.similar.is_empty() {
                tables::replace(database, labels, &beside, &self.fallen.similar, self.fallen.popular)?;
            }
        }
        job.clock.note(Stage::Publish, since);
        let status = if nothing { RunStatus::Unchanged } else { RunStatus::Published };
        let summary = self.summary(job, Some(run_id), status, dataset.counts(rows.len() as u64));
        database.write("noting what was done", |transaction| {
            runs::note_rejects(transaction, run_id, &job.rejects)?;
            let ending = Ending { summary: &summary, input_digest: &dataset.digest, error: None };
            runs::finished(transaction, run_id, &ending)
        })?;
        job.context.console.say(match nothing {
            true => "unchanged  every list is made from today's ratings".to_owned(),
            false => format!(
                "publish    run {run_id}: {} lists replaced, {} taken away, {:.1} s",
                count(self.chosen.len()),
                count(self.gone.len()),
                job.clock.of(Stage::Publish)
            ),
        });
        Ok(summary)
    }

    /// Solves what is unsolved, and makes the lists of the chosen readers, and those beside them.
    fn fill(
        &mut self,
        job: &mut Job<'_>,
        database: &Database,
        dataset: &Dataset,
    ) -> Result<(Vec<Recommendation>, Beside)> {
        let ratings = &dataset.ratings;
        let (config, unsolved, interrupt) = (&self.model.config, &self.unsolved, database.interrupt());
        let shown = match config.rules.stale_after {
            0 => Interactions::default(),
            _ => match shown::nights(database, ratings)? {
                shown if shown.is_empty() => shown,
                shown => shown.select(&self.chosen),
            },
        };
        let interactions = &ratings.interactions;
        let weights = ratings.confidence(config.model.half_life);
        let groups = &dataset.related.groups;
        let confidence = ConfidenceMatrix::new(interactions, groups, &config.model, &weights)
            .with_dislikes(&ratings.dislikes, &config.model);
        let rated = interactions.rated();
        let (ranking, neighbours, rating) = job.clock.time(Stage::FoldIn, || -> Result<_> {
            let mut ranking = self.model.ranking.recoded(&self.users, &self.items);
            fold_in::solve_ranking(&mut ranking, &confidence, unsolved, config.parameters(), interrupt)?;
            let mut rating = self.model.rating.take().map(|model| model.recoded(&self.users, &self.items));
            if let Some(model) = &mut rating {
                fold_in::solve_rating(model, &rated, &ranking, unsolved, config.parameters(), interrupt)?;
            }
            let mut neighbours = self.model.neighbours.recoded(&self.items);
            neighbours.solve(&confidence, &unsolved.items, &config.model, interrupt)?;
            Ok((ranking, neighbours, rating))
        })?;
        let (mut rows, beside) = job.clock.time(Stage::Recommend, || -> Result<_> {
            let editions = dataset.related.editions(config).into_owned();
            let Encoded { moments, items, attributes, .. } = ratings;
            let about = (items, &dataset.related);
            let half_life = config.model.popularity_half_life;
            let (traits, idle) = popularity::traits(interactions, moments, attributes, about, half_life);
            let idle: Vec<f32> =
                self.chosen.iter().filter_map(|user| idle.get(*user as usize)).copied().collect();
            let popularity = Popularity::new(&rated, rating.as_ref(), confidence.rows(), editions, traits)
                .with_candidates(dataset.selection.candidates.clone());
            let item_scales = confidence.item_scales(&ranking, config.model.length_exponent);
            let search = SimilarSearch::new(&ranking, &neighbours, &popularity, config, By::Both);
            let beside =
                beside(&search, &popularity, config, &dataset.selection, interrupt, &self.renewed(ratings))?;
            let rating = rating.map(|model| model.only(&self.chosen));
            let fitted = Fitted {
                interactions: &interactions.select(&self.chosen),
                item_scales: &item_scales,
                ranking: &ranking.only(&self.chosen),
                neighbours: &neighbours,
                ranker: self.model.ranker.as_ref(),
                idle: &idle,
                attributes: &of_readers(attributes, &self.chosen),
                weighted: &confidence.rows().select(&self.chosen),
                rating: rating.as_ref(),
                rated: &rated.select(&self.chosen),
                hidden: &dataset.selection.hidden.select(&self.chosen),
                dislikes: &dataset.selection.disliked.select(&self.chosen),
                shown: &shown,
            };
            let bar = job.context.console.bar("recommend", self.chosen.len() as u64);
            let done = |users| bar.advance(users as u64);
            let lists = ListMaker::new(fitted, &popularity, Origin::FoldIn, config, Device::Cpu)?;
            let rows = lists.of(0..self.chosen.len(), interrupt, &done)?;
            Ok((rows, beside))
        })?;
        rows.iter_mut().for_each(|row| row.user = self.chosen[row.user as usize]);
        job.context.console.say(format!(
            "recommend  {} for {} readers, {:.1} s",
            count(rows.len()),
            count(self.chosen.len()),
            job.clock.of(Stage::FoldIn) + job.clock.of(Stage::Recommend),
        ));
        Ok((rows, beside))
    }

    fn note(&self, user: u32, ratings: &Encoded, popular: &[Option<u32>]) -> Note {
        let own = ratings.interactions.of(user as usize).0;
        let popular = popular_among(popular, own) as u32;
        Note { digest: self.digests[user as usize], ratings: own.len() as u32, popular }
    }

    /// Codes of the books whose lists of similar ones are made anew: those that are new, and those with a book that may be
    /// shown no more.
    fn renewed(&self, ratings: &Encoded) -> Vec<u32> {
        let codes = BookCodes::new(&ratings.items);
        let mut books: Vec<u32> =
            self.fallen.similar.iter().filter_map(|isbn| codes.of(isbn, None)).collect();
        books.extend(&self.unsolved.items);
        books.sort_unstable();
        books.dedup();
        books
    }

    fn replace(
        &self,
        console: &Console,
        database: &mut Database,
        run_id: i64,
        ratings: &Encoded,
        rows: &[Recommendation],
    ) -> Result<()> {
        let mut replacements: Vec<Replacement<'_>> =
            self.gone.iter().map(|user| Replacement { user: user.borrow(), note: None, rows: &[] }).collect();
        let top = self.model.config.output.top;
        let codes = BookCodes::new(&ratings.items);
        let popular: Vec<Option<u32>> = lists::popular(database, top)?
            .iter()
            .map(|row| codes.of(&row.isbn, row.isbn13.as_deref()))
            .collect();
        let mut rest = rows;
        for user in &self.chosen {
            let own = rest.iter().take_while(|row| row.user == *user).count();
            let (rows, others) = rest.split_at(own);
            rest = others;
            let note = Some(self.note(*user, ratings, &popular));
            replacements.push(Replacement { user: ratings.users.get(*user as usize), note, rows });
        }
        let labels = Labels { run_id, users: &ratings.users, items: &ratings.items };
        let bar = console.bar("publish", replacements.len() as u64);
        let mut finished = 0;
        let done = |done| {
            finished = done;
            bar.reach(done as u64);
        };
        reader_lists::replace(database, labels, &replacements, done).map_err(|error| {
            // A signal's own message is about whole sets; this one says how many lists are new.
            match error.kind() {
                Kind::Interrupted | Kind::Terminated => Error::new(
                    error.kind(),
                    format!("stopped; {} of {} lists are new", count(finished), count(replacements.len())),
                )
                .hint("the same command again goes on with the others"),
                _ => error,
            }
        })
    }

    pub(super) fn summary(
        &self,
        job: &Job<'_>,
        run_id: Option<i64>,
        status: RunStatus,
        counts: Counts,
    ) -> RunSummary {
        let changes = Changes {
            model_run: self.current.run_id,
            new_users: self.new_users as u64,
            changed_users: (self.chosen.len() - self.new_users) as u64,
            gone_users: self.gone.len() as u64,
            new_items: self.unsolved.items.len() as u64,
            full_night_due: !self.due.is_empty(),
        };
        RunSummary {
            run_id,
            status,
            device: Device::Cpu.to_string(),
            counts,
            metrics: Metrics { proof: self.proof.clone(), changes: Some(changes), ..Metrics::default() },
            timings: job.clock.timings(&STAGES),
            peak_memory_bytes: machine::peak_memory(),
            due: Some(self.due.clone()),
        }
    }
}

/// Codes of the readers whose digest is not the one from before, rising.
fn differing(before: &[Option<i64>], digests: &[i64]) -> Vec<u32> {
    (0..digests.len() as u32).filter(|user| before[*user as usize] != Some(digests[*user as usize])).collect()
}

/// What decides whether a full night is due.
struct Due<'a> {
    config: &'a Config,
    current: &'a Current,
    /// How many readers differ from those that the model was trained on, and how many there are.
    readers: (usize, usize),
    /// How many rated books the model has not seen, and how many there are.
    books: (usize, usize),
}

/// Why a full night is due; empty if it is not.
fn due(question: &Due<'_>) -> Vec<String> {
    let Due { config, current, readers, books } = question;
    let mut due = Vec::new();
    for ((part, all), what) in [(readers, "readers have changed"), (books, "books are new")] {
        let share = *part as f64 / (*all).max(1) as f64;
        if share > config.backfill.full_share {
            let (part, all) = (count(*part), count(*all));
            due.push(format!("{part} of {all} {what} since run {}", current.run_id));
        }
    }
    if current.config.as_ref().is_none_or(|then| then.decisive() != config.decisive()) {
        due.push(format!("settings differ from those of run {}, which hold until then", current.run_id));
    }
    due
}

/// The named readers: codes of those with ratings, and ids of those who only have a list.
fn named(
    names: &[String],
    ratings: &Encoded,
    noted: &Noted,
    console: &Console,
) -> Result<(Vec<u32>, Vec<UserId>)> {
    let codes = ratings.users.codes();
    let others: HashSet<UserRef<'_>> = noted.others.iter().map(UserId::borrow).collect();
    let (mut chosen, mut gone, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let mut known = false;
        for id in UserId::readings(name) {
            if let Some(code) = codes.get(&id.borrow()) {
                chosen.push(*code);
                known = true;
            } else if others.contains(&id.borrow()) {
                gone.push(id);
                known = true;
            }
        }
        if !known {
            unknown.push(name.as_str());
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    if !unknown.is_empty() {
        let message = format!("{} of {} readers have no ratings", unknown.len(), names.len());
        console.warn(format!("{message}, such as {:?}", unknown[0]));
        if unknown.len() == names.len() {
            // Without an id, since the history keeps this message.
            return Err(Error::new(Kind::NoRatings, message).hint("--users takes a user_id a line"));
        }
    }
    Ok((chosen, gone))
}

/// The readers of the run named by `--since-run`.
fn readers_of(folder: &Path, run_id: i64) -> Result<StoredUsers> {
    StoredUsers::read(folder, run_id, None).map(|(readers, _)| readers).map_err(|error| {
        let mut runs: Vec<i64> = model_store::models(folder).into_iter().filter_map(|(_, run)| run).collect();
        runs.sort_unstable();
        let runs: Vec<String> = runs.iter().map(i64::to_string).collect();
        error.hint(format!("what ratings were like is known of runs {}", runs.join(", ")))
    })
}
