//! Merges file, environment and flags into the defaults, key by key.

use std::path::Path;

use toml::{Table, Value};

use super::Config;
use crate::error::{Error, Kind, Result, nearest};
use crate::failpoint;

/// One layer of settings: a table in the file's own shape, and its name in error messages.
#[derive(Debug)]
struct Layer {
    origin: String,
    table: Table,
}

impl Layer {
    /// Overwrites keys of `merged` with this layer's, and checks the result, so that the message names the
    /// layer at fault.
    fn lay_over(self, merged: &mut Table) -> Result<Config> {
        for (section, keys) in self.table {
            if let (Some(Value::Table(into)), Value::Table(keys)) = (merged.get_mut(&section), keys) {
                into.extend(keys);
            }
        }
        let config: Config =
            Table::try_into(merged.clone()).map_err(|error| bad(&self.origin, error.message()))?;
        config.check().map_err(|problem| bad(&self.origin, &problem))?;
        Ok(config)
    }
}

impl Config {
    /// Merges file, environment and flags into the defaults, in this order, and checks the result.
    ///
    /// `flags` are pairs of a key's name and the text that was given for it.
    ///
    /// # Errors
    /// [`Kind::Config`] for an unknown key (naming the nearest valid one), or a value of the wrong
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
            config = layer.lay_over(&mut merged)?;
        }
        Ok(config)
    }

    /// The settings in a file's text, over the defaults.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_toml(text: &str) -> Result<Self> {
        let defaults = default_table()?;
        let layer = text_layer("the configuration", text, &defaults)?;
        let mut merged = defaults;
        layer.lay_over(&mut merged)
    }

    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
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
    text_layer(&origin, &text, defaults)
}

fn text_layer(origin: &str, text: &str, defaults: &Table) -> Result<Layer> {
    let mut table: Table = text.parse().map_err(|error| bad(origin, &format!("{error}")))?;
    for (section, keys) in &mut table {
        let Some(known) = defaults.get(section).and_then(Value::as_table) else {
            return Err(unknown(origin, "section", section, defaults.keys()));
        };
        let Value::Table(keys) = keys else {
            return Err(bad(origin, &format!("{section} must be a section, [{section}]")));
        };
        for (key, value) in keys.iter_mut() {
            let Some(default) = known.get(key) else {
                return Err(unknown(origin, "key", key, names(defaults)));
            };
            // People write `scale = [1, 10]` and `regularization = 1`.
            widen(value, default);
        }
    }
    Ok(Layer { origin: origin.to_owned(), table })
}

fn environment_layers(
    environment: impl IntoIterator<Item = (String, String)>,
    defaults: &Table,
) -> Result<Vec<Layer>> {
    let is_setting = |name: &str| names(defaults).any(|known| Some(known) == key_of(name));
    let mut variables: Vec<_> = environment.into_iter().filter(|(name, _)| is_setting(name)).collect();
    variables.sort();
    variables
        .into_iter()
        .map(|(name, text)| {
            let key = key_of(&name).unwrap_or_default();
            word_layer(name, &key, &text, defaults)
        })
        .collect()
}

/// The key that an environment variable would set; `None` without the prefix `NIGHTSHELF_`.
fn key_of(variable: &str) -> Option<String> {
    variable.strip_prefix("NIGHTSHELF_").map(str::to_lowercase)
}

/// Environment variables that look like settings but are none, each with the nearest setting.
///
/// They change nothing. Kubernetes sets some for every service of that name, and images set their own.
pub fn unknown_variables(variables: impl IntoIterator<Item = String>) -> Result<Vec<String>> {
    // Variables of flags that are no settings, and those that tests set.
    const OTHERS: [&str; 4] =
        ["NIGHTSHELF_DB", "NIGHTSHELF_CONFIG", "NIGHTSHELF_TEST_GPU", failpoint::VARIABLE];
    let defaults = default_table()?;
    let known: Vec<String> = names(&defaults).collect();
    let is_unknown = |name: &String| {
        key_of(name).is_some_and(|key| !known.contains(&key)) && !OTHERS.contains(&name.as_str())
    };
    let mut unknown: Vec<String> = variables.into_iter().filter(is_unknown).collect();
    unknown.sort();
    let meant =
        |name: String| match nearest(&key_of(&name).unwrap_or_default(), known.iter().map(String::as_str)) {
            Some(near) => format!("{name} (did you mean NIGHTSHELF_{}?)", near.to_uppercase()),
            None => name,
        };
    Ok(unknown.into_iter().map(meant).collect())
}

