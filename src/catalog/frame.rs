//! The ratings as polars columns: distinct spellings to keys, ids to codes.
//!
//! Everything here works on whole columns. An ISBN is parsed once for each distinct spelling, not
//! once a row; the result is joined back, and so are the codes. Codes are places in the sorted set
//! of keys, so the same set of keys always gets the same codes.

use polars::prelude::*;
use xxhash_rust::xxh3::Xxh3;

use crate::catalog::interactions::Interactions;
use crate::catalog::isbn::{self, Key, Reason};
use crate::catalog::rejects::Rejects;
use crate::catalog::vocabulary::{Items, UserRef, Users};
use crate::config::{Config, Invalid, KeyKind};
use crate::error::Result;

/// Ratings as they are read, a column each.
pub struct RatingColumns {
    user_integer: PrimitiveChunkedBuilder<Int64Type>,
    user_text: StringChunkedBuilder,
    isbn: StringChunkedBuilder,
    rating: Vec<f32>,
    moment: Vec<f64>,
}

impl Default for RatingColumns {
    fn default() -> Self {
        Self {
            user_integer: PrimitiveChunkedBuilder::new("user_integer".into(), 0),
            user_text: StringChunkedBuilder::new("user_text".into(), 0),
            isbn: StringChunkedBuilder::new("isbn".into(), 0),
            rating: Vec::new(),
            moment: Vec::new(),
        }
    }
}

impl std::fmt::Debug for RatingColumns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RatingColumns of {} rows", self.rating.len())
    }
}

impl RatingColumns {
    /// Adds a row. `rating` is NaN for "read, not rated"; `moment` grows with time.
    pub fn push(&mut self, user: UserRef<'_>, isbn: &str, rating: f32, moment: f64) {
        match user {
            UserRef::Integer(id) => {
                self.user_integer.append_value(id);
                self.user_text.append_null();
            }
            UserRef::Text(id) => {
                self.user_integer.append_null();
                self.user_text.append_value(id);
            }
        }
        self.isbn.append_value(isbn);
        self.rating.push(rating);
        self.moment.push(moment);
    }

    fn into_frame(self) -> PolarsResult<DataFrame> {
        DataFrame::new_infer_height(vec![
            self.user_integer.finish().into_column(),
            self.user_text.finish().into_column(),
            self.isbn.finish().into_column(),
            Column::new("rating".into(), self.rating),
            Column::new("moment".into(), self.moment),
        ])
    }
}

/// Ratings in codes, and what is needed to understand them.
#[derive(Debug)]
pub struct Encoded {
    /// Who rated what.
    pub interactions: Interactions,
    /// Codes of readers.
    pub users: Users,
    /// Codes of books.
    pub items: Items,
    /// Lowest and highest rating; `None` if nothing was rated.
    pub scale: Option<(f32, f32)>,
    /// Rows that were left out here.
    pub rejects: Rejects,
    /// Rows in a spelling to which lost zeros were given back.
    pub repaired: u64,
    /// Rows that a newer rating of the same pair replaced.
    pub duplicates: u64,
    /// Rows with a key that is no valid ISBN, by reason.
    pub opaque: Rejects,
}

impl Encoded {
    /// A number that changes when any kept rating, reader or book does. XXH3, 64 bits.
    pub fn digest(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&self.interactions.digest().to_le_bytes());
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
}

/// Ratings with their keys resolved, before codes are given out.
#[derive(Debug)]
pub struct Normalised {
    frame: DataFrame,
    items: DataFrame,
    scale: Option<(f32, f32)>,
    rejects: Rejects,
    repaired: u64,
    opaque: Rejects,
}

/// Brings every spelling of a book to one key, and drops what is off the scale.
///
/// # Errors
/// Only if polars fails.
pub fn normalise(columns: RatingColumns, config: &Config) -> Result<Normalised> {
    let mut rejects = Rejects::default();
    let frame = columns.into_frame()?;
    let (frame, scale) = within_scale(frame, &config.source.scale, &mut rejects)?;
    let judged = judge(&frame, config)?;
    for (reason, rows, examples) in judged.dropped.iter() {
        rejects.add_many(reason, rows, || examples.join(", "));
    }
    let spellings = judged.spellings;

    // Of all spellings of one key, the catalogue's own is the one used most often.
    let items = spellings
        .sort(
            ["key", "rows", "isbn"],
            SortMultipleOptions::default().with_order_descending_multi([false, true, false]),
        )?
        .unique_stable(Some(&["key".into()]), UniqueKeepStrategy::First, None)?
        .select(["key", "isbn", "is_isbn"])?
        .with_row_index("item".into(), None)?;
    let codes = left_join(&spellings.select(["isbn", "key"])?, &items.select(["key", "item"])?, &["key"])?;
    let frame = left_join(&frame, &codes.select(["isbn", "item"])?, &["isbn"])?;
    let known = frame.column("item")?.is_not_null();
    let frame = if known.all() { frame } else { frame.filter(&known)? };
    Ok(Normalised {
        frame: frame.select(["user_integer", "user_text", "item", "rating", "moment"])?,
        items,
        scale,
        rejects,
        repaired: judged.repaired,
        opaque: judged.opaque,
    })
}

