//! What is right depends on the data: settings that are chosen once it is known.

use std::ops::Deref;

use crate::catalog::interactions::Interactions;
use crate::config::Config;

/// Settings for one set of ratings.
///
/// **Ranking.** What was left at 0 is chosen.
///
/// α₀ = ½√density, from 0.02 to 0.3: the denser the table, the more a missing pair says. λ such
/// that λ α₀ √(#users #items) = 4.5: the geometric mean of the penalties that every reader and every
/// book carry whatever their number of ratings, which is what a group of readers and books must
/// outweigh to get a factor. So scaled, one constant serves tables of any size: of the values tried
/// from 1.5 to 12 it was best or near the best on three data sets, with 6,754 × 13,670 (density
/// 0.25%), 79,785 × 218,645 (0.004%) and 943 × 1,682 (5%) readers and books, and the settings
/// published for far larger ones (Rendle et al. 2021) come to 6 and 15. A fixed λ that is good for
/// the first collapses the second to one list for everybody.
///
/// γ = 0.18 log₁₀(0.05 / density), from 0 to 0.3: the fewer ratings there are for each book and reader, the
/// more the penalty holds back whatever few have read ([`super::evidence::Evidence::lifts`]). On a table of
/// density 5% (MovieLens 100K) any γ above 0 loses, 0.1 half a percent of nDCG; at 0.25% 0.2 gains 1%, and
/// 3% where authors are known; at 0.003% 0.3 gains 10% and 0.5 12%. Beyond 0.3 books are so much alike in
/// length that the search for the best of them has to look at nearly all: three times as long as with 0.
///
/// **Rating.** λ_I is multiplied with the variance of the ratings: with stars times ten the loss grows
/// by a hundred, and so does |x_u|², but books' directions keep their length.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled(Config);

impl Settled {
    /// Settles what depends on the ratings.
    pub fn new(config: &Config, interactions: &Interactions) -> Self {
        const LEAST_PENALTY: f64 = 4.5;
        // On the tables of a small club the rule would smother what few ratings say.
        const GREATEST_REGULARIZATION: f64 = 0.1;
        let pairs = interactions.user_count() as f64 * interactions.item_count as f64;
        let mut settled = config.clone();
        let (_, deviation) = interactions.stars();
        // Where all ratings are equal there is nothing to learn, and any penalty above zero does.
        settled.rating.item_regularization *= if deviation > 0.0 { deviation * deviation } else { 1.0 };

        let model = &mut settled.model;
        // Books that nobody has rated make no table sparse.
        let items = interactions.readers_per_item().into_iter().filter(|readers| *readers > 0).count();
        let density = interactions.len() as f64 / (interactions.user_count() * items).max(1) as f64;
        if model.unobserved_weight == 0.0 {
            model.unobserved_weight = (0.5 * density.sqrt()).clamp(0.02, 0.3);
        }
        if model.length_exponent < 0.0 {
            model.length_exponent = (0.18 * (0.05 / density.max(1e-9)).log10()).clamp(0.0, 0.3);
        }
        if model.regularization == 0.0 {
            let penalty = LEAST_PENALTY / (model.unobserved_weight * pairs.sqrt());
            model.regularization = penalty.min(GREATEST_REGULARIZATION);
        }
        Self(settled)
    }

    /// The same for lists of another length.
    pub fn set_top(&mut self, n: usize) {
        self.0.output.top = n;
    }
}

impl From<Config> for Settled {
    /// Settings that were settled before, with an earlier model.
    fn from(settled: Config) -> Self {
        Self(settled)
    }
}

impl Deref for Settled {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(users: u32, items: u32, each: u32) -> Interactions {
        let triples =
            (0..users).flat_map(|user| (0..each).map(move |n| (user, (user * 7 + n * n) % items, 5.0)));
        Interactions::from_triples(users as usize, items as usize, &triples.collect::<Vec<_>>()).0
    }

    #[test]
    fn what_was_set_stays_and_the_rest_follows_the_table() {
        let mut config = Config::default();
        let small = Settled::new(&config, &table(100, 90, 10));
        let large = Settled::new(&config, &table(5000, 9000, 10));
        assert!(small.model.unobserved_weight > large.model.unobserved_weight);
        assert!(small.model.regularization > large.model.regularization);
        assert!(small.model.regularization <= 0.1);
        assert!(small.model.length_exponent == 0.0 && large.model.length_exponent > 0.2);
        config.model.regularization = 0.5;
        config.model.unobserved_weight = 0.25;
        config.model.length_exponent = 0.5;
        let set = Settled::new(&config, &table(100, 90, 10));
        assert_eq!(set.model, config.model);
        // All ratings equal: the penalties stay above zero.
        assert_eq!(set.rating, config.rating);
    }
}
