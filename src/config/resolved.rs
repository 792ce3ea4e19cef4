//! The settings of one run, once its ratings are known.

use std::ops::Deref;

use super::{Config, Rules};
use crate::model::data::Interactions;
use crate::model::hyperparameters::{Hyperparameters, Resolved};

/// Settings whose hyper-parameters are [resolved](Resolved).
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedConfig {
    config: Config,
    parameters: Resolved,
}

impl ResolvedConfig {
    /// Chooses the values that depend on the ratings.
    pub fn new(config: &Config, interactions: &Interactions) -> Self {
        let parameters = hyperparameters(config).resolve(interactions);
        let Hyperparameters { model, rating, .. } = (*parameters).clone();
        Self { config: Config { model, rating, ..config.clone() }, parameters }
    }

    pub fn parameters(&self) -> &Resolved {
        &self.parameters
    }

    pub fn set_rules(&mut self, rules: Rules) {
        self.config.rules = rules;
    }

    pub fn set_top(&mut self, n: usize) {
        self.config.output.top = n;
    }
}

fn hyperparameters(config: &Config) -> Hyperparameters {
    let Config { model, rating, minibatch, .. } = config.clone();
    Hyperparameters { model, rating, minibatch }
}

impl From<Config> for ResolvedConfig {
    /// From settings that were already resolved, with an earlier model.
    fn from(config: Config) -> Self {
        Self { parameters: hyperparameters(&config).into(), config }
    }
}

impl Deref for ResolvedConfig {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}
