//! Settings: four layers in, one checked [`Config`] out.
//!
//! A setting has one name, unique in the whole file. It can stand under that name in the TOML
//! file, as `NIGHTSHELF_<NAME>` in the environment, and, for the common ones, as a flag. Layers
//! are laid over each other in that order on top of [`Config::default`], key by key; the defaults
//! are also the list of what may be set at all, so an unknown key is found by looking there.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::error::{Error, Kind, Result, nearest};

/// Everything that can be set, checked. The `nightly.toml` in `jobs/` explains each key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Where the ratings are.
    pub source: Source,
    /// What a book is.
    pub items: Items,
    /// How the model is trained.
    pub model: Model,
    /// The model behind `predicted_rating`, and behind `objective = "rating"`.
    pub rating: Rating,
    /// Knobs of the `adam` and `sgd` solvers.
    pub minibatch: Minibatch,
    /// What is published.
    pub output: Output,
    /// What the job may use of the machine.
    pub compute: Compute,
}

/// The application's tables and columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Table or view with the ratings.
    pub table: String,
    /// Its column with the reader's id: INTEGER or TEXT.
    pub user: String,
    /// Its column with the ISBN, or with any item id if `key = "text"`.
    pub isbn: String,
    /// Its column with the rating; empty where there is none and every row means "read".
    pub rating: String,
    /// Its column with the time of the rating; ignored where the table has none of that name.
    pub rated_at: String,
    /// A whole `SELECT` giving user, isbn, rating and, if it likes, a time; replaces the five above.
    pub query: String,
    /// The rating that means "read, but not rated".
    pub implicit_rating: f64,
    /// Lowest and highest rating; empty to guess them from the data.
    pub scale: Vec<f64>,
    /// Table with the books, for titles; ignored where there is none.
    pub books: String,
    /// Its column with the ISBN.
    pub book_isbn: String,
    /// Its column with the title.
    pub title: String,
    /// Its column with the author.
    pub author: String,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            table: "ratings".into(),
            user: "user_id".into(),
            isbn: "isbn".into(),
            rating: "rating".into(),
            rated_at: "rated_at".into(),
            query: String::new(),
            implicit_rating: 0.0,
            scale: Vec::new(),
            books: "books".into(),
            book_isbn: "isbn".into(),
            title: "title".into(),
            author: "author".into(),
        }
    }
}

/// What the `isbn` column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// ISBNs in any spelling: spellings of one book become one key.
    #[default]
    Isbn,
    /// Any text: each distinct text is an item of its own.
    Text,
}

/// What becomes of a key that is no valid ISBN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Invalid {
    /// It stays, as an opaque key.
    #[default]
    Keep,
    /// Its ratings are rejected.
    Drop,
}

/// How items are told apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Items {
    /// ISBNs or any text.
    pub key: KeyKind,
    /// Keep or drop what is no ISBN.
    pub invalid: Invalid,
}

/// What the lists are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// What a reader will pick up next: implicit feedback, the better lists on books.
    #[default]
    Ranking,
    /// How many stars a reader would give.
    Rating,
}

/// How the loss is minimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// Alternating least squares: closed form, no learning rate.
    #[default]
    Als,
    /// Mini-batches with Adam, through autodiff.
    Adam,
    /// Mini-batches with plain gradient descent, through autodiff.
    Sgd,
}

/// The ranking model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// What the lists are ordered by.
    pub objective: Objective,
    /// How the loss is minimised.
    pub solver: Solver,
    /// Numbers a reader and a book, d.
    pub factors: usize,
    /// Passes over the ratings.
    pub epochs: usize,
    /// λ; 0 to choose it from the data.
    pub regularization: f64,
    /// α₀, the weight of a pair that was not observed; 0 to choose it from the data.
    pub unobserved_weight: f64,
    /// ν, how λ grows with the number of ratings.
    pub exponent: f64,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            objective: Objective::Ranking,
            solver: Solver::Als,
            factors: 64,
            epochs: 16,
            regularization: 0.0,
            unobserved_weight: 0.0,
            exponent: 1.0,
            seed: 42,
        }
    }
}

/// The rating model: biased matrix factorisation on rated pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    /// Numbers a reader and a book.
    pub rating_factors: usize,
    /// Passes over the ratings.
    pub rating_epochs: usize,
    /// λ for a reader's factors, for each rating.
    pub user_regularization: f64,
    /// λ for a book's factors, for each rating.
    pub item_regularization: f64,
    /// How many average ratings each bias starts with.
    pub bias_damping: f64,
}

impl Default for Rating {
    fn default() -> Self {
        Self {
            rating_factors: 32,
            rating_epochs: 10,
            user_regularization: 0.12,
            item_regularization: 0.08,
            bias_damping: 5.0,
        }
    }
}

