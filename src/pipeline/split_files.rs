//! For `nightshelf evaluate`: ratings to learn from and held-out ratings, read from files.

use std::path::Path;

use crate::catalog::dates;
use crate::catalog::encode::{self, Encoded, RatingColumns};
use crate::catalog::ids::{Items, UserRef};
use crate::catalog::keys::Keying;
use crate::catalog::makers::{BookTexts, Groups, Particulars, Related};
use crate::catalog::split::{Later, Split};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::ingest::{Dialect, Field, FileKind, Hints, Origin, Records, number};

/// Reads both files, in the codes of the first.
///
/// # Errors
/// [`Kind::NoInput`] for a missing file, [`Kind::NoRatings`] if one holds nothing to use.
pub fn read(train: &Path, test: &Path, config: &Config) -> Result<(Encoded, Split)> {
    let mut columns = RatingColumns::default();
    let has_times = for_each_rating(train, config, |Line { place, user, isbn, rating, moment }| {
        columns.push(user, isbn, rating, moment.unwrap_or(place));
    })?;
    let mut train = encode::encode(encode::normalise(columns, config)?)?;
    if !has_times {
        // The place of a line says which of two ratings counts, but not when it was given.
        train.moments.clear();
    }
    if train.interactions.is_empty() {
        return Err(Error::new(Kind::NoRatings, "the training file holds no usable ratings"));
    }
    let (users, items) = (train.users.codes(), train.items.codes());
    let keying = Keying::of(&train.items, config);
    let mut held_out = vec![Vec::new(); train.users.len()];
    let (mut held_out_ratings, mut later) = (Vec::new(), Vec::new());
    let mut unknown = train.items.len() as u32;
    let mut held_out_count = 0;
    for_each_rating(test, config, |Line { user, isbn, rating, moment, .. }| {
        let Some((key, _)) = keying.key(isbn) else {
            return;
        };
        let (user, item) = (users.get(&user).copied(), items.get(key.as_str()).copied());
        held_out_count += 1;
        if let Some(user) = user {
            // No list can have a book that is unknown here: it counts as not found.
            let code = item.unwrap_or_else(|| {
                unknown += 1;
                unknown
            });
            held_out[user as usize].push(code);
            later.extend(item.zip(moment).map(|(item, moment)| Later { moment, user, item }));
        }
        if !rating.is_nan() {
            held_out_ratings.push((user, item, rating));
        }
    })?;
    if held_out_count == 0 {
        return Err(Error::new(Kind::NoRatings, "the test file holds no usable ratings"));
    }
    let split = Split::new(train.interactions.clone(), held_out, held_out_ratings, held_out_count)
        .in_time(&train.moments, later);
    drop((users, items));
    Ok((train, split))
}

/// A usable line of a file.
struct Line<'a> {
    place: f64,
    user: UserRef<'a>,
    isbn: &'a str,
    /// NaN if it is implicit.
    rating: f32,
    /// `None` in a file without times.
    moment: Option<f64>,
}

/// Gives `take` each usable line. Returns whether the file has times.
fn for_each_rating(path: &Path, config: &Config, mut take: impl FnMut(Line<'_>)) -> Result<bool> {
    let hints = Hints { kind: Some(FileKind::Ratings), ..Default::default() };
    let (origin, hints) = (&Origin::file(path), &hints);
    let dialect = Dialect::sniff(origin, hints)?;
    let place = |field: Field| dialect.columns.iter().position(|column| *column == field);
    let [user, isbn, rating, rated_at] = [Field::User, Field::Isbn, Field::Rating, Field::RatedAt].map(place);
    for record in Records::open(origin, &dialect)? {
        let record = record?;
        let field =
            |place: Option<usize>| place.and_then(|place| record.fields.get(place)).map(String::as_str);
        let (Some(user), Some(isbn)) = (field(user), field(isbn)) else {
            continue;
        };
        let rating = match field(rating) {
            None => f32::NAN,
            Some(text) => match number(text) {
                Some(number) if number == config.source.implicit_rating => f32::NAN,
                Some(number) => number as f32,
                None => continue,
            },
        };
        let seconds = |text| dates::read(text)?.seconds(config.source.dates);
        let moment = rated_at.map(|at| field(Some(at)).and_then(seconds).unwrap_or(f64::NEG_INFINITY));
        take(Line { place: record.number as f64, user: UserRef::Text(user), isbn, rating, moment });
    }
    Ok(rated_at.is_some())
}

/// Reads from a file of books which books of `items` are related.
pub fn read_books(path: &Path, items: &Items, config: &Config) -> Result<Related> {
    let hints = Hints { kind: Some(FileKind::Books), ..Default::default() };
    let (origin, hints) = (&Origin::file(path), &hints);
    let dialect = Dialect::sniff(origin, hints)?;
    let place = |field: Field| dialect.columns.iter().position(|column| *column == field);
    let isbn = place(Field::Isbn);
    let fields = [
        Field::Title,
        Field::Author,
        Field::Publisher,
        Field::Year,
        Field::Genre,
        Field::Description,
        Field::Series,
        Field::Volume,
    ];
    let places = fields.map(place);
    let (codes, keying) = (items.codes(), Keying::of(items, config));
    let mut groups = Groups::default();
    for record in Records::open(origin, &dialect)? {
        let record = record?;
        let field =
            |place: Option<usize>| place.and_then(|place| record.fields.get(place)).map(String::as_str);
        let key = field(isbn).and_then(|isbn| keying.key(isbn));
        let Some(item) = key.and_then(|(key, _)| codes.get(key.as_str())) else {
            continue;
        };
        let [title, author, publisher, year, genre, description, series, volume] = places.map(field);
        let texts = BookTexts { title, author, publisher, year, genre, description, series, volume };
        groups.add(Some(*item), Particulars::new(texts));
    }
    Ok(groups.finish(items.len()))
}
