//! Settings: merges four layers into one checked [`Config`].
//!
//! A setting has one name, unique in the whole file. It can be set under that name in the TOML file, as
//! `NIGHTSHELF_<NAME>` in the environment, and, if it is a common one, as a flag. Each of these layers
//! overrides the one before, key by key, and the first overrides [`Config::default`]. The defaults are
//! also the list of all keys, so an unknown key is found by looking there.

mod layers;
mod resolved;

pub use layers::unknown_variables;
pub use resolved::ResolvedConfig;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::model::hyperparameters::{HalfLife, Minibatch, Model, Objective, Rating, Solver};
pub use crate::model::ranker::{Kind as RankerKind, Settings as Ranker};
pub use crate::model::rules::{Language, Settings as Rules};

/// The most factors per reader and book.
pub const MOST_FACTORS: usize = 4096;

/// All settings. `jobs/nightly.toml` explains each key.
///
/// Stored as JSON with each run and each model; a key that is missing there has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The application's tables and columns.
    pub source: Source,
    /// How books are told apart.
    pub items: Items,
    /// The model behind the lists.
    pub model: Model,
    /// The model behind `predicted_rating`, and behind `objective = "rating"`.
    pub rating: Rating,
    /// Settings of the `adam` and `sgd` solvers.
    pub minibatch: Minibatch,
    /// What orders the candidates that the models find.
    pub ranker: Ranker,
    /// What lists keep to.
    pub rules: Rules,
    /// What may be recommended tonight.
    pub candidates: Query,
    /// What each reader is not to see.
    pub exclude: Query,
    /// What each reader does not like: not shown again, and what is like it stands further down.
    pub dislikes: Query,
    /// What `recommendations_popular_by` has lists for.
    pub categories: Query,
    /// What is published.
    pub output: Output,
    /// When a night's lists are not published.
    pub gate: Gate,
    /// When a full night is needed instead of a backfill.
    pub backfill: Backfill,
    /// What the job may use of the machine.
    pub compute: Compute,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// The table or view with the ratings.
    pub table: String,
    /// Its column with the reader's id: INTEGER or TEXT.
    pub user: String,
    /// Its column with the ISBN, or with any item id if `key = "text"`.
    pub isbn: String,
    /// Its column with the rating; empty if there is none and every row means "read".
    pub rating: String,
    /// Its column with the time of the rating; ignored if the table has no column of that name.
    pub rated_at: String,
    /// What comes first in times such as `03/04/2024`.
    pub dates: DateOrder,
    /// How much each row counts, as a column or an SQL expression; empty if all count the same. Several rows of one pair
    /// add up.
    pub weight: String,
    /// A `SELECT` of user, isbn, rating and, optionally, a time and a weight; replaces the six settings above.
    pub query: String,
    /// The rating that means "read, but not rated".
    pub implicit_rating: f64,
    /// Lowest and highest rating; empty to guess them from the ratings.
    pub scale: Vec<f64>,
    /// The table of books, for titles, authors and publishers; ignored if there is none.
    pub books: String,
    /// Its column with the ISBN.
    pub book_isbn: String,
    /// Its column with the title.
    pub title: String,
    /// Its column with the author.
    pub author: String,
    /// Its column with the publisher.
    pub publisher: String,
    /// Its column with the year of publication.
    pub year: String,
    /// Its column with genres or subjects: labels between commas, semicolons or bars.
    pub genre: String,
    /// Its column with a description.
    pub description: String,
    /// Its column with the name of a series; without one, titles such as `Catching Fire (The Hunger Games, #2)` tell.
    pub series: String,
    /// Its column with the number of the volume in its series.
    pub volume: String,
    /// A table of readers; empty for none. Readers without ratings get lists, too.
    pub readers: String,
    /// Its column with the reader's id.
    pub reader: String,
    /// Its columns that say something of taste, such as `birth_year, country`.
    pub attributes: String,
}

/// What comes first in dates of which only the column can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// Whatever the column says.
    #[default]
    Auto,
    DayFirst,
    MonthFirst,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            table: "ratings".into(),
            user: "user_id".into(),
            isbn: "isbn".into(),
            rating: "rating".into(),
            rated_at: "rated_at".into(),
            dates: DateOrder::default(),
            weight: String::new(),
            query: String::new(),
            implicit_rating: 0.0,
            scale: Vec::new(),
            books: "books".into(),
            book_isbn: "isbn".into(),
            title: "title".into(),
            author: "author".into(),
            publisher: "publisher".into(),
            year: "year".into(),
            genre: "genre".into(),
            description: "description".into(),
            series: "series".into(),
            volume: "volume".into(),
            readers: String::new(),
            reader: "id".into(),
            attributes: String::new(),
        }
    }
}

