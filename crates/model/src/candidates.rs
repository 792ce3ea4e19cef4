//! The first stage: what a user might pick up, found by factors, neighbours, authors and popularity, and described
//! by [features].
//!
//! Candidates of a user are the union of the best by factors ([`TopK`], exact), the best by neighbours, what most
//! read now, and the other books of the user's authors. The best of any blend of factors and neighbours are
//! among them: a book that is in neither of the first two lists has no neighbour among the user's books that
//! counts, and others are better by factors.

use rayon::prelude::*;

use crate::data::{Editions, Interactions, ItemTraits, UNKNOWN};
use crate::device::Device;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::neighbours::Neighbours;
use crate::ranker::features::{self, Feature};
use crate::rating::RatingModel;
use crate::top_k::{Scored, TopK, Wanted};
use crate::{Factors, dot};

/// How many candidates factors, neighbours, popularity and the user's authors propose for a short list. With three
/// times as many a tenth more of what users pick is among them, and the lists stay as good as they are.
const BY_FACTORS: usize = 30;
const BY_NEIGHBOURS: usize = 60;
const BY_POPULARITY: usize = 40;
const BY_AUTHORS: usize = 40;

/// How many new items factors propose, and how many the user's authors.
const NEW: usize = 20;

/// Users that one task goes through.
const USERS: usize = 32;

/// The models that propose candidates, and what is known of the items.
#[derive(Clone, Copy, Debug)]
pub struct FirstStage<'a> {
    /// The users are those to be asked about, in the order of `known`.
    pub factors: &'a Factors,
    pub item_scales: &'a [f32],
    pub neighbours: &'a Neighbours,
    pub traits: &'a ItemTraits,
    pub editions: &'a Editions,
    /// `None` where nothing was rated.
    pub rating: Option<&'a RatingModel>,
    /// Days since each user last read anything; empty where ratings have no times.
    pub idle: &'a [f32],
    /// What each user has; no edition of it is a candidate.
    pub known: &'a Interactions,
}

/// The candidates of one user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    /// Rising.
    pub items: Vec<u32>,
    /// [`features::COUNT`] numbers for each.
    pub features: Vec<f32>,
}

/// Finds candidates.
pub struct CandidateSearch<'a> {
    stage: FirstStage<'a>,
    /// The best known items, and the best new ones if lists may have any.
    top_k: Vec<TopK<'a>>,
    /// How many times as many candidates as for a short list.
    longer: f64,
    /// Whether each item is new; `None` for one that no list may have.
    shelves: Vec<Option<bool>>,
    /// What most read now, best first.
    popular: Vec<u32>,
    /// The known items of each author, those with most readers first, and the new ones.
    of_authors: [Interactions; 2],
    /// The mean readers of each author's known items.
    author_readers: Vec<f32>,
    moments: Moments,
}

/// Mean and covariance of the items' scaled factors: those of a user's scores follow from them.
struct Moments {
    mean: Vec<f32>,
    covariance: Vec<f32>,
}

/// What one task writes into, user after user.
struct Room {
    support: Support,
    titles: Profile,
    subjects: Profile,
}

impl Room {
    fn new(traits: &ItemTraits) -> Self {
        Self {
            support: Support::new(traits.readers.len()),
            titles: Profile::new(&traits.descriptions.titles),
            subjects: Profile::new(&traits.descriptions.subjects),
        }
    }
}

/// How much a user's items have of each word.
struct Profile {
    weights: Vec<f32>,
    touched: Vec<u32>,
}

impl Profile {
    fn new(words: &Interactions) -> Self {
        Self { weights: vec![0.0; words.item_count], touched: Vec::new() }
    }

    /// Of the items that `own` has; `words` are those of all items, of none if it has no rows.
    fn fill(&mut self, words: &Interactions, own: &[u32]) {
        self.touched.drain(..).for_each(|word| self.weights[word as usize] = 0.0);
        for item in own.iter().filter(|item| (**item as usize) < words.user_count()) {
            let (codes, weights) = words.of(*item as usize);
            for (word, weight) in codes.iter().zip(weights) {
                self.weights[*word as usize] += weight;
                self.touched.push(*word);
            }
        }
    }

    /// The sum of the cosines of an item and the user's items.
    fn likeness(&self, words: &Interactions, item: usize) -> f32 {
        if item >= words.user_count() {
            return 0.0;
        }
        let (codes, weights) = words.of(item);
        codes.iter().zip(weights).map(|(word, weight)| self.weights[*word as usize] * weight).sum()
    }
}

