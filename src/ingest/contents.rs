//! What the values of a column look like.

use std::collections::HashSet;

use super::fields::{self, Field};
use crate::catalog::dates;
use crate::catalog::isbn::{self, Key};

/// More marks than this are no scale of marks but numbers.
const MOST_MARKS: usize = 25;

#[derive(Clone, Debug, Default)]
pub struct Content {
    /// How many values are not missing.
    pub known: usize,
    /// The share of these that are valid ISBNs.
    pub isbns: f64,
    /// The share that are keys of a catalogue: ISBNs, Amazon's and Open Library's numbers.
    pub keys: f64,
    /// The share that are numbers in the range of ratings, -10 to 100; `highest` is the greatest of them.
    pub marks: f64,
    pub highest: f64,
    /// How many values are distinct, and this as a share.
    pub distinct: usize,
    pub variety: f64,
    /// The share that are times.
    pub times: f64,
    /// The share that are numbers other than years.
    pub numbers: f64,
    /// The share that are texts of several words.
    pub phrases: f64,
    pub zeros: bool,
}

impl Content {
    /// Of some values of a column, without those that are missing.
    pub fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut content = Self::default();
        let (mut isbns, mut keys, mut marks, mut times, mut numbers, mut phrases) = (0, 0, 0, 0, 0, 0);
        let mut distinct = HashSet::new();
        for value in values {
            let text = value.trim();
            if is_missing(text) {
                continue;
            }
            content.known += 1;
            let is_isbn = matches!(isbn::parse(text), Some(Key::Isbn { mended: None, .. }));
            isbns += usize::from(is_isbn);
            keys += usize::from(is_isbn || is_catalogue_key(text));
            phrases += usize::from(text.contains(' ') && text.chars().any(char::is_alphabetic));
            if let Some(number) = super::number(text) {
                if (-10.0..=100.0).contains(&number) {
                    marks += 1;
                    content.highest = content.highest.max(number);
                }
                numbers += usize::from(!(1400.0..2101.0).contains(&number));
                content.zeros |= number == 0.0;
                // Seconds or milliseconds since 1970, from 1990 on; an ISBN-13 would be some day in 2280.
                times += usize::from(
                    !is_isbn && ((6.3e8..1e11).contains(&number) || (6.3e11..1e14).contains(&number)),
                );
            } else {
                times += usize::from(dates::read(text).is_some());
            }
            distinct.insert(text);
        }
        let share = |part: usize| part as f64 / content.known.max(1) as f64;
        Self {
            isbns: share(isbns),
            keys: share(keys),
            marks: share(marks),
            times: share(times),
            numbers: share(numbers),
            phrases: share(phrases),
            distinct: distinct.len(),
            variety: share(distinct.len()),
            ..content
        }
    }

    pub fn as_user(&self, name: &str) -> f64 {
        // Readers rate several books: a column that hardly repeats is more likely the row's own number.
        let repeats = if self.known < 20 || self.variety < 0.98 { 0.0 } else { -0.3 };
        fields::fit(name, Field::User) + repeats - self.isbns
    }

    pub fn as_item(&self, name: &str) -> f64 {
        fields::fit(name, Field::Isbn) + if self.times > 0.5 { 0.0 } else { 1.5 * self.isbns }
    }

    pub fn as_rating(&self, name: &str) -> f64 {
        // A few odd values do not rule a column out, and an empty table has only names.
        let fits = self.known == 0 || self.marks > 0.9;
        if fits { fields::fit(name, Field::Rating) } else { 0.0 }
    }

    pub fn as_time(&self, name: &str) -> f64 {
        let by_name = fields::fit(name, Field::RatedAt);
        if self.known == 0 {
            by_name
        } else if self.times > 0.5 {
            0.3 + by_name
        } else {
            0.0
        }
    }

    /// Whether the values look like stars: few different small numbers.
    pub fn is_scale(&self) -> bool {
        self.known > 0 && self.marks > 0.9 && self.distinct <= MOST_MARKS
    }
}

/// What databases, spreadsheets and pandas write where there is nothing.
pub fn is_missing(text: &str) -> bool {
    matches!(text, "" | "=\"\"" | "NULL" | "null" | "nan" | "NaN" | "None" | "<NA>" | "NA" | r"\N")
}

/// Whether a text is a catalogue's own name of a book: such as `/works/OL45031W` or `B000FC1PJI`.
fn is_catalogue_key(text: &str) -> bool {
    let last = text.rsplit('/').next().unwrap_or(text);
    let digits = last.strip_prefix("OL").and_then(|rest| rest.strip_suffix(['W', 'M', 'A']));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        || last.len() == 10
            && last.starts_with("B0")
            && last.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