/// The mini-batch solvers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Minibatch {
    /// Ratings a step.
    pub batch_size: usize,
    /// Length of a step.
    pub learning_rate: f64,
    /// L2 on every parameter at every step, on top of the loss's own.
    pub weight_decay: f64,
}

impl Default for Minibatch {
    fn default() -> Self {
        Self { batch_size: 4096, learning_rate: 0.01, weight_decay: 0.0 }
    }
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Books a reader, N.
    pub top: usize,
    /// Books in `recommendations_popular`.
    pub popular: usize,
    /// Seconds to wait for a database that others keep locked before giving up.
    pub patience: u64,
}

impl Default for Output {
    fn default() -> Self {
        Self { top: 10, popular: 100, patience: 300 }
    }
}

/// What the job may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Threads; 0 for one a core.
    pub threads: usize,
}

impl Default for Compute {
    fn default() -> Self {
        Self { device: "auto".into(), threads: 0 }
    }
}

/// One layer of settings: a table in the file's own shape, and what to call it in an error.
#[derive(Debug)]
struct Layer {
    origin: String,
    table: Table,
}

impl Config {
    /// Lays file, environment and flags over the defaults and checks the result.
    ///
    /// `flags` are pairs of a key's name and the text that was given for it.
    ///
    /// # Errors
    /// [`Kind::Config`] for an unknown key (naming the nearest valid one), a value of the wrong
    /// type or out of range; [`Kind::NoInput`] for a file that is not there.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(&str, String)],
    ) -> Result<Self> {
        let defaults = default_table()?;
        let mut layers = Vec::new();
        if let Some(path) = file {
            layers.push(file_layer(path, &defaults)?);
        }
        layers.extend(environment_layers(environment, &defaults)?);
        for (key, text) in flags {
            layers.push(word_layer(format!("--{}", key.replace('_', "-")), key, text, &defaults)?);
        }
        let mut merged = defaults;
        let mut config = Config::default();
        for layer in layers {
            for (section, keys) in layer.table {
                if let (Some(Value::Table(into)), Value::Table(keys)) = (merged.get_mut(&section), keys) {
                    into.extend(keys);
                }
            }
            // After each layer, so that the message can name the layer that broke it.
            config = Table::try_into(merged.clone()).map_err(|error| bad(&layer.origin, error.message()))?;
            config.check().map_err(|problem| bad(&layer.origin, &problem))?;
        }
        Ok(config)
    }

    /// The settings as a TOML file that would give them.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        let positive = [
            ("factors", self.model.factors, 4096),
            ("epochs", self.model.epochs, 1_000_000),
            ("rating_factors", self.rating.rating_factors, 4096),
            ("rating_epochs", self.rating.rating_epochs, 1_000_000),
            ("batch_size", self.minibatch.batch_size, 1 << 30),
            ("top", self.output.top, 10_000),
            ("popular", self.output.popular, 1_000_000),
        ];
        for (name, value, most) in positive {
            if value == 0 || value > most {
                return Err(format!("{name} is {value}, but must be from 1 to {most}"));
            }
        }
        let above_zero = [
            ("user_regularization", self.rating.user_regularization),
            ("item_regularization", self.rating.item_regularization),
            ("bias_damping", self.rating.bias_damping),
            ("learning_rate", self.minibatch.learning_rate),
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
            ("weight_decay", self.minibatch.weight_decay),
        ];
        for (name, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("{name} is {value}, but must be 0 or more"));
            }
        }
        const WEEK: u64 = 7 * 24 * 3600;
        if self.output.patience > WEEK {
            return Err(format!("patience is {} seconds, but must be {WEEK} at most", self.output.patience));
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

fn bad(origin: &str, problem: &str) -> Error {
    Error::new(Kind::Config, format!("{origin}: {problem}"))
        .hint("`nightshelf run --print-config` shows every key; jobs/nightly.toml explains them")
}

fn default_table() -> Result<Table> {
    Table::try_from(Config::default())
        .map_err(|error| Error::new(Kind::Failed, format!("the default settings do not hold: {error}")))
}

fn file_layer(path: &Path, defaults: &Table) -> Result<Layer> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Error::file(&error, "read", path))?;
    let mut table: Table = text.parse().map_err(|error| bad(&origin, &format!("{error}")))?;
    for (section, keys) in &mut table {
        let Some(known) = defaults.get(section).and_then(Value::as_table) else {
            return Err(unknown(&origin, "section", section, defaults.keys()));
        };
        let Value::Table(keys) = keys else {
            return Err(bad(&origin, &format!("{section} must be a section, [{section}]")));
        };
        for (key, value) in keys.iter_mut() {
            let Some(default) = known.get(key) else {
                return Err(unknown(&origin, "key", key, all_keys(defaults)));
            };
            // `scale = [1, 10]` and `regularization = 1` are what people write.
            widen(value, default);
        }
    }
    Ok(Layer { origin, table })
}