/// A sum for each item, most of them 0.
struct Support {
    /// Sum and maximum of weights, and their number.
    of: Vec<[f32; 3]>,
    touched: Vec<u32>,
}

impl<'a> CandidateSearch<'a> {
    /// Prepares what all users need for lists of `top`. `is_new` says whether an item is new, `None` for one that no list may have; at
    /// most `new` of those are candidates.
    ///
    /// # Errors
    /// [`crate::error::Error::NoDevice`] if there is no such device.
    pub fn new(
        stage: FirstStage<'a>,
        top: usize,
        is_new: &(dyn Fn(u32) -> Option<bool> + Sync),
        new: usize,
        device: Device,
    ) -> Result<Self> {
        let FirstStage { factors, item_scales, traits, editions, .. } = stage;
        // A longer list takes as many more.
        let longer = (top as f64 / 20.0).max(1.0);
        let best = |count: usize, of_new: bool| {
            let is_new = |item: u32| (is_new(item) == Some(of_new)).then_some(false);
            let wanted = Wanted { n: (count as f64 * longer) as usize, new: 0, is_new: &is_new };
            TopK::new(factors, item_scales, editions, device, &wanted)
        };
        let mut top_k = vec![best(BY_FACTORS, false)?];
        if new > 0 {
            top_k.push(best(NEW, true)?);
        }
        let readers = |item: u32| traits.readers[item as usize];
        let mut popular: Vec<u32> =
            (0..traits.readers.len() as u32).filter(|item| readers(*item) > 0).collect();
        let now = |item: u32| match &traits.recency {
            Some(recency) => recency.readers[item as usize][2],
            None => readers(item) as f32,
        };
        popular.par_sort_unstable_by(|a, b| {
            now(*b).total_cmp(&now(*a)).then(readers(*b).cmp(&readers(*a))).then(a.cmp(b))
        });
        popular.truncate((50.0 * BY_POPULARITY as f64 * longer) as usize);
        let of_authors = [false, true].map(|of_new| by_author(traits, |item| is_new(item) == Some(of_new)));
        let mean_readers = |author: usize| {
            let known = of_authors[0].of(author).0;
            known.iter().map(|item| readers(*item) as f32).sum::<f32>() / known.len().max(1) as f32
        };
        let author_readers = (0..of_authors[0].user_count()).map(mean_readers).collect();
        let shelves = (0..traits.readers.len() as u32).map(is_new).collect();
        Ok(Self {
            top_k,
            longer,
            shelves,
            popular,
            of_authors,
            author_readers,
            moments: Moments::of(factors, item_scales),
            stage,
        })
    }

    /// Gives `take` the candidates of each of `users` and returns what it makes of them, in the order of `users`.
    pub fn of<T: Send>(
        &self,
        users: &[u32],
        interrupt: &Interrupt,
        done: &(dyn Fn(usize) + Sync),
        take: impl Fn(u32, &Candidates) -> T + Sync,
    ) -> Result<Vec<T>> {
        let by_factors = self.by_factors(users, interrupt)?;
        let tasks: Vec<_> = users.chunks(USERS).zip(by_factors.chunks(USERS)).collect();
        let taken: Vec<Vec<T>> = tasks
            .into_par_iter()
            .map_init(
                || (Room::new(self.stage.traits), Candidates::default()),
                |(room, candidates), (users, lists)| {
                    interrupt.check()?;
                    let taken = users.iter().zip(lists).map(|(user, list)| {
                        self.find(*user as usize, list, room, candidates);
                        take(*user, candidates)
                    });
                    let taken = taken.collect();
                    done(users.len());
                    Ok(taken)
                },
            )
            .collect::<Result<_>>()?;
        Ok(taken.into_iter().flatten().collect())
    }

    /// The candidates of one user, and `item` among them.
    pub fn of_one(&self, user: u32, item: u32, interrupt: &Interrupt) -> Result<Candidates> {
        let mut list = self.by_factors(&[user], interrupt)?.pop().unwrap_or_default();
        list.push(item);
        let mut found = Candidates::default();
        self.find(user as usize, &list, &mut Room::new(self.stage.traits), &mut found);
        Ok(found)
    }

    /// What factors propose to each of some users.
    fn by_factors(&self, users: &[u32], interrupt: &Interrupt) -> Result<Vec<Vec<u32>>> {
        let FirstStage { factors, known, .. } = self.stage;
        let mut all = vec![Vec::new(); users.len()];
        for top_k in &self.top_k {
            for (all, list) in all.iter_mut().zip(top_k.of(factors, known, users, interrupt, &|_| ())?) {
                all.extend(list.into_iter().map(|entry| entry.item));
            }
        }
        Ok(all)
    }

