//! The first stages of every job that reads the ratings: reads ratings and books, and encodes them
//! ([`Job::load`]).

use std::cell::OnceCell;

use xxhash_rust::xxh3::Xxh3;

use crate::catalog::attributes::Joined;
use crate::catalog::encode::{self, Encoded, UnreadTimes};
use crate::catalog::keys::{Keying, LOST_CHECK_DIGIT, LOST_ZEROS};
use crate::catalog::makers::{Particulars, Related};
use crate::catalog::metadata::BookTable;
use crate::catalog::rejects::{Example, Rejects};
use crate::catalog::selection::Selection;
use crate::catalog::times;
use crate::config::{Config, ResolvedConfig};
use crate::context::Context;
use crate::database::{Database, books, readers, source};
use crate::error::{Error, Kind, Result};
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::{Group, Maker};
use crate::pipeline::clock::Clock;
use crate::pipeline::joining;
use crate::pipeline::memory_budget::{self, MemoryBudget, Workload};
use crate::recommender::ranking::{EXAMPLES, learns};
use crate::run_summary::{Counts, RatingCounts, Stage};
use crate::text::{count, plain};

#[derive(Debug)]
pub struct Job<'a> {
    pub context: Context<'a>,
    pub clock: Clock,
    /// Rows rejected so far.
    pub rejects: Rejects,
}

impl<'a> Job<'a> {
    /// Its clock starts now.
    pub fn new(context: Context<'a>) -> Self {
        Self { context, clock: Clock::default(), rejects: Rejects::default() }
    }

    /// Reads ratings and books from the application's tables, and encodes them.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if none can be used; [`Kind::Config`] if they need more memory than is allowed.
    pub fn load(&mut self, database: &Database) -> Result<Dataset> {
        let Context { config, console, .. } = self.context;
        if !config.compute.max_memory.is_empty() {
            memory_budget::check_reading(config, source::count(database, config)?)?;
        }
        let bar = OnceCell::new();
        let watch = |rows, about| {
            bar.get_or_init(|| console.bar("read", about)).reach(rows);
            // Without max_memory, this is the only check: to count a view or a large table first takes long.
            memory_budget::check_reading(config, rows)
        };
        let reading = self.clock.time(Stage::Read, || source::read_with_progress(database, config, watch))?;
        drop(bar);
        let rows = reading.rows;
        self.rejects = reading.rejects;
        console.say(format!("read       {} ratings, {:.1} s", count(rows), self.clock.of(Stage::Read)));
        let spinner = console.spinner("normalise");
        let normalised = self.clock.time(Stage::Normalise, || encode::normalise(reading.columns, config))?;
        spinner.note("encode".into());
        let mut ratings = self.clock.time(Stage::Encode, || encode::encode(normalised))?;
        drop(spinner);
        let future = times::forget_future(&mut ratings.moments, chrono::Utc::now().timestamp() as f64);
        if future > 0 {
            let future = count(future);
            self.context
                .console
                .warn(format!("{future} ratings are dated in the future: their times count as unknown"));
        }
        self.say_which_times_are_unread(&ratings.unread_times);
        self.rejects.absorb(std::mem::take(&mut ratings.rejects));
        self.say_what_was_read(&ratings);
        if ratings.interactions.is_empty() {
            return Err(no_ratings(rows, &self.rejects));
        }
        self.readers(database, &mut ratings)?;
        let related = self.books(database, &mut ratings)?;
        let unusable = reading.selected.unusable;
        let selection = reading.selected.resolve(&ratings.users, &ratings.items, &related.genres, config)?;
        ratings.dislikes = selection.disliked.clone();
        self.say_what_was_selected(&selection, unusable);
        let digest = digest(&ratings, &related, &selection, config);
        let need = Workload {
            ratings: rows,
            users: (ratings.users.len() + related.groups.len()) as u64,
            items: ratings.items.len() as u64,
            words: related.words() as u64,
            factors: config.model.factors as u64,
            neighbours: config.model.neighbours as u64,
            examples: if learns(config) { EXAMPLES as u64 } else { 0 },
            top: config.output.top as u64,
        };
        let memory = MemoryBudget::new(config, need)?;
        Ok(Dataset { rows, rejects: self.rejects.clone(), ratings, related, selection, digest, memory })
    }