/// A layer of one key, from the text of a flag or a variable.
fn word_layer(origin: String, key: &str, text: &str, defaults: &Table) -> Result<Layer> {
    let Some((_, section, key, default)) = settings(defaults).find(|(name, ..)| name == key) else {
        return Err(unknown(&origin, "key", key, names(defaults)));
    };
    let not_a = |what: &str| bad(&origin, &format!("{text:?} is not {what}"));
    let value = match default {
        Value::Integer(_) => Value::Integer(text.trim().parse().map_err(|_| not_a("a whole number"))?),
        Value::Float(_) => Value::Float(text.trim().parse().map_err(|_| not_a("a number"))?),
        Value::Boolean(_) => Value::Boolean(text.trim().parse().map_err(|_| not_a("true or false"))?),
        Value::Array(numbers) => {
            let number = |part: &str| match is_whole(numbers) {
                true => part.parse().ok().map(Value::Integer),
                false => part.parse().ok().map(Value::Float),
            };
            let parts = text.trim_matches(['[', ']', ' ']).split(',').map(str::trim);
            let numbers: Option<Vec<Value>> = parts.filter(|part| !part.is_empty()).map(number).collect();
            Value::Array(numbers.ok_or_else(|| not_a("a list of numbers, such as 1,10"))?)
        }
        _ => Value::String(text.to_owned()),
    };
    let keys = Table::from_iter([(key.to_owned(), value)]);
    let table = Table::from_iter([(section.clone(), Value::Table(keys))]);
    Ok(Layer { origin, table })
}

/// Turns integers into floats where the key holds floats.
fn widen(value: &mut Value, default: &Value) {
    match (&mut *value, default) {
        (Value::Integer(whole), Value::Float(_)) => *value = Value::Float(*whole as f64),
        (Value::Array(values), Value::Array(numbers)) if !is_whole(numbers) => {
            values.iter_mut().for_each(|value| widen(value, &Value::Float(0.0)));
        }
        _ => {}
    }
}

/// Whether a list is one of whole numbers; lists that are empty by default are not.
fn is_whole(numbers: &[Value]) -> bool {
    matches!(numbers.first(), Some(Value::Integer(_)))
}

/// Each setting's name, section, key and default. The name is the key, but for queries of sections other than
/// `[source]`: `candidates_query`.
fn settings(defaults: &Table) -> impl Iterator<Item = (String, &String, &String, &Value)> {
    let sections = defaults.iter().filter_map(|(section, keys)| Some((section, keys.as_table()?)));
    sections.flat_map(|(section, keys)| {
        keys.iter().map(move |(key, default)| {
            let name = match key == "query" && section != "source" {
                true => format!("{section}_{key}"),
                false => key.clone(),
            };
            (name, section, key, default)
        })
    })
}

fn names(defaults: &Table) -> impl Iterator<Item = String> {
    settings(defaults).map(|(name, ..)| name)
}

