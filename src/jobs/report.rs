//! `nightshelf report`: what a page about the last night has to tell.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Local, Utc};
use serde_json::{Value, json};

use crate::catalog::spellings::{self, LOST_ZEROS, OTHER_SPELLING};
use crate::catalog::vocabulary::{UserId, UserRef};
use crate::cli::Report;
use crate::config::Config;
use crate::console::{Console, count, plain};
use crate::error::{Kind, Result};
use crate::files;
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::jobs::answers::Desk;
use crate::jobs::gate::SEED;
use crate::jobs::keep::Readers;
use crate::jobs::work::{Intake, Work};
use crate::quality::metrics;
use crate::report::page::page;
use crate::report::{Book, Card, Facts, Gate, Hygiene, Lists, Night, Ratings, Reader, Run};
use crate::store::lists::{self, Listed};
use crate::store::runs::{self, Entry};

/// Runs of the diary on the page.
const RUNS: u32 = 30;

/// Books of a reader's own that are shown.
const LIKED: usize = 5;

/// Writes the page.
///
/// # Errors
/// As [`Desk::open`] and [`Work::take_in`]; [`Kind::Io`] if the page cannot be written.
pub fn report(
    db: &Path,
    args: &Report,
    config: &Config,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let desk = Desk::open(db, config, console, interrupt)?;
    let entries = runs::last(&desk.database, RUNS)?;
    let current = runs::current(&desk.database)?;
    let _spinner = console.spinner("report");
    let silent = Console::silent();
    let intake = match Work::new(config, &silent).take_in(&desk.database) {
        Ok(intake) => Some(intake),
        // A page can be made of what is known.
        Err(error) if error.kind() == Kind::NoRatings => None,
        Err(error) => return Err(error),
    };
    let mut facts = Facts {
        shop: plain(&db.file_name().unwrap_or_default().to_string_lossy()),
        made: Local::now().format("on %Y-%m-%d at %H:%M").to_string(),
        ratings: intake.as_ref().map(|intake| ratings(intake, args.readers > 0)),
        ..Facts::default()
    };
    let figure = current.as_ref().and_then(|current| {
        let entry = entries.iter().find(|entry| entry.run_id == current.run_id)?;
        entry.metrics["gate"]["figure"].as_str().map(str::to_owned)
    });
    facts.runs = entries.iter().rev().map(|entry| run(entry, figure.as_deref())).collect();
    if let Some(current) = current {
        // It may be older than the runs that are listed.
        let entry = entries.iter().find(|entry| entry.run_id == current.run_id).cloned();
        let entry =
            entry.map_or_else(|| runs::entry(&desk.database, current.run_id), |entry| Ok(Some(entry)))?;
        facts.night = entry.map(|entry| night(&desk, &entry));
        if let Some(intake) = &intake {
            let seen = look_through(&desk, intake, args.readers as usize)?;
            (facts.lists, facts.readers) = (Some(seen.0), seen.1);
        }
    }
    let html = page(&facts)?;
    files::replace(&args.out, html.as_bytes(), None)?;
    console.say(format!("report     {}: {} kB", args.out.display(), count(html.len() / 1000)));
    Ok(json!({ "file": args.out.display().to_string(), "bytes": html.len() }).into())
}

/// A number from the diary, which lies in a database where others may write: one that can be drawn.
fn number(value: &Value) -> Option<f64> {
    const MOST: f64 = 1e12;
    value.as_f64().filter(|number| number.abs() < MOST)
}

fn local(time: Option<DateTime<Utc>>) -> String {
    time.map_or("?".into(), |time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string())
}

/// `figure` is what the published night was judged by: others cannot be set beside it.
fn run(entry: &Entry, figure: Option<&str>) -> Run {
    let gate = &entry.metrics["gate"];
    let baseline = number(&gate[gate["baseline"].as_str().unwrap_or("popularity")]);
    Run {
        run_id: entry.run_id,
        when: local(entry.started),
        what: format!("{}, {}", entry.kind, entry.status),
        seconds: number(&entry.timings["total_s"]),
        rows: entry.counts["recommendations"].as_u64().filter(|_| entry.status == "published"),
        quality: number(&gate["model"])
            .filter(|_| gate["figure"].as_str() == figure)
            .map(|model| (model, baseline)),
        error: entry.error.as_deref().map(plain),
    }
}