    /// The `n` best of a user's candidates by these scores, best first: one edition of a work, and at most `new` new
    /// items.
    pub fn best(&self, found: &Candidates, scores: &[f32], n: usize, new: usize) -> Vec<Scored> {
        let mut all: Vec<Scored> = found
            .items
            .iter()
            .zip(scores)
            .map(|(item, score)| Scored { item: *item, score: *score })
            .collect();
        all.sort_unstable();
        let (mut list, mut new_ones): (Vec<Scored>, usize) = (Vec::with_capacity(n), 0);
        for entry in all {
            if list.len() == n {
                break;
            }
            let is_new = self.shelves[entry.item as usize] == Some(true);
            let is_shown = list.iter().any(|other| self.stage.editions.are_one(other.item, entry.item));
            if !(is_shown || is_new && new_ones == new) {
                new_ones += usize::from(is_new);
                list.push(entry);
            }
        }
        list
    }

    fn find(&self, user: usize, by_factors: &[u32], room: &mut Room, found: &mut Candidates) {
        let FirstStage { neighbours, editions, known, traits, .. } = self.stage;
        let own = known.of(user).0;
        room.titles.fill(&traits.descriptions.titles, own);
        room.subjects.fill(&traits.descriptions.subjects, own);
        let support = &mut room.support;
        support.clear();
        for item in own {
            let (reached, weights) = neighbours.reached_from(*item);
            reached.iter().zip(weights).for_each(|(item, weight)| support.add(*item, *weight));
        }
        let may_show = |item: &u32| self.shelves[*item as usize].is_some() && !editions.has(own, *item);
        found.items.clear();
        found.items.extend_from_slice(by_factors);
        let mut near: Vec<Scored> = support
            .touched
            .iter()
            .map(|item| Scored { item: *item, score: support.of[*item as usize][0] })
            .collect();
        let count = |count: usize| (count as f64 * self.longer) as usize;
        near.retain(|entry| entry.score > 0.0);
        // Most are far from the best: only those near to it are looked up among the user's items.
        let enough = count(BY_NEIGHBOURS) + 2 * own.len();
        if near.len() > enough {
            near.select_nth_unstable(enough);
            near.truncate(enough);
        }
        near.retain(|entry| may_show(&entry.item));
        if near.len() > count(BY_NEIGHBOURS) {
            near.select_nth_unstable(count(BY_NEIGHBOURS));
            near.truncate(count(BY_NEIGHBOURS));
        }
        found.items.extend(near.iter().map(|entry| entry.item));
        found
            .items
            .extend(self.popular.iter().copied().filter(|item| may_show(item)).take(count(BY_POPULARITY)));
        let own_authors = self.counted(&self.stage.traits.descriptions.authors, own);
        for (of_authors, most) in self.of_authors.iter().zip([BY_AUTHORS, NEW]) {
            let written = own_authors.iter().flat_map(|(author, _)| of_authors.of(*author as usize).0).copied();
            found.items.extend(written.filter(|item| may_show(item)).take(count(most)));
        }
        found.items.sort_unstable();
        found.items.dedup();
        self.describe(user, &own_authors, room, found);
    }

