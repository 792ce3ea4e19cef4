//! Turns the ratings, as polars columns, from ids and spellings into codes.
//!
//! Everything here works on whole columns: rows are grouped, the groups are sorted, and a group's
//! place is the code of its rows. So the same set of keys always gets the same codes.

use std::cmp::Ordering;

use polars::prelude::*;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::catalog::columns::RatingFrame;
pub use crate::catalog::columns::{RatingColumns, Time, UnreadTimes};
use crate::catalog::ids::{Items, NewBook, UserId, UserRef, Users};
use crate::catalog::keys::{self, Keying};
use crate::catalog::rejects::{Example, Part, Rejects};
use crate::catalog::times;
use crate::config::Config;
use crate::error::Result;
use crate::model::data::Interactions;
use crate::model::hyperparameters::HalfLife;

/// Ratings in codes, and the ids behind the codes.
#[derive(Clone, Debug)]
pub struct Encoded {
    pub interactions: Interactions,
    /// The time of each interaction, as a number that grows with time; empty if no time is known.
    pub moments: Vec<f64>,
    /// How much each interaction counts, over all rows of its pair; empty if all count the same.
    pub weights: Vec<f32>,
    /// What each reader dislikes; may be shorter.
    pub dislikes: Interactions,
    pub users: Users,
    pub items: Items,
    /// For each attribute the category of each reader ([`crate::catalog::attributes`]).
    pub attributes: Vec<Vec<u32>>,
    /// Lowest and highest rating of the scale; `None` if nothing was rated.
    pub scale: Option<(f32, f32)>,
    /// Rows that were left out, by reason.
    pub rejects: Rejects,
    /// Rows whose spelling was repaired or is not the book's usual one, by reason ([`keys`]).
    pub mended: Rejects,
    /// Rows that a newer rating of the same pair replaced.
    pub duplicates: u64,
    /// Kept rows whose key is no valid ISBN, by reason.
    pub opaque: Rejects,
    /// Kept rows whose time is taken for unknown.
    pub unread_times: UnreadTimes,
}

impl Encoded {
    /// A number that changes when any kept rating, reader or book does. XXH3, 64 bits.
    pub fn digest(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&self.interactions.digest().to_le_bytes());
        self.weights.iter().for_each(|weight| hash.update(&weight.to_le_bytes()));
        for code in 0..self.users.len() {
            match self.users.get(code) {
                UserRef::Integer(id) => hash.update(&id.to_le_bytes()),
                UserRef::Text(id) => hash.update(id.as_bytes()),
            }
            hash.update(&[0]);
        }
        for code in 0..self.items.len() {
            hash.update(self.items.spelling(code).as_bytes());
            hash.update(&[0]);
        }
        hash.digest()
    }

    /// How much each interaction counts: by its [weight](Self::weights), and by its age as [`times::decays`] says.
    pub fn confidence(&self, half_life: HalfLife) -> Vec<f32> {
        times::weighed_decays(&self.moments, None, half_life, &self.weights)
    }

    /// Adds books without ratings to the vocabulary. Returns the new codes of the books that were there, and
    /// those of `others`.
    pub fn join(&mut self, others: &[NewBook]) -> Result<(Vec<u32>, Vec<u32>)> {
        let (items, old, new) = self.items.joined_by(others)?;
        // Codes rise with keys before and after, so each reader's items stay sorted.
        self.interactions.items.iter_mut().for_each(|item| *item = old[*item as usize]);
        self.interactions.item_count = items.len();
        self.items = items;
        Ok((old, new))
    }

    /// Adds readers without ratings to the vocabulary.
    pub fn join_readers(&mut self, others: Vec<UserId>) -> Result<()> {
        let (users, old) = self.users.joined_by(others)?;
        let mut offsets = Vec::with_capacity(users.len() + 1);
        let mut next = 0;
        for code in 0..users.len() as u32 {
            offsets.push(self.interactions.offsets[next]);
            next += usize::from(old.get(next) == Some(&code));
        }
        offsets.push(self.interactions.len());
        self.interactions.offsets = offsets;
        self.users = users;
        Ok(())
    }

    /// For each reader, a number that changes only if one of their books or ratings does: not with other
    /// readers, codes, spellings or the order of rows. XXH3, 64 bits.
    pub fn reader_digests(&self) -> Vec<i64> {
        let keys: Vec<u64> =
            (0..self.items.len()).map(|item| xxh3_64(self.items.key(item).as_bytes())).collect();
        let mut bytes = Vec::new();
        let digest = |user| {
            bytes.clear();
            // In the order of codes, which is that of keys.
            let (items, ratings) = self.interactions.of(user);
            for (item, rating) in items.iter().zip(ratings) {
                bytes.extend_from_slice(&keys[*item as usize].to_le_bytes());
                bytes.extend_from_slice(&rating.to_bits().to_le_bytes());
            }
            let places = self.interactions.offsets[user]..self.interactions.offsets[user + 1];
            let weights = self.weights.get(places).unwrap_or_default();
            weights.iter().for_each(|weight| bytes.extend_from_slice(&weight.to_bits().to_le_bytes()));
            xxh3_64(&bytes).cast_signed()
        };
        (0..self.users.len()).map(digest).collect()
    }
}