fn environment_layers(
    environment: impl IntoIterator<Item = (String, String)>,
    defaults: &Table,
) -> Result<Vec<Layer>> {
    // Paths are flags of the command line, with variables of their own.
    const PATHS: [&str; 2] = ["NIGHTSHELF_DB", "NIGHTSHELF_CONFIG"];
    let mut variables: Vec<_> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with("NIGHTSHELF_") && !PATHS.contains(&name.as_str()))
        .collect();
    variables.sort();
    variables
        .into_iter()
        .map(|(name, text)| {
            let key = name["NIGHTSHELF_".len()..].to_lowercase();
            word_layer(name, &key, &text, defaults)
        })
        .collect()
}

/// A layer of one key, from the text of a flag or a variable.
fn word_layer(origin: String, key: &str, text: &str, defaults: &Table) -> Result<Layer> {
    let found = defaults.iter().find_map(|(section, keys)| {
        let default = keys.as_table()?.get(key)?;
        Some((section, default))
    });
    let Some((section, default)) = found else {
        return Err(unknown(&origin, "key", key, all_keys(defaults)));
    };
    let not_a = |what: &str| bad(&origin, &format!("{text:?} is not {what}"));
    let value = match default {
        Value::Integer(_) => Value::Integer(text.trim().parse().map_err(|_| not_a("a whole number"))?),
        Value::Float(_) => Value::Float(text.trim().parse().map_err(|_| not_a("a number"))?),
        Value::Array(_) => text
            .trim_matches(['[', ']', ' '])
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(|part| part.trim().parse().map(Value::Float))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array)
            .map_err(|_| not_a("a list of numbers, such as 1,10"))?,
        _ => Value::String(text.to_owned()),
    };
    let keys = Table::from_iter([(key.to_owned(), value)]);
    let table = Table::from_iter([(section.clone(), Value::Table(keys))]);
    Ok(Layer { origin, table })
}

/// Turns whole numbers into floating ones where the key holds those.
fn widen(value: &mut Value, default: &Value) {
    match (&mut *value, default) {
        (Value::Integer(whole), Value::Float(_)) => *value = Value::Float(*whole as f64),
        (Value::Array(values), Value::Array(_)) => {
            values.iter_mut().for_each(|value| widen(value, &Value::Float(0.0)));
        }
        _ => {}
    }
}

fn all_keys(defaults: &Table) -> impl Iterator<Item = &String> {
    defaults.values().filter_map(Value::as_table).flat_map(Table::keys)
}

fn unknown<'a>(origin: &str, what: &str, word: &str, known: impl IntoIterator<Item = &'a String>) -> Error {
    let meant = match nearest(word, known.into_iter().map(String::as_str)) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    };
    bad(origin, &format!("there is no {what} called {word}{meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: Option<&Path>, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config> {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let flags: Vec<_> = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        Config::load(file, env, &flags)
    }

    #[test]
    fn flags_beat_environment_beats_file_beats_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("n.toml");
        std::fs::write(&path, "[model]\nfactors = 8\nepochs = 3\nregularization = 1\n").expect("written");
        let config = load(
            Some(&path),
            &[("NIGHTSHELF_FACTORS", "16"), ("NIGHTSHELF_TOP", "7"), ("HOME", "x")],
            &[("factors", "32")],
        )
        .expect("valid");
        assert_eq!(config.model.factors, 32);
        assert_eq!(config.model.epochs, 3);
        assert_eq!(config.model.regularization, 1.0);
        assert_eq!(config.output.top, 7);
        assert_eq!(config.minibatch, Minibatch::default());
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = load(None, &[("NIGHTSHELF_FACTOR", "3")], &[]).expect_err("unknown");
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains("did you mean factors?"), "{error}");
    }

    #[test]
    fn a_bad_value_names_where_it_came_from() {
        for (env, expected) in [
            (("NIGHTSHELF_FACTORS", "many"), "whole number"),
            (("NIGHTSHELF_FACTORS", "0"), "from 1"),
            (("NIGHTSHELF_SOLVER", "magic"), "als"),
            (("NIGHTSHELF_SCALE", "10,1"), "lowest and highest"),
            (("NIGHTSHELF_REGULARIZATION", "nan"), "0 or more"),
        ] {
            let error = load(None, &[env], &[]).expect_err("bad");
            let text = error.to_string();
            assert!(text.contains(env.0) && text.contains(expected), "{text}");
        }
    }

    #[test]
    fn every_key_has_one_name() {
        let defaults = default_table().expect("defaults");
        let mut names: Vec<_> = all_keys(&defaults).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn printed_settings_give_the_same_settings() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("printed.toml");
        let config = load(None, &[("NIGHTSHELF_SCALE", "1,5")], &[("key", "text")]).expect("valid");
        std::fs::write(&path, config.to_toml()).expect("written");
        assert_eq!(load(Some(&path), &[], &[]).expect("valid"), config);
    }
}
