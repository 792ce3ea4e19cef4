//! Gathers the facts for the report about the last night from the database, the history and the model.

use std::collections::HashMap;
use std::path::Path;

use chrono::Local;

use crate::catalog::ids::{UserId, UserRef};
use crate::catalog::keys::{Keying, LOST_CHECK_DIGIT, LOST_ZEROS, OTHER_SPELLING};
use crate::catalog::language;
use crate::console::Console;
use crate::context::Context;
use crate::database::lists::{self, Listed};
use crate::database::runs;
use crate::error::{Kind, Result};
use crate::pipeline::dataset::{Dataset, Job};
use crate::query::Lookup;
use crate::report::night::{Night, Run};
use crate::report::{BookName, Card, Facts, Hygiene, Lists, Ratings, ReaderCard};
use crate::run_summary::{Proof, RunRecord, RunStatus};
use crate::text::plain;

/// How many runs of the history the page shows.
const RUNS: u32 = 30;

/// How many of a reader's own books the page shows.
const LIKED: usize = 5;

/// Gathers the facts for a page with this many readers.
pub fn gather(context: Context<'_>, db: &Path, readers: usize) -> Result<Facts> {
    let lookup = Lookup::open(context, db)?;
    let entries = runs::last(&lookup.database, RUNS)?;
    let current = runs::current(&lookup.database)?;
    let _spinner = context.console.spinner("report");
    let silent = Console::silent();
    let dataset = match Job::new(Context { console: &silent, ..context }).load(&lookup.database) {
        Ok(dataset) => Some(dataset),
        // Without usable ratings, the page shows the rest.
        Err(error) if error.kind() == Kind::NoRatings => None,
        Err(error) => return Err(error),
    };
    let mut facts = Facts {
        shop: plain(&db.file_name().unwrap_or_default().to_string_lossy()),
        made: Local::now().format("on %Y-%m-%d at %H:%M").to_string(),
        ratings: dataset.as_ref().map(|dataset| ratings(dataset, readers > 0)),
        ..Facts::default()
    };
    let figure = current.as_ref().and_then(|current| {
        let entry = entries.iter().find(|entry| entry.run_id == current.run_id)?;
        entry.metrics.as_ref()?.gate.as_ref()?.figure.clone()
    });
    let is_published = |entry: &&RunRecord| entry.status == RunStatus::Published;
    let counted = entries.iter().filter(is_published).filter_map(|run| run.metrics.as_ref()?.proof.as_ref());
    let counted: Vec<&Proof> = counted.collect();
    let proof = Proof::sum(counted.iter().copied());
    facts.proof = (proof.picks > 0).then_some((counted.len(), proof));
    facts.similar = similar(&lookup)?;
    facts.runs = entries.iter().rev().map(|entry| Run::of(entry, figure.as_deref())).collect();
    if let Some(current) = current {
        // The current run may be older than the listed ones.
        let entry = entries.iter().find(|entry| entry.run_id == current.run_id).cloned();
        let entry =
            entry.map_or_else(|| runs::entry(&lookup.database, current.run_id), |entry| Ok(Some(entry)))?;
        facts.night = entry.as_ref().map(Night::of);
        if let Some(dataset) = &dataset {
            let seen = look_through(&lookup, dataset, readers)?;
            (facts.lists, facts.readers) = (Some(seen.0), seen.1);
        }
    }
    Ok(facts)
}

/// `named`: whether examples may name readers.
fn ratings(dataset: &Dataset, named: bool) -> Ratings {
    let interactions = &dataset.ratings.interactions;
    // In whole stars, or in about ten steps if there are more; in halves if a short scale has any.
    let (low, high) = dataset.ratings.scale.unwrap_or((0.0, 0.0));
    let (mut stars, mut implicit) = (std::collections::BTreeMap::<i64, u64>::new(), 0);
    let step = ((high - low) / 10.0).max(0.5).ceil().max(1.0);
    let halves = interactions.ratings.iter().any(|rating| rating.fract().abs() == 0.5) && high - low <= 5.0;
    let step = if halves { 0.5 } else { step };
    for rating in &interactions.ratings {
        match rating.is_nan() {
            true => implicit += 1,
            false => *stars.entry(((rating - low) / step).floor() as i64).or_default() += 1,
        }
    }
    let label = |group: i64| {
        let from = low + group as f32 * step;
        if step > 1.0 { format!("{from}+") } else { from.to_string() }
    };
    let last = stars.keys().last().copied().unwrap_or_default();
    let stars = (0..=last).map(|group| (label(group), stars.get(&group).copied().unwrap_or_default()));
    Ratings { stars: stars.collect(), implicit, hygiene: hygiene(dataset, named), rows: dataset.rows }
}

