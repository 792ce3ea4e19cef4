//! Who is asked, when, and what they picked up next.
//!
//! A case is a reader at a moment. Where ratings have times and what is held out is the newest part, it is cut
//! into [windows](Window): a list is then made at the beginning of each, as a night would make it, from all that
//! was known until then. Otherwise there is one window, and a case for each reader.

use std::ops::Range;
use std::sync::Arc;

use crate::catalog::ids::Items;
use crate::catalog::makers::Related;
use crate::catalog::popularity;
use crate::catalog::split::{Later, Split};
use crate::catalog::times;
use crate::config::HalfLife;
use crate::model::data::{self, Affinity, Interactions, ItemTraits, Recency, nearest_half_life};
use crate::quality::metrics::Picks;

#[derive(Clone, Debug)]
pub struct Cases {
    /// The reader of each case; those of a window stand together.
    pub readers: Vec<u32>,
    /// What the reader had read by then, a row for each case.
    pub known: Interactions,
    /// What the reader picked up next, rising.
    pub held_out: Vec<Vec<u32>>,
    /// What of this the reader marked lower than usual, rising.
    disliked: Vec<Vec<u32>>,
    /// What the reader was known to dislike.
    pub dislikes: Interactions,
    /// Days since the reader had last read anything; empty where ratings have no times.
    pub idle: Vec<f32>,
    /// For each attribute the category of the reader of each case.
    pub attributes: Vec<Vec<u32>>,
    pub windows: Vec<Window>,
}

/// Cases of one moment, and what was known of the books at that moment.
#[derive(Clone, Debug)]
pub struct Window {
    pub cases: Range<u32>,
    pub traits: ItemTraits,
}

impl Cases {
    /// Those of the first `most` readers of a split, in `windows` windows if its times allow.
    pub fn new(
        split: &Split,
        (items, related): (&Items, &Related),
        attributes: &[Vec<u32>],
        most: usize,
        windows: usize,
    ) -> Self {
        let readers = &split.readers[..split.readers.len().min(most)];
        let unit = times::unit(&split.moments);
        if let (Some(unit), true) = (unit, windows > 1 && !split.later.is_empty()) {
            return Self::in_windows(split, (items, related), attributes, readers, (windows, unit));
        }
        let disliked = split.disliked();
        let (traits, idle) = {
            let about = (items, related);
            popularity::traits(&split.train, &split.moments, attributes, about, HalfLife::Auto)
        };
        let idle_of = |reader: &u32| idle.get(*reader as usize).copied();
        Self {
            readers: readers.to_vec(),
            known: split.known().select(readers),
            held_out: readers.iter().map(|reader| split.held_out[*reader as usize].clone()).collect(),
            disliked: readers.iter().map(|reader| disliked[*reader as usize].clone()).collect(),
            dislikes: dislikes_of(split, readers),
            idle: readers.iter().filter_map(idle_of).collect(),
            attributes: of_readers(attributes, readers),
            windows: vec![Window { cases: 0..readers.len() as u32, traits }],
        }
    }

    fn in_windows(
        split: &Split,
        (items, related): (&Items, &Related),
        attributes: &[Vec<u32>],
        readers: &[u32],
        (windows, unit): (usize, f64),
    ) -> Self {
        let train = &split.train;
        let mut moments: Vec<f64> = split.moments.iter().map(|moment| moment / unit).collect();
        let mut read = train.items.clone();
        let mut readers_of = train.users_per_item();
        let mut last: Vec<f64> = data::last_moments(train, &moments);
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); train.user_count()];
        readers.iter().for_each(|reader| rows[*reader as usize] = train.of(*reader as usize).0.to_vec());
        let mut rest = split.later.as_slice();
        let ends = [rest.first(), rest.last()].map(|later| later.map_or(0.0, |later| later.moment / unit));
        let descriptions = related.descriptions(items);
        let affinity = Arc::new(Affinity::new(train, attributes));
        let disliked = split.disliked();
        let mut cases = Self {
            readers: Vec::new(),
            known: Interactions { offsets: vec![0], item_count: train.item_count, ..Interactions::default() },
            held_out: Vec::new(),
            disliked: Vec::new(),
            dislikes: Interactions::default(),
            idle: Vec::new(),
            attributes: Vec::new(),
            windows: Vec::new(),
        };
        for window in 0..windows {
            let at = |part: usize| ends[0] + (ends[1] - ends[0]) * part as f64 / windows as f64;
            let (now, until) = (at(window), at(window + 1));
            let is_inside = |later: &Later| window + 1 == windows || later.moment / unit < until;
            let (inside, after) = rest.split_at(rest.partition_point(is_inside));
            rest = after;
            let mut picks: Vec<(u32, u32)> = inside.iter().map(|later| (later.user, later.item)).collect();
            picks.sort_unstable();
            let first = cases.readers.len() as u32;
            // In the order of `readers`, which is random.
            for reader in readers {
                let from = picks.partition_point(|(user, _)| user < reader);
                let own: Vec<u32> = picks[from..]
                    .iter()
                    .take_while(|(user, _)| user == reader)
                    .map(|(_, item)| *item)
                    .collect();
                if !own.is_empty() {
                    let known = &rows[*reader as usize];
                    cases.readers.push(*reader);
                    cases.known.items.extend_from_slice(known);
                    cases.known.ratings.resize(cases.known.items.len(), f32::NAN);
                    cases.known.offsets.push(cases.known.items.len());
                    let of_reader = &disliked[*reader as usize];
                    let is_disliked = |item: &&u32| of_reader.binary_search(item).is_ok();
                    cases.disliked.push(own.iter().filter(is_disliked).copied().collect());
                    cases.held_out.push(own);
                    cases.idle.push(data::days_between(last[*reader as usize], now));
                }
            }
            let recency = Some(Recency::at(now, train.item_count, &read, &moments));
            let (descriptions, affinity) = (descriptions.clone(), affinity.clone());
            let (readers, late) = (readers_of.clone(), nearest_half_life(HalfLife::Auto));
            let traits = ItemTraits { readers, descriptions, affinity, recency, late };
            cases.windows.push(Window { cases: first..cases.readers.len() as u32, traits });
            for later in inside {
                let row = &mut rows[later.user as usize];
                if let Err(place) = row.binary_search(&later.item) {
                    row.insert(place, later.item);
                }
                read.push(later.item);
                moments.push(later.moment / unit);
                readers_of[later.item as usize] += 1;
                last[later.user as usize] = last[later.user as usize].max(later.moment / unit);
            }
        }
        cases.attributes = of_readers(attributes, &cases.readers);
        cases.dislikes = dislikes_of(split, &cases.readers);
        cases
    }

    pub fn len(&self) -> usize {
        self.readers.len()
    }

    /// The place of each case.
    pub fn places(&self) -> Vec<u32> {
        (0..self.readers.len() as u32).collect()
    }

    /// What was picked up in a case.
    pub fn picks(&self, place: u32) -> Picks<'_> {
        let place = place as usize;
        Picks { all: &self.held_out[place], disliked: &self.disliked[place] }
    }

    /// Only the cases at these places, which must rise.
    pub fn only(&self, places: &[u32]) -> Self {
        let before = |case: u32| places.partition_point(|place| *place < case) as u32;
        let window = |window: &Window| Window {
            cases: before(window.cases.start)..before(window.cases.end),
            traits: window.traits.clone(),
        };
        let at = |place: &u32| *place as usize;
        Self {
            readers: places.iter().map(|place| self.readers[at(place)]).collect(),
            known: self.known.select(places),
            held_out: places.iter().map(|place| self.held_out[at(place)].clone()).collect(),
            disliked: places.iter().map(|place| self.disliked[at(place)].clone()).collect(),
            dislikes: if self.dislikes.is_empty() {
                Interactions::default()
            } else {
                self.dislikes.select(places)
            },
            idle: places.iter().filter_map(|place| self.idle.get(at(place))).copied().collect(),
            attributes: of_readers(&self.attributes, places),
            windows: self.windows.iter().map(window).collect(),
        }
    }
}