    fn say_which_times_are_unread(&self, unread: &UnreadTimes) {
        let console = self.context.console;
        if unread.odd > 0 {
            console.warn(format!(
                "{} times cannot be read and count as unknown, such as {:?}",
                count(unread.odd),
                plain(&unread.odd_example)
            ));
        }
        if unread.doubtful > 0 {
            console.warn(format!(
                "{} times count as unknown, such as {:?}: nothing says whether the day or the month comes first; set \
                 dates = \"day-first\" or \"month-first\" under [source] in the configuration file",
                count(unread.doubtful),
                plain(&unread.doubtful_example)
            ));
        }
    }

    /// Reads the table of readers, if one is named, and says how it and the ratings belong together.
    fn readers(&self, database: &Database, ratings: &mut Encoded) -> Result<()> {
        let Context { config, console, .. } = self.context;
        if config.source.readers.is_empty() {
            return Ok(());
        }
        let Joined { rated, newcomers } = readers::read(database, config)?.finish(ratings)?;
        let table = plain(&config.source.readers);
        console.say(format!(
            "readers    {} without ratings in {table}, {} with",
            count(newcomers),
            count(rated)
        ));
        if rated == 0 {
            let id = plain(&config.source.reader);
            console.warn(format!(
                "no reader of the ratings is in {table}: do its column {id} and that of the ratings hold the same ids?"
            ));
        }
        Ok(())
    }

    fn say_what_was_selected(&self, selection: &Selection, unusable: u64) {
        let Context { config, console, .. } = self.context;
        let mut told = Vec::new();
        if !selection.candidates.is_empty() {
            let candidates = selection.candidates.iter().filter(|is_candidate| **is_candidate).count();
            told.push(format!(
                "{} of {} books may be recommended",
                count(candidates),
                count(selection.candidates.len())
            ));
        }
        for (query, rows, what) in [
            (&config.exclude, selection.hidden.len() - selection.disliked.len(), "are hidden from a reader"),
            (&config.dislikes, selection.disliked.len(), "are disliked by one"),
        ] {
            if !query.query.is_empty() {
                told.push(format!("{} {what}", count(rows)));
            }
            // An id of another type than in the ratings is another reader's.
            if !query.query.is_empty() && rows == 0 && selection.unknown > 0 {
                console.warn(format!(
                    "a query finds no reader and book of the ratings, none {what}: do its columns hold the same ids, of the \
                     same type?"
                ));
            }
        }
        if !told.is_empty() {
            console.say(format!("rules      {}", told.join(", ")));
        }
        for (rows, what) in [
            (selection.unknown, "name a book or a reader without ratings"),
            (unusable, "have no reader or no book"),
        ] {
            if rows > 0 {
                console.say(format!("           {} rows of your queries {what}", count(rows)));
            }
        }
    }