/// Gives out the codes of readers, and sorts the ratings by them.
///
/// # Errors
/// Only if polars fails.
pub fn encode(normalised: Normalised) -> Result<Encoded> {
    let Normalised { frame, items, scale, rejects, repaired, opaque } = normalised;
    const ID: [&str; 2] = ["user_text", "user_integer"];
    // Integers come before texts, as in SQLite: codes are in primary-key order.
    let users = frame
        .select(ID)?
        .unique::<&str, &str>(None, UniqueKeepStrategy::Any, None)?
        .sort(ID, SortMultipleOptions::default())?
        .with_row_index("user".into(), None)?;
    let frame = left_join(&frame, &users, &ID)?;

    let user = frame.column("user")?.idx()?.rechunk();
    let item = frame.column("item")?.idx()?.rechunk();
    let rating = frame.column("rating")?.f32()?.rechunk();
    let moment = frame.column("moment")?.f64()?.rechunk();
    let mut triples: Vec<(u32, u32, f32)> = user
        .into_no_null_iter()
        .zip(item.into_no_null_iter())
        .zip(rating.into_no_null_iter())
        .map(|((user, item), rating)| (user, item, rating))
        .collect();
    let moments: Vec<f64> = moment.into_no_null_iter().collect();
    if !moments.is_sorted() {
        let mut order: Vec<usize> = (0..triples.len()).collect();
        order.sort_by(|a, b| moments[*a].total_cmp(&moments[*b]));
        triples = order.into_iter().map(|row| triples[row]).collect();
    }
    let (interactions, duplicates) = Interactions::from_triples(users.height(), items.height(), triples);
    Ok(Encoded {
        interactions,
        users: Users::new(users)?,
        items: Items::new(items)?,
        scale,
        rejects,
        repaired,
        duplicates: duplicates as u64,
        opaque,
    })
}

/// The key of one spelling, as the configuration wants it; `None` if it is dropped or empty.
pub fn key(spelling: &str, config: &Config) -> Option<String> {
    match verdict(spelling, config) {
        Verdict::Item { key, .. } => Some(key),
        Verdict::Dropped(_) => None,
    }
}

/// What becomes of a spelling.
enum Verdict {
    Item { key: String, repaired: bool, opaque: Option<Reason> },
    Dropped(&'static str),
}

fn verdict(spelling: &str, config: &Config) -> Verdict {
    let item = |key, repaired, opaque| Verdict::Item { key, repaired, opaque };
    if config.items.key == KeyKind::Text {
        return item(spelling.to_owned(), false, None);
    }
    match (isbn::parse(spelling), config.items.invalid) {
        (Some(Key::Isbn { isbn13, repaired }), _) => item(isbn13, repaired, None),
        (Some(Key::Opaque { text, reason }), Invalid::Keep) => item(text, false, Some(reason)),
        (Some(Key::Opaque { reason, .. }), Invalid::Drop) => Verdict::Dropped(reason.word()),
        (None, _) => Verdict::Dropped("missing_isbn"),
    }
}

/// What the distinct spellings turned out to be.
struct Judged {
    /// isbn, rows, key, is_isbn; without the dropped ones.
    spellings: DataFrame,
    repaired: u64,
    opaque: Rejects,
    dropped: Rejects,
}

fn judge(frame: &DataFrame, config: &Config) -> Result<Judged> {
    let counted = frame.group_by(["isbn"])?.select(["isbn"]).count()?.sort(["isbn"], Default::default())?;
    let spellings = counted.column("isbn")?.str()?;
    let rows = counted.column("isbn_count")?.idx()?;
    let (mut repaired_rows, mut opaque_rows, mut dropped) = (0, Rejects::default(), Rejects::default());
    let mut keys: Vec<Option<String>> = Vec::with_capacity(counted.height());
    let mut is_isbn: Vec<bool> = Vec::with_capacity(counted.height());
    for (spelling, rows) in spellings.iter().zip(rows.iter()) {
        let (spelling, rows) = (spelling.unwrap_or_default(), u64::from(rows.unwrap_or_default()));
        match verdict(spelling, config) {
            Verdict::Item { key, repaired, opaque } => {
                if repaired {
                    repaired_rows += rows;
                }
                if let Some(reason) = opaque {
                    opaque_rows.add_many(reason.word(), rows, || spelling.to_owned());
                }
                is_isbn.push(opaque.is_none() && config.items.key == KeyKind::Isbn);
                keys.push(Some(key));
            }
            Verdict::Dropped(reason) => {
                dropped.add_many(reason, rows, || spelling.to_owned());
                is_isbn.push(false);
                keys.push(None);
            }
        }
    }
    let kept: BooleanChunked = keys.iter().map(Option::is_some).collect();
    let spellings = DataFrame::new_infer_height(vec![
        counted.column("isbn")?.clone(),
        Column::new("rows".into(), rows.clone().into_series()),
        Column::new("key".into(), keys),
        Column::new("is_isbn".into(), is_isbn),
    ])?
    .filter(&kept)?;
    Ok(Judged { spellings, repaired: repaired_rows, opaque: opaque_rows, dropped })
}

/// Drops the ratings that are off the scale. Where none is set, the scale is the shortest of the
/// usual ones that nearly all ratings fit, so that a slip of the keyboard does not stretch it.
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
            // Half stars: a few low ones are not a slip.
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
        rejects.add("rating_off_scale", || {
            format!("{}, {}", isbn.unwrap_or_default(), rating.unwrap_or_default())
        });
    }
    Ok((frame.filter(&mask)?, Some((low, high))))
}

/// A left join that keeps the order of the rows and finds missing ids too.
fn left_join(left: &DataFrame, right: &DataFrame, on: &[&str]) -> PolarsResult<DataFrame> {
    let args = JoinArgs {
        nulls_equal: true,
        maintain_order: MaintainOrderJoin::Left,
        ..JoinArgs::new(JoinType::Left)
    };
    left.join(right, on, on, args, None)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((encoded.repaired, encoded.duplicates), (1, 1));
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