fn hygiene(dataset: &Dataset, named: bool) -> Vec<Hygiene> {
    let ratings = &dataset.ratings;
    let mended = ratings.mended.iter().map(|(what, rows, examples)| {
        let what = match what {
            LOST_ZEROS => "lost zeros given back",
            LOST_CHECK_DIGIT => "a lost check digit given back",
            OTHER_SPELLING => "another spelling of a book, counted with it",
            other => other,
        };
        (what.to_owned(), rows, examples)
    });
    let opaque = ratings.opaque.iter().map(|(reason, rows, examples)| {
        (format!("no valid ISBN ({}), kept as it is", reason.replace('_', " ")), rows, examples)
    });
    let rejected = dataset.rejects.iter().map(|(reason, rows, examples)| {
        // These examples are whole rows, which name readers.
        let examples = if named { examples } else { &[] };
        (format!("rejected: {}", reason.replace('_', " ")), rows, examples)
    });
    let mut found: Vec<Hygiene> = mended
        .chain(opaque)
        .chain(rejected)
        .map(|(what, rows, examples)| Hygiene {
            what,
            rows,
            examples: examples.iter().take(3).map(|example| plain(&example.to_string())).collect(),
        })
        .collect();
    if ratings.duplicates > 0 {
        let what = "older ratings of a book by the same reader, left out".to_owned();
        found.push(Hygiene { what, rows: ratings.duplicates, examples: Vec::new() });
    }
    found
}

/// Reads all lists once: which books they show, and what a sample of readers sees.
fn look_through(lookup: &Lookup<'_>, dataset: &Dataset, sample: usize) -> Result<(Lists, Vec<ReaderCard>)> {
    let ratings = &dataset.ratings;
    let interactions = &ratings.interactions;
    let chosen = choose(lookup, dataset, sample);
    let mut shown: HashMap<String, u64> = HashMap::new();
    let (mut entries, mut popular) = (0u64, 0u64);
    let mut of_chosen: HashMap<UserId, Vec<Listed>> =
        chosen.iter().map(|user| (ratings.users.get(*user as usize).to_owned(), Vec::new())).collect();
    lists::each(&lookup.database, |user, row| {
        entries += 1;
        popular += u64::from(row.source == "popular");
        match shown.get_mut(&row.isbn) {
            Some(times) => *times += 1,
            None => {
                shown.insert(row.isbn.clone(), 1);
            }
        }
        if let Some(list) = of_chosen.get_mut(&user.to_owned()) {
            list.push(row);
        }
    })?;
    let readers = interactions.users_per_item();
    // Looked up by key: another spelling may have become the usual one since.
    let (codes, keying) = (ratings.items.codes(), Keying::of(&ratings.items, lookup.context.config));
    let mut shown_of = vec![0; readers.len()];
    for (isbn, times) in shown {
        if let Some(code) = keying.key(&isbn).and_then(|(key, _)| codes.get(key.as_str()).copied()) {
            shown_of[code as usize] += times;
        }
    }
    let mut lists = shares(&readers, &shown_of, (entries, popular));
    lists.languages = by_language(dataset, &readers, &shown_of);
    lists.categories = by_category(dataset, &readers, &shown_of);
    let cards = chosen.iter().filter_map(|user| {
        let id = ratings.users.get(*user as usize);
        let list = of_chosen.remove(&id.to_owned()).filter(|list| !list.is_empty())?;
        Some(reader(lookup, dataset, *user, id, &list))
    });
    Ok((lists, cards.collect()))
}

/// Readers for the page, taken at even distances. Those with 5 to 40 books come first, ordered by how many of
/// these have titles.
fn choose(lookup: &Lookup<'_>, dataset: &Dataset, sample: usize) -> Vec<u32> {
    const TELLING: std::ops::RangeInclusive<usize> = 5..=40;
    let (interactions, items) = (&dataset.ratings.interactions, &dataset.ratings.items);
    let all = interactions.user_count();
    let step = (all / sample.max(1)).max(1);
    let mut chosen: Vec<u32> = (0..all as u32).step_by(step).take(sample).collect();
    let told = |user: &u32| {
        let own = interactions.of(*user as usize).0;
        let titled = own.iter().filter(|item| lookup.titles.has(items.spelling(**item as usize))).count();
        if TELLING.contains(&own.len()) { titled } else { 0 }
    };
    chosen.sort_by_cached_key(|user| (std::cmp::Reverse(told(user)), *user));
    chosen
}

fn shares(readers: &[u32], shown: &[u64], (entries, popular): (u64, u64)) -> Lists {
    const GROUPS: [(u32, &str); 7] =
        [(1, "1"), (3, "≤3"), (10, "≤10"), (30, "≤30"), (100, "≤100"), (300, "≤300"), (u32::MAX, "more")];
    let all_ratings: u64 = readers.iter().map(|readers| u64::from(*readers)).sum();
    let part = |part: u64, all: u64| part as f64 / all.max(1) as f64;
    let mut groups = [(0u64, 0u64); GROUPS.len() + 1];
    let mut order: Vec<usize> = (0..readers.len()).filter(|item| readers[*item] > 0).collect();
    for (readers, shown) in readers.iter().zip(shown) {
        let group = if *readers == 0 {
            0
        } else {
            1 + GROUPS.iter().position(|(most, _)| readers <= most).unwrap_or_default()
        };
        groups[group].0 += u64::from(*readers);
        groups[group].1 += shown;
    }
    order.sort_by_key(|item| std::cmp::Reverse(readers[*item]));
    let head = &order[..order.len().div_ceil(10)];
    let labels = std::iter::once("0").chain(GROUPS.map(|(_, label)| label));
    Lists {
        shown: (shown.iter().filter(|times| **times > 0).count() as u64, shown.len() as u64),
        popular: part(popular, entries),
        head: (
            part(head.iter().map(|item| u64::from(readers[*item])).sum(), all_ratings),
            part(head.iter().map(|item| shown[*item]).sum(), entries),
        ),
        groups: labels
            .zip(groups)
            .map(|(label, (read, shown))| (label.to_owned(), part(read, all_ratings), part(shown, entries)))
            .collect(),
        ..Lists::default()
    }
}

