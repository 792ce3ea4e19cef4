//! Which settings `nightshelf tune` tries, and in which ranges.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::config::{Config, Objective, ResolvedConfig, Solver};

/// A setting to search, from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Dimension {
    key: &'static str,
    low: f64,
    high: f64,
    /// Whether the scale is logarithmic.
    is_ratio: bool,
    is_whole: bool,
}

impl Dimension {
    /// From `middle / times` to `middle * times`, on a logarithmic scale.
    fn around(key: &'static str, middle: f64, times: f64) -> Self {
        Self { key, low: middle / times, high: middle * times, is_ratio: true, is_whole: false }
    }

    fn between(key: &'static str, low: f64, high: f64) -> Self {
        Self { key, low, high, is_ratio: false, is_whole: false }
    }

    /// The value at a place from 0 (`low`) to 1 (`high`).
    fn at(&self, place: f64) -> f64 {
        let value = match self.is_ratio {
            true => self.low * (self.high / self.low).powf(place),
            false => self.low + (self.high - self.low) * place,
        };
        if self.is_whole { value.round() } else { value }
    }
}

/// What decides which settings matter.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Users × items.
    pub pairs: f64,
    /// Whether books share authors or publishers.
    pub grouped: bool,
    /// Whether ratings have times.
    pub dated: bool,
}

/// The settings to search for one objective and solver.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchSpace {
    dimensions: Vec<Dimension>,
    /// α₀ √(#users #items), which raised to ν multiplies the λ of an average row.
    unobserved: f64,
    seed: u64,
}

impl SearchSpace {
    /// Ranges around the settings that suit the data.
    pub fn new(config: &Config, resolved: &ResolvedConfig, shape: Shape) -> Self {
        let Shape { pairs, grouped, dated } = shape;
        let mut dimensions = Vec::new();
        match config.model.objective {
            Objective::Ranking => {
                dimensions.extend([
                    Dimension::around("regularization", resolved.model.regularization, 3.0),
                    Dimension::around("unobserved_weight", resolved.model.unobserved_weight, 3.0),
                    Dimension::between("exponent", 0.85, 1.15),
                    Dimension { is_whole: true, ..Dimension::around("epochs", 14.0, 2.0) },
                    Dimension::between("activity_exponent", 0.0, 0.3),
                    Dimension::between("popularity_exponent", 0.0, 0.3),
                    Dimension::between("length_exponent", 0.0, 0.5),
                ]);
                if config.model.neighbours > 0 {
                    let (most, penalty) =
                        (config.model.neighbours as f64, resolved.model.neighbour_regularization);
                    dimensions
                        .push(Dimension { is_whole: true, ..Dimension::around("neighbours", most, 2.0) });
                    dimensions.push(Dimension::around("neighbour_regularization", penalty, 4.0));
                }
                if dated {
                    dimensions.push(Dimension::around("half_life", 730.0, 4.0));
                }
                if grouped {
                    dimensions.push(Dimension::around("author_weight", 6.0, 2.0));
                    dimensions.push(Dimension::around("publisher_weight", 1.0, 4.0));
                }
            }
            Objective::Rating => {
                let rating = &config.rating;
                dimensions.extend([
                    Dimension::around("user_regularization", rating.user_regularization, 5.0),
                    Dimension::around("item_regularization", rating.item_regularization, 5.0),
                    Dimension::around("user_damping", rating.user_damping, 3.0),
                    Dimension::around("item_damping", rating.item_damping, 3.0),
                ]);
            }
        }
        if config.model.solver != Solver::Als {
            dimensions.push(Dimension::around("learning_rate", 0.01, 10.0));
            dimensions.push(Dimension::around("weight_decay", 1e-6, 100.0));
        }
        let unobserved = resolved.model.unobserved_weight * pairs.sqrt();
        Self { dimensions, unobserved, seed: config.model.seed }
    }

    /// The settings of one trial, by key: random, but the same for the same seed and number. (Bergstra,
    /// Bengio 2012, "Random search for hyper-parameter optimization": if only some of many settings matter, a
    /// grid wastes most of its trials.)
    pub fn trial(&self, number: usize) -> Vec<(&'static str, String)> {
        let place = |key: &str| {
            let text = format!("{key} {number}");
            xxh3_64_with_seed(text.as_bytes(), self.seed) as f64 / u64::MAX as f64
        };
        let mut values: Vec<(&'static str, f64)> =
            self.dimensions.iter().map(|one| (one.key, one.at(place(one.key)))).collect();
        // λ is searched as an average row's penalty, so that its range does not depend on the exponent ν.
        let value = |key: &str| values.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        if let (Some(exponent), Some(penalty)) = (value("exponent"), value("regularization")) {
            let penalty = penalty * self.unobserved.max(1.0).powf(1.0 - exponent);
            values
                .iter_mut()
                .filter(|(name, _)| *name == "regularization")
                .for_each(|(_, value)| *value = penalty);
        }
        let whole = |key: &str| self.dimensions.iter().any(|one| one.key == key && one.is_whole);
        let text = |key, value: f64| if whole(key) { format!("{value:.0}") } else { format!("{value:.3e}") };
        values.into_iter().map(|(key, value)| (key, text(key, value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::data::Interactions;

    fn space(config: &Config) -> SearchSpace {
        let (rows, _) = Interactions::from_triples(30, 20, &[(1, 2, 3.0), (2, 3, 4.0)]);
        let shape = Shape { pairs: 600.0, grouped: true, dated: true };
        SearchSpace::new(config, &ResolvedConfig::new(config, &rows), shape)
    }

    #[test]
    fn trials_stay_inside_and_cover_every_dimension() {
        for objective in [Objective::Ranking, Objective::Rating] {
            for solver in [Solver::Als, Solver::Adam] {
                let mut config = Config::default();
                (config.model.objective, config.model.solver) = (objective, solver);
                let space = space(&config);
                for dimension in space.dimensions.iter().filter(|one| one.key != "regularization") {
                    let mut tenths = [false; 10];
                    for number in 0..60 {
                        let trial = space.trial(number);
                        let (_, text) = trial.iter().find(|(key, _)| *key == dimension.key).expect("there");
                        let value: f64 = text.parse().expect("a number");
                        let (low, high) = (dimension.low * 0.99 - 1e-9, dimension.high * 1.01);
                        assert!(value >= low && value <= high, "{} {value}", dimension.key);
                        let place = match dimension.is_ratio {
                            true => (value / dimension.low).ln() / (dimension.high / dimension.low).ln(),
                            false => (value - dimension.low) / (dimension.high - dimension.low),
                        };
                        tenths[(place * 10.0).clamp(0.0, 9.0) as usize] = true;
                    }
                    assert!(tenths.iter().filter(|seen| **seen).count() >= 8, "{}", dimension.key);
                }
            }
        }
    }

    #[test]
    fn trials_are_the_same_for_the_same_seed() {
        let mut config = Config::default();
        let (first, again) = (space(&config), space(&config));
        assert_eq!(first.trial(5), again.trial(5));
        assert_ne!(first.trial(5), first.trial(6));
        config.model.seed = 7;
        assert_ne!(space(&config).trial(5), first.trial(5));
    }
}
