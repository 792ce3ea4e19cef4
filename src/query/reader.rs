//! [`KnownReader`]: one reader, solved against the published model for their present ratings.

use crate::catalog::encode;
use crate::catalog::ids::{UserId, Users};
use crate::catalog::recommendation::Origin;
use crate::catalog::times;
use crate::config::{Config, Objective, ResolvedConfig};
use crate::database::{selection, source};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::Factors;
use crate::model::confidence::ConfidenceMatrix;
use crate::model::data::{Interactions, UNKNOWN, days_between};
use crate::model::device::Device;
use crate::model::fold_in::{self, Unsolved};
use crate::model::neighbours::Neighbours;
use crate::model::ranker::Ranker;
use crate::model::rating::RatingModel;
use crate::model_store::{StoredItems, StoredModel};
use crate::query::Lookup;
use crate::recommender::lists::{Fitted, Judged, ListMaker, NOTHING};
use crate::recommender::stranger::Stranger;

/// A reader, as the only user of both models, with the codes of the model's books.
#[derive(Debug)]
pub struct KnownReader {
    pub id: UserId,
    /// Those of the reader's books that the model knows.
    pub interactions: Interactions,
    /// Spellings of the reader's books that the model does not know.
    pub unseen: Vec<String>,
    /// The run that trained the model.
    pub run_id: i64,
    /// Whether the model was trained on exactly these ratings of the reader.
    pub trained: bool,
    /// The model's settings, not those of the command.
    pub config: ResolvedConfig,
    pub books: StoredItems,
    rated: Interactions,
    confidence: ConfidenceMatrix,
    ranking: Factors,
    neighbours: Neighbours,
    ranker: Option<Ranker>,
    rating: Option<RatingModel>,
    /// Days since the reader last read anything, if that is known.
    idle: Vec<f32>,
    /// As the model knows the reader.
    attributes: Vec<Vec<u32>>,
}

impl KnownReader {
    /// Reads the ratings of the reader whom a word means; `None` if there are none. If the model was trained
    /// on other ratings, the reader is solved anew against its books (fold-in).
    pub fn find(lookup: &Lookup<'_>, model: StoredModel, word: &str) -> Result<Option<Self>> {
        let mut config = lookup.context.config.clone();
        if let (Some(rating), true) = (&model.rating, config.source.scale.is_empty()) {
            // One reader's ratings do not show the scale.
            config.source.scale = vec![rating.scale.0.into(), rating.scale.1.into()];
        }
        for id in UserId::readings(word) {
            let reading = source::read_reader(&lookup.database, &config, id.borrow())?;
            let normalised = encode::normalise_as(reading.columns, &config, Some(&model.books.items))?;
            let ratings = encode::encode(normalised)?;
            // Where a column holds both 42 and '42', SQLite may give the ratings of both.
            if let Some(user) = ratings.users.find(id.borrow()) {
                return Self::solve(lookup, model, id, &ratings, user).map(Some);
            }
        }
        Ok(None)
    }

    /// Somebody who is in no table, and likes some of the model's books.
    ///
    /// # Errors
    /// [`crate::error::Kind::Config`] if the query in `[candidates]` does not work.
    pub fn stranger(lookup: &Lookup<'_>, model: StoredModel, liked: &[u32]) -> Result<Self> {
        let StoredModel { run_id, config, books, neighbours, ranker, readers, ranking, rating, .. } = model;
        let models = (ranking, rating);
        let Stranger { interactions, rated, confidence, ranking, rating } =
            Stranger::new(liked, models, books.weights.clone(), &config, lookup.database.interrupt())?;
        let books = with_candidates(lookup, books)?;
        Ok(Self {
            id: UserId::Text(String::new()),
            unseen: Vec::new(),
            run_id,
            trained: false,
            idle: Vec::new(),
            attributes: readers.attributes.iter().map(|_| vec![UNKNOWN]).collect(),
            interactions,
            config,
            books,
            rated,
            confidence,
            ranking,
            neighbours,
            ranker,
            rating,
        })
    }

