//! What every job that reads the ratings does alike: read, normalise, encode, and keep the time.

use std::time::Instant;

use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::Xxh3;

use crate::catalog::frame::{self, Encoded};
use crate::catalog::groups::{Group, Maker, Particulars, Related};
use crate::catalog::rejects::{Example, Rejects};
use crate::catalog::shelf::Shelf;
use crate::catalog::spellings::LOST_ZEROS;
use crate::config::Config;
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::jobs::room::{self, Need, Room};
use crate::store::{Database, books, source};

/// A job in progress.
#[derive(Debug)]
pub struct Work<'a> {
    /// The settings of today.
    pub config: &'a Config,
    /// Where to tell.
    pub console: &'a Console,
    /// Seconds by stage.
    pub clock: Clock,
    /// Rows that could not be used, as far as they are known yet.
    pub rejects: Rejects,
}

impl<'a> Work<'a> {
    /// Begins now.
    pub fn new(config: &'a Config, console: &'a Console) -> Self {
        Self { config, console, clock: Clock::default(), rejects: Rejects::default() }
    }

    /// The ratings and the books, from the application's tables to codes.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if there is none to use; [`Kind::Config`] if it takes more memory than it may; else as [`source::read`] and [`books::read`].
    pub fn take_in(&mut self, database: &Database) -> Result<Intake> {
        let (config, console) = (self.config, self.console);
        if !config.compute.max_memory.is_empty() {
            room::check_reading(config, source::count(database, config)?)?;
        }
        // What the machine allows is asked on the way: counting a view or a large table takes long.
        let fits = |rows| room::check_reading(config, rows);
        let reading = self.clock.time("read", || source::read_within(database, config, console, fits))?;
        let rows = reading.rows;
        self.rejects = reading.rejects;
        console.say(format!("read       {} ratings, {:.1} s", count(rows), self.clock.of("read")));
        let spinner = console.spinner("normalise");
        let normalised = self.clock.time("normalise", || frame::normalise(reading.columns, config))?;
        spinner.note("encode".into());
        let mut ratings = self.clock.time("encode", || frame::encode(normalised))?;
        drop(spinner);
        self.rejects.absorb(std::mem::take(&mut ratings.rejects));
        self.say_what_was_read(&ratings);
        if ratings.interactions.is_empty() {
            return Err(no_ratings(rows, &self.rejects));
        }
        let related = self.books(database, &mut ratings)?;
        let digest = digest(&ratings, &related, config);
        let need = Need {
            ratings: rows,
            users: (ratings.users.len() + related.groups.len()) as u64,
            items: ratings.items.len() as u64,
            factors: config.model.factors as u64,
            top: config.output.top as u64,
        };
        let room = Room::new(config, need)?;
        Ok(Intake { rows, rejects: self.rejects.clone(), ratings, related, digest, room })
    }

    /// The stage of [`related`].
    fn books(&mut self, database: &Database, ratings: &mut Encoded) -> Result<Related> {
        let (config, console) = (self.config, self.console);
        let related = self.clock.time("books", || {
            let _spinner = console.spinner("books");
            related(database, config, ratings)
        })?;
        let (groups, editions) = (&related.groups, related.editions(config));
        let of = |maker| groups.iter().filter(|group: &&Group| group.maker == maker).count();
        let mut told = Vec::new();
        if !groups.is_empty() {
            told.push(format!(
                "{} authors and {} publishers of several, {} books without ratings",
                count(of(Maker::Author)),
                count(of(Maker::Publisher)),
                count(ratings.items.len() - ratings.items.rated_count()),
            ));
        }
        if let (works @ 1.., books) = editions.count() {
            told.push(format!("{} works in {} editions", count(works), count(books)));
        }
        if !told.is_empty() {
            console.say(format!("books      {}, {:.1} s", told.join(", "), self.clock.of("books")));
        }
        Ok(related)
    }

    fn say_what_was_read(&self, ratings: &Encoded) {
        let spent = self.clock.of("normalise") + self.clock.of("encode");
        self.console.say(format!(
            "normalise  {} ratings of {} books by {} readers, {spent:.1} s",
            count(ratings.interactions.len()),
            count(ratings.items.len()),
            count(ratings.users.len()),
        ));
        let notes = [
            (ratings.duplicates, "older ratings of the same book left out"),
            (ratings.mended.of(LOST_ZEROS), "with lost zeros put back"),
            (ratings.opaque.total(), "with a key that is no valid ISBN, kept as it is"),
            (self.rejects.total(), "rejected"),
        ];
        for (rows, what) in notes.into_iter().filter(|(rows, _)| *rows > 0) {
            self.console.say(format!("           {} {what}", count(rows)));
        }
        let (rated, spread) = ratings.interactions.stars();
        let only_ones = rated > 0 && spread == 0.0 && ratings.scale.is_some_and(|(_, high)| high == 1.0);
        if only_ones && rated < ratings.interactions.len() && self.config.source.implicit_rating == 0.0 {
            self.console.warn(
                "all ratings are 0 or 1, and a 0 counts as \"read, not rated\": if it means \"disliked\" here, set \
                 implicit_rating = -1 under [source] in the configuration file (or NIGHTSHELF_IMPLICIT_RATING=-1)",
            );
        }
        if ratings.users.len() == 1 {
            self.console.warn(
                "there is only one reader, and nobody to compare with: recommendations take several readers who have \
                 books in common",
            );
        }
        for (reason, rows, examples) in self.rejects.iter() {
            self.console.detail(format!(
                "             {reason}: {}, such as {}",
                count(rows),
                examples.iter().map(Example::to_string).collect::<Vec<_>>().join("; ")
            ));
        }
        if let Some((low, high)) = ratings.scale {
            let guessed =
                if self.config.source.scale.is_empty() { " (guessed from the ratings)" } else { "" };
            self.console.detail(format!("           ratings go from {low} to {high}{guessed}"));
        }
    }
}

