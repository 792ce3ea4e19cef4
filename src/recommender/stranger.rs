//! Somebody who is in no table, and likes some books.

use crate::config::ResolvedConfig;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::Factors;
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::Interactions;
use crate::model::fold_in::{self, Unsolved};
use crate::model::rating::RatingModel;

/// A taste, solved against a model as its only user.
#[derive(Debug)]
pub struct Stranger {
    /// The books that are liked.
    pub interactions: Interactions,
    /// Nothing: no stars are known.
    pub rated: Interactions,
    pub confidence: ConfidenceMatrix,
    pub ranking: Factors,
    pub rating: Option<RatingModel>,
}

impl Stranger {
    /// Folds in whoever likes these books, given the models, whose own users do not matter, and the weights of their
    /// items.
    ///
    /// # Errors
    /// On a signal, or if a row has no solution.
    pub fn new(
        liked: &[u32],
        (mut ranking, mut rating): (Factors, Option<RatingModel>),
        item_weights: Vec<f32>,
        config: &ResolvedConfig,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let triples: Vec<_> = liked.iter().map(|item| (0, *item, f32::NAN)).collect();
        let (interactions, _) = Interactions::from_triples(1, item_weights.len(), &triples);
        let rated = interactions.rated();
        let confidence = ConfidenceMatrix::of_others(&interactions, item_weights, &config.model, &[]);
        ranking.users = vec![0.0; ranking.width];
        if let Some(model) = &mut rating {
            model.factors.users = vec![0.0; model.factors.width];
            model.biases.users = vec![0.0];
        }
        let unsolved = Unsolved { users: vec![0], items: Vec::new() };
        fold_in::solve_ranking(&mut ranking, &confidence, &unsolved, config.parameters(), interrupt)?;
        if let Some(model) = &mut rating {
            fold_in::solve_rating(model, &rated, &ranking, &unsolved, config.parameters(), interrupt)?;
        }
        Ok(Self { interactions, rated, confidence, ranking, rating })
    }
}