    /// The codes that a user's items have, and how many items have each; most first.
    fn counted(&self, codes: &[u32], own: &[u32]) -> Vec<(u32, u32)> {
        let mut all: Vec<u32> = own.iter().filter_map(|item| codes.get(*item as usize)).copied().collect();
        all.retain(|code| *code != UNKNOWN);
        all.sort_unstable();
        let mut counted: Vec<(u32, u32)> =
            all.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)).collect();
        counted.sort_unstable_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        counted
    }

    /// Writes the features of all candidates.
    fn describe(&self, user: usize, own_authors: &[(u32, u32)], room: &Room, found: &mut Candidates) {
        let support = &room.support;
        let FirstStage { factors, item_scales, traits, known, .. } = self.stage;
        let ItemTraits { readers, descriptions, recency } = traits;
        let own = known.of(user).0;
        let size = own.len().max(1) as f32;
        let x = factors.user(user);
        let products: Vec<f32> = found
            .items
            .iter()
            .map(|item| {
                dot(x, factors.item(*item as usize)) * item_scales.get(*item as usize).unwrap_or(&1.0)
            })
            .collect();
        let sums: Vec<f32> = found.items.iter().map(|item| support.of[*item as usize][0]).collect();
        let (product_mean, product_deviation) = self.moments.of_scores(x);
        let (sum_mean, sum_deviation) = support.moments();
        let (product_ranks, sum_ranks) = (ranks(&products), ranks(&sums));
        let log = |number: f32| (1.0 + number).ln();
        let own_publishers = self.counted(&descriptions.publishers, own);
        let own_languages = self.counted(&descriptions.languages, own);
        let of = |counted: &[(u32, u32)], codes: &[u32], item: usize| -> Option<f32> {
            let code = *codes.get(item).filter(|code| **code != UNKNOWN)?;
            Some(counted.iter().find(|(other, _)| *other == code).map_or(0.0, |(_, count)| *count as f32))
        };
        let year = |item: usize| descriptions.years.get(item).copied().filter(|year| !year.is_nan());
        let (years, dated) = own
            .iter()
            .filter_map(|item| year(*item as usize))
            .fold((0.0, 0.0), |(sum, count), year| (sum + year, count + 1.0));
        let stars = self.stage.rating.map(|model| (model, &model.factors, &model.biases.items));
        let usual = own.iter().map(|item| log(readers[*item as usize] as f32)).sum::<f32>() / size;
        let idle = self.stage.idle.get(user).copied().unwrap_or_default();
        found.features.clear();
        found.features.resize(found.items.len() * features::COUNT, 0.0);
        let rows = found.features.chunks_exact_mut(features::COUNT);
        for (at, (row, item)) in rows.zip(&found.items).enumerate() {
            let item = *item as usize;
            let mut set = |feature: Feature, value: f32| row[feature as usize] = value;
            let [_, nearest, supporters] = support.of[item];
            let by_author = of(own_authors, &descriptions.authors, item);
            let popularity = log(readers[item] as f32);
            set(Feature::Factors, (products[at] - product_mean) / product_deviation);
            set(Feature::Neighbours, (sums[at] - sum_mean) / sum_deviation);
            set(Feature::FactorsRank, product_ranks[at]);
            set(Feature::NeighboursRank, sum_ranks[at]);
            set(Feature::Product, products[at]);
            set(Feature::Sum, sums[at]);
            set(Feature::Readers, popularity);
            set(Feature::Activity, log(size));
            set(Feature::OwnOfAuthor, log(by_author.unwrap_or_default()));
            set(Feature::AuthorShare, by_author.unwrap_or_default() / size);
            set(Feature::HasAuthor, f32::from(u8::from(by_author.is_some())));
            set(
                Feature::OwnOfPublisher,
                log(of(&own_publishers, &descriptions.publishers, item).unwrap_or_default()),
            );
            set(Feature::Nearest, nearest);
            set(Feature::Supporters, log(supporters));
            set(Feature::UsualReaders, usual);
            set(Feature::Unusual, popularity - usual);
            if let Some(recency) = recency {
                let first = Feature::Recent15 as usize;
                for (place, sum) in recency.readers[item].iter().enumerate() {
                    row[first + place] = (sum + 0.02).ln();
                }
                row[Feature::Age as usize] = log(recency.ages[item]);
                row[Feature::Idle as usize] = log(idle);
            }
            let mut set = |feature: Feature, value: f32| row[feature as usize] = value;
            set(Feature::TitleWords, log(room.titles.likeness(&descriptions.titles, item)));
            set(Feature::Subjects, room.subjects.likeness(&descriptions.subjects, item) / size);
            if let (Some(year), true) = (year(item), dated > 0.0) {
                let newer = year - years / dated;
                set(Feature::Newer, newer);
                set(Feature::YearDistance, log(newer.abs()));
            }
            let author = descriptions.authors.get(item).copied().unwrap_or(UNKNOWN) as usize;
            set(Feature::AuthorReaders, log(self.author_readers.get(author).copied().unwrap_or_default()));
            if let Some((model, factors, biases)) = stars {
                set(Feature::BookStars, biases[item]);
                let taste = dot(factors.user(user), factors.item(item));
                set(Feature::ExpectedStars, biases[item] + taste);
                let _ = model;
            }
            set(
                Feature::LanguageShare,
                of(&own_languages, &descriptions.languages, item).unwrap_or_default() / size,
            );
        }
    }
}