/// The ratings in codes, and how many there were.
#[derive(Debug)]
pub struct Intake {
    /// Rows of the application's table.
    pub rows: u64,
    /// Of those, not used.
    pub rejects: Rejects,
    /// The rest.
    pub ratings: Encoded,
    /// How the books belong together.
    pub related: Related,
    /// The same for the same ratings and books: 16 hexadecimal digits.
    pub digest: String,
    /// How much memory there is for the rest.
    pub room: Room,
}

impl Intake {
    /// What came in, and that `recommendations` rows go out.
    pub fn counts(&self, recommendations: u64) -> Value {
        let (rated, spread) = self.ratings.interactions.stars();
        json!({
            "ratings": {
                "read": self.rows,
                "kept": self.ratings.interactions.len(),
                "rated": rated,
                "rejected": self.rejects.total(),
                "repaired": self.ratings.mended.of(LOST_ZEROS),
                "duplicates": self.ratings.duplicates,
                "opaque": self.ratings.opaque.total(),
            },
            "spread": spread,
            "users": self.ratings.users.len(),
            "items": self.ratings.items.rated_count(),
            "new_books": self.ratings.items.len() - self.ratings.items.rated_count(),
            "recommendations": recommendations,
        })
    }
}

/// How the books of `ratings` belong together, where there is a table of books; new ones join them.
///
/// # Errors
/// Whatever SQLite says.
pub fn related(database: &Database, config: &Config, ratings: &mut Encoded) -> Result<Related> {
    let makers_count = config.model.author_weight > 0.0 || config.model.publisher_weight > 0.0;
    if !makers_count && !config.output.one_edition {
        return Ok(Related::default());
    }
    let codes = ratings.items.codes();
    let shelf = books::read(database, config, Shelf::default, |shelf, book| {
        let [title, author, publisher] =
            [&book.title, &book.author, &book.publisher].map(|text| text.as_deref());
        shelf.add(&codes, &book.isbn, Particulars::new(title, author, publisher), config);
    })?;
    drop(codes);
    let mut related = shelf.finish(ratings, config)?;
    if !makers_count {
        related.groups.clear();
    }
    Ok(related)
}

fn digest(ratings: &Encoded, related: &Related, config: &Config) -> String {
    let mut hash = Xxh3::new();
    hash.update(&ratings.digest().to_le_bytes());
    for group in &related.groups {
        hash.update(&[group.maker as u8]);
        group.items.iter().for_each(|item| hash.update(&item.to_le_bytes()));
    }
    let editions = related.editions(config);
    if editions.count().0 > 0 {
        editions.works(ratings.items.len()).iter().for_each(|work| hash.update(&work.to_le_bytes()));
    }
    format!("{:016x}", hash.digest())
}

fn no_ratings(rows: u64, rejects: &Rejects) -> Error {
    let error = match rows {
        0 => Error::new(Kind::NoRatings, "the ratings table is empty"),
        _ => {
            let reasons: Vec<String> =
                rejects.iter().map(|(reason, rows, _)| format!("{reason} {}", count(rows))).collect();
            let all = count(rows);
            Error::new(Kind::NoRatings, format!("none of {all} ratings can be used: {}", reasons.join(", ")))
        }
    };
    error.hint("look at the table, and at [source] in the configuration file; --verbose shows examples")
}

/// Seconds and memory by stage.
#[derive(Debug)]
pub struct Clock {
    since: Instant,
    stages: Map<String, Value>,
    memory: Map<String, Value>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { since: Instant::now(), stages: Map::new(), memory: Map::new() }
    }
}

impl Clock {
    /// Does a stage, and notes how long it took.
    pub fn time<T>(&mut self, stage: &str, work: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let value = work();
        self.note(stage, since);
        value
    }

    /// Notes that a stage has gone on until now.
    pub fn note(&mut self, stage: &str, since: Instant) {
        self.stages.insert(format!("{stage}_s"), seconds(since));
        self.memory.insert(stage.to_owned(), json!(peak_memory()));
    }

    /// The most memory, in bytes, that had been taken when each stage ended.
    pub fn memory(&self) -> Value {
        self.memory.clone().into()
    }

    /// How long a stage took.
    pub fn of(&self, stage: &str) -> f64 {
        self.stages.get(&format!("{stage}_s")).and_then(Value::as_f64).unwrap_or_default()
    }

    /// Every stage, 0 for those in `stages` that there was no need of, and the total.
    pub fn timings(&self, stages: &[&str]) -> Value {
        let mut timings: Map<_, _> = stages.iter().map(|stage| (format!("{stage}_s"), json!(0.0))).collect();
        timings.extend(self.stages.clone());
        timings.insert("total_s".into(), seconds(self.since));
        timings.into()
    }
}

fn seconds(since: Instant) -> Value {
    json!((since.elapsed().as_secs_f64() * 1e3).round() / 1e3)
}

/// The most memory that this process has had, in bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