/// What some readers dislike; nothing where nobody does.
fn dislikes_of(split: &Split, readers: &[u32]) -> Interactions {
    if split.dislikes.is_empty() { Interactions::default() } else { split.dislikes.select(readers) }
}

/// For each attribute the categories of some readers.
pub fn of_readers(attributes: &[Vec<u32>], readers: &[u32]) -> Vec<Vec<u32>> {
    let of = |codes: &Vec<u32>| readers.iter().map(|reader| codes[*reader as usize]).collect();
    attributes.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::encode::{RatingColumns, encode, normalise};
    use crate::catalog::ids::UserRef;
    use crate::catalog::split::Scheme;
    use crate::config::{Config, KeyKind};

    const DAY: f64 = 86_400.0;

    #[test]
    fn a_window_knows_what_was_read_before_it_and_nothing_later() {
        let mut config = Config::default();
        config.items.key = KeyKind::Text;
        let mut columns = RatingColumns::default();
        // Four readers, 20 books each, one a day; book n is read on day n, or one of the three days after.
        for day in 0..80i64 {
            let book = format!("book {:02}", day / 4);
            columns.push(UserRef::Integer(day % 4), &book, 5.0, 1.6e9 + day as f64 * DAY);
        }
        let ratings = encode(normalise(columns, &config).expect("normalised")).expect("encoded");
        let split = Split::draw(&ratings, Scheme::Time(0.5), 1).expect("drawn");
        let cases = Cases::new(&split, (&ratings.items, &Related::default()), &[], 100, 5);
        assert_eq!(cases.windows.len(), 5);
        assert_eq!(cases.held_out.iter().map(Vec::len).sum::<usize>(), split.held_out_count);
        let mut before = 0;
        for window in &cases.windows {
            let recency = window.traits.recency.as_ref().expect("times");
            let known: u32 = window.traits.readers.iter().sum();
            assert!(
                known as usize >= split.train.len() && known > before,
                "more is known from window to window"
            );
            before = known;
            for case in window.cases.clone() {
                let own = cases.known.of(case as usize).0;
                let held_out = &cases.held_out[case as usize];
                // Books are read in the order of their codes.
                assert!(own.last() < held_out.first(), "{own:?} {held_out:?}");
                assert!(own.is_sorted() && held_out.is_sorted());
                assert!((0.0..5.0).contains(&cases.idle[case as usize]), "days since the last book");
                assert!(held_out.iter().all(|item| window.traits.readers[*item as usize] < 4));
            }
            // What nobody has read yet is not recent either.
            for (readers, recent) in window.traits.readers.iter().zip(&recency.readers) {
                assert_eq!(*readers == 0, recent[0] == 0.0);
            }
        }
        let some: Vec<u32> = cases.places().into_iter().filter(|place| place % 3 == 0).collect();
        let fewer = cases.only(&some);
        assert_eq!(fewer.windows.iter().map(|window| window.cases.len()).sum::<usize>(), some.len());
        assert_eq!(fewer.held_out[1], cases.held_out[3]);
        // Without windows, each reader is one case.
        let once = Cases::new(&split, (&ratings.items, &Related::default()), &[], 100, 1);
        assert_eq!((once.len(), once.windows.len()), (split.readers.len(), 1));
    }
}