fn night(desk: &Desk<'_>, entry: &Entry) -> Night {
    let (counts, metrics, timings) = (&entry.counts, &entry.metrics, &entry.timings);
    let whole = |value: &Value| value.as_u64().map_or("?".to_owned(), count);
    let mut tiles = vec![
        (whole(&counts["users"]), "readers"),
        (whole(&counts["items"]), "books"),
        (whole(&counts["ratings"]["kept"]), "ratings"),
        (whole(&counts["recommendations"]), "recommendations"),
    ];
    tiles.extend(
        counts["new_books"]
            .as_u64()
            .filter(|books| *books > 0)
            .map(|books| (count(books), "new books, by known authors")),
    );
    tiles.extend(number(&timings["total_s"]).map(|seconds| (format!("{seconds:.1} s"), "for all of it")));
    let losses = ["all", "held_out"].map(|name| {
        let values = metrics["losses"][name].as_array();
        values.map(|values| values.iter().filter_map(number).collect::<Vec<f64>>()).unwrap_or_default()
    });
    let [all, first] = losses;
    // Where the last passes are as many as the first they began anew, and do not go on from those.
    let curves = match first.len() > all.len() {
        false => vec![("everything".to_owned(), all)],
        true => vec![
            ("first passes, without the hidden ratings".to_owned(), first),
            ("last passes, over everything".to_owned(), all),
        ],
    };
    let figures = [
        ("ndcg", "nDCG@20: are the hidden books in the first 20, and far up?"),
        ("recall", "Recall@20: which share of a reader's hidden books is among the first 20?"),
        ("precision", "Precision@20: which share of the first 20 are hidden books?"),
        ("hit_rate", "Hit rate@20: how many readers find at least one?"),
        ("mrr", "MRR: one by the place of the first, on average"),
        ("map", "MAP@20"),
        ("rmse", "RMSE of the stars"),
        ("mae", "MAE of the stars"),
    ];
    let figures = figures.into_iter().filter_map(|(key, name)| {
        number(&metrics[key]).map(|figure| (name.to_owned(), format!("{figure:.4}")))
    });
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(plain).collect()
    };
    let mut remarks = texts(&metrics["gate"]["objections"]);
    remarks.extend(metrics["gate"]["not_judged"].as_str().map(|why| format!("Not judged: {}", plain(why))));
    let stages = ["read", "normalise", "encode", "books", "evaluate", "train", "recommend", "publish"];
    Night {
        run_id: entry.run_id,
        when: local(entry.started),
        device: entry.device.as_deref().map(plain).unwrap_or_default(),
        version: plain(&entry.version),
        tiles: tiles.into_iter().map(|(value, name)| (value, name.to_owned())).collect(),
        losses: curves,
        figures: figures.collect(),
        gate: gate(desk, entry),
        remarks,
        stages: stages
            .into_iter()
            .filter_map(|stage| Some((short(stage).to_owned(), number(&timings[format!("{stage}_s")])?)))
            .collect(),
        memory: stages
            .into_iter()
            .filter_map(|stage| {
                let bytes = number(&metrics["memory_bytes"][stage]).filter(|bytes| *bytes > 0.0)?;
                Some((short(stage).to_owned(), bytes / 1e6))
            })
            .collect(),
        most_memory: metrics["peak_memory_bytes"].as_u64(),
    }
}

/// A stage's name where there is little room.
fn short(stage: &str) -> &str {
    match stage {
        "normalise" => "ISBNs",
        "encode" => "codes",
        "evaluate" => "gate",
        "recommend" => "lists",
        other => other,
    }
}

fn gate(desk: &Desk<'_>, entry: &Entry) -> Option<Gate> {
    let gate = &entry.metrics["gate"];
    let pair = |value: &Value| Some([number(&value[0])?, number(&value[1])?]);
    let name = gate["baseline"].as_str().unwrap_or("popularity");
    let interval = pair(&gate["interval"]).or_else(|| {
        // Runs of before did not note it; their model knows each reader's figure.
        let (readers, _) = Readers::read(&desk.database.folder(), entry.run_id, None).ok()?;
        let judged: Vec<f64> = readers.quality.into_iter().filter(|quality| !quality.is_nan()).collect();
        Some(metrics::interval(&judged, SEED)).filter(|_| gate["figure"] == "nDCG@20")
    });
    let before = &gate["before"];
    Some(Gate {
        figure: plain(gate["figure"].as_str()?),
        readers: gate["readers"].as_u64()?,
        model: number(&gate["model"])?,
        interval,
        baseline: (name.to_owned(), number(&gate[name])?),
        lead: (number(&gate["lead"]["mean"])?, pair(&gate["lead"]["interval"])?),
        before: before["run_id"]
            .as_i64()
            .and_then(|run| Some((run, number(&before["then"])?, number(&before["now"])?))),
    })
}