/// The items of each author that `take` takes, those with most readers first.
fn by_author(traits: &ItemTraits, take: impl Fn(u32) -> bool) -> Interactions {
    let authors = traits.descriptions.authors.iter().copied().zip(0..);
    let mut written: Vec<(u32, u32)> =
        authors.filter(|(author, item)| *author != UNKNOWN && take(*item)).collect();
    let readers = |item: u32| std::cmp::Reverse(traits.readers[item as usize]);
    written.sort_unstable_by_key(|(author, item)| (*author, readers(*item), *item));
    let codes = traits.descriptions.authors.iter().filter(|author| **author != UNKNOWN);
    let authors = codes.max().map_or(0, |most| *most as usize + 1);
    let mut rows = Interactions { offsets: vec![0], ..Interactions::default() };
    for author in 0..authors {
        let from = rows.offsets[author];
        let own = written[from..].iter().take_while(|(other, _)| *other == author as u32).count();
        rows.offsets.push(from + own);
    }
    rows.items = written.into_iter().map(|(_, item)| item).collect();
    rows.ratings = vec![0.0; rows.items.len()];
    rows
}

impl Moments {
    fn of(factors: &Factors, item_scales: &[f32]) -> Self {
        let d = factors.width;
        let items = (factors.items.len() / d.max(1)).max(1);
        // Blocks of a fixed size, added up in order: the sums do not depend on the number of threads.
        let blocks: Vec<(Vec<f32>, Vec<f32>)> = factors
            .items
            .par_chunks(d.max(1) << 11)
            .enumerate()
            .map(|(block, rows)| {
                let mut scaled = rows.to_vec();
                let mut mean = vec![0.0; d];
                for (at, row) in scaled.chunks_exact_mut(d).enumerate() {
                    let scale = item_scales.get((block << 11) + at).copied().unwrap_or(1.0);
                    row.iter_mut().for_each(|value| *value *= scale);
                    mean.iter_mut().zip(&*row).for_each(|(sum, value)| *sum += value);
                }
                let mut products = vec![0.0; d * d];
                let matrix = faer::MatRef::from_row_major_slice(&scaled, scaled.len() / d, d);
                faer::linalg::matmul::matmul(
                    faer::MatMut::from_column_major_slice_mut(&mut products, d, d),
                    faer::Accum::Replace,
                    matrix.transpose(),
                    matrix,
                    1.0,
                    faer::Par::Seq,
                );
                (mean, products)
            })
            .collect();
        let mut sums = (vec![0.0f64; d], vec![0.0f64; d * d]);
        for (mean, products) in blocks {
            sums.0.iter_mut().zip(mean).for_each(|(sum, value)| *sum += f64::from(value));
            sums.1.iter_mut().zip(products).for_each(|(sum, value)| *sum += f64::from(value));
        }
        let mean: Vec<f64> = sums.0.into_iter().map(|sum| sum / items as f64).collect();
        let covariance =
            sums.1.iter().enumerate().map(|(at, sum)| sum / items as f64 - mean[at / d] * mean[at % d]);
        Self {
            covariance: covariance.map(|value| value as f32).collect(),
            mean: mean.iter().map(|m| *m as f32).collect(),
        }
    }

    /// Mean and deviation of a user's scores of all items.
    fn of_scores(&self, user: &[f32]) -> (f32, f32) {
        let variance: f32 = user
            .iter()
            .zip(self.covariance.chunks_exact(user.len().max(1)))
            .map(|(x, row)| x * dot(row, user))
            .sum();
        (dot(user, &self.mean), variance.max(0.0).sqrt() + 1e-9)
    }
}

impl Support {
    fn new(items: usize) -> Self {
        Self { of: vec![[0.0; 3]; items], touched: Vec::new() }
    }

    fn clear(&mut self) {
        for item in self.touched.drain(..) {
            self.of[item as usize] = [0.0; 3];
        }
    }

    #[inline(always)]
    fn add(&mut self, item: u32, weight: f32) {
        let [sum, most, count] = &mut self.of[item as usize];
        if *count == 0.0 {
            self.touched.push(item);
        }
        *sum += weight;
        *most = most.max(weight);
        *count += 1.0;
    }

    /// Mean and deviation over all items.
    fn moments(&self) -> (f32, f32) {
        let items = self.of.len().max(1) as f64;
        let (mut sum, mut squares) = (0.0f64, 0.0f64);
        for item in &self.touched {
            let value = f64::from(self.of[*item as usize][0]);
            sum += value;
            squares += value * value;
        }
        let mean = sum / items;
        (mean as f32, ((squares / items - mean * mean).max(0.0).sqrt() + 1e-9) as f32)
    }
}

/// The logarithm of each value's rank, 1 being the greatest; equal values in the order that they stand in.
fn ranks(values: &[f32]) -> Vec<f32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|a, b| values[*b as usize].total_cmp(&values[*a as usize]));
    let mut ranks = vec![0.0; values.len()];
    for (rank, place) in order.into_iter().enumerate() {
        ranks[place as usize] = ((rank + 1) as f32).ln();
    }
    ranks
}