/// Shares of what is read and of what is shown, of the groups that are read most.
fn largest(groups: Vec<(String, u64, u64)>, readers: &[u32], shown: &[u64]) -> Vec<(String, f64, f64)> {
    const MOST: usize = 8;
    let all_read = readers.iter().map(|readers| u64::from(*readers)).sum::<u64>().max(1) as f64;
    let all_shown = shown.iter().sum::<u64>().max(1) as f64;
    let mut groups = groups;
    groups.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    groups
        .into_iter()
        .take(MOST)
        .map(|(name, read, shown)| (name, read as f64 / all_read, shown as f64 / all_shown))
        .collect()
}

fn by_language(dataset: &Dataset, readers: &[u32], shown: &[u64]) -> Vec<(String, f64, f64)> {
    let mut groups: HashMap<&str, (u64, u64)> = HashMap::new();
    for item in 0..readers.len() {
        let number = dataset.ratings.items.isbn13(item).map(language::of_isbn13);
        if let Some(name) = number.and_then(language::name) {
            let group = groups.entry(name).or_default();
            group.0 += u64::from(readers[item]);
            group.1 += shown[item];
        }
    }
    let groups: Vec<_> =
        groups.into_iter().map(|(name, (read, shown))| (name.to_owned(), read, shown)).collect();
    // One language is no news.
    if groups.len() < 2 { Vec::new() } else { largest(groups, readers, shown) }
}

fn by_category(dataset: &Dataset, readers: &[u32], shown: &[u64]) -> Vec<(String, f64, f64)> {
    let group = |(name, books): &(String, Vec<u32>)| {
        let read = books.iter().map(|item| u64::from(readers[*item as usize])).sum();
        (plain(name), read, books.iter().map(|item| shown[*item as usize]).sum())
    };
    largest(dataset.selection.categories.iter().map(group).collect(), readers, shown)
}

/// A few well-known books with titles, and what is like them.
fn similar(lookup: &Lookup<'_>) -> Result<Vec<(BookName, Vec<BookName>)>> {
    const BOOKS: usize = 3;
    const LIKE: usize = 5;
    let mut found = Vec::new();
    for row in lists::popular(&lookup.database, 10 * BOOKS)? {
        let like = lists::similar(&lookup.database, &row.isbn, LIKE)?;
        if found.len() < BOOKS && lookup.titles.has(&row.isbn) && !like.is_empty() {
            found.push((book(lookup, &row.isbn), like.iter().map(|isbn| book(lookup, isbn)).collect()));
        }
    }
    Ok(found)
}

fn book(lookup: &Lookup<'_>, isbn: &str) -> BookName {
    match lookup.titles.find(isbn) {
        Some(title) => BookName { title: title.title.clone(), author: title.author.clone() },
        None => BookName { title: plain(isbn), author: None },
    }
}

fn reader(lookup: &Lookup<'_>, dataset: &Dataset, user: u32, id: UserRef<'_>, list: &[Listed]) -> ReaderCard {
    let (own, stars) = dataset.ratings.interactions.of(user as usize);
    let book = |isbn: &str| book(lookup, isbn);
    let mut liked: Vec<(u32, f32)> = own.iter().copied().zip(stars.iter().copied()).collect();
    let rank = |stars: f32| if stars.is_nan() { f32::NEG_INFINITY } else { stars };
    let titled = |item: u32| lookup.titles.has(dataset.ratings.items.spelling(item as usize));
    liked.sort_by(|a, b| {
        rank(b.1).total_cmp(&rank(a.1)).then(titled(b.0).cmp(&titled(a.0))).then(a.0.cmp(&b.0))
    });
    let liked = liked.into_iter().take(LIKED).map(|(item, stars)| {
        let stars = (!stars.is_nan()).then_some(f64::from(stars));
        (book(dataset.ratings.items.spelling(item as usize)), stars)
    });
    let card = |row: &Listed| Card {
        book: book(&row.isbn),
        stars: row.stars,
        because: match (&row.because, row.source.as_str()) {
            (Some(isbn), _) => format!("because of {}", lookup.titles.of(isbn)),
            (None, "popular") => "because many read it".to_owned(),
            (None, _) => String::new(),
        },
    };
    let id = match id {
        UserRef::Integer(id) => id.to_string(),
        UserRef::Text(id) => plain(id),
    };
    ReaderCard { id, liked: liked.collect(), read: own.len(), list: list.iter().map(card).collect() }
}