fn unknown(origin: &str, what: &str, word: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> Error {
    let known: Vec<_> = known.into_iter().collect();
    let meant = match nearest(word, known.iter().map(AsRef::as_ref)) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    };
    bad(origin, &format!("there is no {what} called {word}{meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Minibatch;
    use proptest::prelude::*;
    use proptest::test_runner::TestCaseError;

    fn load(file: Option<&Path>, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config> {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let flags: Vec<_> = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        Config::load(file, env, &flags)
    }

    #[test]
    fn bytes_are_read_as_people_write_them() {
        let of = |text: &str| {
            let config = load(None, &[("NIGHTSHELF_MAX_MEMORY", text)], &[]);
            config.map(|config| config.compute.most_memory()).ok()
        };
        for (text, bytes) in [
            ("1500", 1500),
            ("800M", 800_000_000),
            ("1.5 gb", 1_500_000_000),
            ("2KiB", 2048),
            ("1Gi", 1 << 30),
        ] {
            assert_eq!(of(text), Some(Some(bytes)), "{text}");
        }
        assert_eq!(of(""), Some(None));
        for text in ["much", "-1G", "1 X", "G", "inf", "NaN"] {
            assert_eq!(of(text), None, "{text}");
        }
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
        let error = load(None, &[], &[("factor", "3")]).expect_err("unknown");
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains("did you mean factors?"), "{error}");
    }

    #[test]
    fn a_bad_value_names_where_it_came_from() {
        for (env, expected) in [
            (("NIGHTSHELF_FACTORS", "many"), "whole number"),
            (("NIGHTSHELF_TOP", "0"), "from 1"),
            (("NIGHTSHELF_SOLVER", "magic"), "als"),
            (("NIGHTSHELF_SCALE", "10,1"), "lowest and highest"),
            (("NIGHTSHELF_REGULARIZATION", "nan"), "0 or more"),
            (("NIGHTSHELF_IMPLICIT_RATING", "nan"), "must be a number"),
        ] {
            let error = load(None, &[env], &[]).expect_err("bad");
            let text = error.to_string();
            assert!(text.contains(env.0) && text.contains(expected), "{text}");
        }
    }

    #[test]
    fn every_key_has_one_name() {
        let defaults = default_table().expect("defaults");
        let mut names: Vec<_> = names(&defaults).collect();
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

    /// Settings as people write them, and as they mistype them.
    fn anything() -> impl Strategy<Value = String> {
        let sections = [
            "source",
            "items",
            "model",
            "rating",
            "minibatch",
            "rules",
            "candidates",
            "output",
            "backfill",
            "compute",
            "modell",
        ];
        let defaults = default_table().expect("defaults");
        let keys = names(&defaults).chain(["facors".into()]);
        let section = prop::sample::select(sections.to_vec()).prop_map(|name| format!("[{name}]\n"));
        let value = prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| format!("{number:?}")),
            (0..99i64).prop_map(|number| number.to_string()),
            prop::sample::select(vec![
                "nan",
                "inf",
                "-inf",
                "true",
                "[]",
                "[1, 10]",
                "[1, 'x']",
                "{}",
                "1979-05-27"
            ])
            .prop_map(str::to_owned),
            any::<String>().prop_map(|text| format!("{text:?}")),
            prop::sample::select(vec!["'als'", "'text'", "'rating'", "'keep'", "''"]).prop_map(str::to_owned),
            any::<String>(),
        ];
        let key = prop::sample::select(keys.collect::<Vec<_>>());
        let line = prop_oneof![1 => section, 3 => (key, value).prop_map(|(key, value)| format!("{key} = {value}\n"))];
        prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
    }

    /// Whatever comes of it, it is settings that hold, or an error that says where it is.
    fn holds(loaded: Result<Config>, origin: &str) -> std::result::Result<(), TestCaseError> {
        match loaded {
            Ok(config) => {
                prop_assert!(config.check().is_ok());
                let folder = tempfile::tempdir().expect("a folder");
                let path = folder.path().join("printed.toml");
                std::fs::write(&path, config.to_toml()).expect("written");
                prop_assert_eq!(load(Some(&path), &[], &[]).expect("what is printed is valid"), config);
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), Kind::Config);
                prop_assert!(error.to_string().contains(origin), "{error}");
                prop_assert!(error.next_step().is_some());
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn whatever_stands_in_the_file(text in anything()) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("night.toml");
            std::fs::write(&path, &text).expect("written");
            holds(load(Some(&path), &[], &[]), "night.toml")?;
        }

        #[test]
        fn whatever_stands_in_the_environment(
            key in prop::sample::select(names(&default_table().expect("defaults")).collect::<Vec<_>>()),
            text in prop_oneof![any::<String>(), "[-0-9.e,\\[\\] ]{0,8}"],
        ) {
            let name = format!("NIGHTSHELF_{}", key.to_uppercase());
            holds(load(None, &[(&name, &text)], &[]), &name)?;
        }
    }
}