    fn solve(
        lookup: &Lookup<'_>,
        model: StoredModel,
        id: UserId,
        ratings: &encode::Encoded,
        user: u32,
    ) -> Result<Self> {
        let StoredModel {
            run_id,
            config,
            readers,
            books,
            neighbours,
            ranker,
            newest,
            mut ranking,
            mut rating,
            ..
        } = model;
        let codes = ratings.items.codes_in(&books.items);
        let (items, stars) = ratings.interactions.of(user as usize);
        let known = items.iter().zip(stars);
        let triples: Vec<_> =
            known.filter_map(|(item, stars)| Some((0, codes[*item as usize]?, *stars))).collect();
        let unseen = items.iter().filter(|item| codes[**item as usize].is_none());
        let unseen = unseen.map(|item| ratings.items.spelling(*item as usize).to_owned()).collect();
        let (interactions, _) = Interactions::from_triples(1, books.items.len(), &triples);
        let rated = interactions.rated();
        let places =
            ratings.interactions.offsets[user as usize]..ratings.interactions.offsets[user as usize + 1];
        let moments = ratings.moments.get(places.clone()).unwrap_or_default();
        let weights = ratings.weights.get(places).unwrap_or_default();
        let is_known = items.iter().map(|item| codes[*item as usize].is_some());
        let weights = times::weighed_decays(moments, newest, config.model.half_life, weights);
        let weights = weights.into_iter().zip(is_known);
        let weights: Vec<f32> = weights.filter(|(_, is_known)| *is_known).map(|(weight, _)| weight).collect();
        let item_weights = books.weights.clone();
        let confidence = ConfidenceMatrix::of_others(&interactions, item_weights, &config.model, &weights);
        let last = times::newest(moments).zip(newest);
        let idle = last.map(|(last, newest)| days_between(last, newest)).into_iter().collect();

        let attributes: Vec<Vec<u32>> = {
            let code = readers.users.find(id.borrow());
            let of = |codes: &Vec<u32>| vec![code.map_or(UNKNOWN, |code| codes[code as usize])];
            readers.attributes.iter().map(of).collect()
        };
        let digest = ratings.reader_digests()[user as usize];
        let code = readers.users.find(id.borrow());
        let trained = code.is_some_and(|code| readers.digests[code as usize] == digest);
        match code {
            Some(code) => {
                ranking = ranking.only(&[code]);
                rating = rating.map(|model| model.only(&[code]));
            }
            None => {
                ranking.users = vec![0.0; ranking.width];
                if let Some(model) = &mut rating {
                    model.factors.users = vec![0.0; model.factors.width];
                    model.biases.users = vec![0.0];
                }
            }
        }
        if !trained {
            let (unsolved, interrupt) =
                (Unsolved { users: vec![0], items: Vec::new() }, lookup.database.interrupt());
            fold_in::solve_ranking(&mut ranking, &confidence, &unsolved, config.parameters(), interrupt)?;
            if let Some(model) = &mut rating {
                fold_in::solve_rating(model, &rated, &ranking, &unsolved, config.parameters(), interrupt)?;
            }
        }
        Ok(Self {
            id,
            interactions,
            unseen,
            run_id,
            trained,
            config,
            books: with_candidates(lookup, books)?,
            rated,
            confidence,
            ranking,
            neighbours,
            ranker,
            rating,
            idle,
            attributes,
        })
    }

    /// A note for people, if the model was trained on other ratings of this reader.
    pub fn changed(&self) -> Option<String> {
        let run = self.run_id;
        (!self.trained)
            .then(|| format!("(the ratings have changed since run {run}: worked out from those of now)"))
    }

    /// Both models, with this reader as user 0.
    pub fn fitted(&self) -> Fitted<'_> {
        Fitted {
            interactions: &self.interactions,
            ranking: &self.ranking,
            neighbours: &self.neighbours,
            ranker: self.ranker.as_ref(),
            idle: &self.idle,
            attributes: &self.attributes,
            item_scales: &self.books.item_scales,
            weighted: self.confidence.rows(),
            rating: self.rating.as_ref(),
            rated: &self.rated,
            hidden: &NOTHING,
            dislikes: &NOTHING,
            shown: &NOTHING,
        }
    }

    /// The stars that this reader gave to a book: NaN if it was read but not rated, `None` if it was not
    /// read.
    pub fn own(&self, item: u32) -> Option<f32> {
        let (items, stars) = self.interactions.of(0);
        items.binary_search(&item).ok().map(|place| stars[place])
    }

    /// Whether this reader has read a book in this or another edition, so that lists do not show it.
    pub fn has(&self, item: u32) -> bool {
        self.books.popularity.editions.has(self.interactions.of(0).0, item)
    }

    /// The book as the ranker sees it; `None` if lists have no ranker, or the model knows none of the reader's books.
    pub fn judged(&self, item: u32, interrupt: &Interrupt) -> Result<Option<Judged>> {
        Ok(self.judged_all(&[item], interrupt)?.pop().flatten())
    }

    /// What lists are ordered by, of some books.
    pub fn scores(&self, items: &[u32], interrupt: &Interrupt) -> Result<Vec<f32>> {
        let judged = self.judged_all(items, interrupt)?.into_iter().zip(items);
        Ok(judged
            .map(|(judged, item)| judged.map_or_else(|| self.score(*item), |judged| judged.score))
            .collect())
    }

    fn judged_all(&self, items: &[u32], interrupt: &Interrupt) -> Result<Vec<Option<Judged>>> {
        let ties = &self.books.popularity.ties;
        if self.ranker.is_none() || !self.interactions.of(0).0.iter().any(|own| ties[*own as usize]) {
            return Ok(vec![None; items.len()]);
        }
        let (books, device) = (&self.books, Device::Cpu);
        let lists = ListMaker::new(self.fitted(), &books.popularity, Origin::FoldIn, &self.config, device)?;
        items.iter().map(|item| lists.judged(0, *item, interrupt)).collect()
    }

    /// Whether neighbours have a say in the lists.
    pub fn by_neighbours(&self) -> bool {
        self.ranker.is_some() && !self.neighbours.is_empty()
    }

    /// What lists without a ranker are ordered by.
    pub fn score(&self, item: u32) -> f32 {
        match (self.config.model.objective, &self.rating) {
            (Objective::Rating, Some(model)) => model.raw(0, item as usize),
            _ => self.ranking.score(0, item as usize) * self.books.item_scales[item as usize],
        }
    }

    /// Predicted stars, as [`Fitted::stars`].
    pub fn stars(&self, item: u32) -> Option<f32> {
        self.fitted().stars(&self.books.popularity, 0, item)
    }
}

/// With what may be recommended now.
fn with_candidates(lookup: &Lookup<'_>, mut books: StoredItems) -> Result<StoredItems> {
    let config = lookup.context.config;
    if config.candidates.query.is_empty() {
        return Ok(books);
    }
    let only = Config { candidates: config.candidates.clone(), ..Config::default() };
    let rows = lookup
        .database
        .read("looking what may be recommended", |connection| selection::read(connection, &only))?;
    let selected = rows.resolve(&Users::none(), &books.items, &[], config)?;
    books.popularity = books.popularity.with_candidates(selected.candidates);
    Ok(books)
}
