//! Splits ratings into a part to train on and a held-out part.
//!
//! What is held out is drawn by hashing ids, not by the order of rows or codes: tomorrow the same
//! ratings are held out again, so that the figures of two nights can be compared.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::catalog::encode::Encoded;
use crate::catalog::ids::{Items, UserRef, Users};
pub use crate::catalog::scheme::Scheme;
use crate::catalog::times;
use crate::error::{Error, Kind, Result};
use crate::model::data::Interactions;

/// The share of ratings held out of each reader who is new to the model.
const OF_NEWCOMERS: f64 = 0.2;

/// A held-out rating and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Later {
    /// As [`Encoded::moments`].
    pub moment: f64,
    pub user: u32,
    pub item: u32,
}

/// Ratings in the codes of one [`Encoded`], in two parts.
#[derive(Clone, Debug, Default)]
pub struct Split {
    pub train: Interactions,
    /// The time of each of its entries, as [`Encoded::moments`]; empty if no time is known, or if what is held out is
    /// not what came last: what was read of late foretells nothing there.
    pub moments: Vec<f64>,
    /// The weight of each of its entries, as [`Encoded::weights`].
    pub weights: Vec<f32>,
    /// What each user dislikes, without what is held out; may be shorter.
    pub dislikes: Interactions,
    /// If every held-out rating is newer than every other: the held-out ratings, oldest first.
    pub later: Vec<Later>,
    /// `train` and the known ratings of readers who are not in it; `None` if there are no such readers.
    with_newcomers: Option<Interactions>,
    /// The held-out items of each user, rising. Codes past the items of `train` are books that the model
    /// cannot know.
    pub held_out: Vec<Vec<u32>>,
    /// The weight of each of them; empty if all weigh the same.
    held_out_weights: Vec<Vec<f32>>,
    /// User, item and rating of each held-out row that has a rating; `None` for one without a code.
    pub held_out_ratings: Vec<(Option<u32>, Option<u32>, f32)>,
    /// The number of held-out ratings, with those of users of whom nothing else is known.
    pub held_out_count: usize,
    /// Users whose lists can be judged: they have known and held-out ratings. [`Split::draw`] puts them in
    /// random order, so that the first few are a fair sample.
    pub readers: Vec<u32>,
    /// Whether each user is of the half that a ranker may learn from while the other half judges it; the same half
    /// every night. [`Split::draw`] fills it.
    pub learns: Vec<bool>,
}

impl Split {
    /// From parts that were split elsewhere. `held_out` as in [`Split::held_out`], in any order.
    pub fn new(
        train: Interactions,
        mut held_out: Vec<Vec<u32>>,
        held_out_ratings: Vec<(Option<u32>, Option<u32>, f32)>,
        held_out_count: usize,
    ) -> Self {
        for items in &mut held_out {
            items.sort_unstable();
            items.dedup();
        }
        let split = Self { train, held_out, held_out_ratings, held_out_count, ..Self::default() };
        Self { readers: split.judged().collect(), ..split }
    }

    /// With the times of `train`, and those of what is held out: a split by time if each of these is newer.
    pub fn in_time(mut self, moments: &[f64], mut later: Vec<Later>) -> Self {
        let newest = moments.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if times::unit(moments).is_some() && later.iter().all(|later| later.moment > newest) {
            later.sort_by(|a, b| a.moment.total_cmp(&b.moment));
            (self.moments, self.later) = (moments.to_vec(), later);
        }
        self
    }

    /// Draws what is held out of `ratings`; the same for the same seed.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if one part would be empty, or if the scheme needs times and there are none.
    pub fn draw(ratings: &Encoded, scheme: Scheme, seed: u64) -> Result<Self> {
        Self::draw_from(
            &ratings.interactions,
            (&ratings.moments, &ratings.weights, &ratings.dislikes),
            (&ratings.users, &ratings.items),
            scheme,
            seed,
        )
    }

