//! What the page about the last night tells, gathered from the database, the history and the model.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Local, Utc};

use crate::catalog::ids::{UserId, UserRef};
use crate::catalog::keys::{self, LOST_ZEROS, OTHER_SPELLING};
use crate::console::Console;
use crate::context::Context;
use crate::database::lists::{self, Listed};
use crate::database::runs;
use crate::error::{Kind, Result};
use crate::model_store::StoredUsers;
use crate::pipeline::dataset::{Dataset, Job};
use crate::pipeline::gate::SEED;
use crate::quality::metrics;
use crate::query::Lookup;
use crate::recommender::evaluator::Measure;
use crate::report::{BookName, Card, Facts, Gate, Hygiene, Lists, Night, Ratings, ReaderCard, Run};
use crate::run_summary::{Entry, Figures, GateMetrics, RunStatus, Stage, Timings};
use crate::text::{count, plain};

/// Runs of the history on the page.
const RUNS: u32 = 30;

/// Books of a reader's own that are shown.
const LIKED: usize = 5;

/// Gathers what the page tells, with so many readers on it.
///
/// # Errors
/// As [`Lookup::open`] and [`Job::load`].
pub fn gather(context: Context<'_>, db: &Path, readers: usize) -> Result<Facts> {
    let lookup = Lookup::open(context, db)?;
    let entries = runs::last(&lookup.database, RUNS)?;
    let current = runs::current(&lookup.database)?;
    let _spinner = context.console.spinner("report");
    let silent = Console::silent();
    let dataset = match Job::new(Context { console: &silent, ..context }).load(&lookup.database) {
        Ok(dataset) => Some(dataset),
        // A page can be made of what is known.
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
    facts.runs = entries.iter().rev().map(|entry| run(entry, figure.as_deref())).collect();
    if let Some(current) = current {
        // It may be older than the runs that are listed.
        let entry = entries.iter().find(|entry| entry.run_id == current.run_id).cloned();
        let entry =
            entry.map_or_else(|| runs::entry(&lookup.database, current.run_id), |entry| Ok(Some(entry)))?;
        facts.night = entry.map(|entry| night(&lookup, &entry));
        if let Some(dataset) = &dataset {
            let seen = look_through(&lookup, dataset, readers)?;
            (facts.lists, facts.readers) = (Some(seen.0), seen.1);
        }
    }
    Ok(facts)
}

/// A number from the history, which lies in a database where others may write: one that can be drawn.
fn drawable(number: f64) -> Option<f64> {
    const MOST: f64 = 1e12;
    Some(number).filter(|number| number.abs() < MOST)
}

fn local(time: Option<DateTime<Utc>>) -> String {
    time.map_or("?".into(), |time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string())
}

/// `figure` is what the published night was judged by: others cannot be set beside it.
fn run(entry: &Entry, figure: Option<&str>) -> Run {
    let gate = entry.metrics.as_ref().and_then(|metrics| metrics.gate.as_ref());
    let quality = |gate: &GateMetrics| {
        let model = gate.model.and_then(drawable).filter(|_| gate.figure.as_deref() == figure)?;
        Some((model, gate.baseline_figure().and_then(drawable)))
    };
    let rows = entry.counts.as_ref().and_then(|counts| counts.recommendations);
    Run {
        run_id: entry.run_id,
        when: local(entry.started),
        what: format!("{}, {}", entry.kind, entry.status),
        seconds: entry.timings.as_ref().and_then(Timings::total).and_then(drawable),
        rows: rows.filter(|_| entry.status == RunStatus::Published),
        quality: gate.and_then(quality),
        error: entry.error.as_deref().map(plain),
    }
}

/// The stages of a night, and what they are called where there is little room.
const STAGES: [(Stage, &str); 8] = [
    (Stage::Read, "read"),
    (Stage::Normalise, "ISBNs"),
    (Stage::Encode, "codes"),
    (Stage::Books, "books"),
    (Stage::Evaluate, "gate"),
    (Stage::Train, "train"),
    (Stage::Recommend, "lists"),
    (Stage::Publish, "publish"),
];

fn night(lookup: &Lookup<'_>, entry: &Entry) -> Night {
    let counts = entry.counts.clone().unwrap_or_default();
    let metrics = entry.metrics.clone().unwrap_or_default();
    let timings = entry.timings.clone().unwrap_or_default();
    let whole = |number: Option<u64>| number.map_or("?".to_owned(), count);
    let mut tiles = vec![
        (whole(counts.users), "readers"),
        (whole(counts.items), "books"),
        (whole(counts.ratings.kept), "ratings"),
        (whole(counts.recommendations), "recommendations"),
    ];
    let new_books = counts.new_books.filter(|books| *books > 0);
    tiles.extend(new_books.map(|books| (count(books), "new books, by known authors")));
    let total = timings.total().and_then(drawable);
    tiles.extend(total.map(|seconds| (format!("{seconds:.1} s"), "for all of it")));
    let losses = metrics.losses.clone().unwrap_or_default();
    let curve = |values: Option<Vec<f64>>| -> Vec<f64> {
        values.unwrap_or_default().into_iter().filter_map(drawable).collect()
    };
    let [all, first] = [losses.all, losses.held_out].map(curve);
    // Where the last passes are as many as the first they began anew, and do not go on from those.
    let curves = match first.len() > all.len() {
        false => vec![("everything".to_owned(), all)],
        true => vec![
            ("first passes, without the hidden ratings".to_owned(), first),
            ("last passes, over everything".to_owned(), all),
        ],
    };
    let Figures { ndcg, recall, precision, hit_rate, mrr, map, rmse, mae, .. } =
        metrics.figures.clone().unwrap_or_default();
    let figures = [
        (ndcg, "nDCG@20: are the hidden books in the first 20, and far up?"),
        (recall, "Recall@20: which share of a reader's hidden books is among the first 20?"),
        (precision, "Precision@20: which share of the first 20 are hidden books?"),
        (hit_rate, "Hit rate@20: how many readers find at least one?"),
        (mrr, "MRR: one by the place of the first, on average"),
        (map, "MAP@20"),
        (rmse, "RMSE of the stars"),
        (mae, "MAE of the stars"),
    ];
    let figures = figures
        .into_iter()
        .filter_map(|(figure, name)| Some((name.to_owned(), format!("{:.4}", drawable(figure?)?))));
    let judged = metrics.gate.clone().unwrap_or_default();
    let objections = judged.objections.unwrap_or_default();
    let mut remarks: Vec<String> = objections.iter().map(|objection| plain(objection)).collect();
    remarks.extend(judged.not_judged.map(|why| format!("Not judged: {}", plain(&why))));
    let seconds =
        |(stage, name): (Stage, &str)| Some((name.to_owned(), timings.of(stage).and_then(drawable)?));
    let megabytes = |(stage, name): (Stage, &str)| {
        let bytes = metrics.memory_bytes.get(&stage).copied().flatten().filter(|bytes| *bytes > 0)?;
        Some((name.to_owned(), drawable(bytes as f64)? / 1e6))
    };
    Night {
        run_id: entry.run_id,
        when: local(entry.started),
        device: entry.device.as_deref().map(plain).unwrap_or_default(),
        version: plain(&entry.version),
        tiles: tiles.into_iter().map(|(value, name)| (value, name.to_owned())).collect(),
        losses: curves,
        figures: figures.collect(),
        gate: gate(lookup, entry),
        remarks,
        stages: STAGES.into_iter().filter_map(seconds).collect(),
        memory: STAGES.into_iter().filter_map(megabytes).collect(),
        most_memory: metrics.peak_memory_bytes,
    }
}

fn gate(lookup: &Lookup<'_>, entry: &Entry) -> Option<Gate> {
    let gate = entry.metrics.as_ref()?.gate.as_ref()?;
    let pair = |[low, high]: [f64; 2]| Some([drawable(low)?, drawable(high)?]);
    let interval = gate.interval.and_then(pair).or_else(|| {
        // Runs of before did not note it; their model knows each reader's figure.
        let (readers, _) = StoredUsers::read(&lookup.database.folder(), entry.run_id, None).ok()?;
        let judged: Vec<f64> = readers.quality.into_iter().filter(|quality| !quality.is_nan()).collect();
        Some(metrics::interval(&judged, SEED))
            .filter(|_| gate.figure.as_deref() == Some(Measure::Lists.name()))
    });
    let lead = gate.lead?;
    Some(Gate {
        figure: plain(gate.figure.as_deref()?),
        readers: gate.readers?,
        model: drawable(gate.model?)?,
        interval,
        baseline: (gate.baseline.unwrap_or_default().to_string(), drawable(gate.baseline_figure()?)?),
        lead: (drawable(lead.mean)?, pair(lead.interval)?),
        before: gate
            .before
            .as_ref()
            .and_then(|before| Some((before.run_id, drawable(before.then)?, drawable(before.now)?))),
    })
}

/// `named` is whether examples may name readers.
fn ratings(dataset: &Dataset, named: bool) -> Ratings {
    let interactions = &dataset.ratings.interactions;
    // In whole stars, or in ten steps where there are more.
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
            OTHER_SPELLING => "another spelling of a book, counted with it",
            other => other,
        };
        (what.to_owned(), rows, examples)
    });
    let opaque = ratings.opaque.iter().map(|(reason, rows, examples)| {
        (format!("no valid ISBN ({}), kept as it is", reason.replace('_', " ")), rows, examples)
    });
    let rejected = dataset.rejects.iter().map(|(reason, rows, examples)| {
        // Whole rows, with whoever they are of.
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

/// Goes through all lists once: which books they show, and what some readers see.
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
    // By key: another spelling may have become the usual one since.
    let codes = ratings.items.codes();
    let mut shown_of = vec![0; readers.len()];
    for (isbn, times) in shown {
        if let Some(code) =
            keys::key(&isbn, lookup.context.config).and_then(|key| codes.get(key.as_str()).copied())
        {
            shown_of[code as usize] += times;
        }
    }
    let lists = shares(&readers, &shown_of, (entries, popular));
    let cards = chosen.iter().filter_map(|user| {
        let id = ratings.users.get(*user as usize);
        let list = of_chosen.remove(&id.to_owned()).filter(|list| !list.is_empty())?;
        Some(reader(lookup, dataset, *user, id, &list))
    });
    Ok((lists, cards.collect()))
}

/// StoredUsers for the page: first a few of whom there is something to see, then others at even distances.
fn choose(lookup: &Lookup<'_>, dataset: &Dataset, sample: usize) -> Vec<u32> {
    const TELLING: std::ops::RangeInclusive<usize> = 5..=40;
    let (interactions, items) = (&dataset.ratings.interactions, &dataset.ratings.items);
    let all = interactions.user_count();
    let step = (all / sample.max(1)).max(1);
    let mut chosen: Vec<u32> = (0..all as u32).step_by(step).take(sample).collect();
    // The most telling first: many books of their own, with titles.
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
    }
}

fn reader(lookup: &Lookup<'_>, dataset: &Dataset, user: u32, id: UserRef<'_>, list: &[Listed]) -> ReaderCard {
    let (own, stars) = dataset.ratings.interactions.of(user as usize);
    let book = |isbn: &str| match lookup.titles.find(isbn) {
        Some(title) => BookName { title: title.title.clone(), author: title.author.clone() },
        None => BookName { title: plain(isbn), author: None },
    };
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