/// A `SELECT` of the user's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Query {
    /// Empty for none.
    pub query: String,
}

/// What the column `isbn` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// ISBNs in any spelling: spellings of one book become one key.
    #[default]
    Isbn,
    /// Any text: each distinct text is an item of its own.
    Text,
}

/// What happens to ratings whose key is no valid ISBN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Invalid {
    /// They stay, under that key as it is but for case and separators.
    #[default]
    Keep,
    /// They are rejected.
    Drop,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Items {
    /// Whether keys are ISBNs or any text.
    pub key: KeyKind,
    /// Whether to keep or drop ratings whose key is no valid ISBN.
    pub invalid: Invalid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Output {
    /// Books in a reader's list, N.
    pub top: usize,
    /// Books in `recommendations_popular`, and in each list of `recommendations_popular_by`.
    pub popular: usize,
    /// Readers that a book must have for `recommendations_similar`; 0 to leave that table empty.
    pub similar_readers: usize,
    /// The largest share of a list that may be books without ratings, by authors of books with ratings;
    /// 0 leaves such books out.
    pub new_books: f64,
    /// Whether a list has at most one edition of a work, and none of a work that its reader already has.
    /// Titles and authors tell which books are one work.
    pub one_edition: bool,
    /// Seconds to wait for a locked database before giving up.
    pub patience: u64,
    /// The file to write metrics for Prometheus to; empty for none.
    pub metrics_file: String,
}

impl Output {
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

impl Default for Output {
    fn default() -> Self {
        Self {
            top: 10,
            popular: 100,
            similar_readers: 3,
            new_books: 0.2,
            one_edition: true,
            patience: 300,
            metrics_file: String::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gate {
    /// Whether the lists are checked before they are published.
    pub enabled: bool,
    /// The share of all ratings that is held out to judge the model, before it is trained on all of them.
    pub holdout: f64,
    /// By how much, as a share, tonight's model may be worse than the model of the published lists.
    pub margin: f64,
    /// By how much, as a share, tonight's ratings may be fewer than those of the published lists.
    pub shrink: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Self { enabled: true, holdout: 0.1, margin: 0.1, shrink: 0.2 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backfill {
    /// The share of readers, or of books, that may differ from those the model was trained on before a full
    /// night is due.
    pub full_share: f64,
}

impl Default for Backfill {
    fn default() -> Self {
        Self { full_share: 0.2 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compute {
    /// `auto`, `cpu`, `cuda`, `vulkan`, or one of several: `cuda:N`, `vulkan:N`.
    pub device: String,
    /// Number of threads; 0 for one per core.
    pub threads: usize,
    /// The most bytes of memory to take, such as `2G`; empty for what the machine or its cgroup allows.
    pub max_memory: String,
}

impl Compute {
    /// In bytes; `None` if none is set.
    pub fn most_memory(&self) -> Option<u64> {
        bytes(&self.max_memory)
    }
}

/// A number of bytes as people write it: `1500000000`, `1500M`, `1.5G`, `1.5 GB`, `1.4Gi`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (text, step) = text.strip_suffix('i').map_or((text, 1000.0), |text| (text, 1024.0));
    let power = text.chars().last().and_then(|unit| "kmgt".find(unit));
    let number = if power.is_some() { &text[..text.len() - 1] } else { text };
    let number: f64 = number.trim().parse().ok()?;
    let bytes = number * power.map_or(1.0, |power| f64::powi(step, power as i32 + 1));
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes as u64)
}

impl Default for Compute {
    fn default() -> Self {
        Self { device: "auto".into(), threads: 0, max_memory: String::new() }
    }
}

impl Config {
    /// The settings that decide what the lists contain; all others are at their defaults.
    pub fn decisive(&self) -> Self {
        let mut decisive = self.clone();
        decisive.compute = Compute::default();
        decisive.backfill = Backfill::default();
        decisive.gate = Gate::default();
        decisive.output.patience = Output::default().patience;
        decisive.output.metrics_file = String::new();
        decisive
    }

    /// `Err` with a message for the first value that is out of range.
    pub(crate) fn check(&self) -> Result<(), String> {
        let positive = [
            ("epochs", self.model.epochs, 1_000_000),
            ("rating_epochs", self.rating.rating_epochs, 1_000_000),
            ("batch_size", self.minibatch.batch_size, 1 << 30),
            ("ranker_epochs", self.ranker.ranker_epochs, 100_000),
            ("top", self.output.top, 10_000),
            ("popular", self.output.popular, 1_000_000),
        ];
        for (name, value, most) in positive {
            if value == 0 || value > most {
                return Err(format!("{name} is {value}, but must be from 1 to {most}"));
            }
        }
        if self.model.factors > MOST_FACTORS {
            return Err(format!("factors is {}, but must be {MOST_FACTORS} at most", self.model.factors));
        }
        let Model { factors, neighbours, objective, solver, .. } = self.model;
        let by_neighbours = neighbours > 0 && objective == Objective::Ranking && solver == Solver::Als;
        if factors == 0 && !by_neighbours {
            return Err("factors is 0, but must be from 1 unless neighbours make the lists: with neighbours above 0, \
                        objective \"ranking\" and solver \"als\""
                .into());
        }
        let above_zero = [
            ("user_regularization", self.rating.user_regularization),
            ("item_regularization", self.rating.item_regularization),
            ("user_damping", self.rating.user_damping),
            ("item_damping", self.rating.item_damping),
            ("learning_rate", self.minibatch.learning_rate),
            ("ranker_learning_rate", self.ranker.ranker_learning_rate),
        ];
        for (name, value) in above_zero {
            if !(value.is_finite() && value > 0.0) {
                return Err(format!("{name} is {value}, but must be above 0"));
            }
        }
        let not_negative = [
            ("regularization", self.model.regularization),
            ("unobserved_weight", self.model.unobserved_weight),
            ("exponent", self.model.exponent),
            ("activity_exponent", self.model.activity_exponent),
            ("popularity_exponent", self.model.popularity_exponent),
            ("neighbour_regularization", self.model.neighbour_regularization),
            ("author_weight", self.model.author_weight),
            ("publisher_weight", self.model.publisher_weight),
            ("weight_decay", self.minibatch.weight_decay),
        ];
        for (name, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("{name} is {value}, but must be 0 or more"));
            }
        }
        let most = 1_000;
        if self.model.neighbours > most {
            return Err(format!("neighbours is {}, but must be {most} at most", self.model.neighbours));
        }
        if let Some(wrong) = self.ranker.hidden.iter().find(|width| !(1..=most).contains(*width)) {
            return Err(format!("hidden has a layer of {wrong}, but layers are from 1 to {most} wide"));
        }
        if self.ranker.hidden.len() > 8 {
            return Err(format!("hidden has {} layers, but may have 8 at most", self.ranker.hidden.len()));
        }
        let shares = [
            ("new_books", self.output.new_books),
            ("full_share", self.backfill.full_share),
            ("margin", self.gate.margin),
            ("shrink", self.gate.shrink),
        ];
        for (name, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{name} is {value}, but must be from 0 to 1"));
            }
        }
        if !(self.gate.holdout > 0.0 && self.gate.holdout <= 0.5) {
            return Err(format!("holdout is {}, but must be above 0 and at most 0.5", self.gate.holdout));
        }
        if self.model.length_exponent.is_nan() || self.model.length_exponent > 1.0 {
            return Err(format!("length_exponent is {}, but must be at most 1", self.model.length_exponent));
        }
        let most = &self.compute.max_memory;
        if !most.is_empty() && self.compute.most_memory().is_none() {
            return Err(format!("max_memory is {most:?}, but must be a number of bytes, such as 2G or 800M"));
        }
        const WEEK: u64 = 7 * 24 * 3600;
        if self.output.patience > WEEK {
            return Err(format!("patience is {} seconds, but must be {WEEK} at most", self.output.patience));
        }
        // NaN would equal no rating, and not even itself from one night to the next.
        if !self.source.implicit_rating.is_finite() {
            return Err(format!("implicit_rating is {}, but must be a number", self.source.implicit_rating));
        }
        match self.source.scale.as_slice() {
            [] => {}
            [low, high] if low < high && low.is_finite() && high.is_finite() => {}
            other => {
                return Err(format!(
                    "scale is {other:?}, but must be two numbers, lowest and highest, such as [1, 10]"
                ));
            }
        }
        if self.source.query.is_empty() {
            for (name, value) in
                [("table", &self.source.table), ("user", &self.source.user), ("isbn", &self.source.isbn)]
            {
                if value.is_empty() {
                    return Err(format!("{name} is empty, but must name a part of your database"));
                }
            }
        }
        Ok(())
    }
}