/// `named` is whether examples may name readers.
fn ratings(intake: &Intake, named: bool) -> Ratings {
    let interactions = &intake.ratings.interactions;
    // In whole stars, or in ten steps where there are more.
    let (low, high) = intake.ratings.scale.unwrap_or((0.0, 0.0));
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
    Ratings { stars: stars.collect(), implicit, hygiene: hygiene(intake, named), rows: intake.rows }
}

fn hygiene(intake: &Intake, named: bool) -> Vec<Hygiene> {
    let ratings = &intake.ratings;
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
    let rejected = intake.rejects.iter().map(|(reason, rows, examples)| {
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
fn look_through(desk: &Desk<'_>, intake: &Intake, sample: usize) -> Result<(Lists, Vec<Reader>)> {
    let ratings = &intake.ratings;
    let interactions = &ratings.interactions;
    let chosen = choose(desk, intake, sample);
    let mut shown: HashMap<String, u64> = HashMap::new();
    let (mut entries, mut popular) = (0u64, 0u64);
    let mut of_chosen: HashMap<UserId, Vec<Listed>> =
        chosen.iter().map(|user| (ratings.users.get(*user as usize).to_owned(), Vec::new())).collect();
    lists::each(&desk.database, |user, row| {
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
    let readers = interactions.readers_per_item();
    // By key: another spelling may have become the usual one since.
    let codes = ratings.items.codes();
    let mut shown_of = vec![0; readers.len()];
    for (isbn, times) in shown {
        if let Some(code) =
            spellings::key(&isbn, desk.config).and_then(|key| codes.get(key.as_str()).copied())
        {
            shown_of[code as usize] += times;
        }
    }
    let lists = shares(&readers, &shown_of, (entries, popular));
    let cards = chosen.iter().filter_map(|user| {
        let id = ratings.users.get(*user as usize);
        let list = of_chosen.remove(&id.to_owned()).filter(|list| !list.is_empty())?;
        Some(reader(desk, intake, *user, id, &list))
    });
    Ok((lists, cards.collect()))
}

/// Readers for the page: first a few of whom there is something to see, then others at even distances.
fn choose(desk: &Desk<'_>, intake: &Intake, sample: usize) -> Vec<u32> {
    const TELLING: std::ops::RangeInclusive<usize> = 5..=40;
    let (interactions, items) = (&intake.ratings.interactions, &intake.ratings.items);
    let all = interactions.user_count();
    let step = (all / sample.max(1)).max(1);
    let mut chosen: Vec<u32> = (0..all as u32).step_by(step).take(sample).collect();
    // The most telling first: many books of their own, with titles.
    let told = |user: &u32| {
        let own = interactions.of(*user as usize).0;
        let titled = own.iter().filter(|item| desk.titles.has(items.spelling(**item as usize))).count();
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

fn reader(desk: &Desk<'_>, intake: &Intake, user: u32, id: UserRef<'_>, list: &[Listed]) -> Reader {
    let (own, stars) = intake.ratings.interactions.of(user as usize);
    let book = |isbn: &str| match desk.titles.find(isbn) {
        Some(title) => Book { title: title.title.clone(), author: title.author.clone() },
        None => Book { title: plain(isbn), author: None },
    };
    let mut liked: Vec<(u32, f32)> = own.iter().copied().zip(stars.iter().copied()).collect();
    let rank = |stars: f32| if stars.is_nan() { f32::NEG_INFINITY } else { stars };
    let titled = |item: u32| desk.titles.has(intake.ratings.items.spelling(item as usize));
    liked.sort_by(|a, b| {
        rank(b.1).total_cmp(&rank(a.1)).then(titled(b.0).cmp(&titled(a.0))).then(a.0.cmp(&b.0))
    });
    let liked = liked.into_iter().take(LIKED).map(|(item, stars)| {
        let stars = (!stars.is_nan()).then_some(f64::from(stars));
        (book(intake.ratings.items.spelling(item as usize)), stars)
    });
    let card = |row: &Listed| Card {
        book: book(&row.isbn),
        stars: row.stars,
        because: match (&row.because, row.source.as_str()) {
            (Some(isbn), _) => format!("because of {}", desk.titles.of(isbn)),
            (None, "popular") => "because many read it".to_owned(),
            (None, _) => String::new(),
        },
    };
    let id = match id {
        UserRef::Integer(id) => id.to_string(),
        UserRef::Text(id) => plain(id),
    };
    Reader { id, liked: liked.collect(), read: own.len(), list: list.iter().map(card).collect() }
}