/// Ratings whose books have codes, but whose readers have none yet.
#[derive(Debug)]
pub struct Normalised {
    frame: DataFrame,
    items: Items,
    scale: Option<(f32, f32)>,
    rejects: Rejects,
    mended: Rejects,
    opaque: Rejects,
    unread_times: UnreadTimes,
}

/// Brings every spelling of a book to one key, and drops ratings that are off the scale.
pub fn normalise(columns: RatingColumns, config: &Config) -> Result<Normalised> {
    normalise_as(columns, config, None)
}

/// As [`normalise`], of a few rows whose books are to have the keys that they have in a vocabulary.
pub fn normalise_as(columns: RatingColumns, config: &Config, items: Option<&Items>) -> Result<Normalised> {
    let mut rejects = Rejects::default();
    let RatingFrame { frame, unread_times } = columns.into_frame(config.source.dates)?;
    let (frame, scale) = within_scale(frame, &config.source.scale, &mut rejects)?;
    let keying = items.map(|items| Keying::of(items, config));
    let books = keys::assign(&frame, config, keying)?;
    for (reason, rows, examples) in books.dropped.iter() {
        rejects.add_many(reason, rows, examples.iter().cloned());
    }
    let mut frame = frame;
    // Dropped early: the spellings are the largest column.
    frame.drop_in_place("isbn")?;
    frame.with_column(Column::new("item".into(), books.codes))?;
    let known = frame.column("item")?.is_not_null();
    let frame = if known.all() { frame } else { frame.filter(&known)? };
    let (items, mended, opaque) = (books.items, books.mended, books.opaque);
    Ok(Normalised { frame, items, scale, rejects, mended, opaque, unread_times })
}

/// Gives readers their codes, and sorts the ratings by reader.
pub fn encode(normalised: Normalised) -> Result<Encoded> {
    let Normalised { frame, items, scale, rejects, mended, opaque, unread_times } = normalised;
    let (users, codes) = give_out_codes(&frame)?;
    let item = frame.column("item")?.u32()?.rechunk();
    let rating = frame.column("rating")?.f32()?.rechunk();
    let mut triples: Vec<(u32, u32, f32)> = codes
        .into_iter()
        .zip(item.into_no_null_iter())
        .zip(rating.into_no_null_iter())
        .map(|((user, item), rating)| (user, item, rating))
        .collect();
    let mut moments: Vec<f64> = match frame.column("moment") {
        Ok(column) => column.f64()?.rechunk().into_no_null_iter().collect(),
        Err(_) => Vec::new(),
    };
    let mut weights: Vec<f32> = match frame.column("weight") {
        Ok(column) => column.f32()?.rechunk().into_no_null_iter().collect(),
        Err(_) => Vec::new(),
    };
    drop(frame);
    if !moments.is_sorted() {
        let mut order: Vec<usize> = (0..triples.len()).collect();
        order.sort_by(|a, b| moments[*a].total_cmp(&moments[*b]));
        triples = order.iter().map(|row| triples[*row]).collect();
        moments = order.iter().map(|row| moments[*row]).collect();
        if !weights.is_empty() {
            weights = order.iter().map(|row| weights[*row]).collect();
        }
    }
    let (interactions, places) = Interactions::from_triples(users.len(), items.len(), &triples);
    let duplicates = (triples.len() - places.len()) as u64;
    if !moments.is_empty() {
        moments = places.iter().map(|place| moments[*place as usize]).collect();
    }
    if !weights.is_empty() {
        weights = sums(&triples, &weights, &interactions);
    }
    let attributes = Vec::new();
    Ok(Encoded {
        interactions,
        moments,
        weights,
        dislikes: Interactions::default(),
        users,
        items,
        attributes,
        scale,
        rejects,
        mended,
        duplicates,
        opaque,
        unread_times,
    })
}

/// The weight of each pair: the sum of those of its rows.
fn sums(triples: &[(u32, u32, f32)], weights: &[f32], interactions: &Interactions) -> Vec<f32> {
    let mut sums = vec![0.0; interactions.len()];
    for ((user, item, _), weight) in triples.iter().zip(weights) {
        let first = interactions.offsets[*user as usize];
        if let Ok(place) = interactions.of(*user as usize).0.binary_search(item) {
            sums[first + place] += weight;
        }
    }
    sums
}