    /// Runs [`related`] as a stage, and says what it found.
    fn books(&mut self, database: &Database, ratings: &mut Encoded) -> Result<Related> {
        let Context { config, console, .. } = self.context;
        let related = self.clock.time(Stage::Books, || {
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
        let (rows, found) = related.in_table;
        let rated = (0..ratings.items.len()).find(|item| ratings.items.is_rated(*item));
        let example = rated.map_or("", |item| ratings.items.spelling(item));
        if let Some(warning) = joining::doubt(config, ratings.items.rated_count(), found, rows, example) {
            console.warn(warning);
        }
        if !told.is_empty() {
            console.say(format!("books      {}, {:.1} s", told.join(", "), self.clock.of(Stage::Books)));
        }
        Ok(related)
    }

    fn say_what_was_read(&self, ratings: &Encoded) {
        let spent = self.clock.of(Stage::Normalise) + self.clock.of(Stage::Encode);
        self.context.console.say(format!(
            "normalise  {} ratings of {} books by {} readers, {spent:.1} s",
            count(ratings.interactions.len()),
            count(ratings.items.len()),
            count(ratings.users.len()),
        ));
        let notes = [
            (ratings.duplicates, "older ratings of the same book left out"),
            (ratings.mended.of(LOST_ZEROS), "with lost zeros put back"),
            (ratings.mended.of(LOST_CHECK_DIGIT), "with a lost check digit put back"),
            (ratings.opaque.total(), "with a key that is no valid ISBN, kept as it is"),
            (self.rejects.total(), "rejected"),
        ];
        for (rows, what) in notes.into_iter().filter(|(rows, _)| *rows > 0) {
            self.context.console.say(format!("           {} {what}", count(rows)));
        }
        let (rated, spread) = ratings.interactions.stars();
        let only_ones = rated > 0 && spread == 0.0 && ratings.scale.is_some_and(|(_, high)| high == 1.0);
        if only_ones
            && rated < ratings.interactions.len()
            && self.context.config.source.implicit_rating == 0.0
        {
            self.context.console.warn(
                "all ratings are 0 or 1, and a 0 counts as \"read, not rated\": if it means \"disliked\" here, set \
                 implicit_rating = -1 under [source] in the configuration file (or NIGHTSHELF_IMPLICIT_RATING=-1)",
            );
        }
        if ratings.users.len() == 1 {
            self.context.console.warn(
                "there is only one reader, and nobody to compare with: recommendations take several readers who have \
                 books in common",
            );
        }
        for (reason, rows, examples) in self.rejects.iter() {
            self.context.console.detail(format!(
                "             {reason}: {}, such as {}",
                count(rows),
                examples.iter().map(Example::to_string).collect::<Vec<_>>().join("; ")
            ));
        }
        if let Some((low, high)) = ratings.scale {
            let guessed =
                if self.context.config.source.scale.is_empty() { " (guessed from the ratings)" } else { "" };
            self.context.console.detail(format!("           ratings go from {low} to {high}{guessed}"));
        }
    }
}

/// What [`Job::load`] gives.
#[derive(Debug)]
pub struct Dataset {
    /// Rows of the application's ratings table.
    pub rows: u64,
    /// Those of them that are not used.
    pub rejects: Rejects,
    pub ratings: Encoded,
    /// Which books share an author or a publisher, or are editions of one work.
    pub related: Related,
    /// What the user's own queries name.
    pub selection: Selection,
    /// 16 hexadecimal digits, equal for equal ratings and equally related books.
    pub digest: String,
    /// For the stages after this one.
    pub memory: MemoryBudget,
}

impl Dataset {
    /// What the published model is trained on: settings, once they have seen all ratings, and the weights of all.
    pub fn problem(&self, config: &Config) -> (ResolvedConfig, ConfidenceMatrix) {
        let ratings = &self.ratings;
        let config = ResolvedConfig::new(config, &ratings.interactions);
        let weights = ratings.confidence(config.model.half_life);
        let groups = &self.related.groups;
        let confidence = ConfidenceMatrix::new(&ratings.interactions, groups, &config.model, &weights)
            .with_dislikes(&ratings.dislikes, &config.model);
        (config, confidence)
    }

    /// The counts of a run that makes `recommendations` rows.
    pub fn counts(&self, recommendations: u64) -> Counts {
        let Encoded { interactions, users, items, mended, opaque, duplicates, .. } = &self.ratings;
        let (rated, spread) = interactions.stars();
        Counts {
            ratings: RatingCounts {
                read: Some(self.rows),
                kept: Some(interactions.len() as u64),
                rated: Some(rated as u64),
                rejected: Some(self.rejects.total()),
                repaired: Some(mended.of(LOST_ZEROS) + mended.of(LOST_CHECK_DIGIT)),
                duplicates: Some(*duplicates),
                opaque: Some(opaque.total()),
            },
            spread: Some(spread),
            users: Some(users.len() as u64),
            items: Some(items.rated_count() as u64),
            new_books: Some((items.len() - items.rated_count()) as u64),
            recommendations: Some(recommendations),
        }
    }
}

/// Reads from the table of books, if there is one, which books are related. Books without ratings that lists
/// may show are added to `ratings`.
pub fn related(database: &Database, config: &Config, ratings: &mut Encoded) -> Result<Related> {
    let (codes, keying) = (ratings.items.codes(), Keying::of(&ratings.items, config));
    let table = books::read(database, config, BookTable::default, |table, isbn, texts| {
        table.add(&codes, keying, isbn, Particulars::new(texts));
    })?;
    drop(codes);
    let mut related = table.finish(ratings, config)?;
    if config.model.author_weight == 0.0 && config.model.publisher_weight == 0.0 {
        related.groups.clear();
    }
    Ok(related)
}

fn digest(ratings: &Encoded, related: &Related, selection: &Selection, config: &Config) -> String {
    let mut hash = Xxh3::new();
    hash.update(&ratings.digest().to_le_bytes());
    related.digest(&mut hash, config, ratings.items.len());
    selection.digest(&mut hash);
    ratings.attributes.iter().flatten().for_each(|code| hash.update(&code.to_le_bytes()));
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
    match rejects.iter().all(|(reason, ..)| reason == "scientific_notation") && rows > 0 {
        true => error.hint(
            "a spreadsheet has cut these ISBNs to a few digits, and many books look alike: export them again with the column \
             as text",
        ),
        false => error.hint("look at the table, and at [source] in the configuration file; --verbose shows examples"),
    }
}
