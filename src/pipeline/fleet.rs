//! Many databases at a glance: which of them need somebody, the worst first.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::context::Context;
use crate::database::runs;
use crate::error::{Error, Kind, Result};
use crate::report::fleet::{Shop, State};
use crate::run_summary::{RunRecord, RunStatus};
use crate::text::plain;

/// How old lists may be: a night and a half, as in the alert of jobs/README.md.
const OLDEST_HOURS: f64 = 36.0;

/// How many nights are looked through for the last good one.
const NIGHTS: u32 = 100;

/// What was named.
#[derive(Debug, PartialEq)]
pub enum Named {
    One(PathBuf),
    /// Several files, each once, or those of a shape, be there only one today.
    Many(Vec<PathBuf>),
}

/// The files that were named; `*`, `?` and `[…]` in a name stand for all files of that shape.
///
/// # Errors
/// [`Kind::NoInput`] if a name of that shape finds no file.
pub fn files(named: &[PathBuf]) -> Result<Named> {
    let (mut files, mut has_shape) = (Vec::new(), false);
    for path in named {
        let pattern = path.to_str().filter(|name| name.contains(['*', '?', '[']) && !path.exists());
        let Some(pattern) = pattern else {
            files.push(path.clone());
            continue;
        };
        has_shape = true;
        let found = glob::glob(pattern).map_err(|error| {
            Error::new(Kind::Config, format!("--db {}: {error}", plain(pattern)))
                .hint("name the files one by one")
        })?;
        let before = files.len();
        files.extend(found.filter_map(std::result::Result::ok).filter(|path| path.is_file()));
        if files.len() == before {
            return Err(Error::new(Kind::NoInput, format!("no file has a name like {}", plain(pattern)))
                .hint("`*` stands for any part of a name, in one folder"));
        }
    }
    files.sort();
    files.dedup();
    Ok(match (files.pop(), files.is_empty() && !has_shape) {
        (Some(one), true) => Named::One(one),
        (last, _) => {
            files.extend(last);
            Named::Many(files)
        }
    })
}

/// All of these databases, the worst first. One that cannot be read is the worst of all, and stops nothing.
pub fn look(context: Context<'_>, files: &[PathBuf]) -> Vec<Shop> {
    let now = Utc::now();
    let mut shops: Vec<Shop> = files.iter().map(|path| shop(context, path, now)).collect();
    shops.sort_by(|a, b| {
        let age = |shop: &Shop| shop.age_hours.unwrap_or(f64::INFINITY);
        a.state.cmp(&b.state).then(age(b).total_cmp(&age(a))).then_with(|| a.db.cmp(&b.db))
    });
    shops
}

/// An error if some of them cannot be read: whoever asks by machine must not take that for a good morning.
pub fn unreadable(shops: &[Shop]) -> Option<Error> {
    let number = |state: State| shops.iter().filter(|shop| shop.state == state).count();
    match (number(State::Unreadable), number(State::Busy)) {
        (0, 0) => None,
        (0, busy) => Some(
            Error::new(Kind::Busy, format!("{busy} of {} databases stayed busy", shops.len()))
                .hint("try again later; they stand first"),
        ),
        (broken, busy) => Some(
            Error::new(
                Kind::NoInput,
                format!("{} of {} databases cannot be read", broken + busy, shops.len()),
            )
            .hint("they stand first, each with the reason"),
        ),
    }
}

fn shop(context: Context<'_>, path: &Path, now: DateTime<Utc>) -> Shop {
    let db = plain(&path.display().to_string());
    match history(context, path) {
        Ok(history) => of_history(db, &history, now),
        Err(error) => {
            let state = if error.kind() == Kind::Busy { State::Busy } else { State::Unreadable };
            Shop { db, state, remark: Some(plain(&error.to_string())), ..Shop::default() }
        }
    }
}

/// The last nights, newest first.
fn history(context: Context<'_>, path: &Path) -> Result<Vec<RunRecord>> {
    runs::last_nights(&context.open(path)?, NIGHTS)
}

fn of_history(db: String, history: &[RunRecord], now: DateTime<Utc>) -> Shop {
    let nights = || history.iter().filter(|run| run.status != RunStatus::DryRun);
    let good = nights().find(|run| run.is_good());
    // What was unchanged has no figures of its own.
    let published = nights().find(|run| run.status == RunStatus::Published);
    let age_hours =
        good.and_then(|run| run.finished).map(|finished| (now - finished).num_minutes() as f64 / 60.0);
    let is_old = age_hours.is_none_or(|hours| hours > OLDEST_HOURS);
    let last = nights().next();
    let state = match last.map(|run| run.status) {
        None => State::Never,
        Some(RunStatus::Failed) => State::Failed,
        Some(RunStatus::Refused) => State::Refused,
        Some(RunStatus::Interrupted) => State::Interrupted,
        Some(RunStatus::Running) if is_old => State::Interrupted,
        Some(_) if is_old => State::Old,
        Some(_) => State::Good,
    };
    let counts = published.and_then(|run| run.counts.as_ref());
    let figures = published.and_then(|run| run.metrics.as_ref()?.figures.as_ref());
    Shop {
        db,
        state,
        age_hours,
        ratings: counts.and_then(|counts| counts.ratings.kept),
        readers: counts.and_then(|counts| counts.users),
        rows: counts.and_then(|counts| counts.recommendations),
        seconds: published.and_then(|run| run.timings.as_ref()?.total()),
        ndcg: figures.and_then(|figures| figures.ndcg),
        remark: last.and_then(|run| run.error.as_deref()).map(plain),
    }
}