/// The readers, and for each row the code of its reader.
///
/// Integers come before texts, as in SQLite: codes are in primary-key order.
fn give_out_codes(frame: &DataFrame) -> Result<(Users, Vec<u32>)> {
    let integers = frame.column("user_integer")?.i64()?;
    let mut codes = vec![0; frame.height()];
    // The first row of each reader, in the order of codes.
    let mut firsts: Vec<IdxSize> = Vec::new();
    let mut number = |name: &str, compare: &dyn Fn(IdxSize, IdxSize) -> Ordering| -> Result<()> {
        let grouped = frame.group_by([name])?;
        let is_null = frame.column(name)?.is_null();
        let mut groups: Vec<_> = grouped
            .get_groups()
            .iter()
            .filter(|group| is_null.get(group.first() as usize) == Some(false))
            .collect();
        groups.sort_unstable_by(|a, b| compare(a.first(), b.first()));
        for group in groups {
            let code = firsts.len() as u32;
            firsts.push(group.first());
            match group {
                GroupsIndicator::Idx((_, rows)) => {
                    rows.iter().for_each(|row| codes[*row as usize] = code);
                }
                GroupsIndicator::Slice([first, length]) => {
                    codes[first as usize..][..length as usize].fill(code);
                }
            }
        }
        Ok(())
    };
    number("user_integer", &|a, b| integers.get(a as usize).cmp(&integers.get(b as usize)))?;
    if let Ok(texts) = frame.column("user_text") {
        let texts = texts.str()?;
        number("user_text", &|a, b| texts.get(a as usize).cmp(&texts.get(b as usize)))?;
    }
    let firsts = IdxCa::from_vec("first".into(), firsts);
    let text = frame.column("user_text").map_or_else(
        |_| Ok(Column::full_null("user_text".into(), firsts.len(), &DataType::String)),
        |texts| texts.take(&firsts),
    )?;
    let integer = frame.column("user_integer")?.take(&firsts)?;
    let users = Users::new(DataFrame::new_infer_height(vec![integer, text])?)?;
    Ok((users, codes))
}