    /// As [`Split::draw`], of rows, and their times, weights and dislikes, in the codes of `users` and `items`.
    pub fn draw_from(
        rows: &Interactions,
        (moments, weights, dislikes): (&[f64], &[f32], &Interactions),
        (users, items): (&Users, &Items),
        scheme: Scheme,
        seed: u64,
    ) -> Result<Self> {
        let draw = Draw::new(users, items, seed);
        let mut part = vec![Part::Train; rows.len()];
        match scheme {
            Scheme::Random(share) => {
                for_each(rows, |user, item, at| hold_out(&mut part[at], draw.pair(user, item) < share));
            }
            Scheme::Books(share) => {
                for_each(rows, |_, item, at| hold_out(&mut part[at], draw.item(item) < share));
            }
            Scheme::Time(share) => {
                let mut sorted = times(moments)?.to_vec();
                sorted.sort_unstable_by(f64::total_cmp);
                let cut = sorted[((1.0 - share) * (sorted.len() - 1) as f64).round() as usize];
                for_each(rows, |_, _, at| hold_out(&mut part[at], moments[at] >= cut));
            }
            Scheme::LeaveOne => {
                of_each_user(
                    rows,
                    |own| usize::from(own > 1),
                    |user, item, _| draw.pair(user, item),
                    &mut part,
                );
            }
            Scheme::LeaveLast(count) => {
                let moments = times(moments)?;
                let latest = |_, _, at: usize| -moments[at];
                of_each_user(rows, |own| if own > count { count } else { 0 }, latest, &mut part);
            }
            Scheme::Readers(share) => {
                let some = |own: usize| match own {
                    0 | 1 => 0,
                    own => ((own as f64 * OF_NEWCOMERS).round() as usize).max(1),
                };
                of_each_user(rows, some, |user, item, _| draw.pair(user, item), &mut part);
                for_each(rows, |user, _, at| match draw.user(user) < share {
                    true if part[at] == Part::Train => part[at] = Part::Newcomer,
                    true => {}
                    false => part[at] = Part::Train,
                });
            }
        }
        let mut split = Self::of_parts(rows, moments, &part)?;
        split.dislikes = dislikes.clone();
        if !dislikes.is_empty() {
            let mut is_known = vec![true; dislikes.len()];
            for_each(dislikes, |user, item, at| {
                is_known[at] = !split.held_out[user].contains(&item);
            });
            split.dislikes = dislikes.filter_places(|at| is_known[at]);
        }
        let is_train = |(_, part): &(&f32, &Part)| **part == Part::Train;
        if !weights.is_empty() {
            split.held_out_weights = vec![Vec::new(); rows.user_count()];
            for_each(rows, |user, _, at| {
                if part[at] == Part::HeldOut {
                    split.held_out_weights[user].push(weights[at]);
                }
            });
        }
        split.weights = weights.iter().zip(&part).filter(is_train).map(|(weight, _)| *weight).collect();
        if !matches!(scheme, Scheme::Time(_) | Scheme::LeaveLast(_)) {
            split.moments.clear();
        }
        if matches!(scheme, Scheme::Time(_)) {
            for_each(rows, |user, item, at| {
                if part[at] == Part::HeldOut {
                    split.later.push(Later { moment: moments[at], user: user as u32, item });
                }
            });
            split.later.sort_by(|a, b| a.moment.total_cmp(&b.moment));
        }
        split.readers = split.judged().collect();
        let order = |user: &u32| draw.of([0, draw.users[*user as usize]]);
        split.readers.sort_by(|a, b| order(a).total_cmp(&order(b)));
        split.learns = draw.users.iter().map(|user| draw.of([1, *user]) < 0.5).collect();
        Ok(split)
    }

    fn of_parts(rows: &Interactions, moments: &[f64], part: &[Part]) -> Result<Self> {
        let train = rows.filter_places(|at| part[at] == Part::Train);
        let moments = moments.iter().zip(part).filter(|(_, part)| **part == Part::Train);
        let moments = moments.map(|(moment, _)| *moment).collect();
        let known =
            part.contains(&Part::Newcomer).then(|| rows.filter_places(|at| part[at] != Part::HeldOut));
        let mut held_out = vec![Vec::new(); rows.user_count()];
        let mut held_out_ratings = Vec::new();
        for_each(rows, |user, item, at| {
            if part[at] == Part::HeldOut {
                held_out[user].push(item);
                if !rows.ratings[at].is_nan() {
                    held_out_ratings.push((Some(user as u32), Some(item), rows.ratings[at]));
                }
            }
        });
        let held_out_count = held_out.iter().map(Vec::len).sum();
        if train.is_empty() || held_out_count == 0 {
            let what = if train.is_empty() { "nothing to learn from" } else { "nothing to foretell" };
            return Err(Error::new(Kind::NoRatings, format!("these ratings, so split, leave {what}"))
                .hint("another --split or --share may, or more ratings"));
        }
        Ok(Self {
            train,
            moments,
            with_newcomers: known,
            held_out,
            held_out_ratings,
            held_out_count,
            ..Self::default()
        })
    }

    /// For each user the held-out items, rising, that were rated below the mean of what else is known of the user's
    /// ratings; of all ratings for a user with no others.
    pub fn disliked(&self) -> Vec<Vec<u32>> {
        let mean = |ratings: &[f32]| {
            let rated = || ratings.iter().filter(|rating| !rating.is_nan());
            let count = rated().count();
            (count > 0).then(|| rated().map(|rating| f64::from(*rating)).sum::<f64>() / count as f64)
        };
        let known = self.known();
        let of_all = mean(&known.ratings).unwrap_or_default();
        let usual: Vec<f64> =
            (0..self.held_out.len()).map(|user| mean(known.of(user).1).unwrap_or(of_all)).collect();
        let mut disliked = vec![Vec::new(); self.held_out.len()];
        for (user, item, rating) in &self.held_out_ratings {
            if let (Some(user), Some(item)) = (*user, *item)
                && f64::from(*rating) < usual[user as usize]
            {
                disliked[user as usize].push(item);
            }
        }
        disliked.iter_mut().for_each(|items| items.sort_unstable());
        disliked
    }

