//! The first stage: what a user might pick up, found by factors, neighbours, authors and popularity, and described
//! by [features](crate::ranker::features).
//!
//! Candidates of a user are the union of the best by factors ([`TopK`], exact), the best by neighbours, what most
//! read now, and the other books of the user's authors. The best of any blend of factors and neighbours are
//! among them: a book that is in neither of the first two lists has no neighbour among the user's books that
//! counts, and others are better by factors.

mod description;
mod moments;
mod room;

use rayon::prelude::*;

use crate::Factors;
use crate::data::{Editions, Interactions, ItemTraits, UNKNOWN};
use crate::device::Device;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::neighbours::Neighbours;
use crate::rules::{OfUser, Rules};
use crate::top_k::{Scored, TopK, Wanted};
use moments::Moments;
use room::Room;

/// How many candidates factors, neighbours, popularity and the user's authors propose for a short list. With three
/// times as many a tenth more of what users pick is among them, and the lists stay as good as they are.
const BY_FACTORS: usize = 30;
const BY_NEIGHBOURS: usize = 60;
const BY_POPULARITY: usize = 40;
const BY_AUTHORS: usize = 40;

/// How many new items factors propose, and how many the user's authors.
const NEW: usize = 20;

/// Editions of the next volume of each series that the user has begun.
const NEXT: usize = 3;

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
    /// Days since each user last read anything; empty where ratings have no times.
    pub idle: &'a [f32],
    /// For each attribute the category of each user ([`Affinity`](crate::data::Affinity)).
    pub attributes: &'a [Vec<u32>],
    /// What each user has; no edition of it is a candidate.
    pub known: &'a Interactions,
    /// What each user is not to see, and what of it they dislike; may be shorter.
    pub hidden: &'a Interactions,
    pub dislikes: &'a Interactions,
}

/// The candidates of one user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    /// Rising.
    pub items: Vec<u32>,
    /// [`COUNT`](crate::ranker::features::COUNT) numbers for each.
    pub features: Vec<f32>,
}

/// Finds candidates.
pub struct CandidateSearch<'a> {
    stage: FirstStage<'a>,
    rules: Rules<'a>,
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
    /// The items of each series, and the known ones in each language.
    of_series: Interactions,
    of_languages: Interactions,
    /// log(1 + readers) of each item, and of each author's known items on average.
    log_readers: Vec<f32>,
    log_author_readers: Vec<f32>,
    moments: Moments,
}

impl<'a> CandidateSearch<'a> {
    /// Prepares what all users need for lists of `top`. `is_new` says whether an item is new, `None` for one that no list may have; at
    /// most `new` of those are candidates.
    ///
    /// # Errors
    /// [`crate::error::Error::NoDevice`] if there is no such device.
    pub fn new(
        stage: FirstStage<'a>,
        rules: Rules<'a>,
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
            let wanted = Wanted {
                n: (count as f64 * longer) as usize,
                new: 0,
                is_new: &is_new,
                users: stage.known.user_count(),
            };
            TopK::new(factors, item_scales, editions, device, &wanted)
        };
        let mut top_k = vec![best(BY_FACTORS, false)?];
        if new > 0 {
            top_k.push(best(NEW, true)?);
        }
        let readers = |item: u32| traits.readers[item as usize];
        let mut popular: Vec<u32> = (0..traits.readers.len() as u32)
            .filter(|item| readers(*item) > 0 && is_new(*item).is_some())
            .collect();
        let by_popularity = |a: &u32, b: &u32| {
            traits
                .popularity(*b)
                .total_cmp(&traits.popularity(*a))
                .then(readers(*b).cmp(&readers(*a)))
                .then(a.cmp(b))
        };
        let most = (50.0 * BY_POPULARITY as f64 * longer) as usize;
        if most < popular.len() {
            popular.select_nth_unstable_by(most, by_popularity);
            popular.truncate(most);
        }
        popular.par_sort_unstable_by(by_popularity);
        let of_authors = [false, true]
            .map(|of_new| by_code(&traits.descriptions.authors, traits, |item| is_new(item) == Some(of_new)));
        let mean_readers = |author: usize| {
            let known = of_authors[0].of(author).0;
            (known.iter().map(|item| readers(*item) as f32).sum::<f32>() / known.len().max(1) as f32).ln_1p()
        };
        let log_author_readers = (0..of_authors[0].user_count()).map(mean_readers).collect();
        let shelves = (0..traits.readers.len() as u32).map(is_new).collect();
        Ok(Self {
            top_k,
            longer,
            shelves,
            popular,
            of_authors,
            log_readers: traits.readers.iter().map(|readers| (*readers as f32).ln_1p()).collect(),
            log_author_readers,
            moments: Moments::of(factors, item_scales),
            of_series: by_code(&traits.descriptions.series, traits, |item| is_new(item).is_some()),
            of_languages: by_code(&traits.descriptions.languages, traits, |item| is_new(item) == Some(false)),
            rules,
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
                        self.find(*user as usize, (list, None), room, candidates);
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
        let list = self.by_factors(&[user], interrupt)?.pop().unwrap_or_default();
        let mut found = Candidates::default();
        self.find(user as usize, (&list, Some(item)), &mut Room::new(self.stage.traits), &mut found);
        Ok(found)
    }

    /// What factors propose to each of some users.
    fn by_factors(&self, users: &[u32], interrupt: &Interrupt) -> Result<Vec<Vec<u32>>> {
        let FirstStage { factors, known, .. } = self.stage;
        let mut all = vec![Vec::new(); users.len()];
        for top_k in &self.top_k {
            for (all, list) in all.iter_mut().zip(top_k.of(factors, known, users, interrupt, &|_| ())?) {
                // A new item without makers has no factors: it is as good as any other.
                all.extend(list.into_iter().filter(|entry| entry.score > 0.0).map(|entry| entry.item));
            }
        }
        Ok(all)
    }

    /// The `n` best of a user's candidates by these scores, best first, as far as the rules allow, and at most `new` new
    /// items.
    pub fn best(&self, user: u32, found: &Candidates, scores: &[f32], n: usize, new: usize) -> Vec<Scored> {
        let mut all: Vec<Scored> = found
            .items
            .iter()
            .zip(scores)
            .map(|(item, score)| Scored { item: *item, score: *score })
            .collect();
        all.sort_unstable();
        let of_user = self.rules_of(user as usize);
        let mut list = of_user.list(n, new);
        for entry in all {
            if list.is_full() {
                break;
            }
            list.offer(entry, self.shelves[entry.item as usize] == Some(true));
        }
        list.into_entries()
    }

    fn rules_of(&self, user: usize) -> OfUser<'_> {
        let FirstStage { known, hidden, .. } = self.stage;
        self.rules.of_user(known.of(user).0, hidden.items_of(user))
    }