/// Drops ratings that are off the scale. If none is configured, the scale is the shortest usual one that
/// nearly all ratings fit, so that a few typing errors do not stretch it.
fn within_scale(
    frame: DataFrame,
    configured: &[f64],
    rejects: &mut Rejects,
) -> Result<(DataFrame, Option<(f32, f32)>)> {
    const USUAL_HIGHEST: [f32; 5] = [1.0, 5.0, 10.0, 20.0, 100.0];
    const NEARLY_ALL: f64 = 0.99;
    let ratings = frame.column("rating")?.f32()?.clone();
    let rated: Vec<f32> = ratings.iter().flatten().filter(|rating| !rating.is_nan()).collect();
    if rated.is_empty() {
        return Ok((frame, None));
    }
    let (low, high) = match configured {
        [low, high] => (*low as f32, *high as f32),
        _ => {
            let share = |fits: &dyn Fn(f32) -> bool| {
                rated.iter().filter(|rating| fits(**rating)).count() as f64 / rated.len() as f64
            };
            let top = rated.iter().copied().fold(f32::MIN, f32::max);
            let high = USUAL_HIGHEST
                .into_iter()
                .find(|high| share(&|rating| rating <= *high) >= NEARLY_ALL)
                .unwrap_or(top);
            let lowest = rated.iter().copied().fold(f32::MAX, f32::min);
            let low = match lowest {
                _ if share(&|rating| rating >= 1.0) >= NEARLY_ALL && high > 1.0 => 1.0,
                _ if share(&|rating| rating >= 0.0) >= NEARLY_ALL => lowest.max(0.0),
                _ => lowest,
            };
            // Half stars: a few ratings below 1 are no typing errors.
            let low = if (0.0..1.0).contains(&lowest) { lowest } else { low };
            (low.min(high), high)
        }
    };
    let fits = |rating: f32| rating.is_nan() || (low..=high).contains(&rating);
    let mask: BooleanChunked = ratings.iter().map(|rating| rating.is_some_and(fits)).collect();
    if mask.all() {
        return Ok((frame, Some((low, high))));
    }
    let off = frame.filter(&!&mask)?;
    for (isbn, rating) in off.column("isbn")?.str()?.iter().zip(off.column("rating")?.f32()?.iter()) {
        rejects.add("rating_off_scale", || Example {
            rating: rating.map(|rating| Part::Real(f64::from(rating))),
            ..Example::isbn(isbn.unwrap_or_default())
        });
    }
    Ok((frame.filter(&mask)?, Some((low, high))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Invalid;

    fn encoded(rows: &[(UserRef<'_>, &str, f32)], config: &Config) -> Encoded {
        let mut columns = RatingColumns::default();
        for (place, (user, isbn, rating)) in rows.iter().enumerate() {
            columns.push(*user, isbn, *rating, place as f64);
        }
        encode(normalise(columns, config).expect("normalised")).expect("encoded")
    }

    #[test]
    fn spellings_become_one_item_under_the_commonest_one() {
        use UserRef::{Integer, Text};
        let rows = [
            (Text("ann"), "0306406152", 7.0),
            (Integer(i64::MAX), "0306406152", f32::NAN),
            (Integer(-5), "978-0-306-40615-7", 9.0),
            (Integer(-5), "306406152", 3.0),
            (Integer(-5), "a note", 4.0),
        ];
        let encoded = encoded(&rows, &Config::default());
        assert_eq!(encoded.users.len(), 3);
        assert_eq!(encoded.users.get(0), UserRef::Integer(-5));
        assert_eq!(encoded.users.get(1), UserRef::Integer(i64::MAX));
        assert_eq!(encoded.users.get(2), UserRef::Text("ann"));
        assert_eq!(encoded.items.len(), 2);
        assert_eq!(encoded.items.spelling(0), "0306406152");
        assert_eq!(encoded.items.isbn13(0), Some("9780306406157"));
        assert_eq!(encoded.items.isbn13(1), None);
        assert_eq!((encoded.mended.of(keys::LOST_ZEROS), encoded.duplicates), (1, 1));
        assert_eq!(encoded.mended.of(keys::OTHER_SPELLING), 2);
        assert_eq!(encoded.interactions.of(0), (&[0, 1][..], &[3.0, 4.0][..]));
        assert_eq!(encoded.opaque.total(), 1);
    }

    #[test]
    fn codes_are_the_same_whatever_the_order_of_rows() {
        let mut rows: Vec<_> = (0..40).map(|n| (UserRef::Integer(n * 7 % 40), "0306406152", 5.0)).collect();
        rows.extend((0..40).map(|n| (UserRef::Integer(n), ["x", "y", "z"][n as usize % 3], 4.0)));
        let forward = encoded(&rows, &Config::default());
        rows.reverse();
        let backward = encoded(&rows, &Config::default());
        assert_eq!(forward.interactions, backward.interactions);
        assert_eq!(forward.interactions.digest(), backward.interactions.digest());
    }

    #[test]
    fn a_readers_digest_is_their_own_affair() {
        let digests = |rows: &[(UserRef<'_>, &str, f32)]| encoded(rows, &Config::default()).reader_digests();
        let (ann, bob) = (UserRef::Integer(1), UserRef::Integer(2));
        let rows = [(ann, "0306406152", 7.0), (ann, "x", f32::NAN), (bob, "x", 3.0)];
        let before = digests(&rows);
        assert_ne!(before[0], before[1]);
        // Another order, another spelling, another book in the catalogue: nothing has changed for Ann.
        let others =
            [(ann, "x", f32::NAN), (ann, "978-0-306-40615-7", 7.0), (bob, "a", 3.0), (bob, "x", 3.0)];
        let after = digests(&others);
        assert_eq!(after[0], before[0]);
        assert_ne!(after[1], before[1]);
        // A mark is not the same as none, nor one book as another.
        for changed in [(ann, "x", 1.0), (ann, "y", f32::NAN)] {
            assert_ne!(digests(&[rows[0], changed, rows[2]])[0], before[0]);
        }
    }

    #[test]
    fn dropping_what_is_no_isbn_is_counted() {
        let mut config = Config::default();
        config.items.invalid = Invalid::Drop;
        let rows = [(UserRef::Integer(1), "0306406152", 7.0), (UserRef::Integer(2), "0306406153", 7.0)];
        let encoded = encoded(&rows, &config);
        assert_eq!((encoded.users.len(), encoded.items.len()), (1, 1));
        assert_eq!(encoded.rejects.iter().next().map(|(reason, ..)| reason), Some("bad_check_digit"));
    }

    #[test]
    fn one_slip_does_not_stretch_the_scale() {
        let mut rows: Vec<_> = (0..200).map(|n| (UserRef::Integer(n), "x", (n % 10 + 1) as f32)).collect();
        rows.push((UserRef::Integer(300), "x", 77.0));
        rows.push((UserRef::Integer(301), "x", -3.0));
        let encoded = encoded(&rows, &Config::default());
        assert_eq!(encoded.scale, Some((1.0, 10.0)));
        assert_eq!(encoded.rejects.total(), 2);
        let stars: Vec<_> = (0..200).map(|n| (UserRef::Integer(n), "x", (n % 10 + 1) as f32 / 2.0)).collect();
        assert_eq!(self::encoded(&stars, &Config::default()).scale, Some((0.5, 5.0)));
        let unrated = [(UserRef::Integer(1), "x", f32::NAN)];
        assert_eq!(self::encoded(&unrated, &Config::default()).scale, None);
    }
}