    /// How much a held-out rating counts.
    pub fn weight_of(&self, user: u32, item: u32) -> f32 {
        let weights = self.held_out_weights.get(user as usize).filter(|weights| !weights.is_empty());
        let place = self.held_out[user as usize].binary_search(&item);
        place.ok().and_then(|place| weights?.get(place).copied()).unwrap_or(1.0)
    }

    /// The ratings that each list is made from, and must not repeat.
    pub fn known(&self) -> &Interactions {
        self.with_newcomers.as_ref().unwrap_or(&self.train)
    }

    /// Users with known ratings who are not in `train`; rising.
    pub fn newcomers(&self) -> Vec<u32> {
        let is_new = |user: &u32| {
            let user = *user as usize;
            self.train.of(user).0.is_empty() && !self.known().of(user).0.is_empty()
        };
        match self.with_newcomers {
            Some(_) => (0..self.train.user_count() as u32).filter(is_new).collect(),
            None => Vec::new(),
        }
    }

    fn judged(&self) -> impl Iterator<Item = u32> {
        let judged = |user: &u32| {
            let user = *user as usize;
            !self.held_out[user].is_empty() && !self.known().of(user).0.is_empty()
        };
        (0..self.held_out.len() as u32).filter(judged)
    }
}

/// Where a rating goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Train,
    Newcomer,
    HeldOut,
}

fn hold_out(part: &mut Part, held_out: bool) {
    if held_out {
        *part = Part::HeldOut;
    }
}

/// Calls `each` with the user, item and place of each rating.
fn for_each(rows: &Interactions, mut each: impl FnMut(usize, u32, usize)) {
    for user in 0..rows.user_count() {
        for at in rows.offsets[user]..rows.offsets[user + 1] {
            each(user, rows.items[at], at);
        }
    }
}

/// Holds out each user's first ratings in ascending `order`: `count` of them, given how many the user has.
fn of_each_user(
    rows: &Interactions,
    count: impl Fn(usize) -> usize,
    order: impl Fn(usize, u32, usize) -> f64,
    part: &mut [Part],
) {
    for user in 0..rows.user_count() {
        let own = rows.offsets[user]..rows.offsets[user + 1];
        let count = count(own.len());
        let mut places: Vec<(f64, usize)> = own.map(|at| (order(user, rows.items[at], at), at)).collect();
        places.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        places.into_iter().take(count).for_each(|(_, at)| part[at] = Part::HeldOut);
    }
}

fn times(moments: &[f64]) -> Result<&[f64]> {
    match moments {
        [] => Err(Error::new(Kind::NoRatings, "there is no time to split by")
            .hint("the ratings need a column rated_at; --split random and leave-one-out do without")),
        moments => Ok(moments),
    }
}

/// Hashes ids and a seed to numbers from 0 to 1.
struct Draw {
    users: Vec<u64>,
    items: Vec<u64>,
    seed: u64,
}

impl Draw {
    fn new(users: &Users, items: &Items, seed: u64) -> Self {
        let user = |code: usize| match users.get(code) {
            UserRef::Integer(id) => xxh3_64(&id.to_le_bytes()),
            UserRef::Text(id) => xxh3_64(id.as_bytes()),
        };
        Self {
            users: (0..users.len()).map(user).collect(),
            items: (0..items.len()).map(|code| xxh3_64(items.key(code).as_bytes())).collect(),
            seed,
        }
    }

    fn of(&self, bytes: [u64; 2]) -> f64 {
        let bytes: [[u8; 8]; 2] = bytes.map(u64::to_le_bytes);
        xxh3_64_with_seed(bytes.as_flattened(), self.seed) as f64 / u64::MAX as f64
    }

    fn user(&self, user: usize) -> f64 {
        self.of([self.users[user], 0])
    }

    fn item(&self, item: u32) -> f64 {
        self.of([0, self.items[item as usize]])
    }