    /// `asked` is a candidate whatever the rules say.
    fn find(
        &self,
        user: usize,
        (by_factors, asked): (&[u32], Option<u32>),
        room: &mut Room,
        found: &mut Candidates,
    ) {
        let FirstStage { neighbours, known, traits, .. } = self.stage;
        let own = known.of(user).0;
        let of_user = self.rules_of(user);
        room.titles.fill(&traits.descriptions.titles, own);
        room.subjects.fill(&traits.descriptions.subjects, own);
        let support = &mut room.support;
        support.clear();
        for item in own {
            let (reached, weights) = neighbours.reached_from(*item);
            reached.iter().zip(weights).for_each(|(item, weight)| support.add(*item, *weight));
        }
        for item in self.stage.dislikes.items_of(user) {
            let (reached, weights) = neighbours.reached_from(*item);
            reached.iter().zip(weights).for_each(|(item, weight)| support.add(*item, -*weight));
        }
        let may_show = |item: &u32| self.shelves[*item as usize].is_some() && of_user.allows(*item);
        found.items.clear();
        found.items.extend(by_factors.iter().copied().filter(|item| of_user.allows(*item)));
        let mut near: Vec<Scored> = support
            .touched
            .iter()
            .map(|item| Scored { item: *item, score: support.of[*item as usize][0] })
            .collect();
        let count = |count: usize| (count as f64 * self.longer) as usize;
        near.retain(|entry| entry.score > 0.0 && self.shelves[entry.item as usize].is_some());
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
        // Of what most read, a user may be allowed little.
        for language in of_user.languages() {
            let of_language = self.of_languages.items_of(*language as usize).iter().copied();
            found.items.extend(of_language.filter(|item| may_show(item)).take(count(BY_POPULARITY)));
        }
        let own_authors = self.counted(&self.stage.traits.descriptions.authors, own);
        for (of_authors, most) in self.of_authors.iter().zip([BY_AUTHORS, NEW]) {
            let written =
                own_authors.iter().flat_map(|(author, _)| of_authors.of(*author as usize).0).copied();
            found.items.extend(written.filter(|item| may_show(item)).take(count(most)));
        }
        for (series, _) in self.counted(&traits.descriptions.series, own) {
            let volumes = self.of_series.items_of(series as usize).iter().copied();
            found.items.extend(volumes.filter(|item| of_user.is_next(*item) && may_show(item)).take(NEXT));
        }
        found.items.extend(asked);
        found.items.sort_unstable();
        found.items.dedup();
        self.describe(user, &own_authors, &of_user, room, found);
    }
}

/// The items of each author, series or language that `take` takes, those with most readers first.
fn by_code(codes: &[u32], traits: &ItemTraits, take: impl Fn(u32) -> bool) -> Interactions {
    let mut written: Vec<(u32, u32)> =
        codes.iter().copied().zip(0..).filter(|(code, item)| *code != UNKNOWN && take(*item)).collect();
    let readers = |item: u32| std::cmp::Reverse(traits.readers[item as usize]);
    written.sort_unstable_by_key(|(code, item)| (*code, readers(*item), *item));
    let known = codes.iter().filter(|code| **code != UNKNOWN);
    let all = known.max().map_or(0, |most| *most as usize + 1);
    let mut rows = Interactions { offsets: vec![0], ..Interactions::default() };
    for code in 0..all {
        let from = rows.offsets[code];
        let own = written[from..].iter().take_while(|(other, _)| *other == code as u32).count();
        rows.offsets.push(from + own);
    }
    rows.items = written.into_iter().map(|(_, item)| item).collect();
    rows.ratings = vec![0.0; rows.items.len()];
    rows
}