    fn pair(&self, user: usize, item: u32) -> f64 {
        self.of([self.users[user], self.items[item as usize]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::encode::{RatingColumns, encode, normalise};
    use crate::config::Config;

    /// 50 readers with up to 30 of 40 books, rated one after the other.
    fn ratings(readers: i64, with_times: bool) -> Encoded {
        let mut config = Config::default();
        config.items.key = crate::config::KeyKind::Text;
        let mut columns = RatingColumns::default();
        for n in 0..1500i64 {
            let reader = n % 50;
            if reader < readers && n / 50 < reader {
                let moment = if with_times { (n * 37 % 1500) as f64 } else { f64::NEG_INFINITY };
                let book = format!("book {}", (n / 50 * 11 + reader) % 40);
                columns.push(UserRef::Integer(reader), &book, (n % 5 + 1) as f32, moment);
            }
        }
        encode(normalise(columns, &config).expect("normalised")).expect("encoded")
    }

    fn drawn(ratings: &Encoded, scheme: Scheme) -> Split {
        let split = Split::draw(ratings, scheme, 7).expect("drawn");
        // Nothing is lost, and nothing is in both parts.
        assert_eq!(split.known().len() + split.held_out_count, ratings.interactions.len());
        for (user, held_out) in split.held_out.iter().enumerate() {
            assert!(held_out.iter().all(|item| split.known().of(user).0.binary_search(item).is_err()));
            assert!(held_out.is_sorted());
        }
        assert_eq!(split.held_out_ratings.len(), split.held_out_count, "all of them are rated");
        split
    }

    #[test]
    fn each_scheme_holds_out_what_it_says() {
        let ratings = ratings(50, true);
        let rows = &ratings.interactions;
        let share = |split: &Split| split.held_out_count as f64 / rows.len() as f64;
        let random = drawn(&ratings, Scheme::Random(0.2));
        assert!((share(&random) - 0.2).abs() < 0.04);
        let one = drawn(&ratings, Scheme::LeaveOne);
        let last = drawn(&ratings, Scheme::LeaveLast(3));
        for user in 0..rows.user_count() {
            let own = rows.of(user).0.len();
            assert_eq!(one.held_out[user].len(), usize::from(own > 1));
            assert_eq!(last.held_out[user].len(), if own > 3 { 3 } else { 0 });
            let moment = |item: &u32| {
                let at = rows.of(user).0.binary_search(item).expect("an own item");
                ratings.moments[rows.offsets[user] + at]
            };
            let newest_known = last.train.of(user).0.iter().map(moment).fold(f64::MIN, f64::max);
            assert!(last.held_out[user].iter().all(|item| moment(item) > newest_known));
        }
        let time = drawn(&ratings, Scheme::Time(0.25));
        assert!((share(&time) - 0.25).abs() < 0.01);
        let moments = |split: &Split, train: bool| -> Vec<f64> {
            let mut found = Vec::new();
            for_each(rows, |user, item, at| {
                if split.train.of(user).0.contains(&item) == train {
                    found.push(ratings.moments[at]);
                }
            });
            found.sort_unstable_by(f64::total_cmp);
            found
        };
        assert!(moments(&time, true).last() < moments(&time, false).first());
        let books = drawn(&ratings, Scheme::Books(0.2));
        let readers = books.train.users_per_item();
        assert!(books.held_out.iter().flatten().all(|item| readers[*item as usize] == 0));
        let readers = drawn(&ratings, Scheme::Readers(0.3));
        let newcomers = readers.newcomers();
        assert!(newcomers.len() > 7 && newcomers.len() < 25 && newcomers.len() == readers.readers.len());
        for user in newcomers {
            let (known, held_out) = (readers.known().of(user as usize).0, &readers.held_out[user as usize]);
            let own = rows.of(user as usize).0.len() as f64;
            assert!(!known.is_empty() && held_out.len() as f64 == (own * 0.2).round().max(1.0));
        }
    }

    #[test]
    fn what_is_held_out_stays_so_when_readers_come_and_go() {
        let (many, few) = (ratings(50, true), ratings(35, true));
        let held_out = |ratings: &Encoded| -> Vec<Vec<String>> {
            let split = drawn(ratings, Scheme::Random(0.2));
            let key = |item: &u32| ratings.items.key(*item as usize).to_owned();
            split.held_out.iter().map(|items| items.iter().map(key).collect()).collect()
        };
        let (many, few) = (held_out(&many), held_out(&few));
        assert_eq!(few[..], many[..few.len()]);
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let refused = |ratings: &Encoded, scheme: Scheme, words: &str| {
            let error = Split::draw(ratings, scheme, 7).expect_err("refused");
            assert_eq!(error.kind(), Kind::NoRatings);
            assert!(error.to_string().contains(words), "{error}");
        };
        refused(&ratings(50, false), Scheme::Time(0.2), "no time");
        refused(&ratings(50, false), Scheme::LeaveLast(1), "no time");
        refused(&ratings(50, true), Scheme::LeaveLast(100), "nothing to foretell");
        refused(&ratings(50, true), Scheme::Random(1.0), "nothing to learn from");
    }
}
